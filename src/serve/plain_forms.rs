//! Plain forms that post to their own page (`ui::rejected_form`): a refused one comes back as it was typed.
//!
//! A redirect would lose the input, which may be too long for an address.

use super::{
    refusals::{accepts_html, page_with},
    request_bodies::{MAX_FORM_BYTES, read_form},
    server_functions::SERVER_FN_PREFIX,
};
use crate::{
    protocol::failure::Failure,
    server::{http, page_status},
    ui::rejected_form::{FORM_PARAMETER, RejectedForm},
};
use axum::{
    Form, Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, FromRequest, Query, Request, State},
    http::{HeaderValue, Method, StatusCode, Uri, header, request::Parts, uri::PathAndQuery},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use server_fn::error::ServerFnUrlError;
use std::net::SocketAddr;
use tower::ServiceExt;

/// Not sent back to the browser.
const SECRET_FIELDS: [&str; 2] = ["password", "current"];
/// Server functions redirect a failure to the absolute address of the page.
const PAGE_ORIGIN: &str = "http://rialto.invalid";
const FAILURE_PARAMETER: &str = "__err";
const TOO_LONG: &str = "That is too long to be sent. Shorten it, then send it again.";
const NOT_KEPT: &str =
    "That is too long to be sent. Go back in your browser, shorten it and send it again.";

type Pairs = Vec<(String, String)>;

/// Hands forms that are posted to pages to their server functions.
pub(super) fn keep_input(router: Router) -> Router {
    let inner = router.clone();
    router.layer(middleware::from_fn_with_state(inner, post_to_function))
}

async fn post_to_function(State(router): State<Router>, request: Request, next: Next) -> Response {
    let Some(function) = posted_function(&request) else {
        return next.run(request).await;
    };
    let (page, body) = request.into_parts();
    let Some(form) = read_form(&function, body).await else {
        let failure = Failure::invalid(NOT_KEPT);
        return (StatusCode::PAYLOAD_TOO_LARGE, page_with(&failure)).into_response();
    };
    let failure = if form.len() > MAX_FORM_BYTES {
        Failure::invalid(TOO_LONG)
    } else {
        let answer = call_function(&router, &page, &function, form.clone()).await;
        match redirected_failure(&answer) {
            Some(failure) => failure,
            None => return answer,
        }
    };
    let rejected = RejectedForm {
        path: function,
        failure,
        fields: read_fields(&page, form).await,
    };
    render_page(&router, &page, rejected).await
}

/// The path of the server function in the query of a form's address.
fn posted_function(request: &Request) -> Option<String> {
    let uri = request.uri();
    let is_form = request.method() == Method::POST && accepts_html(request.headers());
    if !is_form || uri.path().starts_with(SERVER_FN_PREFIX) {
        return None;
    }
    let path = find_parameter(uri, FORM_PARAMETER)?;
    path.starts_with(SERVER_FN_PREFIX).then_some(path)
}

fn find_parameter(uri: &Uri, name: &str) -> Option<String> {
    let Query(query) = Query::<Pairs>::try_from_uri(uri).ok()?;
    let found = query.into_iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value)
}

async fn call_function(router: &Router, page: &Parts, function: &str, form: Bytes) -> Response {
    let Ok(uri) = function.parse() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut request = from_same_client(page, Method::POST, uri, Body::from(form));
    let address = page.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if let Ok(referer) = HeaderValue::from_str(&format!("{PAGE_ORIGIN}{address}")) {
        request.headers_mut().insert(header::REFERER, referer);
    }
    run(router, request).await
}

async fn render_page(router: &Router, page: &Parts, rejected: RejectedForm) -> Response {
    let failure = rejected.failure.clone();
    let mut request = from_same_client(page, Method::GET, page.uri.clone(), Body::empty());
    for of_body in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
        request.headers_mut().remove(of_body);
    }
    request.extensions_mut().insert(rejected);
    let mut response = run(router, request).await;
    if response.status().is_success() {
        *response.status_mut() = page_status::status_of(&failure);
    }
    http::set_retry_after(&mut response, &failure);
    response
}

/// Without what routing the page has added.
fn from_same_client(page: &Parts, method: Method, uri: Uri, body: Body) -> Request {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = page.headers.clone();
    if let Some(peer) = page.extensions.get::<ConnectInfo<SocketAddr>>() {
        request.extensions_mut().insert(*peer);
    }
    request
}

async fn run(router: &Router, request: Request) -> Response {
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn redirected_failure(answer: &Response) -> Option<Failure> {
    let location = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    let address = location.strip_prefix(PAGE_ORIGIN)?.parse().ok()?;
    let failure = find_parameter(&address, FAILURE_PARAMETER)?;
    Some(ServerFnUrlError::<Failure>::decode_err(&failure))
}

async fn read_fields(page: &Parts, form: Bytes) -> Pairs {
    let request = from_same_client(page, Method::POST, page.uri.clone(), Body::from(form));
    let read = Form::<Pairs>::from_request(request, &()).await;
    let mut fields = read.map(|Form(fields)| fields).unwrap_or_default();
    fields.retain(|(name, _)| !SECRET_FIELDS.contains(&name.as_str()));
    fields
}
