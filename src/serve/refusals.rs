//! Answers to requests that reach no handler, in the form that their sender understands.

use super::server_functions::SERVER_FN_PREFIX;
use crate::{
    protocol::failure::Failure,
    server::{Error, http},
};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use server_fn::error::{FromServerFnError, SERVER_FN_ERROR_HEADER, ServerFnUrlError};

/// A page gets words, a server function its failure, and a plain form goes back to its page with it.
pub(super) fn refuse(request: &Request, status: StatusCode, failure: Failure) -> Response {
    let path = request.uri().path();
    let accepts_html = accepts_html(request.headers());
    let mut response = if path.starts_with(SERVER_FN_PREFIX) {
        if accepts_html {
            return redirect_with_failure(request.headers(), path, failure);
        }
        let body = Body::from(failure.ser());
        let mut response = (status, body).into_response();
        if let Ok(path) = HeaderValue::from_str(path) {
            response.headers_mut().insert(SERVER_FN_ERROR_HEADER, path);
        }
        response
    } else if accepts_html {
        (status, page_with(&failure)).into_response()
    } else {
        let mut response = Error::User(failure.clone()).into_response();
        *response.status_mut() = status;
        response
    };
    http::set_retry_after(&mut response, &failure);
    response
}

pub(super) fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    accept.is_some_and(|accept| {
        accept
            .to_str()
            .is_ok_and(|accept| accept.contains("text/html"))
    })
}

fn redirect_with_failure(headers: &HeaderMap, path: &str, failure: Failure) -> Response {
    let referer = headers.get(header::REFERER);
    let referer = referer.and_then(|referer| referer.to_str().ok());
    let back = referer.unwrap_or("/");
    let shown = ServerFnUrlError::new(path, failure).to_url(back);
    let target = shown.map_or_else(|_| "/".to_owned(), |url| url.to_string());
    Redirect::to(&target).into_response()
}

/// Without styles: their file may be refused too.
pub(super) fn page_with(failure: &Failure) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Rialto</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"></head>\
         <body><h1>That did not work</h1><p>{}</p><p><a href=\"\">Try again</a></p></body></html>",
        escape(&failure.to_string())
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
