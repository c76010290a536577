//! Gives arbitrary bytes to every parser of what clients send, and asserts what has to hold whatever they are.
//!
//! Each function is a target. `fuzz/` runs it under libFuzzer, and `tests` with mutated examples in the ordinary tests (docs/testing.md,
//! "Fuzzing"). Targets that need a system's internals are in its own module `fuzzing`.

#![expect(
    clippy::missing_panics_doc,
    reason = "each target panics if an assertion fails, and nowhere else"
)]

pub use crate::{
    chat::server::fuzzing::files,
    news::server::fuzzing::{cursors, markdown},
    serve::fuzzing::{forms, frames, websocket},
    server::{
        backup::fuzzing::backups,
        turn::fuzzing::{turn_datagrams, turn_session, turn_stream},
    },
};

use crate::{
    chat,
    model::{
        UserId, limits,
        room::RoomName,
        text_links::{TextSpan, split_links},
        user::{UserName, is_default_ignorable},
    },
    news, serve,
    server::{
        backup,
        config::{parse_ice_servers, parse_interval, parse_public_url},
        known_device,
        metrics::Metrics,
        name_skeleton::skeletons,
        origin::SiteOrigin,
        proxy::TrustedProxies,
        rate_limit::{Bound, Overrides, RateLimits},
        session::{SESSION_COOKIE, session_token},
        slug::slugify,
        store::DatabaseUrl,
        turn::{
            self,
            config::{IpAddresses, IpNetworks, ListenAddresses, PortRange, parse_turn_url},
        },
    },
};
use axum::http::{HeaderMap, HeaderValue, header};
use ring::hmac;
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, LazyLock},
};
use uuid::Uuid;

/// A function of this module, with its name and examples.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Also of its program in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Panics if something does not hold for the bytes.
    pub run: fn(&[u8]),
    /// Valid inputs, from which others are made.
    pub examples: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 14] = [
    target("backups", backups, backup::fuzzing::examples),
    target("cookies", cookies, cookie_examples),
    target("cursors", cursors, news::server::fuzzing::cursor_examples),
    target("files", files, chat::server::fuzzing::examples),
    target("forms", forms, serve::fuzzing::form_examples),
    target("frames", frames, serve::fuzzing::frame_examples),
    target("links", links, link_examples),
    target(
        "markdown",
        markdown,
        news::server::fuzzing::markdown_examples,
    ),
    target("names", names, name_examples),
    target("settings", settings, setting_examples),
    target(
        "turn_datagrams",
        turn_datagrams,
        turn::fuzzing::datagram_examples,
    ),
    target(
        "turn_session",
        turn_session,
        turn::fuzzing::session_examples,
    ),
    target("turn_stream", turn_stream, turn::fuzzing::stream_examples),
    target("websocket", websocket, serve::fuzzing::websocket_examples),
];

const fn target(name: &'static str, run: fn(&[u8]), examples: fn() -> Vec<Vec<u8>>) -> Target {
    Target {
        name,
        run,
        examples,
    }
}

/// Links in a message: the spans are the text, and a link is a web address.
pub fn links(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let mut whole = String::new();
    for span in split_links(text) {
        match span {
            TextSpan::Plain(text) => whole.push_str(&text),
            TextSpan::Link(link) => {
                let address = link.to_ascii_lowercase();
                assert!(
                    address.starts_with("http://") || address.starts_with("https://"),
                    "{link:?} is a link"
                );
                assert!(
                    !link.contains(|c: char| {
                        c.is_whitespace() || c.is_control() || is_default_ignorable(c)
                    }),
                    "{link:?} is one link"
                );
                whole.push_str(&link);
            }
        }
    }
    assert_eq!(whole, text);
}

fn link_examples() -> Vec<Vec<u8>> {
    [
        "see https://example.org/a_(b). Or http://b.example:8080/?q=1&r=\u{e9}#c, not ftp://c.example",
        "見て「https://example.org/a」。次はhttps://b.example…",
        "HTTPS://[2001:db8::7]/x javascript:alert(1) mail@example.org http://a@b.example",
    ].map(Vec::from).to_vec()
}

/// Names of people and rooms: what is accepted is bounded and stays as it is, and looks like itself however it is composed.
pub fn names(data: &[u8]) {
    /// A row of an index of PostgreSQL has at most 2,704 bytes.
    const MAX_INDEXED_BYTES: usize = 2_600;
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(room) = RoomName::new(text) {
        assert!((1..=limits::MAX_ROOM_NAME_CHARS).contains(&room.as_str().chars().count()));
        assert_eq!(RoomName::new(room.as_str()), Ok(room));
    }
    let slug = slugify(text, "room");
    assert!((1..=80).contains(&slug.len()), "{slug:?}");
    assert!(
        slug.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
        "{slug:?}"
    );
    assert_eq!(slugify(&slug, "room"), slug);
    let Ok(name) = UserName::new(text) else {
        return;
    };
    assert!((1..=limits::MAX_NAME_CHARS).contains(&name.as_str().chars().count()));
    assert_eq!(UserName::new(name.as_str()), Ok(name.clone()));
    let own = skeletons(&name);
    for skeleton in &own {
        assert!(
            skeleton.len() <= MAX_INDEXED_BYTES,
            "a skeleton has {} bytes",
            skeleton.len()
        );
    }
    for composed in composed_otherwise(name.as_str()) {
        let other = skeletons(&UserName::from_stored(composed.clone()));
        assert!(
            own.iter().any(|skeleton| other.contains(skeleton)),
            "{name:?} does not look like {composed:?}"
        );
    }
}

fn composed_otherwise(name: &str) -> [String; 3] {
    use unicode_normalization::UnicodeNormalization;
    [
        name.nfd().collect(),
        name.nfc().collect(),
        name.nfkc().collect(),
    ]
}

fn name_examples() -> Vec<Vec<u8>> {
    [
        "Ada Lovelace",
        "Ad\u{430}  \u{410}DA\u{200D}",
        "\u{FF21}\u{1D400}\u{E1}a\u{301}\u{FB01}",
        "\u{FDFA}\u{33C7}\u{1F468}\u{200D}\u{1F469}\u{FE0F}",
        "What's new, on the Rialto?",
        "\u{FDFA}\u{FDFA}\u{FDFA}\u{FDFA}\u{FDFA}\u{FDFA}\u{FDFA}\u{FDFA}",
    ]
    .map(Vec::from)
    .to_vec()
}

/// Cookies of sessions and of known devices: only a cookie that the server issued is one of a known device.
pub fn cookies(data: &[u8]) {
    let user = UserId(Uuid::from_u128(1));
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"a secret");
    let issued = known_device::issue(&key, user);
    let device = issued.split('.').next();
    assert_eq!(known_device::verify(&key, user, &issued), device);
    if let Ok(text) = str::from_utf8(data) {
        assert_eq!(known_device::verify(&key, user, text), None, "{text:?}");
        // Somebody else's bytes, before or after ours.
        for forged in [format!("{text}{issued}"), format!("{issued}{text}")] {
            let found = known_device::verify(&key, user, &forged);
            assert!(found.is_none() || found == device, "{forged:?}");
        }
    }
    if let Ok(value) = HeaderValue::from_bytes(data) {
        let headers = HeaderMap::from_iter([(header::COOKIE, value)]);
        let _ = session_token(&headers);
    }
    // Another cookie of the site, which a page cannot close early.
    let other = [b"other=".as_slice(), data, b"; "].concat();
    let session = format!("{SESSION_COOKIE}=0123456789abcdef");
    if !data.contains(&b';')
        && let Ok(value) = HeaderValue::from_bytes(&[&other, session.as_bytes()].concat())
        && value.to_str().is_ok()
    {
        let headers = HeaderMap::from_iter([(header::COOKIE, value)]);
        let token = session_token(&headers);
        assert_eq!(token.as_deref(), Some("0123456789abcdef"));
    }
}

fn cookie_examples() -> Vec<Vec<u8>> {
    [
        "rialto_session=0123456789abcdef0123456789abcdef; theme=dark",
        "__Host-rialto_session=a; rialto_session=b; rialto_device=c.d",
        "rialto_session=%3B%00%ff; rialto_session=\"a b\"",
        "0123456789abcdef.0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ]
    .map(Vec::from)
    .to_vec()
}

/// Values of the command line and the environment: a public URL is an origin as browsers write it, limits can be taken, and errors
/// show no password.
pub fn settings(data: &[u8]) {
    static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(|| Arc::new(Metrics::new("fuzzing")));
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(url) = parse_public_url(text) {
        check_public_url(&url);
    }
    if let Ok(set) = text.parse::<Overrides>() {
        let _ = RateLimits::new(set.clone(), METRICS.clone());
        for bound in Bound::ALL {
            let _ = set.amount(*bound);
        }
    }
    if let Ok(interval) = parse_interval(text) {
        assert!(interval.as_secs() > 0);
    }
    if let Ok(PortRange(ports)) = text.parse() {
        assert!(!ports.is_empty() && *ports.start() > 0);
    }
    if let Ok(proxies) = text.parse::<TrustedProxies>()
        && let Ok(value) = HeaderValue::from_str(text)
    {
        let headers = HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), value)]);
        let _ = proxies.client_ip(IpAddr::V4(Ipv4Addr::LOCALHOST), &headers);
    }
    let _ = text.parse::<ListenAddresses>();
    let _ = text.parse::<IpAddresses>();
    let _ = text.parse::<IpNetworks>();
    let _ = parse_turn_url(text);
    let _ = parse_ice_servers(text);
    let Ok(database) = format!("postgres://ada:ducats@{text}").parse::<DatabaseUrl>();
    assert!(!format!("{database} {database:?}").contains("ada:ducats"));
}

fn check_public_url(url: &str) {
    assert_eq!(parse_public_url(url).as_deref(), Ok(url));
    let authority = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .unwrap_or_else(|| panic!("{url:?} is no origin"));
    // What a browser sends that opens it.
    let value = |text: &str| HeaderValue::from_str(text).unwrap();
    let headers = HeaderMap::from_iter([
        (header::HOST, value(authority)),
        (header::ORIGIN, value(url)),
    ]);
    let site = SiteOrigin::new(Some(url));
    assert_eq!(site.public(), Some(url));
    assert!(
        site.is_own(&headers) && site.is_known_host(&headers),
        "{url:?}"
    );
}

fn setting_examples() -> Vec<Vec<u8>> {
    let limits = Bound::ALL.iter().map(|bound| bound.spec().name);
    let names: HashSet<&str> = limits.collect();
    let mut all = [
        "https://rialto.example.org",
        "HTTPS://Rialto.Example.org:443/",
        "http://[2001:db8::7]:8080",
        " http://127.1:3000\\",
        "messages=200/20ms, sign-ins=3/1m,streams=4096",
        "49152-65535",
        "0.0.0.0:3478,[::]:3478",
        "10.1.0.0/16,fd00::/8,127.0.0.1",
        "turn:turn.example.org:3478?transport=udp",
        r#"[{"urls":["turn:turn.example.org"],"username":"a","credential":"b"}]"#,
        "6h",
        "db.example:5432/rialto?sslmode=require",
    ]
    .map(Vec::from)
    .to_vec();
    all.extend(
        names
            .into_iter()
            .map(|name| format!("{name}=1").into_bytes()),
    );
    all
}

#[cfg(test)]
mod tests;
