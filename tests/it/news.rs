//! News: publishing by API, form and command line, and delivery.

use crate::support::{Browser, Publisher, Server, SseClient, SseItem, with_timeout};
use reqwest::{Response, StatusCode};
use rialto::{
    model::story::{Story, Urgency},
    protocol::sse::{self, Heartbeat, Hello},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

/// From the request to its event at a reader on the same machine.
const MAX_PUBLISH_LATENCY: Duration = Duration::from_millis(250);

#[tokio::test]
async fn a_story_that_a_program_publishes_is_on_every_page_and_stream() {
    let server = Server::start().await;
    let publisher = Publisher::create(&server).await;
    let mut reader = SseClient::open(&server).await;
    let response = publisher
        .send(publisher.story_request(&json!({
            "headline": "High water at the bridge",
            "body": "The *lagoon* rises.<script>alert(1)</script>\n\n[Map](https://example.org) [no](javascript:alert(2))",
            "topic": "Weather",
            "urgency": "breaking",
        })))
        .await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(
        response.headers()["location"],
        "/news/high-water-at-the-bridge"
    );
    let story: Story = response.json().await.unwrap();
    assert_eq!(
        (story.byline.as_str(), story.urgency, story.seq),
        ("Gazette", Urgency::Breaking, 1)
    );
    assert!(
        story.html.contains("<em>lagoon</em>") && story.html.contains("https://example.org"),
        "{}",
        story.html
    );
    assert!(!story.html.contains("script"), "{}", story.html);
    assert_eq!(reader.next_story().await, story);

    let anybody = Browser::anonymous(&server, "Anybody");
    let front = anybody.html("/").await;
    assert!(
        front.contains("High water at the bridge")
            && front.contains("/news/high-water-at-the-bridge")
    );
    let page = anybody.html("/news/high-water-at-the-bridge").await;
    assert!(page.contains("<em>lagoon</em>") && page.contains("Gazette"));
    let chat = Browser::join(&server, "Ada")
        .await
        .html("/chat/general")
        .await;
    assert!(
        chat.contains("High water at the bridge"),
        "breaking news is on every page"
    );
    assert_eq!(
        anybody.get("/news/no-such-story").await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_reader_has_a_story_within_250_ms_of_its_publishing() {
    let server = Server::start().await;
    let publisher = Publisher::create(&server).await;
    let mut reader = SseClient::open(&server).await;
    reader.wait_for_hello().await;
    // A busy machine may delay a story: one of three attempts has to meet the limit.
    for _ in 0..3 {
        let mut took = Vec::new();
        for n in 0..40 {
            let headline = format!("Story {n}");
            let began = Instant::now();
            let received = async {
                let story = reader.next_story().await;
                took.push(began.elapsed());
                story
            };
            let (posted, story) = tokio::join!(publisher.publish(&headline), received);
            assert_eq!(posted, story);
        }
        took.sort();
        let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
        println!("from the request to the reader: median {median:?}, longest {longest:?}");
        if longest < MAX_PUBLISH_LATENCY {
            return;
        }
    }
    panic!("longer than {MAX_PUBLISH_LATENCY:?} in every attempt");
}

#[tokio::test]
async fn a_repeated_request_publishes_once() {
    let server = Server::start().await;
    let publisher = Publisher::create(&server).await;
    let story = json!({ "headline": "Once" });
    let publish_with_key = |key: &'static str, story: &Value| {
        publisher.send(
            publisher
                .story_request(story)
                .header("idempotency-key", key),
        )
    };
    let first: Story = publish_with_key("7", &story).await.json().await.unwrap();
    let response = publish_with_key("\"7\"", &story).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.json::<Story>().await.unwrap(), first);
    let other = publish_with_key("7", &json!({ "headline": "Twice" })).await;
    check_refused(other, 422, "already published").await;
    let long = Box::leak("x".repeat(101).into_boxed_str());
    check_refused(publish_with_key(long, &story).await, 422, "Idempotency-Key").await;

    // An idempotency key is scoped to its token.
    let rival = Publisher::create(&server).await;
    let theirs: Story = rival
        .send(rival.story_request(&story).header("idempotency-key", "7"))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        (theirs.seq, theirs.slug.as_str()),
        (2, "once-2"),
        "two stories with different slugs"
    );
    let mut reader = SseClient::open_with(&server, "?after=0", None).await;
    assert_eq!(
        [reader.next_story().await.id, reader.next_story().await.id],
        [first.id, theirs.id]
    );
}

/// With a failure for programs, and a message that contains `word`.
async fn check_refused(response: Response, status: u16, word: &str) {
    let got = response.status().as_u16();
    let body = response.text().await.unwrap();
    assert_eq!(got, status, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap_or_else(|why| panic!("{why}: {body}"));
    let message = body["message"].as_str().unwrap_or_default();
    assert!(message.contains(word), "{body}");
    assert!(body["failure"].is_string(), "{body}");
}

#[tokio::test]
async fn a_request_without_a_valid_token_publishes_nothing() {
    let server = Server::start().await;
    let publisher = Publisher::create(&server).await;
    let story = json!({ "headline": "Forged" });
    let bare = || {
        let browser = Browser::anonymous(&server, "Nobody");
        browser
            .http
            .post(browser.url("/api/v1/stories"))
            .json(&story)
    };
    let without = publisher.send(bare()).await;
    assert_eq!(
        without.headers()["www-authenticate"],
        "Bearer realm=\"rialto\""
    );
    check_refused(without, 401, "rialto token create").await;
    let wrong = publisher.send(bare().bearer_auth("0".repeat(64))).await;
    assert_eq!(
        wrong.headers()["www-authenticate"],
        "Bearer realm=\"rialto\", error=\"invalid_token\""
    );
    check_refused(wrong, 401, "token").await;
    check_refused(
        publisher
            .send(bare().basic_auth("admin", Some("admin")))
            .await,
        401,
        "token",
    )
    .await;
    let front = Browser::anonymous(&server, "Anybody").html("/").await;
    assert!(!front.contains("Forged"));
}

#[tokio::test]
async fn a_revoked_token_publishes_nothing_any_more() {
    let server = Server::start().await;
    let publisher = Publisher::create(&server).await;
    publisher.publish("Before").await;
    let admin = server.create_administrator().await;
    let administration: rialto::people::api::AdminOverview = admin
        .call_server_fn("/fn/administration", &[("", "")])
        .await;
    let token = administration.tokens[0].id.to_string();
    let guest = Browser::join(&server, "Guest").await;
    guest.post("/fn/revoke-token", &[("token", &token)]).await;
    publisher.publish("Guests cannot revoke").await;
    admin.post("/fn/revoke-token", &[("token", &token)]).await;
    check_refused(
        publisher
            .send(publisher.story_request(&json!({ "headline": "After" })))
            .await,
        401,
        "token",
    )
    .await;
}

#[tokio::test]
async fn what_is_no_story_is_refused_in_words() {
    let server = Server::start().await;
    let publisher = Publisher::create(&server).await;
    for (story, word) in [
        (json!({}), "headline"),
        (json!({ "headline": " " }), "Headline"),
        (json!({ "headline": "x".repeat(161) }), "160 characters"),
        (json!({ "headline": 7 }), "headline"),
        (
            json!({ "headline": "a", "body": "x".repeat(40_001) }),
            "40000 characters",
        ),
        (json!({ "headline": "a", "urgency": "shouting" }), "urgency"),
        (json!({ "headline": "a", "topic": "x".repeat(41) }), "Topic"),
        (json!({ "headline": "a", "haedline": "b" }), "haedline"),
        (json!({ "headline": "a", "byline": "The Doge" }), "byline"),
        (json!([]), "JSON object"),
    ] {
        check_refused(
            publisher.send(publisher.story_request(&story)).await,
            422,
            word,
        )
        .await;
    }
    let broken = publisher
        .empty_request()
        .header("content-type", "application/json")
        .body("{\"headline\":");
    check_refused(publisher.send(broken).await, 400, "JSON object").await;
    let form = publisher.empty_request().form(&[("headline", "a")]);
    check_refused(publisher.send(form).await, 415, "JSON object").await;
    let huge = publisher.story_request(&json!({ "headline": "a", "body": "x".repeat(1_100_000) }));
    check_refused(publisher.send(huge).await, 413, "At most 1 MB").await;
    let mut reader = SseClient::open_with(&server, "?after=0", None).await;
    assert_eq!(publisher.publish("The first valid story").await.seq, 1);
    assert_eq!(reader.next_story().await.headline, "The first valid story");
}

#[tokio::test]
async fn the_stream_says_how_it_wants_to_be_treated() {
    let server = Server::start().await;
    let mut reader = SseClient::open(&server).await;
    let headers = reader.headers().clone();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-accel-buffering"], "no");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(reader.next_item().await, Some(SseItem::Retry(2_000)));
    let Some(SseItem::Event(hello)) = reader.next_item().await else {
        panic!("hello comes first")
    };
    assert_eq!(hello.name, sse::HELLO_EVENT);
    let epoch = hello.json::<Hello>().epoch;
    assert_eq!(hello.last_event_id, sse::event_id(&epoch, 0));
}

/// Some readers take every empty line for the end of an event, and report one without data as an empty message.
#[tokio::test]
async fn every_empty_line_of_the_stream_ends_an_event_with_data() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_HEARTBEAT_SECONDS", "1");
        command.env("RIALTO_REPLAY_EVENTS", "1");
    })
    .await;
    let publisher = Publisher::create(&server).await;
    for n in 1..=2 {
        publisher.publish(&format!("Story {n}")).await;
    }
    let resynced = raw_stream(&server, "?beat=true&after=0", "event: resync").await;
    let live = raw_stream(&server, "?beat=true&after=1", "event: beat").await;
    let text = resynced + &live;
    let mut fields = BTreeSet::new();
    let mut events = 0;
    for line in text.lines() {
        if line.is_empty() {
            assert!(fields.remove("event") && fields.remove("data"), "{text}");
            fields.retain(|field| !["id", "retry"].contains(field));
            assert!(fields.is_empty(), "{fields:?}");
            events += 1;
        } else if !line.starts_with(':') {
            let (field, _) = line.split_once(": ").expect("a field has a value");
            assert!(fields.insert(field), "one line each");
        }
    }
    assert!(fields.is_empty(), "the last event is complete: {text}");
    assert!(
        events >= 6,
        "hello twice, resync, a story and heartbeats: {text}"
    );
}

/// Up to the third heartbeat after `last`, or the end.
async fn raw_stream(server: &Server, query: &str, last: &str) -> String {
    let browser = Browser::anonymous(server, "Reader");
    let mut response = browser.get(&format!("/news/events{query}")).await;
    let mut text = String::new();
    let is_complete = |text: &str| {
        let rest = text.split_once(last).map_or("", |(_, rest)| rest);
        rest.matches("\n:").count() >= 3 && text.ends_with("\n\n")
    };
    with_timeout("heartbeats", async {
        while !is_complete(&text)
            && let Some(bytes) = response.chunk().await.unwrap()
        {
            text += std::str::from_utf8(&bytes).unwrap();
        }
    })
    .await;
    text
}

#[tokio::test]
async fn an_idle_stream_still_sends_heartbeats() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_HEARTBEAT_SECONDS", "1");
    })
    .await;
    let mut plain = SseClient::open(&server).await;
    // At once, at the next tick for all readers, then one interval apart.
    let mut began = Instant::now();
    for count in 1..=4 {
        plain
            .wait_for(|item| matches!(item, SseItem::Comment(_)).then_some(()))
            .await;
        if count == 2 {
            began = Instant::now();
        }
    }
    assert!(
        began.elapsed() >= Duration::from_millis(1_500),
        "one heartbeat per second"
    );
    let mut script = SseClient::open_with(&server, "?beat=true", None).await;
    let beats: [Heartbeat; 2] = [
        script.next_event(sse::HEARTBEAT_EVENT).await,
        script.next_event(sse::HEARTBEAT_EVENT).await,
    ];
    assert_eq!(
        beats,
        [
            Heartbeat {
                interval_seconds: 1
            },
            Heartbeat {
                interval_seconds: 1
            }
        ]
    );
}

#[tokio::test]
async fn a_story_published_on_the_command_line_reaches_the_readers_of_the_running_server() {
    let mut server = Server::start().await;
    let mut reader = SseClient::open(&server).await;
    reader.wait_for_hello().await;
    let story = [
        "news",
        "publish",
        "The doge resigns",
        "--body",
        "**Really.**",
        "--urgency",
        "breaking",
        "--topic",
        "Court",
    ];
    let posted = server.run_cli(&story).await;
    let stdout = String::from_utf8(posted.stdout).unwrap();
    assert!(
        posted.status.success() && stdout.contains("by the running server"),
        "{stdout}"
    );
    let story = reader.next_story().await;
    assert_eq!(
        (story.headline.as_str(), story.topic.as_str()),
        ("The doge resigns", "Court")
    );
    assert_eq!(
        (story.byline.as_str(), story.urgency),
        ("The editors", Urgency::Breaking)
    );
    assert!(story.html.contains("<strong>Really.</strong>"));
    assert_eq!(
        control_file_mode(&server),
        0o600,
        "only its owner may read it"
    );

    let readable_by_all = Permissions::from_mode(0o644);
    std::fs::set_permissions(server.data_dir().join("control.json"), readable_by_all).unwrap();
    server.restart().await;
    assert_eq!(control_file_mode(&server), 0o600, "the new token as well");
}

fn control_file_mode(server: &Server) -> u32 {
    let control = std::fs::metadata(server.data_dir().join("control.json")).unwrap();
    control.permissions().mode() & 0o777
}

#[tokio::test]
async fn a_story_published_while_no_server_runs_is_there_when_one_does() {
    let mut server = Server::start().await;
    let (publisher, epoch) = (
        Publisher::create(&server).await,
        SseClient::open(&server).await.wait_for_hello().await.epoch,
    );
    publisher.publish("While it ran").await;
    server.stop().await;
    let posted = server
        .run_cli(&[
            "news",
            "publish",
            "While it was away",
            "--byline",
            "Night desk",
        ])
        .await;
    let stdout = String::from_utf8(posted.stdout).unwrap();
    assert!(
        posted.status.success() && stdout.contains("No server is running"),
        "{stdout}"
    );
    let refused = server
        .run_cli(&["news", "publish", "Bad", "--urgency", "loud"])
        .await;
    assert!(!refused.status.success());

    server.restart().await;
    let mut reader = SseClient::open_with(&server, &format!("?epoch={}", epoch.0), Some("1")).await;
    let story = reader.next_story().await;
    assert_eq!(
        (story.seq, story.headline.as_str(), story.byline.as_str()),
        (2, "While it was away", "Night desk")
    );
    assert!(
        Browser::anonymous(&server, "Anybody")
            .html("/")
            .await
            .contains("While it was away")
    );
}

#[tokio::test]
async fn an_editor_publishes_by_hand_and_a_guest_does_not() {
    let server = Server::start().await;
    let (guest, editor) = (
        Browser::join(&server, "Guest").await,
        Browser::join(&server, "Editor").await,
    );
    let made = server.run_cli(&["user", "role", "Editor", "editor"]).await;
    assert!(made.status.success(), "{made:?}");
    let mut reader = SseClient::open(&server).await;
    let html = editor.html("/news/new").await;
    let request = html.split_once("name=\"request\"").map(|(before, after)| {
        let tag = format!(
            "{}{}",
            before.rsplit_once('<').unwrap().1,
            after.split_once('>').unwrap().0
        );
        tag.split_once("value=\"")
            .unwrap()
            .1
            .split_once('"')
            .unwrap()
            .0
            .to_owned()
    });
    let request = request.expect("the form has a request id");
    let form = [
        ("request", request.as_str()),
        ("headline", "By hand"),
        ("body", "Written, not sent."),
        ("topic", ""),
        ("urgency", "normal"),
    ];
    let refused = guest.post("/news/new", &form).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    for _ in 0..2 {
        let posted = editor.post("/news/new", &form).await;
        assert_eq!(
            posted.headers()["location"],
            "/news/by-hand",
            "a form submitted twice publishes once"
        );
    }
    let story = reader.next_story().await;
    assert_eq!(
        (story.seq, story.byline.as_str(), story.topic.as_str()),
        (1, "Editor", "General")
    );

    // A refused form keeps everything typed.
    let long = "x".repeat(161);
    let form = [
        ("request", request.as_str()),
        ("headline", long.as_str()),
        ("body", "My article"),
        ("topic", ""),
        ("urgency", "normal"),
    ];
    let again = editor.post("/news/new", &form).await;
    assert_eq!(again.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = again.text().await.unwrap();
    assert!(page.contains("at most 160 characters") && page.contains("My article"));
}
