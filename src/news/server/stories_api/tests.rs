use super::super::testing::{NewsFixture, news_fixture};
use super::*;
use crate::people::server::create_token;
use axum::{body::Body, http::request::Builder};
use serde_json::{Value, json};

async fn fixture_with_token() -> (NewsFixture, String) {
    let world = news_fixture(&[]).await;
    let token = create_token(&world.app.store, "Ticker").await.unwrap();
    (world, token)
}

fn authorized_request(token: &str) -> Builder {
    Request::post("/api/v1/stories")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
}

async fn send_request(
    world: &NewsFixture,
    request: Builder,
    body: impl ToString,
) -> (u16, HeaderMap, Value) {
    let response = world
        .send(request.body(Body::from(body.to_string())).unwrap())
        .await;
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1_000_000).await.unwrap();
    (
        parts.status.as_u16(),
        parts.headers,
        serde_json::from_slice(&body).unwrap_or(Value::Null),
    )
}

async fn count_stories(world: &NewsFixture) -> usize {
    world
        .app
        .store
        .list_stories(None, i64::MAX, 100)
        .await
        .unwrap()
        .len()
}

#[tokio::test]
async fn a_token_publishes_under_its_name() {
    let (world, token) = fixture_with_token().await;
    let story = json!({ "headline": "Tide is high", "body": "*So* high.", "topic": "Weather", "urgency": "breaking" });
    let (status, headers, body) = send_request(&world, authorized_request(&token), story).await;
    assert_eq!(status, 201);
    assert_eq!(headers["location"], "/news/tide-is-high");
    let story: Story = serde_json::from_value(body).unwrap();
    assert_eq!(
        (story.byline.as_str(), story.topic.as_str(), story.seq),
        ("Ticker", "Weather", 1)
    );
    assert_eq!(
        (story.urgency, story.html.as_str()),
        (Urgency::Breaking, "<p><em>So</em> high.</p>\n")
    );
    assert_eq!(
        world.app.store.find_story("tide-is-high").await.unwrap(),
        Some(story)
    );
}

#[tokio::test]
async fn a_headline_is_enough_and_may_come_again() {
    let (world, token) = fixture_with_token().await;
    for slug in ["tide", "tide-2"] {
        let (status, headers, body) = send_request(
            &world,
            authorized_request(&token),
            json!({ "headline": "Tide" }),
        )
        .await;
        assert_eq!(
            (status, &headers["location"]),
            (
                201,
                &HeaderValue::from_str(&format!("/news/{slug}")).unwrap()
            )
        );
        assert_eq!(
            (&body["topic"], &body["urgency"]),
            (&json!("General"), &json!("normal"))
        );
    }
}

#[tokio::test]
async fn without_a_valid_token_nothing_is_published() {
    let (world, token) = fixture_with_token().await;
    let story = json!({ "headline": "Tide" });
    let bare = || Request::post("/api/v1/stories").header("content-type", "application/json");
    for (request, challenge) in [
        (bare(), "Bearer realm=\"rialto\""),
        (
            authorized_request("0000"),
            "Bearer realm=\"rialto\", error=\"invalid_token\"",
        ),
        (
            authorized_request(""),
            "Bearer realm=\"rialto\", error=\"invalid_token\"",
        ),
        (
            bare().header("authorization", format!("Basic {token}")),
            "Bearer realm=\"rialto\", error=\"invalid_token\"",
        ),
    ] {
        let (status, headers, body) = send_request(&world, request, &story).await;
        assert_eq!(
            (status, &headers["www-authenticate"]),
            (401, &HeaderValue::from_str(challenge).unwrap())
        );
        assert!(
            body["message"]
                .as_str()
                .unwrap()
                .contains("rialto token create")
        );
    }
    let all = world.app.store.list_tokens().await.unwrap();
    world.app.store.revoke_token(all[0].id, 1).await.unwrap();
    assert_eq!(
        send_request(&world, authorized_request(&token), &story)
            .await
            .0,
        401,
        "revoked"
    );
    assert_eq!(count_stories(&world).await, 0);
}

#[tokio::test]
async fn what_is_no_story_is_refused_in_words() {
    let (world, token) = fixture_with_token().await;
    for (body, status, word) in [
        ("{", 400, "JSON"),
        ("[]", 422, "headline"),
        ("{}", 422, "headline"),
        (
            r#"{"headline": " "}"#,
            422,
            "Headline: Enter at least one character.",
        ),
        (r#"{"headline": 5}"#, 422, "headline"),
        (r#"{"headline": "a", "urgency": "loud"}"#, 422, "breaking"),
        (r#"{"headline": "a", "titel": "b"}"#, 422, "titel"),
        (r#"{"headline": "a", "byline": "The Doge"}"#, 422, "byline"),
        (
            &*json!({ "headline": "a".repeat(161) }).to_string(),
            422,
            "160 characters",
        ),
        (
            &*json!({ "headline": "a", "topic": "b".repeat(41) }).to_string(),
            422,
            "Topic",
        ),
        (
            &*json!({ "headline": "a", "body": "b".repeat(40_001) }).to_string(),
            422,
            "40000",
        ),
        (
            &*json!({ "headline": "a", "body": "b".repeat(1_100_000) }).to_string(),
            413,
            "length limit",
        ),
    ] {
        let (got, _, answer) = send_request(&world, authorized_request(&token), body).await;
        let said = answer["message"].as_str().unwrap_or_default();
        assert!(
            got == status && said.contains(word),
            "{}: {got} {answer}",
            &body[..body.len().min(60)]
        );
    }
    let text = Request::post("/api/v1/stories")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "text/plain");
    let (status, _, body) = send_request(&world, text, "Tide").await;
    assert!(
        status == 415 && body["message"].as_str().unwrap().contains("Content-Type"),
        "{body}"
    );
    assert_eq!(count_stories(&world).await, 0);
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_its_first_story() {
    let (world, token) = fixture_with_token().await;
    let story = json!({ "headline": "Tide", "body": "High." });
    let first = send_request(
        &world,
        authorized_request(&token).header("idempotency-key", "\"8e03978e\""),
        &story,
    )
    .await;
    let again = send_request(
        &world,
        authorized_request(&token).header("idempotency-key", "8e03978e"),
        &story,
    )
    .await;
    assert_eq!((first.0, again.0), (201, 201));
    assert_eq!(first.2, again.2);
    assert_eq!(first.1["location"], again.1["location"]);

    let other = json!({ "headline": "Ebb" });
    let (status, _, body) = send_request(
        &world,
        authorized_request(&token).header("idempotency-key", "8e03978e"),
        &other,
    )
    .await;
    assert!(
        status == 422 && body["message"].as_str().unwrap().contains("/news/tide"),
        "{body}"
    );

    let token = create_token(&world.app.store, "Another").await.unwrap();
    let (status, _, body) = send_request(
        &world,
        authorized_request(&token).header("idempotency-key", "8e03978e"),
        &other,
    )
    .await;
    assert_eq!(
        (status, &body["headline"]),
        (201, &json!("Ebb")),
        "keys of two tokens have nothing to do with each other"
    );
    assert_eq!(count_stories(&world).await, 2);
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused() {
    let (world, token) = fixture_with_token().await;
    for key in ["", "\"\"", &*"a".repeat(101), "ü"] {
        let request = authorized_request(&token).header("idempotency-key", key);
        assert_eq!(
            send_request(&world, request, json!({ "headline": "Tide" }))
                .await
                .0,
            422,
            "{key:?}"
        );
    }
}

#[tokio::test]
async fn the_command_line_of_this_machine_may_say_who_signs() {
    let world = news_fixture(&[]).await;
    let control = world.app.control_token.clone();
    let (status, _, body) = send_request(
        &world,
        authorized_request(&control),
        json!({ "headline": "Tide" }),
    )
    .await;
    assert_eq!((status, &body["byline"]), (201, &json!("The editors")));
    let (status, _, body) = send_request(
        &world,
        authorized_request(&control),
        json!({ "headline": "Ebb", "byline": "The  Doge" }),
    )
    .await;
    assert_eq!((status, &body["byline"]), (201, &json!("The Doge")));
    let (status, _, body) = send_request(
        &world,
        authorized_request(&control),
        json!({ "headline": "Ebb", "byline": "\u{202E}" }),
    )
    .await;
    assert!(
        status == 422 && body["message"].as_str().unwrap().starts_with("Byline:"),
        "{body}"
    );
}
