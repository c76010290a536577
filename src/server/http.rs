//! HTTP headers and checks shared by all responses.

use super::assets;
use axum::{
    Router,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use std::sync::LazyLock;
use tower_http::{csrf::CsrfLayer, set_header::SetResponseHeaderLayer};

/// Adds security headers; rejects state-changing requests from other origins (Fetch Metadata, RFC 6454).
pub fn with_security_headers<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    let mut router = router.layer(CsrfLayer::new());
    for (name, value) in SECURITY_HEADERS {
        let name = HeaderName::from_static(name);
        router = router.layer(SetResponseHeaderLayer::if_not_present(
            name,
            HeaderValue::from_static(value),
        ));
    }
    router
}

/// Adds a missing `Retry-After` (RFC 9110 section 10.2.3) to responses that refuse a request for now.
pub fn with_retry_after<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.layer(SetResponseHeaderLayer::if_not_present(
        header::RETRY_AFTER,
        |response: &Response| retry_after(response.status()).map(HeaderValue::from_static),
    ))
}

/// In seconds; the failure's text for too many attempts says the same.
fn retry_after(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some("60"),
        StatusCode::SERVICE_UNAVAILABLE => Some("5"),
        _ => None,
    }
}

const SECURITY_HEADERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
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

/// Whether `Origin` matches `Host` or is missing: only browsers, which send it, could send a user's cookies
/// unintentionally.
#[must_use]
pub fn is_same_origin(headers: &axum::http::HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, authority)| authority);
    authority.is_some() && authority == host
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        body::Body,
        http::{HeaderMap, Request},
        routing::get,
    };
    use tower::Service;

    fn is_allowed(origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::HOST,
            HeaderValue::from_static("rialto.example:3000"),
        );
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        is_same_origin(&headers)
    }

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

    #[test]
    fn only_our_own_pages_may_connect() {
        assert!(
            is_allowed(Some("http://rialto.example:3000"))
                && is_allowed(Some("https://rialto.example:3000"))
        );
        assert!(is_allowed(None), "no browser");
        assert!(
            !is_allowed(Some("http://rialto.example"))
                && !is_allowed(Some("http://evil.example"))
                && !is_allowed(Some("null"))
        );
    }
}
