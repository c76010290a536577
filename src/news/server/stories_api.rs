//! `POST /api/v1/stories`: publishing for programs, with a bearer token (RFC 6750).

use super::publish;
use crate::{
    model::{
        limits,
        story::{Story, StoryDraft, Urgency},
        user::one_line,
    },
    protocol::failure::Failure,
    server::{App, Error, Result, error::status, secret, session},
};
use axum::{
    Json,
    extract::{FromRequest, Request, State, rejection::JsonRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a program makes a repeated request harmless (IETF draft "The Idempotency-Key HTTP Header Field").
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// An idempotency key has this many characters at most.
const KEY_CHARS: usize = 100;
/// Who signs what the command line publishes, unless it says otherwise.
pub(super) const EDITORS: &str = "The editors";

/// What a program sends. An unknown field is refused, so that a misspelt one does not go unnoticed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewStory {
    /// One line of text.
    pub(super) headline: String,
    /// CommonMark.
    #[serde(default)]
    pub(super) body: String,
    /// One line of text; "General" when left out.
    #[serde(default)]
    pub(super) topic: String,
    /// Normal when left out.
    #[serde(default)]
    pub(super) urgency: Urgency,
    /// Who signs. Only the command line may say so: what a token publishes is signed with the token's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) byline: Option<String>,
}

/// Who is asking.
enum Asking {
    /// The command line on this machine.
    CommandLine,
    /// A program with a token.
    Token(crate::server::store::Token),
}

pub(super) async fn create_story(State(app): State<Arc<App>>, request: Request) -> Response {
    match create(&app, request).await {
        Ok(story) => {
            let place = format!("/news/{}", story.slug);
            (
                StatusCode::CREATED,
                [(header::LOCATION, place)],
                Json(story),
            )
                .into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn create(app: &App, request: Request) -> Result<Story, Refusal> {
    let asking = asking(app, request.headers()).await?;
    let key = idempotency_key(request.headers())?;
    let Json(new) = Json::<NewStory>::from_request(request, &()).await?;
    let draft = StoryDraft::new(&new.headline, &new.body, &new.topic, new.urgency)
        .map_err(Failure::invalid)?;
    let (byline, scope) = match asking {
        Asking::CommandLine => (byline(new.byline)?, "command-line".to_owned()),
        Asking::Token(_) if new.byline.is_some() => {
            let why = "Leave the byline out: a story is signed with the name of the token that publishes it.";
            return Err(Failure::invalid(why).into());
        }
        Asking::Token(token) => (token.name, format!("token:{}", token.id)),
    };
    let request = key.map(|key| format!("{scope}:{key}"));
    Ok(publish(app, draft, byline, request).await?)
}

fn byline(given: Option<String>) -> Result<String, Failure> {
    let given = given.unwrap_or_else(|| EDITORS.to_owned());
    one_line(&given, limits::NAME_CHARS).map_err(|why| Failure::invalid(format!("Byline: {why}")))
}

async fn asking(app: &App, headers: &HeaderMap) -> Result<Asking, Refusal> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = given
        .and_then(|value| value.split_once(' '))
        .map(|(_, token)| token.trim())
        .unwrap_or_default();
    // Hashes are compared, so that the time it takes says nothing about the secret.
    if secret::hash(token) == secret::hash(&app.control) {
        return Ok(Asking::CommandLine);
    }
    match session::bearer(app, headers).await {
        Ok(token) => Ok(Asking::Token(token)),
        Err(Error::User(failure)) => Err(Refusal::NoToken {
            failure,
            given: given.is_some(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// The key, with or without the quotation marks that the draft asks for.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default().trim().trim_matches('"');
    if key.is_empty() || key.chars().count() > KEY_CHARS {
        return Err(Failure::invalid(format!(
            "An Idempotency-Key has 1 to {KEY_CHARS} visible ASCII characters: a UUID, for example."
        )));
    }
    Ok(Some(key.to_owned()))
}

/// Why there is no story.
enum Refusal {
    /// 401.
    NoToken {
        /// In words.
        failure: Failure,
        /// Whether there was a token, which was not valid.
        given: bool,
    },
    /// 400, 413, 415 or 422: not a story in JSON.
    NotAStory(JsonRejection),
    /// Everything else.
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.into())
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::NotAStory(rejection)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::NoToken { failure, given } => {
                let challenge = if given {
                    "Bearer realm=\"rialto\", error=\"invalid_token\""
                } else {
                    "Bearer realm=\"rialto\""
                };
                let challenge = [(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static(challenge),
                )];
                (StatusCode::UNAUTHORIZED, challenge, in_json(&failure)).into_response()
            }
            Self::NotAStory(rejection) => {
                let why = format!(
                    "{} Send a JSON object with \"headline\" and, if you like, \"body\" (Markdown), \"topic\" and \
                     \"urgency\" (\"normal\" or \"breaking\").",
                    sentence(&rejection.body_text())
                );
                (rejection.status(), in_json(&Failure::invalid(why))).into_response()
            }
            Self::Failed(error) => {
                let failure = error.into_failure();
                (status(&failure), in_json(&failure)).into_response()
            }
        }
    }
}

fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

/// The failure, and the same in words for whoever reads the answer.
fn in_json(failure: &Failure) -> Json<serde_json::Value> {
    let mut body = serde_json::to_value(failure).unwrap_or_default();
    if let Some(body) = body.as_object_mut() {
        body.insert("message".into(), failure.to_string().into());
    }
    Json(body)
}

#[cfg(test)]
mod tests;
