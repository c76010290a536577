//! Headers, scripts and caching of pages.

use crate::support::{Browser, Publisher, Server, client_id};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

#[tokio::test]
async fn every_page_keeps_out_foreign_scripts_frames_and_caches() {
    let server = Server::start().await;
    Publisher::create(&server).await.publish("High water").await;
    let ada = Browser::join(&server, "Ada").await;
    let stranger = Browser::anonymous(&server, "Stranger");
    for (reader, path) in [
        (&ada, "/"),
        (&ada, "/news/high-water"),
        (&ada, "/chat"),
        (&ada, "/chat/general"),
        (&ada, "/calls"),
        (&ada, "/settings"),
        (&ada, "/signin"),
        (&ada, "/no-such-page"),
        (&stranger, "/"),
        (&stranger, "/news/high-water"),
        // From the page cache.
        (&stranger, "/"),
        (&stranger, "/news/high-water"),
    ] {
        let response = reader.get(path).await;
        let headers = response.headers().clone();
        let html = response.text().await.unwrap();
        let header = |name: &str| {
            let value = headers
                .get(name)
                .unwrap_or_else(|| panic!("{path} has no {name}: {headers:#?}"));
            value.to_str().unwrap().to_owned()
        };
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert!(header("content-type").starts_with("text/html"), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(
            header("cross-origin-resource-policy"),
            "same-origin",
            "{path}"
        );
        assert!(
            !headers.contains_key("strict-transport-security"),
            "no https"
        );
        assert!(
            header("permissions-policy").contains("camera=(self), microphone=(self)"),
            "{path}"
        );
        let policy = header("content-security-policy");
        let nonce = policy
            .split_once("'nonce-")
            .and_then(|(_, rest)| rest.split_once('\''))
            .expect("a nonce")
            .0;
        assert!(nonce.len() >= 16, "{policy}");
        assert!(
            policy.starts_with("default-src 'none';") && !policy.contains("unsafe-inline"),
            "{policy}"
        );
        check_scripts(path, &html, nonce);
    }
}

/// Every script has the nonce; nothing is styled or handled inline.
fn check_scripts(path: &str, html: &str, nonce: &str) {
    let mut scripts = 0;
    for script in html.split("<script").skip(1) {
        let attributes = script.split_once('>').unwrap().0;
        assert!(
            attributes.contains(&format!("nonce=\"{nonce}\"")),
            "{path}: <script{attributes}>"
        );
        scripts += 1;
    }
    assert!(scripts > 0, "{path} has no hydration script");
    for inline in [
        " style=\"",
        " onclick=",
        " onsubmit=",
        " onload=",
        "javascript:",
    ] {
        assert!(!html.contains(inline), "{path} has {inline}");
    }
}

#[tokio::test]
async fn a_cached_page_is_up_to_date() {
    let server = Server::start().await;
    let publisher = Publisher::create(&server).await;
    let reader = Browser::anonymous(&server, "Reader");
    assert!(reader.html("/").await.contains("No news yet"));
    for number in 0..50 {
        let headline = format!("Part {number} of many");
        publisher.publish(&headline).await;
        let html = reader.html("/").await;
        assert!(html.contains(&headline), "{headline}: {html}");
    }
    let story = "/news/part-0-of-many";
    assert!(!reader.html(story).await.contains("High water"));
    let breaking = json!({ "headline": "High water", "topic": "Weather", "urgency": "breaking" });
    publisher.send(publisher.story_request(&breaking)).await;
    assert!(
        reader.html(story).await.contains("High water"),
        "breaking news is on every page"
    );
}

#[tokio::test]
async fn nobody_is_given_a_page_that_was_rendered_for_somebody() {
    let server = Server::start().await;
    Publisher::create(&server).await.publish("High water").await;
    let ada = Browser::join(&server, "Ada Lovelace").await;
    let stranger = Browser::anonymous(&server, "Stranger");
    for path in ["/", "/news/high-water"] {
        for _ in 0..3 {
            let (known, unknown) = (ada.html(path).await, stranger.html(path).await);
            assert!(known.contains("Ada Lovelace"), "{path}: {known}");
            assert!(!unknown.contains("Ada Lovelace"), "{path}: {unknown}");
            assert!(unknown.contains("href=\"/signin\""), "{path}: {unknown}");
        }
    }
    let dark = stranger.http.get(stranger.url("/"));
    let dark = dark.header("cookie", "rialto_theme=dark").send().await;
    let dark = dark.unwrap().text().await.unwrap();
    assert!(dark.contains("data-theme=\"dark\""), "{dark}");
    assert!(!stranger.html("/").await.contains("data-theme"));
    assert_eq!(stranger.get("/news/low-water").await.status(), 404);
    let head = stranger.http.head(stranger.url("/")).send().await.unwrap();
    assert!(head.status().is_success() && head.text().await.unwrap().is_empty());
}

#[tokio::test]
async fn no_two_pages_share_a_nonce() {
    let server = Server::start().await;
    let reader = Browser::anonymous(&server, "Reader");
    let policies = [reader.get("/").await, reader.get("/").await].map(|response| {
        response.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned()
    });
    assert_ne!(policies[0], policies[1]);
}

#[tokio::test]
async fn a_form_on_another_site_changes_nothing() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let ws = ada.connect().await;
    let general = ws.general().to_string();
    let form = [
        ("id", client_id().to_string()),
        ("room", general),
        ("slug", "general".to_owned()),
        ("text", "I never wrote this".to_owned()),
    ];
    let post = |header: &'static str, value: String| {
        let request = ada
            .http
            .post(ada.url("/fn/post"))
            .header("accept", "text/html");
        request.header(header, value).form(&form).send()
    };
    for (header, value) in [
        ("sec-fetch-site", "cross-site".to_owned()),
        ("sec-fetch-site", "same-site".to_owned()),
        ("origin", "http://evil.example".to_owned()),
    ] {
        assert_eq!(
            post(header, value.clone()).await.unwrap().status(),
            403,
            "{header}: {value}"
        );
    }
    assert!(
        !ada.html("/chat/general")
            .await
            .contains("I never wrote this")
    );
    let posted = post("sec-fetch-site", "same-origin".to_owned())
        .await
        .unwrap();
    assert!(
        posted.status().is_redirection(),
        "the same form on our own site: {}",
        posted.status()
    );
    assert!(
        ada.html("/chat/general")
            .await
            .contains("I never wrote this")
    );
}

#[tokio::test]
async fn nobody_who_is_not_signed_in_reads_a_room() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let general = ws.general();
    ws.send_message(general, "between us").await;
    let stranger = Browser::anonymous(&server, "Stranger");
    let response = stranger.get("/chat/general").await;
    assert!(!response.text().await.unwrap().contains("between us"));
    let room_response = stranger
        .http
        .post(stranger.url("/fn/room"))
        .form(&[("slug", "general")])
        .send()
        .await
        .unwrap();
    assert_eq!(room_response.status(), 401);
    assert!(!room_response.text().await.unwrap().contains("between us"));
}

#[tokio::test]
async fn a_page_that_shows_a_failure_has_its_status() {
    let server = Server::start().await;
    let admin = server.create_administrator().await;
    let ada = Browser::join(&server, "Ada").await;
    let stranger = Browser::anonymous(&server, "Stranger");
    for (reader, path, status, text) in [
        (&ada, "/chat/no-such-room", 404, "That room does not exist"),
        (&ada, "/chat/general", 200, "General"),
        (&ada, "/admin", 403, "Only administrators can do that"),
        (&stranger, "/admin", 403, "Pick a name or sign in first"),
        (&stranger, "/admin", 403, "href=\"/signin?next=/admin\""),
        (&admin, "/admin", 200, "Role of Ada"),
        (&admin, "/admin?doctor=run", 200, "finding"),
        (&stranger, "/news/new", 403, "This page is for editors"),
        (&stranger, "/news/no-such-story", 404, "Story not found"),
        (&stranger, "/call/0000", 404, "This link is no longer valid"),
        (&stranger, "/no-such-page", 404, "Page not found"),
        // Where only a name is missing, the page asks for it.
        (&stranger, "/chat/general", 200, "Pick a name first"),
        (&stranger, "/calls", 200, "Pick a name first"),
    ] {
        let head = reader.http.head(reader.url(path)).send().await.unwrap();
        assert_eq!(head.status(), status, "HEAD {path} as {}", reader.name);
        let response = reader.get(path).await;
        assert_eq!(response.status(), status, "{path} as {}", reader.name);
        let html = response.text().await.unwrap();
        assert!(html.contains(text), "{path} as {}: {html}", reader.name);
    }
}

#[tokio::test]
async fn reads_are_never_cached_and_change_nothing_and_open_pages_of_an_older_build_may_post_them()
{
    let server = Server::start().await;
    let admin = server.create_administrator().await;
    let read = async |request: reqwest::RequestBuilder| {
        let response = request
            .header("accept", "application/json")
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        assert_eq!(response.headers()["cache-control"], "no-store");
        (status, response.text().await.unwrap())
    };
    for (path, query, status) in [
        ("/fn/sidebar", "", 200),
        ("/fn/past-calls", "", 200),
        ("/fn/people-here", "", 200),
        ("/fn/administration", "", 200),
        ("/fn/stories", "topic=High%20water%20%26%20low", 200),
        (
            "/fn/guest-links",
            "call=0198c5f0-0000-4000-8000-00000000000a",
            403,
        ),
        ("/fn/guest-links", "call=nonsense", 422),
    ] {
        let got = read(admin.http.get(admin.url(&format!("{path}?{query}")))).await;
        assert_eq!(got.0, status, "{path}: {}", got.1);
        let post = admin.http.post(admin.url(path)).body(query);
        let post = post.header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(read(post).await, got, "{path}");
    }
    let url = admin.url("/fn/stories");
    for (body, status) in [
        (format!("topic={}", "a".repeat(9_000)), 413),
        ("topic=\u{0}".into(), 400),
    ] {
        let refused = admin.http.post(&url).body(body).send().await.unwrap();
        assert_eq!(refused.status(), status);
    }
    let foreign = admin.http.post(&url).header("sec-fetch-site", "cross-site");
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    // A room's page is read with `POST`, because it marks the room as read.
    for changes in [
        "/fn/rename?name=Eve",
        "/fn/sign-out",
        "/fn/room?slug=general",
    ] {
        assert_eq!(admin.get(changes).await.status(), 405, "{changes}");
    }
}

#[tokio::test]
async fn the_server_says_whether_it_is_well() {
    let server = Server::start().await;
    let anybody = Browser::anonymous(&server, "Anybody");
    assert_eq!(anybody.html("/healthz").await, "ok");
    assert_eq!(anybody.html("/readyz").await, "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_one_of_many_who_ask_at_once_gets_the_page_and_its_title() {
    let server = Server::start().await;
    let readers = (0..16).map(|reader| {
        let reader = Browser::anonymous(&server, &format!("Reader {reader}"));
        tokio::spawn(async move {
            for _ in 0..40 {
                // Pages without a query come from the page cache.
                for (path, title) in [("/?topic=", "News"), ("/?topic=Weather", "Weather")] {
                    let html = reader.html(path).await;
                    let title = format!("<title>{title} · Rialto</title>");
                    assert!(html.contains(&title), "{path}: {html}");
                }
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn a_page_is_sent_while_its_slow_part_is_still_awaited() {
    // A time server that never answers.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let server = Server::start_with(move |command| {
        command.env("RIALTO_TIME_SERVER", &address);
    })
    .await;
    let admin = server.create_administrator().await;
    let mut response = admin.get("/admin?doctor=run").await;
    assert_eq!(response.status(), 200);
    let mut html = Vec::new();
    let mut started_at = None;
    while let Some(chunk) = response.chunk().await.unwrap() {
        html.extend_from_slice(&chunk);
        started_at.get_or_insert_with(Instant::now);
    }
    let html = String::from_utf8(html).unwrap();
    let waited = started_at.expect("a first chunk").elapsed();
    assert!(
        html.contains("Administration") && html.contains("Role of"),
        "{html}"
    );
    assert!(html.contains("finding"), "without JavaScript too: {html}");
    assert!(
        waited > Duration::from_secs(2),
        "the start came with the end: {waited:?}"
    );
}
