//! The editor's page on the server: who may publish, and what happens to what they typed.
//!
//! A browser with WASM calls the server function and keeps its page. Without WASM the form is posted to the page's own address:
//! what is wrong is then told by the same page, filled with what was typed. (A redirect back to an empty form, as short forms
//! do it, would lose an article; and browsers restore nothing on a page that is `no-store`.)

use super::{answer_with, markdown, publish};
use crate::{
    model::story::{Story, StoryDraft, Urgency},
    news::api::{Editor, TypedStory},
    protocol::failure::Failure,
    server::{
        App, Error, Result, secret,
        session::{self, Signed},
    },
};
use axum::{
    Form,
    body::Body,
    extract::{FromRequest, Request},
    http::{Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, post},
};
use leptos::prelude::use_context;
use std::sync::Arc;

/// What was typed into the form and why it was not published: travels with the request to the page that shows it again.
#[derive(Debug, Clone)]
struct Refused {
    typed: TypedStory,
    failure: Failure,
}

/// What the editor's page begins with. A form that was refused comes back whatever the reason, also when it is that the session
/// has ended meanwhile: what was typed belongs to whoever typed it.
pub(in crate::news) async fn editor(app: &App) -> Result<Editor> {
    let refused =
        use_context::<Parts>().and_then(|parts| parts.extensions.get::<Refused>().cloned());
    if refused.is_none() {
        editor_who_asks()?;
    }
    let topics = app.editions.now().await?.topics().to_vec();
    let (typed, failure) = match refused {
        Some(Refused { typed, failure }) => (typed, Some(failure)),
        None => (TypedStory::new(secret::id()), None),
    };
    if let Some(failure) = &failure {
        answer_with(failure);
    }
    Ok(Editor {
        topics,
        typed,
        failure,
    })
}

/// Who is asking, if they may publish.
fn editor_who_asks() -> Result<Signed, Failure> {
    may_publish(session::required()?)
}

fn may_publish(signed: Signed) -> Result<Signed, Failure> {
    if signed.person.role.may_publish() {
        return Ok(signed);
    }
    let (name, role) = (&signed.person.name, signed.person.role);
    Err(Failure::NotAllowed {
        reason: format!(
            "Only editors and administrators publish stories, and {name} is a {role}. An administrator can change that."
        ),
    })
}

/// Publishes what was typed.
pub(in crate::news) async fn publish_typed(app: &App, typed: TypedStory) -> Result<Story> {
    publish_as(app, editor_who_asks()?, &typed).await
}

async fn publish_as(app: &App, editor: Signed, typed: &TypedStory) -> Result<Story> {
    let urgency = typed.urgency.parse().map_err(Failure::invalid)?;
    let draft = StoryDraft::new(&typed.headline, &typed.body, &typed.topic, urgency)
        .map_err(Failure::invalid)?;
    let request = format!("user:{}:{}", editor.person.id, typed.request);
    publish(app, draft, editor.person.name.to_string(), Some(request)).await
}

/// What a body will look like.
pub(in crate::news) async fn preview(body: String) -> Result<String> {
    editor_who_asks()?;
    // The headline plays no part in how the body looks, but has to be there.
    let draft = StoryDraft::new("Preview", &body, "", Urgency::Normal).map_err(Failure::invalid)?;
    let rendered = tokio::task::spawn_blocking(move || markdown::render(&draft.body)).await;
    Ok(rendered
        .map_err(|lost| Error::Internal(lost.to_string()))?
        .html)
}

/// `POST /news/new`: the plain form. `page` renders `GET /news/new`, for a form that has to be shown again.
pub fn form<S, P, F>(app: Arc<App>, page: P) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
    P: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    post(move |request: Request| async move {
        let (parts, body) = request.into_parts();
        let mut again = Request::from_parts(parts.clone(), Body::empty());
        *again.method_mut() = Method::GET;
        again.headers_mut().remove(header::CONTENT_LENGTH);
        match posted(&app, &parts, body).await {
            Ok(story) => return Redirect::to(&format!("/news/{}", story.slug)).into_response(),
            Err(Answer::Again(refused)) => {
                again.extensions_mut().insert(refused);
            }
            Err(Answer::Unreadable(response)) => return response,
        }
        page(again).await
    })
}

/// Why a posted form was not published.
enum Answer {
    /// To be shown again with the reason.
    Again(Refused),
    /// It was no such form at all.
    Unreadable(Response),
}

async fn posted(app: &App, parts: &Parts, body: Body) -> Result<Story, Answer> {
    let whole = axum::body::to_bytes(body, super::REQUEST_BYTES).await;
    let whole = whole.map_err(|_| Answer::Unreadable(too_large()))?;
    let request = Request::from_parts(parts.clone(), Body::from(whole));
    let Form(typed) = Form::<TypedStory>::from_request(request, &())
        .await
        .map_err(|why| Answer::Unreadable(why.into_response()))?;
    let signed = parts.extensions.get::<Option<Signed>>().cloned().flatten();
    let published = match signed.ok_or(Failure::NotSignedIn).and_then(may_publish) {
        Ok(editor) => publish_as(app, editor, &typed).await,
        Err(failure) => Err(failure.into()),
    };
    published.map_err(|error| {
        Answer::Again(Refused {
            failure: error.into_failure(),
            typed,
        })
    })
}

fn too_large() -> Response {
    let why = "That is more than a story may have. Use your browser's Back button, shorten it, then try again.";
    (StatusCode::PAYLOAD_TOO_LARGE, why).into_response()
}
