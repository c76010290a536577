//! HTTP headers and checks shared by all responses.

use super::{assets, origin::SiteOrigin};
use crate::protocol::failure::Failure;
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use std::sync::{Arc, LazyLock};
use tower_http::{
    csrf::{CsrfLayer, ProtectionError},
    set_header::SetResponseHeaderLayer,
};

/// Adds security headers; rejects requests for other hosts, and state-changing ones from other origins (Fetch Metadata, RFC 6454).
pub fn with_security<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    site: &Arc<SiteOrigin>,
) -> Router<S> {
    let mut csrf = CsrfLayer::new();
    if let Some(public) = site.public() {
        // A public URL is a valid origin.
        csrf = csrf.clone().add_trusted_origin(public).unwrap_or(csrf);
    }
    let foreign_origin =
        |_: ProtectionError| (StatusCode::FORBIDDEN, FOREIGN_ORIGIN).into_response();
    let mut router = router
        .layer(csrf.with_rejection_response(foreign_origin))
        .layer(middleware::from_fn_with_state(site.clone(), check_host));
    let is_https = site
        .public()
        .is_some_and(|origin| origin.starts_with("https://"));
    let https_headers = HTTPS_HEADERS.into_iter().filter(|_| is_https);
    for (name, value) in SECURITY_HEADERS.into_iter().chain(https_headers) {
        let name = HeaderName::from_static(name);
        router = router.layer(SetResponseHeaderLayer::if_not_present(
            name,
            HeaderValue::from_static(value),
        ));
    }
    router
}

const FOREIGN_ORIGIN: &str = "This form was sent by another site. If it is this one, its operator has to set --public-url, and a proxy \
    has to pass on the Host header. The log says more.\n";
const FOREIGN_HOST: &str = "This server is known by another name. If the name is right, its operator has to set --public-url. The log \
    says more.\n";

/// Status 421 (RFC 9110 section 15.5.20) for another host; logs refusals.
async fn check_host(State(site): State<Arc<SiteOrigin>>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    if !site.is_known_host(&headers) {
        site.warn_of_refusal(&headers);
        return (StatusCode::MISDIRECTED_REQUEST, FOREIGN_HOST).into_response();
    }
    let response = next.run(request).await;
    if response.extensions().get::<ProtectionError>().is_some() {
        site.warn_of_refusal(&headers);
    }
    response
}

/// Adds a missing `Retry-After` (RFC 9110 section 10.2.3) to responses that refuse a request for now.
pub fn with_retry_after<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.layer(SetResponseHeaderLayer::if_not_present(
        header::RETRY_AFTER,
        |response: &Response| retry_after(response.status()).map(HeaderValue::from_static),
    ))
}

/// Sets `Retry-After` of a response to a failure, if that says how long to wait.
pub fn set_retry_after(response: &mut Response, failure: &Failure) {
    if let Failure::RateLimited {
        retry_after_ms: Some(millis),
    } = failure
    {
        let seconds = HeaderValue::from(millis.div_ceil(1_000));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
}

/// In seconds.
fn retry_after(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some("60"),
        StatusCode::SERVICE_UNAVAILABLE => Some("5"),
        _ => None,
    }
}

/// Only for sites with https: a browser would refuse a later one without.
const HTTPS_HEADERS: [(&str, &str); 1] = [("strict-transport-security", "max-age=31536000")];

const SECURITY_HEADERS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(self), microphone=(self), display-capture=(self), geolocation=(), payment=(), usb=()",
    ),
];

/// Content Security Policy (CSP Level 3); inline scripts need the nonce.
#[must_use]
pub fn content_security_policy(nonce: &str) -> String {
    let reload = &*LIVE_RELOAD_SOURCE;
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' blob: data:; media-src 'self' blob: mediastream:; connect-src 'self'{reload}; font-src 'self'; \
         manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Source with a leading space under `cargo leptos watch`; otherwise empty.
static LIVE_RELOAD_SOURCE: LazyLock<String> = LazyLock::new(|| {
    let ports = ["LEPTOS_RELOAD_EXTERNAL_PORT", "LEPTOS_RELOAD_PORT"];
    let port = ports.iter().find_map(|name| std::env::var(name).ok());
    live_reload_source(assets::is_watched(), port.as_deref())
});

fn live_reload_source(watched: bool, port: Option<&str>) -> String {
    // cargo-leptos' default.
    let port = port.map_or(Some(3001), |port| port.parse::<u16>().ok());
    match port {
        Some(port) if watched => format!(" ws://*:{port}"),
        _ => String::new(),
    }
}

/// Forbids caching: pages depend on time and reader.
#[must_use]
pub fn no_store() -> (HeaderName, HeaderValue) {
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request, routing::get};
    use tower::Service;

    #[tokio::test]
    async fn who_is_refused_for_now_is_told_when_to_try_again() {
        let limited = || async { StatusCode::TOO_MANY_REQUESTS };
        let away = || async { StatusCode::SERVICE_UNAVAILABLE };
        let own = || async { (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "3")]) };
        let router = Router::new()
            .route("/limited", get(limited))
            .route("/away", get(away))
            .route("/own", get(own))
            .route("/fine", get(|| async {}));
        let mut router = with_retry_after(router);
        for (path, seconds) in [
            ("/limited", Some("60")),
            ("/away", Some("5")),
            ("/own", Some("3")),
            ("/fine", None),
            ("/missing", None),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router.call(request).await.unwrap();
            let header = response.headers().get(header::RETRY_AFTER);
            assert_eq!(
                header.map(|value| value.to_str().unwrap()),
                seconds,
                "{path}"
            );
        }
    }

    #[test]
    fn a_page_may_connect_to_live_reload_under_cargo_leptos_watch() {
        assert_eq!(live_reload_source(true, None), " ws://*:3001");
        assert_eq!(live_reload_source(true, Some("4001")), " ws://*:4001");
        assert_eq!(live_reload_source(true, Some("'unsafe-inline'")), "");
        assert_eq!(live_reload_source(false, Some("4001")), "");
        let served = content_security_policy("abc");
        assert!(served.contains("; connect-src 'self'; "), "{served}");
    }
}
