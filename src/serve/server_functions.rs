//! What server functions are given and answer, beyond what the library does.

use crate::{protocol::failure::Failure, server::error::http_status};
use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use server_fn::error::{FromServerFnError, SERVER_FN_ERROR_HEADER, ServerFnUrlError};

/// Where server functions are.
const SERVER_FN_PREFIX: &str = "/fn/";
/// A failure in JSON is never larger, in bytes.
const MAX_FAILURE_BYTES: usize = 64 * 1024;

/// Mends two things. The library answers every failure with status 500, also what is the user's to mend: the status becomes
/// the failure's own. And a form that is refused again would pile up failures in the address it goes back to: an earlier one
/// is taken out.
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
            tracing::error!(%why, "a server function's answer could not be read");
            Response::from_parts(parts, Body::empty())
        }
    }
}
