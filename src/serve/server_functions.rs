//! Middleware that corrects requests to, and responses of, server functions.

use crate::{protocol::failure::Failure, server::error::http_status};
use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use server_fn::error::{FromServerFnError, SERVER_FN_ERROR_HEADER, ServerFnUrlError};

const SERVER_FN_PREFIX: &str = "/fn/";
/// Bytes of a failure in JSON.
const MAX_FAILURE_BYTES: usize = 64 * 1024;

/// Corrects the library: every failure has status 500, which becomes the failure's own; and each is added to the URL
/// that a form returns to, from which an earlier one is removed.
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
            parts.status = http_status(&Failure::de(bytes.clone()));
            Response::from_parts(parts, Body::from(bytes))
        }
        Err(why) => {
            tracing::error!(%why, "the response of a server function could not be read");
            Response::from_parts(parts, Body::empty())
        }
    }
}
