//! The editor's page on the server.
//!
//! A rejected form is rendered again: a redirect would lose the article.

use super::{
    markdown,
    publish::{MAX_PUBLISH_REQUEST_BYTES, publish},
};
use crate::{
    model::story::{Story, StoryDraft, Urgency},
    news::{
        api::types::{EditorState, StoryInput},
        server::service::NewsService,
    },
    protocol::failure::Failure,
    server::{
        AppState, Error, Result, random,
        session::{self, SignedInUser},
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

/// A request extension, for the page with the form.
#[derive(Debug, Clone)]
struct RejectedInput {
    input: StoryInput,
    failure: Failure,
}

/// A rejected form keeps its input even without a session.
pub(in crate::news) async fn find_editor_state(news: &NewsService) -> Result<EditorState> {
    let refused =
        use_context::<Parts>().and_then(|parts| parts.extensions.get::<RejectedInput>().cloned());
    if refused.is_none() {
        require_editor()?;
    }
    let topics = news.list_topics().await?;
    let (typed, failure) = match refused {
        Some(RejectedInput {
            input: typed,
            failure,
        }) => (typed, Some(failure)),
        None => (StoryInput::new(random::new_id()), None),
    };
    Ok(EditorState {
        topics,
        input: typed,
        failure,
    })
}

fn require_editor() -> Result<SignedInUser, Failure> {
    check_can_publish(session::require_user()?)
}

fn check_can_publish(signed: SignedInUser) -> Result<SignedInUser, Failure> {
    if signed.person.role.can_publish() {
        return Ok(signed);
    }
    let (name, role) = (&signed.person.name, signed.person.role);
    Err(Failure::NotAllowed {
        reason: format!(
            "Only editors and administrators can publish stories; {name} is a {role}. Ask an administrator to change your role."
        ),
    })
}

pub(in crate::news) async fn publish_input(app: &AppState, typed: StoryInput) -> Result<Story> {
    publish_as(app, require_editor()?, &typed).await
}

async fn publish_as(app: &AppState, editor: SignedInUser, typed: &StoryInput) -> Result<Story> {
    let urgency = typed.urgency.parse().map_err(Failure::invalid)?;
    let draft = StoryDraft::new(&typed.headline, &typed.body, &typed.topic, urgency)
        .map_err(Failure::invalid)?;
    let request = format!("user:{}:{}", editor.person.id, typed.request_id);
    publish(app, draft, editor.person.name.to_string(), Some(request)).await
}

pub(in crate::news) async fn render_preview(body: String) -> Result<String> {
    require_editor()?;
    // A draft requires a headline.
    let draft = StoryDraft::new("Preview", &body, "", Urgency::Normal).map_err(Failure::invalid)?;
    let rendered = tokio::task::spawn_blocking(move || markdown::render(&draft.body)).await;
    Ok(rendered
        .map_err(|lost| Error::Internal(lost.to_string()))?
        .html)
}

/// `POST /news/new`: `page` renders `GET /news/new` after a rejection.
pub fn editor_form_route<S, P, F>(app: Arc<AppState>, page: P) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
    P: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    post(move |request: Request| async move {
        let (parts, body) = request.into_parts();
        let mut render_request = Request::from_parts(parts.clone(), Body::empty());
        *render_request.method_mut() = Method::GET;
        render_request.headers_mut().remove(header::CONTENT_LENGTH);
        match publish_posted(&app, &parts, body).await {
            Ok(story) => return Redirect::to(&format!("/news/{}", story.slug)).into_response(),
            Err(FormRejection::ShowForm(refused)) => {
                render_request.extensions_mut().insert(refused);
            }
            Err(FormRejection::Unreadable(response)) => return response,
        }
        page(render_request).await
    })
}

enum FormRejection {
    ShowForm(RejectedInput),
    /// The body is not this form.
    Unreadable(Response),
}

async fn publish_posted(app: &AppState, parts: &Parts, body: Body) -> Result<Story, FormRejection> {
    let whole = axum::body::to_bytes(body, MAX_PUBLISH_REQUEST_BYTES).await;
    let whole = whole.map_err(|_| FormRejection::Unreadable(too_large()))?;
    let request = Request::from_parts(parts.clone(), Body::from(whole));
    let Form(typed) = Form::<StoryInput>::from_request(request, &())
        .await
        .map_err(|why| FormRejection::Unreadable(why.into_response()))?;
    let signed = parts
        .extensions
        .get::<Option<SignedInUser>>()
        .cloned()
        .flatten();
    let published = match signed
        .ok_or(Failure::NotSignedIn)
        .and_then(check_can_publish)
    {
        Ok(editor) => publish_as(app, editor, &typed).await,
        Err(failure) => Err(failure.into()),
    };
    published.map_err(|error| {
        FormRejection::ShowForm(RejectedInput {
            failure: error.into_failure(),
            input: typed,
        })
    })
}

fn too_large() -> Response {
    let why = "The story is too long. Go back in your browser, shorten it and publish again.";
    (StatusCode::PAYLOAD_TOO_LARGE, why).into_response()
}
