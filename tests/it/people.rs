//! People: names, sessions, sign-in limits and presence.

use crate::support::{
    Browser, HelloFrame, Server, WsClient,
    browser::location,
    server::ADMIN_PASSWORD,
    ws_client::{self, handshake_error_status, handshake_request},
};
use reqwest::{
    Response,
    header::{ACCEPT, SET_COOKIE},
};
use rialto::{
    model::user::{Presence, Role},
    protocol::ws::ClientFrame,
};

/// A wrong password, with this `X-Forwarded-For`. Returns the status.
async fn sign_in_status(client: &Browser, forwarded_for: &str) -> u16 {
    try_sign_in(client, forwarded_for).await.status().as_u16()
}

async fn try_sign_in(client: &Browser, forwarded_for: &str) -> Response {
    let form = [("name", "Ada"), ("password", "a guess"), ("next", "/")];
    let request = client.http().post(client.url("/fn/sign-in")).form(&form);
    let request = request.header("accept", "application/json");
    let response = request
        .header("x-forwarded-for", forwarded_for)
        .send()
        .await;
    response.unwrap()
}

#[tokio::test]
async fn who_tries_too_often_is_told_when_to_try_again() {
    let server = Server::start_with(|command| {
        command.args(["--limits", "sign-ins=1"]);
    })
    .await;
    let guesser = Browser::anonymous(&server, "Mallory");
    let allowed = try_sign_in(&guesser, "192.0.2.1").await;
    assert!(!allowed.headers().contains_key("retry-after"));
    let limited = try_sign_in(&guesser, "192.0.2.1").await;
    assert_eq!(limited.status(), 429);
    assert_eq!(limited.headers()["retry-after"], "2");
}

#[tokio::test]
async fn behind_a_proxy_each_client_has_tries_of_their_own() {
    let server = Server::start_with(|command| {
        command.args(["--limits", "sign-ins=2"]);
    })
    .await;
    let proxy = Browser::anonymous(&server, "the proxy");
    for _ in 0..2 {
        assert_eq!(sign_in_status(&proxy, "192.0.2.1").await, 422);
    }
    assert_eq!(sign_in_status(&proxy, "192.0.2.1").await, 429);
    // Only the last address is from the proxy.
    assert_eq!(sign_in_status(&proxy, "203.0.113.5, 192.0.2.1").await, 429);
    assert_eq!(sign_in_status(&proxy, "192.0.2.2").await, 422);
}

#[tokio::test]
async fn who_is_no_proxy_cannot_be_somebody_else_for_each_try() {
    let server = Server::start_with(|command| {
        command.args(["--limits", "sign-ins=2", "--trusted-proxies", "192.0.2.1"]);
    })
    .await;
    let guesser = Browser::anonymous(&server, "Mallory");
    for (forwarded_for, status) in [("192.0.2.7", 422), ("192.0.2.8", 422), ("192.0.2.9", 429)] {
        assert_eq!(sign_in_status(&guesser, forwarded_for).await, status);
    }
}

#[tokio::test]
async fn a_name_belongs_to_one_person_however_it_is_capitalised() {
    let server = Server::start().await;
    Browser::join(&server, "Ada").await;
    let second = Browser::anonymous(&server, "ADA");
    let response = second
        .post("/fn/pick-name", &[("name", " aDa "), ("next", "/chat")])
        .await;
    assert!(
        response.headers().get("set-cookie").is_none(),
        "{response:?}"
    );
    let long = "a".repeat(41);
    for name in ["", "  ", "a\u{202E}b", long.as_str()] {
        let response = second
            .post("/fn/pick-name", &[("name", name), ("next", "/chat")])
            .await;
        assert!(response.headers().get("set-cookie").is_none(), "{name:?}");
    }
    let stray = second
        .post(
            "/fn/pick-name",
            &[
                ("name", "Ada the second"),
                ("next", "https://evil.example/"),
            ],
        )
        .await;
    assert_eq!(location(&stray), "/", "no redirect to another site");
}

#[tokio::test]
async fn a_form_that_is_sent_twice_makes_one_guest_and_loses_no_name() {
    let server = Server::start().await;
    let browser = Browser::anonymous(&server, "Ada");
    let form = |name, request| [("name", name), ("next", "/chat"), ("request", request)];
    let secret = "0198c5f0-0000-4000-8000-00000000000a";
    let (one, two) = tokio::join!(
        async { browser.post("/fn/pick-name", &form("Ada", secret)).await },
        async { browser.post("/fn/pick-name", &form("Ada", secret)).await },
    );
    let token = |response: &Response| {
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
        cookie.split(';').next().unwrap().to_owned()
    };
    assert_eq!(
        token(&one),
        token(&two),
        "whichever response the browser keeps"
    );
    assert_eq!(location(&two), "/chat");
    assert!(browser.html("/settings").await.contains("Ada"));
    let spaced = "0198c5f0-0000-4000-8000-00000000000c";
    let first = Browser::anonymous(&server, "Ada L")
        .post("/fn/pick-name", &form(" Ada   L ", spaced))
        .await;
    let again = Browser::anonymous(&server, "Ada L")
        .post("/fn/pick-name", &form(" Ada   L ", spaced))
        .await;
    assert_eq!(
        token(&first),
        token(&again),
        "the same session although the name is normalised"
    );
    // Without this request id, Ada's name stays taken.
    let eve = Browser::anonymous(&server, "Eve");
    for (name, request) in [
        ("Ada", "0198c5f0-0000-4000-8000-00000000000b"),
        ("Ada", ""),
        ("Grace", ""),
    ] {
        let response = eve.post("/fn/pick-name", &form(name, request)).await;
        let made = response.headers().get(SET_COOKIE).is_some();
        assert_eq!(made, name == "Grace", "{name} {request:?}");
    }
}

/// In lower case.
fn session_cookie_attributes(response: &Response, name: &str) -> Vec<String> {
    let cookies = response
        .headers()
        .get_all(SET_COOKIE)
        .iter()
        .map(|cookie| cookie.to_str().unwrap());
    let session = cookies
        .into_iter()
        .find(|cookie| cookie.split('=').next() == Some(name))
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
    let plain = session_cookie_attributes(
        &Browser::anonymous(&server, "Ada")
            .post("/fn/pick-name", &form)
            .await,
        "rialto_session",
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
    let secure = session_cookie_attributes(
        &Browser::anonymous(&server, "Ada")
            .post("/fn/pick-name", &form)
            .await,
        "__Host-rialto_session",
    );
    assert!(
        secure.iter().any(|attribute| attribute == "secure"),
        "{secure:?}"
    );
    let page = Browser::anonymous(&server, "Ada").get("/healthz").await;
    let https_only = page.headers()["strict-transport-security"]
        .to_str()
        .unwrap();
    assert_eq!(https_only, "max-age=31536000");
    assert!(server.claim_path().await.starts_with("/signin?claim="));
}

#[tokio::test]
async fn the_link_that_makes_the_administrator_works_once() {
    let mut server = Server::start().await;
    let path = server.claim_path().await;
    let claim = path.split_once("claim=").unwrap().1.to_owned();
    assert!(
        Browser::anonymous(&server, "Early")
            .html(&path)
            .await
            .contains("<form")
    );
    let admin = server.create_administrator().await;
    assert_eq!(admin.connect().await.me().role, Role::Admin);

    let late = Browser::anonymous(&server, "Late");
    let form = [
        ("claim", claim.as_str()),
        ("name", "Late"),
        ("password", ADMIN_PASSWORD),
    ];
    let response = late.post("/fn/claim-admin", &form).await;
    assert!(response.headers().get(SET_COOKIE).is_none(), "{response:?}");
    assert_eq!(
        handshake_error_status(handshake_request(&late)).await,
        Some(401)
    );

    server.restart().await;
    late.html("/signin").await;
    assert!(!server.has_printed_claim(), "an administrator exists");
}

#[tokio::test]
async fn an_unused_link_is_replaced_by_the_next_start() {
    let mut server = Server::start().await;
    let first = server.claim_path().await;
    server.restart().await;
    assert_ne!(server.claim_path().await, first);
    let claim = first.split_once("claim=").unwrap().1;
    let late = Browser::anonymous(&server, "Late");
    let response = late
        .post(
            "/fn/claim-admin",
            &[
                ("claim", claim),
                ("name", "Late"),
                ("password", ADMIN_PASSWORD),
            ],
        )
        .await;
    assert!(response.headers().get(SET_COOKIE).is_none(), "{response:?}");
    assert_eq!(
        server
            .create_administrator()
            .await
            .connect()
            .await
            .me()
            .role,
        Role::Admin
    );
}

#[tokio::test]
async fn somebody_is_here_with_one_visible_page_away_with_hidden_ones_and_gone_without() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let mut grace = Browser::join(&server, "Grace").await.connect().await;
    let (mut first_ws, mut second_ws) = (ada.connect().await, ada.connect().await);
    let who = first_ws.me().clone();
    assert_eq!(grace.next_presence_of(&who).await, Presence::Online);
    first_ws
        .send(&ClientFrame::Visibility { visible: false })
        .await;
    first_ws.frames_until_pong().await;
    second_ws
        .send(&ClientFrame::Visibility { visible: false })
        .await;
    assert_eq!(
        grace.next_presence_of(&who).await,
        Presence::Away,
        "away only when both pages are hidden"
    );
    second_ws
        .send(&ClientFrame::Visibility { visible: true })
        .await;
    assert_eq!(grace.next_presence_of(&who).await, Presence::Online);
    let late = Browser::join(&server, "Late").await.connect().await;
    let here = late
        .welcome()
        .people
        .iter()
        .find(|present| present.person == who);
    assert_eq!(here.map(|present| present.presence), Some(Presence::Online));
    second_ws.close().await;
    assert_eq!(
        grace.next_presence_of(&who).await,
        Presence::Away,
        "the remaining page is hidden"
    );
    first_ws.close().await;
    assert_eq!(grace.next_presence_of(&who).await, Presence::Offline);
    let later = Browser::join(&server, "Later").await.connect().await;
    assert!(
        later
            .welcome()
            .people
            .iter()
            .all(|present| present.person != who)
    );
}

#[tokio::test]
async fn a_page_that_reloads_is_not_seen_to_leave() {
    let server = Server::start().await;
    let (ada, alan) = (
        Browser::join(&server, "Ada").await,
        Browser::join(&server, "Alan").await,
    );
    let mut grace = Browser::join(&server, "Grace").await.connect().await;
    let (ada_ws, alan_ws) = (ada.connect().await, alan.connect().await);
    let (ada_person, alan_person) = (ada_ws.me().clone(), alan_ws.me().clone());
    grace.next_presence_of(&alan_person).await;
    ada_ws.close().await;
    let _reloaded = ada.connect().await;
    alan_ws.close().await;
    // Alan left after Ada's reload: a presence frame about Ada would arrive before his.
    let entry = grace
        .wait_for(|frame| ws_client::as_presence(frame).cloned())
        .await;
    assert_eq!(
        (entry.person, entry.presence),
        (alan_person, Presence::Offline),
        "no presence frame about {}",
        ada_person.name
    );
}

#[tokio::test]
async fn the_server_says_what_it_allows_and_which_build_it_is() {
    let server = Server::start_with(|command| {
        command
            .env("RIALTO_UPLOAD_BYTES", "12345")
            .env("RIALTO_HEARTBEAT_SECONDS", "7");
    })
    .await;
    let ada = Browser::join(&server, "Ada").await;
    let ws = ada.connect_with(HelloFrame::default()).await;
    let welcome = ws.welcome();
    assert_eq!(
        (welcome.limits.max_upload_bytes, welcome.heartbeat),
        (12_345, 7_000)
    );
    assert_eq!(welcome.user.name.as_str(), "Ada");
    let html = ada.html("/").await;
    assert!(
        !welcome.build.is_empty() && html.contains(&welcome.build),
        "pages and welcome name the same build"
    );
}

#[tokio::test]
async fn a_refused_form_shows_its_reason_without_javascript() {
    let server = Server::start().await;
    let admin = server.create_administrator().await;
    let me = admin.connect().await.me().id.to_string();
    let name = [("name", "  ")];
    let password = [("password", "short")];
    let theme = [("theme", "sepia")];
    let role = [("user", me.as_str()), ("role", "guest")];
    for (page, path, form, reason) in [
        ("/settings", "/fn/rename", &name[..], "Enter at least one"),
        (
            "/settings",
            "/fn/set-password",
            &password,
            "A password needs",
        ),
        ("/settings", "/fn/set-theme", &theme, "A theme is"),
        (
            "/admin",
            "/fn/set-role",
            &role,
            "cannot change your own role",
        ),
    ] {
        let back = admin.submit_form(page, path, form).await;
        let html = admin.html(&back).await;
        let alert = html.split_once("role=\"alert\"").map(|(_, alert)| alert);
        let alert = alert.unwrap_or_else(|| panic!("{path}: {html}"));
        assert!(alert.contains(reason), "{path}: {html}");
        assert_eq!(html.matches(reason).count(), 1, "{path}: {html}");
    }
}

#[tokio::test]
async fn only_a_plain_form_is_redirected() {
    let server = Server::start().await;
    let admin = server.create_administrator().await;
    let ada = Browser::join(&server, "Ada").await;
    let ada_id = ada.connect().await.me().id.to_string();
    let (theme, role) = (
        [("theme", "dark")],
        [("user", &*ada_id), ("role", "editor")],
    );
    let name = [("name", "Doge")];
    let with = [("with", &*ada_id), ("wants_slug", "true")];
    for (path, form, target) in [
        ("/fn/set-theme", &theme[..], "/settings?done=theme"),
        ("/fn/set-role", &role, "/admin?done=role"),
        ("/fn/rename", &name, "/settings?done=name"),
        ("/fn/open-direct", &with, "/chat/"),
    ] {
        let plain = admin.post(path, form).await;
        assert!(location(&plain).starts_with(target), "{path}: {plain:?}");
        let action = admin.http().post(admin.url(path)).form(form);
        let answer = action
            .header(ACCEPT, "application/json")
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        for header in ["location", "serverfnredirect"] {
            assert!(!answer.headers().contains_key(header), "{path}: {answer:?}");
        }
    }
    // A page of an older build follows a redirect.
    let action = admin.http().post(admin.url("/fn/open-direct"));
    let answer = action
        .form(&with[..1])
        .header(ACCEPT, "application/json")
        .send()
        .await
        .unwrap();
    assert!(location(&answer).starts_with("/chat/"), "{answer:?}");
    assert_eq!(answer.text().await.unwrap(), "null");
}

#[tokio::test]
async fn a_page_without_a_field_for_the_current_password_is_told_to_show_it() {
    let server = Server::start().await;
    let admin = server.create_administrator().await;
    let form = [("password", "four thousand ducats")];
    let back = admin
        .submit_form("/settings", "/fn/set-password", &form)
        .await;
    let html = admin.html(&back).await;
    assert!(html.contains("You already have a password."), "{html}");
    assert!(html.contains("name=\"current\""), "{html}");
}

#[tokio::test]
async fn a_name_that_looks_like_another_is_taken() {
    let server = Server::start_with(|command| {
        command.args(["--limits", "renames=100"]);
    })
    .await;
    let ada = Browser::join(&server, "Ada").await;
    let grace = Browser::join(&server, "Grace").await;
    for alike in [
        "ada",
        "Ada\u{200D}",
        "\u{410}da",
        "Ad\u{430}",
        "\u{FF21}da",
        "Gra\u{441}e",
    ] {
        let stranger = Browser::anonymous(&server, "Stranger");
        let form = [("name", alike), ("next", "/")];
        let back = stranger
            .submit_form("/signin", "/fn/pick-name", &form)
            .await;
        let shown = stranger.html(&back).await;
        assert!(
            shown.contains("looks like one that is"),
            "{alike:?}: {shown}"
        );
        let back = grace
            .submit_form("/settings", "/fn/rename", &[("name", alike)])
            .await;
        assert_eq!(
            back == "/settings?done=name",
            alike.starts_with('G'),
            "{alike:?}"
        );
    }
    for invisible in ["\u{200D}", "\u{2800}"] {
        let stranger = Browser::anonymous(&server, "Stranger");
        let form = [("name", invisible), ("next", "/")];
        let back = stranger
            .submit_form("/signin", "/fn/pick-name", &form)
            .await;
        let shown = stranger.html(&back).await;
        assert!(
            shown.contains("at least one character that can be seen"),
            "{shown}"
        );
    }
    for other in ["Adam", "Ad\u{E1}"] {
        Browser::join(&server, other).await;
    }
    // A name that was given up is free again, whatever looks like it.
    let back = ada
        .submit_form("/settings", "/fn/rename", &[("name", "Byron")])
        .await;
    assert_eq!(back, "/settings?done=name");
    Browser::join(&server, "\u{410}da").await;
}

#[tokio::test]
async fn who_tries_too_often_has_to_wait() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_LIMITS", "sign-ins=3");
    })
    .await;
    let thief = Browser::anonymous(&server, "Thief");
    let form = [
        ("name", "Dogaressa"),
        ("password", "a guess"),
        ("next", "/"),
    ];
    for _ in 0..3 {
        thief.post("/fn/sign-in", &form).await;
    }
    let join = [("name", "Thief"), ("next", "/")];
    let back = thief.submit_form("/signin", "/fn/pick-name", &join).await;
    assert!(back.starts_with("/signin?"), "{back}");
    let shown = thief.html(&back).await;
    assert!(shown.contains("Too many attempts"), "{shown}");
    assert!(thief.cookie().is_none());
}

#[tokio::test]
async fn a_name_that_was_changed_after_the_handshake_is_the_name_of_the_connection() {
    let server = Server::start().await;
    let (ada, bob) = (
        Browser::join(&server, "Ada").await,
        Browser::join(&server, "Bob").await,
    );
    let mut bob_ws = bob.connect().await;
    let mut ws = WsClient::open_socket(&ada).await;
    ada.post("/fn/rename", &[("name", "Grace")]).await;
    ws.exchange_hello(HelloFrame::default()).await;
    assert_eq!(ws.me().name.as_str(), "Grace");
    let general = ws.general();
    ws.send_message(general, "Good morning").await;
    let message = bob_ws.wait_for_text("Good morning").await;
    assert_eq!(message.author.name.as_str(), "Grace");
}

#[tokio::test]
async fn a_role_changed_on_the_command_line_reaches_open_pages() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let done = server.run_cli(&["user", "role", "Ada", "editor"]).await;
    assert!(done.status.success(), "{done:?}");
    assert_eq!(ws.expect_close().await.0, 1_001);
    assert_eq!(ada.connect().await.me().role, Role::Editor);
}

#[tokio::test]
async fn signing_out_clears_what_the_browser_has_cached() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let signed_out = ada.post("/fn/sign-out", &[]).await;
    assert_eq!(signed_out.status(), 302);
    // Files are cached for a year, and the next person at this browser must not open them.
    assert_eq!(signed_out.headers()["clear-site-data"], r#""cache""#);
}
