//! Corrections of server functions' requests and responses.

use crate::{
    protocol::failure::Failure,
    server::{error::http_status, http},
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::post,
};
use leptos_axum::handle_server_fns_with_context;
use server_fn::error::{FromServerFnError, SERVER_FN_ERROR_HEADER, ServerFnUrlError};

/// Set in `.cargo/config.toml` and, for cargo-leptos, in `Cargo.toml`.
pub(super) const SERVER_FN_PREFIX: &str = concat!(env!("SERVER_FN_PREFIX"), "/");
const MAX_READ_ARGUMENTS_BYTES: usize = 8 * 1024;
const MAX_FAILURE_BYTES: usize = 64 * 1024;

/// Accepts reads as `POST` from pages of older builds: the body becomes the query.
pub(super) fn reads_by_post<S: Clone + Send + Sync + 'static>(
    provide: impl Fn() + Clone + Send + Sync + 'static,
) -> Router<S> {
    server_fn::axum::server_fn_paths()
        .filter(|(_, method)| *method == Method::GET)
        .fold(Router::new(), |router, (path, _)| {
            let provide = provide.clone();
            let read = async move |request| match into_get(request).await {
                Ok(read) => handle_server_fns_with_context(provide, read)
                    .await
                    .into_response(),
                Err(status) => status.into_response(),
            };
            router.route(path, post(read))
        })
}

pub(super) async fn into_get(request: Request) -> Result<Request, StatusCode> {
    let (mut parts, body) = request.into_parts();
    let arguments = to_bytes(body, MAX_READ_ARGUMENTS_BYTES)
        .await
        .map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    let arguments = std::str::from_utf8(&arguments).map_err(|_| StatusCode::BAD_REQUEST)?;
    let address = format!("{}?{arguments}", parts.uri.path());
    parts.uri = address.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    parts.method = Method::GET;
    Ok(Request::from_parts(parts, Body::empty()))
}

/// Gives failures their own status instead of 500, and strips an earlier failure from the form's return URL.
pub(super) async fn fix_status(mut request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with(SERVER_FN_PREFIX) {
        return next.run(request).await;
    }
    forget_earlier_failure(request.headers_mut());
    let response = next.run(request).await;
    let is_failure = response.headers().contains_key(SERVER_FN_ERROR_HEADER);
    if is_failure && response.status() == StatusCode::INTERNAL_SERVER_ERROR {
        with_failure_status(response).await
    } else {
        response
    }
}

fn forget_earlier_failure(headers: &mut HeaderMap) {
    let Some(referer) = headers
        .get(header::REFERER)
        .and_then(|referer| referer.to_str().ok())
    else {
        return;
    };
    let mut referer = referer.to_owned();
    ServerFnUrlError::<Failure>::strip_error_info(&mut referer);
    if let Ok(referer) = HeaderValue::from_str(&referer) {
        headers.insert(header::REFERER, referer);
    }
}

async fn with_failure_status(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    match to_bytes(body, MAX_FAILURE_BYTES).await {
        Ok(bytes) => {
            let failure = Failure::de(bytes.clone());
            parts.status = http_status(&failure);
            let mut response = Response::from_parts(parts, Body::from(bytes));
            http::set_retry_after(&mut response, &failure);
            response
        }
        Err(why) => {
            tracing::error!(%why, "the response of a server function could not be read");
            Response::from_parts(parts, Body::empty())
        }
    }
}
