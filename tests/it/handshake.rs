//! Who may connect, and what every answer carries.

use crate::support::{
    Greeting, Page, Person, Server, client_id,
    page::{handshake, upgrade},
    server::PASSWORD,
};
use reqwest::{Response, header::SET_COOKIE};
use rialto::{model::user::Role, protocol::SUBPROTOCOL};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, handshake::client::Request};

/// The status with which a handshake is refused; none when it is accepted.
async fn refusal(request: Request) -> Option<u16> {
    let address = request.uri().authority().unwrap().as_str().to_owned();
    let stream = TcpStream::connect(address).await.unwrap();
    match upgrade(request, stream).await {
        Ok(_) => None,
        Err(Error::Http(answer)) => Some(answer.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_connection_is_taken_from_our_own_pages_only() {
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    assert_eq!(refusal(handshake(&ada)).await, None);
    let port = server.address().port();
    for origin in [
        "http://evil.example".to_owned(),
        format!("http://evil.example:{port}"),
        format!("http://127.0.0.1:{}", port.wrapping_add(1)),
        format!("http://127.0.0.1:{port}.evil.example"),
        "null".to_owned(),
    ] {
        let mut request = handshake(&ada);
        request
            .headers_mut()
            .insert("origin", origin.parse().unwrap());
        assert_eq!(refusal(request).await, Some(403), "{origin}");
    }
}

#[tokio::test]
async fn a_connection_needs_a_session_and_the_subprotocol() {
    let server = Server::start().await;
    let stranger = Person::nobody(&server, "Stranger");
    assert_eq!(refusal(handshake(&stranger)).await, Some(401));
    let mut request = handshake(&stranger);
    request
        .headers_mut()
        .insert("cookie", "rialto_session=0123456789abcdef".parse().unwrap());
    assert_eq!(
        refusal(request).await,
        Some(401),
        "a session that never was"
    );

    let ada = Person::join(&server, "Ada").await;
    let mut request = handshake(&ada);
    request
        .headers_mut()
        .insert("sec-websocket-protocol", "rialto.v0".parse().unwrap());
    assert_eq!(refusal(request).await, Some(422));

    let mut request = handshake(&ada);
    request.headers_mut().insert(
        "sec-websocket-protocol",
        format!("rialto.v0, {SUBPROTOCOL}").parse().unwrap(),
    );
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (_, answer) = upgrade(request, stream).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], SUBPROTOCOL);
}

#[tokio::test]
async fn signing_out_closes_every_connection_of_the_session_and_no_other() {
    let server = Server::start().await;
    let (ada, grace) = (
        Person::join(&server, "Ada").await,
        Person::join(&server, "Grace").await,
    );
    let (mut one, mut two, mut other) = (ada.page().await, ada.page().await, grace.page().await);
    let answer = ada.post("/fn/sign-out", &[]).await;
    assert!(answer.status().is_redirection());
    let ended = (4001, "the session has ended".to_owned());
    assert_eq!(one.expect_close().await, ended);
    assert_eq!(two.expect_close().await, ended);
    let general = other.general();
    other.say(general, "still here").await;
    assert_eq!(refusal(handshake(&ada)).await, Some(401));
}

#[tokio::test]
async fn a_page_that_connects_again_replaces_its_former_connection() {
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let greeting = Greeting {
        client: client_id(),
        ..Greeting::default()
    };
    let mut former = ada.page_with(greeting.clone()).await;
    let mut newer = ada.page_with(greeting).await;
    assert_eq!(
        former.expect_close().await,
        (4000, "this page connected again".to_owned())
    );
    let general = newer.general();
    newer.say(general, "still here").await;
}

#[tokio::test]
async fn nobody_can_take_the_connection_of_somebody_elses_page() {
    let server = Server::start().await;
    let (ada, mallory) = (
        Person::join(&server, "Ada").await,
        Person::join(&server, "Mallory").await,
    );
    let client = client_id();
    let mut page = ada
        .page_with(Greeting {
            client,
            ..Greeting::default()
        })
        .await;
    let mut thief = Page::dial(&mallory).await;
    thief
        .hello(Greeting {
            client,
            ..Greeting::default()
        })
        .await;
    assert_eq!(thief.expect_close().await.0, 4002);
    let general = page.general();
    page.say(general, "still here").await;
}

#[tokio::test]
async fn a_form_on_another_site_changes_nothing() {
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let page = ada.page().await;
    let general = page.general().to_string();
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
        "the same form on our own page: {}",
        posted.status()
    );
    assert!(
        ada.html("/chat/general")
            .await
            .contains("I never wrote this")
    );
}

/// The attributes of the session's cookie, in lower case.
fn session_cookie(answer: &Response) -> Vec<String> {
    let cookies = answer
        .headers()
        .get_all(SET_COOKIE)
        .iter()
        .map(|cookie| cookie.to_str().unwrap());
    let session = cookies
        .into_iter()
        .find(|cookie| cookie.starts_with("rialto_session="))
        .expect("a session cookie");
    session
        .split(';')
        .skip(1)
        .map(|attribute| attribute.trim().to_lowercase())
        .collect()
}

#[tokio::test]
async fn the_session_cookie_is_out_of_reach_of_scripts_and_other_sites() {
    let form = [("name", "Ada"), ("next", "/")];
    let server = Server::start().await;
    let plain = session_cookie(
        &Person::nobody(&server, "Ada")
            .post("/fn/pick-name", &form)
            .await,
    );
    for attribute in ["httponly", "samesite=lax", "path=/"] {
        assert!(
            plain.iter().any(|given| given == attribute),
            "{attribute}: {plain:?}"
        );
    }
    assert!(
        !plain
            .iter()
            .any(|attribute| attribute == "secure" || attribute.starts_with("domain=")),
        "{plain:?}"
    );

    let server = Server::start_with(|command| {
        command.env("RIALTO_PUBLIC_URL", "https://rialto.example.org");
    })
    .await;
    let secure = session_cookie(
        &Person::nobody(&server, "Ada")
            .post("/fn/pick-name", &form)
            .await,
    );
    assert!(
        secure.iter().any(|attribute| attribute == "secure"),
        "{secure:?}"
    );
    assert!(server.claim().await.starts_with("/signin?claim="));
}

#[tokio::test]
async fn the_link_that_makes_the_administrator_works_once() {
    let mut server = Server::start().await;
    let path = server.claim().await;
    let claim = path.split_once("claim=").unwrap().1.to_owned();
    assert!(
        Person::nobody(&server, "Early")
            .html(&path)
            .await
            .contains("<form")
    );
    let admin = server.administrator().await;
    assert_eq!(admin.page().await.me().role, Role::Admin);

    let late = Person::nobody(&server, "Late");
    let form = [
        ("claim", claim.as_str()),
        ("name", "Late"),
        ("password", PASSWORD),
    ];
    let answer = late.post("/fn/claim-admin", &form).await;
    assert!(answer.headers().get(SET_COOKIE).is_none(), "{answer:?}");
    assert_eq!(refusal(handshake(&late)).await, Some(401));

    server.restart().await;
    late.html("/signin").await;
    assert!(!server.has_offered_claim(), "there is an administrator");
}

#[tokio::test]
async fn an_unused_link_is_replaced_by_the_next_start() {
    let mut server = Server::start().await;
    let first = server.claim().await;
    server.restart().await;
    assert_ne!(server.claim().await, first);
    let claim = first.split_once("claim=").unwrap().1;
    let late = Person::nobody(&server, "Late");
    let answer = late
        .post(
            "/fn/claim-admin",
            &[("claim", claim), ("name", "Late"), ("password", PASSWORD)],
        )
        .await;
    assert!(answer.headers().get(SET_COOKIE).is_none(), "{answer:?}");
    assert_eq!(
        server.administrator().await.page().await.me().role,
        Role::Admin
    );
}

#[tokio::test]
async fn every_page_keeps_out_foreign_scripts_frames_and_caches() {
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    for path in [
        "/",
        "/chat",
        "/chat/general",
        "/calls",
        "/settings",
        "/signin",
        "/no-such-page",
    ] {
        let answer = ada.get(path).await;
        let headers = answer.headers().clone();
        let html = answer.text().await.unwrap();
        let header = |name: &str| {
            let value = headers
                .get(name)
                .unwrap_or_else(|| panic!("{path} has no {name}: {headers:#?}"));
            value.to_str().unwrap().to_owned()
        };
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
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

/// Every inline script is allowed by the page's nonce, and nothing is styled or handled inline.
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
    assert!(scripts > 0, "{path} begins no hydration");
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
async fn no_two_pages_share_a_nonce() {
    let server = Server::start().await;
    let reader = Person::nobody(&server, "Reader");
    let policies = [reader.get("/").await, reader.get("/").await].map(|answer| {
        answer.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned()
    });
    assert_ne!(policies[0], policies[1]);
}

#[tokio::test]
async fn nobody_who_is_not_signed_in_reads_a_room() {
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let mut page = ada.page().await;
    let general = page.general();
    page.say(general, "between us").await;
    let stranger = Person::nobody(&server, "Stranger");
    let answer = stranger.get("/chat/general").await;
    assert!(!answer.text().await.unwrap().contains("between us"));
    let asked = stranger
        .http
        .post(stranger.url("/fn/room"))
        .form(&[("slug", "general")])
        .send()
        .await
        .unwrap();
    assert!(
        asked.status().is_client_error() || asked.status().is_server_error(),
        "{}",
        asked.status()
    );
    assert!(!asked.text().await.unwrap().contains("between us"));
}

#[tokio::test]
async fn the_server_says_whether_it_is_well() {
    let server = Server::start().await;
    let anybody = Person::nobody(&server, "Anybody");
    assert_eq!(anybody.html("/healthz").await, "ok");
    assert_eq!(anybody.html("/readyz").await, "ready");
}
