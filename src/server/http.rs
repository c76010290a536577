//! HTTP manners that every answer shares.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
};
use tower_http::{csrf::CsrfLayer, set_header::SetResponseHeaderLayer};

/// The headers that every answer carries, and the refusal of state-changing requests from other origins
/// (Fetch Metadata, RFC 6454).
pub fn with_manners<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    let mut router = router.layer(CsrfLayer::new());
    for (name, value) in MANNERS {
        let name = HeaderName::from_static(name);
        router = router.layer(SetResponseHeaderLayer::if_not_present(
            name,
            HeaderValue::from_static(value),
        ));
    }
    router
}

/// Camera and microphone for our own pages; nothing is framed, sniffed, or told to other sites.
const MANNERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(self), microphone=(self), display-capture=(self), geolocation=(), payment=(), usb=()",
    ),
];

/// The content security policy (CSP Level 3) of a page whose inline scripts carry this nonce.
#[must_use]
pub fn content_security_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' blob: data:; media-src 'self' blob: mediastream:; connect-src 'self'; font-src 'self'; \
         manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Pages are never kept by a cache: what they show is of the moment and of the reader.
#[must_use]
pub fn no_store() -> (HeaderName, HeaderValue) {
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

/// Whether a browser's request comes from our own origin: its `Origin` names the host that was asked. A request without
/// `Origin` comes from no browser and carries nobody's cookies by accident.
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
    use axum::http::HeaderMap;

    fn asked(origin: Option<&str>) -> bool {
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

    #[test]
    fn only_our_own_pages_may_connect() {
        assert!(
            asked(Some("http://rialto.example:3000")) && asked(Some("https://rialto.example:3000"))
        );
        assert!(asked(None), "no browser");
        assert!(
            !asked(Some("http://rialto.example"))
                && !asked(Some("http://evil.example"))
                && !asked(Some("null"))
        );
    }
}
