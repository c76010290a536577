//! Leptos context of pages and server functions.

use crate::{
    news::server::NewsService,
    people::{CurrentUser, server::THEME_COOKIE, settings::Theme},
    server::{
        AppState, Result,
        assets::Assets,
        http, page_status,
        session::{self, SignedInUser},
    },
    ui::{page_failure::PageStatus, rejected_form::RejectedForm},
};
use axum::{
    extract::{Request, State},
    http::{HeaderValue, header, request::Parts},
    middleware::Next,
    response::Response,
};
use axum_extra::extract::cookie::CookieJar;
use leptos::{
    nonce::use_nonce,
    prelude::{provide_context, use_context},
};
use leptos_axum::ResponseOptions;
use std::sync::Arc;

pub(super) async fn authenticate(
    State(app): State<Arc<AppState>>,
    mut request: Request,
    next: Next,
) -> Result<Response> {
    // On a guest link the visitor is a guest, even with a session.
    let signed = if request.uri().path().starts_with("/call/") {
        None
    } else {
        session::authenticate_user(&app, request.headers()).await?
    };
    request.extensions_mut().insert(signed);
    Ok(next.run(request).await)
}

pub(super) fn provide(app: &Arc<AppState>, news: &Arc<NewsService>, assets: &Assets) {
    let parts = use_context::<Parts>();
    let signed = parts
        .as_ref()
        .and_then(|parts| parts.extensions.get::<Option<SignedInUser>>().cloned())
        .flatten();
    let rejected = parts
        .as_ref()
        .and_then(|parts| parts.extensions.get::<RejectedForm>().cloned());
    provide_context(rejected);
    let jar = parts
        .map(|parts| CookieJar::from_headers(&parts.headers))
        .unwrap_or_default();
    let theme = jar
        .get(THEME_COOKIE)
        .map_or("system", |cookie| cookie.value());
    provide_context(Theme(theme.to_owned()));
    provide_context(assets.clone());
    provide_context(signed.as_ref().map(|signed| CurrentUser {
        person: signed.person.clone(),
        has_password: signed.has_password,
        settings: signed.settings.clone(),
    }));
    provide_context(signed);
    provide_context(app.clone());
    provide_context(news.clone());
    provide_context(PageStatus(page_status::set_page_status));
    if let Some(response) = use_context::<ResponseOptions>() {
        let (name, value) = http::no_store();
        response.insert_header(name, value);
        let nonce = use_nonce()
            .map(|nonce| nonce.to_string())
            .unwrap_or_default();
        if let Ok(policy) = HeaderValue::from_str(&http::content_security_policy(&nonce)) {
            response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
}
