//! Guests to one call of a room: what a link lets somebody do, and everything that it does not.

use crate::{
    calls::CallClient,
    support::{
        Browser, Cluster, HelloFrame, Server, WsClient, call_id, message_id, needs_postgresql,
        ws_client::{handshake_error_status, handshake_request},
    },
};
use reqwest::StatusCode;
use rialto::{
    calls::api::{GuestLinkSummary, NewGuestLink},
    model::{
        CallId,
        call::{
            ClientAction, Media, Seat, SignalingMessage,
            group::{GroupCallView, Participation},
        },
        message::{Content, MessageText, RoomEvent},
    },
    protocol::{
        close::CloseCode,
        failure::Failure,
        ws::{ClientFrame, ErrorCode, ServerFrame},
    },
};

impl CallClient {
    /// Joins the call of the room that is always there, or begins it.
    async fn join_group_call(&mut self) -> CallId {
        let room = self.ws.general();
        self.send_action(call_id(), ClientAction::Join { room })
            .await;
        next_participation(&mut self.ws).await.0.id
    }

    async fn create_guest_link(&self, call: CallId) -> NewGuestLink {
        let arguments = [("call", call.to_string()), ("hours", "1".to_owned())];
        self.browser
            .call_server_fn("/fn/create-guest-link", &arguments)
            .await
    }
}

/// The next word on the call of a room.
async fn next_group_view(ws: &mut WsClient) -> GroupCallView {
    let group = |frame: &ServerFrame| match frame {
        ServerFrame::GroupCall { group } => Some(group.clone()),
        ServerFrame::Error { reason, .. } => panic!("refused: {reason}"),
        _ => None,
    };
    ws.wait_for(group).await
}

/// The first in which the page is told of its own part.
async fn next_participation(ws: &mut WsClient) -> (GroupCallView, Participation) {
    loop {
        let group = next_group_view(ws).await;
        if let Some(part) = group.participation.clone() {
            return (group, part);
        }
    }
}

/// The first with so many in it.
async fn wait_for_members(ws: &mut WsClient, count: usize) -> GroupCallView {
    loop {
        let group = next_group_view(ws).await;
        if group.participants.len() == count {
            return group;
        }
    }
}

/// What comes of asking a server function that refuses.
async fn server_fn_failure(person: &Browser, path: &str, form: &[(&str, &str)]) -> Failure {
    let request = person.http().post(person.url(path));
    let request = request.header("accept", "application/json").form(form);
    let answer = request.send().await.unwrap();
    assert!(!answer.status().is_success(), "{path} was done");
    answer.json().await.unwrap()
}

/// A browser of somebody who is nobody here.
struct Guest {
    browser: Browser,
    ws: WsClient,
}

impl Guest {
    /// Opens the link, gives a name, and connects.
    async fn join(server: &Server, link: &NewGuestLink, name: &str) -> Self {
        let browser = Browser::anonymous(server, name);
        let asked = browser.html(&link.path).await;
        assert!(asked.contains("What is your name?"), "{asked}");
        enter_call(&browser, link, name).await;
        let ws = Self::connect(&browser, link, HelloFrame::default()).await;
        Self { browser, ws }
    }

    async fn connect(browser: &Browser, link: &NewGuestLink, greeting: HelloFrame) -> WsClient {
        let mut ws = WsClient::open_socket_at(browser, &socket_path(link)).await;
        ws.send_hello(greeting).await;
        ws.wait_for(|frame| match frame {
            ServerFrame::Welcome { rooms, .. } => {
                assert!(rooms.is_empty());
                Some(())
            }
            other => panic!("before the welcome: {other:?}"),
        })
        .await;
        ws
    }

    async fn send_action(&mut self, call: CallId, action: ClientAction) {
        self.ws.send(&ClientFrame::Call { call, action }).await;
    }

    async fn join_group_call(&mut self, call: CallId) -> Seat {
        // A guest needs to know no room.
        let room = rialto::model::RoomId(call.0);
        self.send_action(call, ClientAction::Join { room }).await;
        match next_participation(&mut self.ws).await.1 {
            Participation::In { seat, .. } => seat,
            Participation::Out => panic!("out"),
        }
    }

    async fn next_error_code(&mut self) -> ErrorCode {
        let error = |frame: &ServerFrame| match frame {
            ServerFrame::Error { code, .. } => Some(*code),
            _ => None,
        };
        self.ws.wait_for(error).await
    }
}

/// Where the page of a link connects.
fn socket_path(link: &NewGuestLink) -> String {
    format!("{}/ws", link.path)
}

/// What a guest whose time is over is told when they connect again.
async fn assert_turned_away(guest: &Guest, link: &NewGuestLink) {
    let mut ws = WsClient::open_socket_at(&guest.browser, &socket_path(link)).await;
    let (code, _) = ws.expect_close().await;
    assert_eq!(code, CloseCode::SignedOut.code());
}

async fn enter_call(browser: &Browser, link: &NewGuestLink, name: &str) {
    let token = link.path.rsplit('/').next().unwrap();
    let leads = browser
        .submit_form(
            &link.path,
            "/fn/enter-call",
            &[("token", token), ("name", name)],
        )
        .await;
    assert_eq!(leads, link.path);
}

#[tokio::test]
async fn a_guest_takes_part_in_the_call() {
    let server = Server::start().await;
    let mut ada = CallClient::join(&server, "Ada").await;
    let mut eve = CallClient::join(&server, "Eve").await;
    let call = ada.join_group_call().await;
    let link = ada.create_guest_link(call).await;
    let mut bob = Guest::join(&server, &link, "Bob").await;
    let lobby = bob.browser.html(&link.path).await;
    assert!(lobby.contains("a guest to this call"), "{lobby}");
    assert_eq!(bob.join_group_call(call).await, Seat(2));
    for ws in [&mut ada.ws, &mut eve.ws] {
        let seen = wait_for_members(ws, 2).await;
        let seen: Vec<_> = seen
            .participants
            .iter()
            .map(|it| (it.display_name(), it.is_guest))
            .collect();
        let ada_and_bob = [("Ada".to_owned(), false), ("Bob (guest)".to_owned(), true)];
        assert_eq!(seen, ada_and_bob);
    }
    for (from, to) in [(1, 2), (2, 1)] {
        let action = ClientAction::Signal {
            signal: SignalingMessage::RestartIce,
            to: Some(Seat(to)),
        };
        let heard = |frame: &ServerFrame| match frame {
            ServerFrame::Signal { from, .. } => Some(*from),
            _ => None,
        };
        let heard = if from == 1 {
            ada.send_action(call, action).await;
            bob.ws.wait_for(heard).await
        } else {
            bob.send_action(call, action).await;
            ada.ws.wait_for(heard).await
        };
        assert_eq!(heard, Some(Seat(from)));
    }
    // Who comes and goes is told to guests, who hear no room, as well.
    eve.join_group_call().await;
    wait_for_members(&mut bob.ws, 3).await;
    bob.send_action(call, ClientAction::HangUp).await;
    while next_participation(&mut bob.ws).await.1 != Participation::Out {}
    wait_for_members(&mut ada.ws, 2).await;
}

#[tokio::test]
async fn a_guest_reaches_nothing_but_the_call() {
    let server = Server::start().await;
    let mut ada = CallClient::join(&server, "Ada").await;
    let call = ada.join_group_call().await;
    let link = ada.create_guest_link(call).await;
    let mut bob = Guest::join(&server, &link, "Bob").await;
    bob.join_group_call(call).await;

    // The cookie is for one address and below.
    assert_eq!(bob.browser.cookie(), None);
    let mut request = handshake_request(&bob.browser);
    let cookie = bob.browser.cookie_at(&socket_path(&link)).unwrap();
    request.headers_mut().insert("cookie", cookie);
    assert_eq!(
        handshake_error_status(request).await,
        Some(401),
        "nor is it good elsewhere"
    );
    let page = bob.browser.html("/chat/general").await;
    assert!(page.contains("Pick a name first"), "{page}");
    let path = format!("/files/{}/a.txt", "0".repeat(64));
    assert_eq!(
        bob.browser.get(&path).await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        server_fn_failure(&bob.browser, "/fn/ice-servers", &[]).await,
        Failure::NotSignedIn
    );
    let (call_id_text, hours) = (call.to_string(), "1");
    let form = [("call", call_id_text.as_str()), ("hours", hours)];
    assert_eq!(
        server_fn_failure(&bob.browser, "/fn/create-guest-link", &form).await,
        Failure::NotSignedIn
    );

    // What is said in the room, and who is here, is not told.
    let room = ada.ws.general();
    let mut eve = CallClient::join(&server, "Eve").await;
    let message = ClientFrame::Send {
        id: message_id(),
        room,
        text: MessageText::new("for members").unwrap(),
    };
    eve.ws.send(&message).await;
    eve.ws
        .wait_for(|frame| matches!(frame, ServerFrame::Sent { .. }).then_some(()))
        .await;
    let names: Vec<_> = eve
        .ws
        .welcome()
        .people
        .iter()
        .map(|it| it.person.name.to_string())
        .collect();
    assert!(!names.contains(&"Bob".to_owned()), "{names:?}");
    for frame in bob.ws.frames_until_pong().await {
        assert!(
            matches!(
                frame,
                ServerFrame::GroupCall { .. } | ServerFrame::Pong { .. }
            ),
            "{frame:?}"
        );
    }

    // And nothing else can be said.
    let to = ada.ws.me().id;
    for frame in [
        message,
        ClientFrame::Typing { room },
        ClientFrame::Upload {
            id: message_id(),
            room,
            name: "a.txt".to_owned(),
            size: 1,
        },
    ] {
        bob.ws.send(&frame).await;
        assert_eq!(
            bob.next_error_code().await,
            ErrorCode::NotAllowed,
            "{frame:?}"
        );
    }
    bob.ws.send_binary(vec![0; 64]).await;
    assert_eq!(bob.next_error_code().await, ErrorCode::NotAllowed);
    let media = Media::Voice;
    for (id, action) in [
        (call_id(), ClientAction::Join { room }),
        (call_id(), ClientAction::Start { to, media }),
        (call, ClientAction::Start { to, media }),
    ] {
        bob.send_action(id, action).await;
        assert_eq!(bob.next_error_code().await, ErrorCode::NoSuchCall);
    }
}

#[tokio::test]
async fn a_revoked_link_disconnects_its_guests() {
    let server = Server::start().await;
    let mut ada = CallClient::join(&server, "Ada").await;
    let call = ada.join_group_call().await;
    let (first, second) = (
        ada.create_guest_link(call).await,
        ada.create_guest_link(call).await,
    );
    let mut bob = Guest::join(&server, &first, "Bob").await;
    let mut eve = Guest::join(&server, &second, "Eve").await;
    bob.join_group_call(call).await;
    eve.join_group_call(call).await;
    wait_for_members(&mut ada.ws, 3).await;
    let id = call.to_string();
    let links: Vec<GuestLinkSummary> = ada
        .browser
        .call_server_fn("/fn/guest-links", &[("call", &id)])
        .await;
    let known: Vec<_> = links
        .iter()
        .map(|link| (link.id, &link.guests[..]))
        .collect();
    let came = ["Eve".to_owned()];
    let before = ["Bob".to_owned()];
    assert_eq!(
        known,
        [(second.link.id, &came[..]), (first.link.id, &before[..])]
    );
    let form = [("call", id.clone()), ("link", first.link.id.to_string())];
    let () = ada
        .browser
        .call_server_fn("/fn/revoke-guest-link", &form)
        .await;

    let (code, _) = bob.ws.expect_close().await;
    assert_eq!(code, CloseCode::SignedOut.code());
    let left = wait_for_members(&mut ada.ws, 2).await;
    assert_eq!(
        left.participants[1].display_name(),
        "Eve (guest)",
        "at once, and no other"
    );
    let page = bob.browser.html(&first.path).await;
    assert!(page.contains("does not work any more"), "{page}");
    assert_turned_away(&bob, &first).await;
    let links: Vec<GuestLinkSummary> = ada
        .browser
        .call_server_fn("/fn/guest-links", &[("call", &id)])
        .await;
    assert_eq!(links.len(), 1);
}

#[tokio::test]
async fn a_guest_who_is_disconnected_when_the_link_is_revoked_is_removed_all_the_same() {
    let server = Server::start().await;
    let mut ada = CallClient::join(&server, "Ada").await;
    let call = ada.join_group_call().await;
    let link = ada.create_guest_link(call).await;
    let mut bob = Guest::join(&server, &link, "Bob").await;
    bob.join_group_call(call).await;
    wait_for_members(&mut ada.ws, 2).await;
    // The connection breaks: the place is kept for a while.
    drop(bob.ws);
    while !next_group_view(&mut ada.ws).await.participants[1].is_disconnected {}
    let form = [
        ("call", call.to_string()),
        ("link", link.link.id.to_string()),
    ];
    let () = ada
        .browser
        .call_server_fn("/fn/revoke-guest-link", &form)
        .await;
    wait_for_members(&mut ada.ws, 1).await;
}

#[tokio::test]
async fn when_the_last_member_leaves_the_call_ends_for_guests_too() {
    let server = Server::start().await;
    let mut ada = CallClient::join(&server, "Ada").await;
    let call = ada.join_group_call().await;
    let link = ada.create_guest_link(call).await;
    let mut bob = Guest::join(&server, &link, "Bob").await;
    bob.join_group_call(call).await;
    ada.send_action(call, ClientAction::HangUp).await;
    while next_participation(&mut bob.ws).await.1 != Participation::Out {}
    let names = ada
        .ws
        .wait_for(|frame| match frame {
            ServerFrame::Event {
                event: RoomEvent::Message { message },
                ..
            } => match &message.content {
                Content::GroupCall { people, .. } => Some(people.clone()),
                _ => None,
            },
            _ => None,
        })
        .await;
    assert_eq!(names, ["Ada", "Bob (guest)"]);
    let page = bob.browser.html(&link.path).await;
    assert!(page.contains("does not work any more"), "{page}");
    let (code, _) = bob.ws.expect_close().await;
    assert_eq!(code, CloseCode::SignedOut.code());
    assert_turned_away(&bob, &link).await;
}

#[tokio::test]
async fn whoever_is_in_the_call_invites_guests_and_nobody_else() {
    let server = Server::start().await;
    let mut ada = CallClient::join(&server, "Ada").await;
    let eve = CallClient::join(&server, "Eve").await;
    let call = ada.join_group_call().await;
    let id = call.to_string();
    let form = |hours| [("call", id.as_str()), ("hours", hours)];
    let make = "/fn/create-guest-link";
    let stranger = Browser::anonymous(&server, "Mallory");
    assert_eq!(
        server_fn_failure(&stranger, make, &form("1")).await,
        Failure::NotSignedIn
    );
    let refused = server_fn_failure(&eve.browser, make, &form("1")).await;
    assert!(matches!(refused, Failure::NotAllowed { .. }), "{refused:?}");
    for hours in ["0", "169"] {
        let refused = server_fn_failure(&ada.browser, make, &form(hours)).await;
        assert!(matches!(refused, Failure::Invalid { .. }), "{refused:?}");
    }
    let link = ada.create_guest_link(call).await;
    let end = [("call", id.clone()), ("link", link.link.id.to_string())];
    let end: Vec<_> = end
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let refused = server_fn_failure(&eve.browser, "/fn/revoke-guest-link", &end).await;
    assert!(matches!(refused, Failure::NotAllowed { .. }), "{refused:?}");

    let page = eve.browser.html(&link.path).await;
    assert!(page.contains("You are a member of this room"), "{page}");
    let wrong = stranger.html("/call/0000").await;
    assert!(wrong.contains("does not work any more"), "{wrong}");
    let token = link.path.rsplit('/').next().unwrap();
    let form = [("token", token), ("name", "  ")];
    let back = stranger
        .submit_form(&link.path, "/fn/enter-call", &form)
        .await;
    let page = stranger.html(&back).await;
    assert!(
        page.contains("What is your name?") && page.contains("role=\"alert\""),
        "{page}"
    );
}

#[tokio::test]
async fn a_guest_who_reconnects_gets_their_seat_back() {
    let mut server = Server::start().await;
    let mut ada = CallClient::join(&server, "Ada").await;
    let call = ada.join_group_call().await;
    let link = ada.create_guest_link(call).await;
    let mut bob = Guest::join(&server, &link, "Bob").await;
    let greeting = HelloFrame::default();
    bob.ws = Guest::connect(&bob.browser, &link, greeting.clone()).await;
    bob.join_group_call(call).await;
    server.kill().await;
    server.restart().await;
    let back = bob.browser.at_node(&server);
    let mut ws = Guest::connect(&back, &link, greeting).await;
    let (group, part) = next_participation(&mut ws).await;
    assert_eq!(group.id, call);
    assert!(
        matches!(part, Participation::In { seat: Seat(2), .. }),
        "{part:?}"
    );
    let names: Vec<_> = group
        .participants
        .iter()
        .map(rialto::model::call::group::ParticipantView::display_name)
        .collect();
    assert_eq!(names, ["Ada", "Bob (guest)"]);
}

#[tokio::test]
async fn guests_come_to_any_node() {
    needs_postgresql!();
    let cluster = Cluster::start(3).await;
    // The first node holds the desk.
    let mut ada = CallClient::connect(cluster.join(1, "Ada").await).await;
    let call = ada.join_group_call().await;
    let link = ada.create_guest_link(call).await;
    let mut bob = Guest::join(&cluster.nodes[2], &link, "Bob").await;
    bob.join_group_call(call).await;
    let seen = wait_for_members(&mut ada.ws, 2).await;
    assert!(seen.participants[1].is_guest);
    let signal = SignalingMessage::RestartIce;
    let to = Some(Seat(1));
    bob.send_action(call, ClientAction::Signal { signal, to })
        .await;
    ada.ws
        .wait_for(|frame| matches!(frame, ServerFrame::Signal { .. }).then_some(()))
        .await;
    let form = [
        ("call", call.to_string()),
        ("link", link.link.id.to_string()),
    ];
    let () = ada
        .browser
        .call_server_fn("/fn/revoke-guest-link", &form)
        .await;
    let (code, _) = bob.ws.expect_close().await;
    assert_eq!(code, CloseCode::SignedOut.code());
    wait_for_members(&mut ada.ws, 1).await;
}
