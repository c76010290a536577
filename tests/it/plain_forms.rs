//! Forms without JavaScript: a refused one comes back as it was typed.

use crate::support::{Browser, Server, message_id};
use reqwest::{Response, StatusCode};

/// Status and page of a form posted to its own page.
async fn post(browser: &Browser, page: &str, form: &[(&str, &str)]) -> (StatusCode, String) {
    let response: Response = browser.post(page, form).await;
    (response.status(), response.text().await.unwrap())
}

#[tokio::test]
async fn a_refused_form_keeps_its_input_but_no_password() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let stranger = Browser::anonymous(&server, "Stranger");

    let html = stranger.html("/signin?next=%2Fcalls").await;
    assert!(
        html.contains("next=%2Fcalls&amp;form=%2Ffn%2Fpick%2Dname"),
        "the form is posted to its page: {html}"
    );
    let page = "/signin?next=%2Fcalls&form=%2Ffn%2Fpick-name";
    let form = [("name", "ada"), ("next", "/calls")];
    let (status, html) = post(&stranger, page, &form).await;
    assert_eq!(status, 422);
    assert!(html.contains("That name is taken"), "{html}");
    assert!(html.contains(r#"value="ada""#), "{html}");

    let page = "/signin?form=%2Ffn%2Fsign-in";
    let form = [("name", "Portia"), ("password", "a secret"), ("next", "/")];
    let (status, html) = post(&stranger, page, &form).await;
    assert_eq!(status, 422);
    assert!(html.contains("Wrong name or password"), "{html}");
    assert!(html.contains(r#"value="Portia""#), "{html}");
    assert!(!html.contains("a secret"), "{html}");

    let page = "/settings?form=%2Ffn%2Frename";
    let long = "x".repeat(41);
    let (status, html) = post(&ada, page, &[("name", &long)]).await;
    assert_eq!(status, 422);
    assert!(html.contains("Use at most 40 characters"), "{html}");
    assert!(html.contains(&format!(r#"value="{long}""#)), "{html}");
    let response = ada.post(page, &[("name", "Ada L.")]).await;
    assert_eq!(response.headers()["location"], "/settings?done=name");
    assert_eq!(response.status(), 302);
}

#[tokio::test]
async fn a_refused_message_is_not_lost() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let room = ada.connect().await.general().to_string();
    let id = message_id().to_string();
    let page = "/chat/general?form=%2Ffn%2Fpost";
    let form = |text| {
        [
            ("id", id.as_str()),
            ("room", room.as_str()),
            ("slug", "general"),
            ("text", text),
        ]
    };
    let long = "<é>".repeat(2_000);
    let shown = "&lt;é>".repeat(2_000);
    let (status, html) = post(&ada, page, &form(&long)).await;
    assert_eq!(status, 422);
    assert!(html.contains("at most 4000 characters; this one has 6000"));
    assert!(html.contains(&format!(">{shown}</textarea>")));

    // More than a server function takes.
    let longer = "b".repeat(200_000);
    let (status, html) = post(&ada, page, &form(&longer)).await;
    assert_eq!(status, 422);
    assert!(html.contains("That is too long to be sent. Shorten it"));
    assert!(html.contains(&format!(">{longer}</textarea>")));

    let stranger = Browser::anonymous(&server, "Stranger");
    let (status, html) = post(&stranger, page, &form("Hello")).await;
    assert_eq!(status, 403);
    assert!(html.contains("Your message was not sent"), "{html}");
    assert!(html.contains(">Hello</textarea>"), "{html}");

    let response = ada.post(page, &form("Hello")).await;
    assert_eq!(response.headers()["location"], "/chat/general#latest");
    assert!(ada.html("/chat/general").await.contains("Hello"));

    // Too long to be kept.
    let longest = "c".repeat(1_100_000);
    let (status, html) = post(&ada, page, &form(&longest)).await;
    assert_eq!(status, 413);
    assert!(html.contains("Go back in your browser"), "{html}");
}

#[tokio::test]
async fn a_page_runs_nothing_but_server_functions() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    for (page, expected) in [
        ("/settings", 405),
        ("/settings?form=%2Fapi%2Fv1%2Fstories", 405),
        ("/settings?form=%2Ffn%2Fno-such-function", 404),
    ] {
        let (status, _) = post(&ada, page, &[("name", "Eve")]).await;
        assert_eq!(status, expected, "{page}");
    }
}

#[tokio::test]
async fn another_site_posts_nothing_through_a_page() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    for (header, value) in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let form = [("name", "Mallory")];
        let request = ada.http().post(ada.url("/settings?form=%2Ffn%2Frename"));
        let request = request.header("accept", "text/html").header(header, value);
        let response = request.form(&form).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{header}");
    }
    let html = ada.html("/settings").await;
    assert!(html.contains("Ada") && !html.contains("Mallory"), "{html}");
}
