//! HTTP requests.

use super::start_with;
use crate::support::{Browser, Server, SseClient, browser::location};
use reqwest::header::{ACCEPT, REFERER, RETRY_AFTER};
use rialto::{protocol::failure::Failure, server::clock};
use std::time::Duration;

#[tokio::test]
async fn a_page_over_the_limit_says_so_in_words_and_when_to_come_back() {
    let server = start_with("pages=2/40s").await;
    let browser = Browser::anonymous(&server, "Mallory");
    for _ in 0..2 {
        assert!(browser.get("/chat").await.status().is_success());
    }
    let request = browser.http().get(browser.url("/chat"));
    let refused = request.header(ACCEPT, "text/html").send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()[RETRY_AFTER], "40");
    let html = refused.text().await.unwrap();
    assert!(
        html.contains("<p>Too many attempts. Wait 40 seconds, then try again.</p>"),
        "{html}"
    );
    let story = browser.http().post(browser.url("/api/v1/stories"));
    let refused: serde_json::Value = story.send().await.unwrap().json().await.unwrap();
    assert_eq!(refused["failure"], "too_fast");
    // Files and checks by machines have their own limit.
    assert_eq!(browser.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn a_form_over_the_limit_says_so_on_its_page() {
    let server = start_with("renames=1/50s,changes=3/50s").await;
    let ada = Browser::join(&server, "Ada").await;
    let rename = async |name| {
        let form = [("name", name)];
        ada.submit_form("/settings", "/fn/rename", &form).await
    };
    assert_eq!(rename("Ada Byron").await, "/settings?done=name");
    let back = rename("Ada Lovelace").await;
    let html = ada.html(&back).await;
    assert!(
        html.contains("Too many attempts. Wait 50 seconds"),
        "{html}"
    );
    assert!(html.contains("Ada Byron") && !html.contains("Lovelace"));
    // A hydrated page gets the failure itself.
    let request = ada.http().post(ada.url("/fn/rename"));
    let refused = request.form(&[("name", "Ada King")]).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let wait = refused.headers()[RETRY_AFTER].to_str().unwrap();
    assert!((40..=50).contains(&wait.parse().unwrap()), "{wait}");
    let failure: Failure = refused.json().await.unwrap();
    assert!(
        matches!(failure, Failure::RateLimited { .. }),
        "{failure:?}"
    );
    // Somebody else at the same address changes their name.
    let grace = Browser::join(&server, "Grace").await;
    let back = grace
        .submit_form("/settings", "/fn/rename", &[("name", "Grace Hopper")])
        .await;
    assert_eq!(back, "/settings?done=name");
}

#[tokio::test]
async fn messages_by_form_have_the_limit_of_messages() {
    let server = start_with("messages=2/1h").await;
    let ada = Browser::join(&server, "Ada").await;
    let room = ada.connect().await.general().to_string();
    let mut refused = 0;
    for n in 0..5 {
        let id = uuid::Uuid::new_v4().to_string();
        let text = format!("message {n}");
        let form = [
            ("id", id.as_str()),
            ("room", &room),
            ("slug", "general"),
            ("text", &text),
        ];
        let back = ada.submit_form("/chat/general", "/fn/post", &form).await;
        refused += u32::from(back.contains("__err="));
    }
    assert_eq!(refused, 3);
}

#[tokio::test]
async fn new_conversations_are_limited_and_existing_ones_are_not() {
    let server = start_with("conversations=2/1h").await;
    let mallory = Browser::join(&server, "Mallory").await;
    let mut others = Vec::new();
    for n in 0..3 {
        let other = Browser::join(&server, &format!("Other {n}")).await;
        others.push(other.connect().await.me().id.to_string());
    }
    let open = async |with: &str| {
        mallory
            .submit_form("/chat/general", "/fn/open-direct", &[("with", with)])
            .await
    };
    for other in &others[..2] {
        assert!(open(other).await.starts_with("/chat/"));
    }
    assert!(open(&others[2]).await.contains("__err="));
    for _ in 0..5 {
        assert!(!open(&others[0]).await.contains("__err="), "it exists");
    }
}

#[tokio::test]
async fn one_address_opens_so_many_streams() {
    let server = start_with("streams=3").await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(SseClient::open(&server).await);
    }
    let browser = Browser::join(&server, "Ada").await;
    let refused = browser.get("/news/events").await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()[RETRY_AFTER]),
        (429, &"5".parse().unwrap())
    );
    assert!(browser.get("/").await.status().is_success(), "pages go on");
    drop(streams);
    let free = async {
        while browser.get("/healthz").await.status() != 200
            || SseClient::try_open(&browser, "").await.is_none()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), free)
        .await
        .unwrap();
}

#[tokio::test]
async fn credentials_for_connection_tests_are_few_and_short() {
    let server = start_with("credentials=2/1h").await;
    let ada = Browser::join(&server, "Ada").await;
    let ask = async || {
        let request = ada.http().post(ada.url("/fn/ice-servers"));
        request.send().await.unwrap()
    };
    let text = ask().await.text().await.unwrap();
    let username = text.split('"').find(|part| part.ends_with("/test"));
    let username = username.unwrap_or_else(|| panic!("no credential for a test: {text}"));
    let expires: u64 = username.split(':').next().unwrap().parse().unwrap();
    let now = u64::try_from(clock::now()).unwrap() / 1_000;
    assert!((now..=now + 61).contains(&expires), "{expires} at {now}");
    assert_eq!(ask().await.status(), 200);
    assert_eq!(ask().await.status(), 429);
}

/// With an account, and how to sign in to it.
async fn account(server: &Server) -> Browser {
    let ada = Browser::join(server, "Ada").await;
    let back = ada
        .post("/fn/set-password", &[("password", "three thousand ducats")])
        .await;
    assert_eq!(location(&back), "/settings?done=password");
    ada
}

async fn sign_in(browser: &Browser, password: &str) -> String {
    let form = [("name", "Ada"), ("password", password), ("next", "/chat")];
    let back = browser.submit_form("/signin", "/fn/sign-in", &form).await;
    if back == "/chat" {
        back
    } else {
        browser.html(&back).await
    }
}

#[tokio::test]
async fn who_guesses_a_password_is_slowed_down_and_its_owner_is_not_locked_out() {
    let server = start_with("passwords=3/1h,account-passwords=5/1h").await;
    let ada = account(&server).await;
    let thief = Browser::anonymous(&server, "Thief");
    for _ in 0..3 {
        assert!(
            sign_in(&thief, "a guess")
                .await
                .contains("Wrong name or password")
        );
    }
    let refused = sign_in(&thief, "three thousand ducats").await;
    assert!(
        refused.contains("Too many attempts"),
        "not even the right one: {refused}"
    );
    // The account knows her browser, at the same address.
    for _ in 0..5 {
        ada.post("/fn/sign-out", &[]).await;
        assert_eq!(sign_in(&ada, "three thousand ducats").await, "/chat");
    }
    // There, her own mistakes count.
    ada.post("/fn/sign-out", &[]).await;
    for _ in 0..3 {
        assert!(
            sign_in(&ada, "a typo")
                .await
                .contains("Wrong name or password")
        );
    }
    assert!(sign_in(&ada, "a typo").await.contains("Too many attempts"));
}

#[tokio::test]
async fn a_long_or_stalled_body_is_refused_before_it_takes_memory() {
    let server = start_with("").await;
    let browser = Browser::anonymous(&server, "Mallory");
    let body = format!("name={}", "a".repeat(70_000));
    let post = |accept| {
        browser
            .http()
            .post(browser.url("/fn/pick-name"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header(ACCEPT, accept)
            .header(REFERER, browser.url("/signin"))
            .body(body.clone())
    };
    let refused = post("application/json").send().await.unwrap();
    assert_eq!(refused.status(), 413);
    let failure: Failure = refused.json().await.unwrap();
    assert!(failure.to_string().contains("At most 66 kB"), "{failure}");
    let refused = post("text/html").send().await.unwrap();
    assert!(
        location(&refused).contains("/signin?__path="),
        "{refused:?}"
    );
}
