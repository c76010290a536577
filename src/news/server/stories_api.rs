//! `POST /api/v1/stories`: publishing with a bearer token (RFC 6750).

use super::publish;
use crate::{
    model::{
        limits,
        story::{Story, StoryDraft, Urgency},
        user::parse_single_line,
    },
    protocol::failure::Failure,
    server::{AppState, Error, Result, error::http_status, random, session},
};
use axum::{
    Json,
    extract::{FromRequest, Request, State, rejection::JsonRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// IETF draft "The Idempotency-Key HTTP Header Field".
pub(super) const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";
const MAX_IDEMPOTENCY_KEY_CHARS: usize = 100;
/// Of stories from the command line.
pub(super) const DEFAULT_BYLINE: &str = "The editors";

/// Rejects unknown fields, which may be misspelt.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoryRequest {
    /// One line.
    pub(super) headline: String,
    /// CommonMark.
    #[serde(default)]
    pub(super) body: String,
    /// One line; by default "General".
    #[serde(default)]
    pub(super) topic: String,
    #[serde(default)]
    pub(super) urgency: Urgency,
    /// Only from the command line; a token's stories carry its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) byline: Option<String>,
}

enum Publisher {
    CommandLine,
    Token(crate::server::store::Token),
}

pub(super) async fn create_story(State(app): State<Arc<AppState>>, request: Request) -> Response {
    match publish_request(&app, request).await {
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

async fn publish_request(app: &AppState, request: Request) -> Result<Story, Rejection> {
    let asking = authenticate(app, request.headers()).await?;
    let key = idempotency_key(request.headers())?;
    let Json(new) = Json::<StoryRequest>::from_request(request, &()).await?;
    let draft = StoryDraft::new(&new.headline, &new.body, &new.topic, new.urgency)
        .map_err(Failure::invalid)?;
    let (byline, scope) = match asking {
        Publisher::CommandLine => (byline(new.byline)?, "command-line".to_owned()),
        Publisher::Token(_) if new.byline.is_some() => {
            let why = "Remove \"byline\": stories are signed with the token's name.";
            return Err(Failure::invalid(why).into());
        }
        Publisher::Token(token) => (token.name, format!("token:{}", token.id)),
    };
    let request = key.map(|key| format!("{scope}:{key}"));
    Ok(publish(app, draft, byline, request).await?)
}

fn byline(given: Option<String>) -> Result<String, Failure> {
    let given = given.unwrap_or_else(|| DEFAULT_BYLINE.to_owned());
    parse_single_line(&given, limits::MAX_NAME_CHARS)
        .map_err(|why| Failure::invalid(format!("Byline: {why}")))
}

async fn authenticate(app: &AppState, headers: &HeaderMap) -> Result<Publisher, Rejection> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = given
        .and_then(|value| value.split_once(' '))
        .map(|(_, token)| token.trim())
        .unwrap_or_default();
    // Comparing hashes keeps timing from revealing the secret.
    if random::sha256_hex(token) == random::sha256_hex(&app.control_token) {
        return Ok(Publisher::CommandLine);
    }
    match session::authenticate_bearer(app, headers).await {
        Ok(token) => Ok(Publisher::Token(token)),
        Err(Error::User(failure)) => Err(Rejection::Unauthorized {
            failure,
            has_token: given.is_some(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// The draft's quotation marks are optional.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY_HEADER) else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default().trim().trim_matches('"');
    if key.is_empty() || key.chars().count() > MAX_IDEMPOTENCY_KEY_CHARS {
        return Err(Failure::invalid(format!(
            "Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY_CHARS} visible ASCII characters, for example a UUID."
        )));
    }
    Ok(Some(key.to_owned()))
}

enum Rejection {
    /// Status 401.
    Unauthorized {
        failure: Failure,
        /// The request had an invalid token.
        has_token: bool,
    },
    /// Status 400, 413, 415 or 422.
    InvalidJson(JsonRejection),
    Failed(Error),
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.into())
    }
}

impl From<JsonRejection> for Rejection {
    fn from(rejection: JsonRejection) -> Self {
        Self::InvalidJson(rejection)
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized {
                failure,
                has_token: given,
            } => {
                let challenge = if given {
                    "Bearer realm=\"rialto\", error=\"invalid_token\""
                } else {
                    "Bearer realm=\"rialto\""
                };
                let challenge = [(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static(challenge),
                )];
                (StatusCode::UNAUTHORIZED, challenge, failure_body(&failure)).into_response()
            }
            Self::InvalidJson(rejection) => {
                let why = format!(
                    "{} Send a JSON object with \"headline\" and optionally \"body\" (Markdown), \"topic\" and \
                     \"urgency\" (\"normal\" or \"breaking\").",
                    sentence(&rejection.body_text())
                );
                (rejection.status(), failure_body(&Failure::invalid(why))).into_response()
            }
            Self::Failed(error) => {
                let failure = error.into_failure();
                (http_status(&failure), failure_body(&failure)).into_response()
            }
        }
    }
}

fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

fn failure_body(failure: &Failure) -> Json<serde_json::Value> {
    let mut body = serde_json::to_value(failure).unwrap_or_default();
    if let Some(body) = body.as_object_mut() {
        body.insert("message".into(), failure.to_string().into());
    }
    Json(body)
}

#[cfg(test)]
mod tests;
