//! Whether a request is for this site (`Host`), and from one of its pages (`Origin`, RFC 6454).

use axum::http::{HeaderMap, header, uri::Authority};
use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
};

/// Domains that public name servers never resolve (RFC 6762, RFC 8375, and ICANN's resolution 2024.07.29.06).
const PRIVATE_DOMAINS: [&str; 4] = [".local", ".localhost", ".internal", ".home.arpa"];

/// The site's own names.
#[derive(Debug, Default)]
pub struct SiteOrigin {
    /// Of `--public-url`, as a browser sends it: `https://rialto.example.org`.
    public: Option<String>,
    has_warned: AtomicBool,
}

impl SiteOrigin {
    /// The names of a site with this public URL.
    #[must_use]
    pub fn new(public_url: Option<&str>) -> Self {
        let public = public_url.and_then(|url| reqwest::Url::parse(url).ok());
        Self {
            public: public.map(|url| url.origin().ascii_serialization()),
            has_warned: AtomicBool::default(),
        }
    }

    /// Origin of `--public-url`.
    #[must_use]
    pub fn public(&self) -> Option<&str> {
        self.public.as_deref()
    }

    /// Whether a request may name this host. A browser that somebody else's domain led here (DNS rebinding) names that domain.
    ///
    /// The public host, IP addresses, and names that no public name server resolves.
    #[must_use]
    pub fn is_known_host(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(header::HOST) else {
            // No browser.
            return true;
        };
        let authority = value
            .to_str()
            .ok()
            .and_then(|host| host.parse::<Authority>().ok());
        let Some(authority) = authority else {
            return false;
        };
        let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        is_address
            || !host.contains('.')
            || PRIVATE_DOMAINS.iter().any(|domain| host.ends_with(domain))
            || self.public_host().is_some_and(|public| public == host)
    }

    fn public_host(&self) -> Option<&str> {
        let (_, authority) = self.public()?.split_once("://")?;
        let host = authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host);
        Some(host.trim_end_matches('.'))
    }

    /// Whether `Origin` is the public one, matches `Host`, or is missing: only browsers, which send it, could send a user's cookies
    /// unintentionally.
    #[must_use]
    pub fn is_own(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return true;
        };
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        self.public() == Some(origin) || authority.is_some() && authority == host
    }

    /// Logs once that requests are refused, and what to set.
    pub fn warn_of_refusal(&self, headers: &HeaderMap) {
        if self.has_warned.swap(true, Ordering::Relaxed) {
            return;
        }
        let text = |name| {
            let value = headers.get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or("none")
                .to_owned()
        };
        tracing::warn!(
            host = text(header::HOST),
            origin = text(header::ORIGIN),
            "a request from another site was refused. If it is yours, set --public-url to the URL that people open, and let the proxy \
             in front of Rialto pass on the Host header (nginx: proxy_set_header Host $http_host)"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_our_own_pages_may_connect() {
        let is_own = |origin| SiteOrigin::new(None).is_own(&headers("rialto.local:3000", origin));
        assert!(
            is_own(Some("http://rialto.local:3000")) && is_own(Some("https://rialto.local:3000"))
        );
        assert!(is_own(None), "no browser");
        assert!(!is_own(Some("http://rialto.local")) && !is_own(Some("http://evil.example")));
        assert!(!is_own(Some("null")));
    }

    #[test]
    fn behind_a_proxy_that_changes_host_the_public_url_counts() {
        let site = SiteOrigin::new(Some("https://rialto.example.org/"));
        for host in ["rialto1:3000", "127.0.0.1:3000", "rialto.example.org"] {
            assert!(site.is_own(&headers(host, Some("https://rialto.example.org"))));
            assert!(!site.is_own(&headers(host, Some("https://evil.example"))));
            assert!(!site.is_own(&headers(host, Some("https://rialto.example.org:8443"))));
        }
    }

    #[test]
    fn a_domain_that_somebody_points_here_is_not_ours() {
        let is_known = |public, host| SiteOrigin::new(public).is_known_host(&headers(host, None));
        for host in [
            "127.0.0.1:3000",
            "192.168.1.7",
            "[::1]:3000",
            "localhost:3000",
            "nas",
            "nas.local:3000",
            "NAS.LOCAL.",
            "rialto.home.arpa",
        ] {
            assert!(is_known(None, host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:3000",
            "127.0.0.1.evil.example",
            "local.evil.example",
        ] {
            assert!(!is_known(None, host), "{host}");
            assert!(
                !is_known(Some("https://rialto.example.org"), host),
                "{host}"
            );
        }
        assert!(!is_known(None, "rialto.example.org"));
        assert!(is_known(
            Some("https://rialto.example.org"),
            "rialto.example.org"
        ));
        assert!(is_known(
            Some("https://rialto.example.org"),
            "Rialto.example.org:443"
        ));
        assert!(is_known(
            Some("https://rialto.example.org."),
            "rialto.example.org."
        ));
        assert!(is_known(
            Some("http://[2001:db8::7]:8080"),
            "[2001:db8::7]:8080"
        ));
    }
}
