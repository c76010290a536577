//! What a guest link to a room's call permits.

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
        upload::Chunk,
        ws::{ClientFrame, ErrorCode, Refusal, ServerFrame},
    },
};

impl CallClient {
    /// Joins or starts the call of `general`.
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

async fn next_group_view(ws: &mut WsClient) -> GroupCallView {
    let group = |frame: &ServerFrame| match frame {
        ServerFrame::GroupCall { group } => Some(group.clone()),
        ServerFrame::Error(refusal) => panic!("{refusal:?}"),
        _ => None,
    };
    ws.wait_for(group).await
}

/// Skips views without this client's participation.
async fn next_participation(ws: &mut WsClient) -> (GroupCallView, Participation) {
    loop {
        let group = next_group_view(ws).await;
        if let Some(participation) = group.participation.clone() {
            return (group, participation);
        }
    }
}

async fn wait_for_members(ws: &mut WsClient, count: usize) -> GroupCallView {
    loop {
        let group = next_group_view(ws).await;
        if group.participants.len() == count {
            return group;
        }
    }
}

async fn server_fn_failure(browser: &Browser, path: &str, form: &[(&str, &str)]) -> Failure {
    let request = browser.http().post(browser.url(path));
    let request = request.header("accept", "application/json").form(form);
    let response = request.send().await.unwrap();
    assert!(!response.status().is_success(), "{path} succeeded");
    response.json().await.unwrap()
}

/// A browser without an account, and its WebSocket.
struct Guest {
    browser: Browser,
    ws: WsClient,
}

impl Guest {
    /// Opens the link, enters a name and connects.
    async fn join(server: &Server, link: &NewGuestLink, name: &str) -> Self {
        let browser = Browser::anonymous(server, name);
        let html = browser.html(&link.path).await;
        assert!(html.contains("What is your name?"), "{html}");
        enter_call(&browser, link, name).await;
        let ws = Self::connect(&browser, link, HelloFrame::default()).await;
        Self { browser, ws }
    }

    async fn connect(browser: &Browser, link: &NewGuestLink, hello: HelloFrame) -> WsClient {
        let mut ws = WsClient::open_socket_at(browser, &socket_path(link)).await;
        ws.send_hello(hello).await;
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
        // A guest does not know the room; any id will do.
        let room = rialto::model::RoomId(call.0);
        self.send_action(call, ClientAction::Join { room }).await;
        match next_participation(&mut self.ws).await.1 {
            Participation::In { seat, .. } => seat,
            Participation::Out => panic!("out"),
        }
    }

    async fn next_error_code(&mut self) -> ErrorCode {
        self.next_refusal().await.code
    }

    async fn next_refusal(&mut self) -> Refusal {
        let refusal = |frame: &ServerFrame| match frame {
            ServerFrame::Error(refusal) | ServerFrame::Refused(refusal) => Some(refusal.clone()),
            _ => None,
        };
        self.ws.wait_for(refusal).await
    }
}

fn socket_path(link: &NewGuestLink) -> String {
    format!("{}/ws", link.path)
}

/// A guest without access is closed with "signed out" on reconnecting.
async fn assert_turned_away(guest: &Guest, link: &NewGuestLink) {
    let mut ws = WsClient::open_socket_at(&guest.browser, &socket_path(link)).await;
    let (code, _) = ws.expect_close().await;
    assert_eq!(code, CloseCode::SignedOut.code());
}

async fn assert_link_is_invalid(browser: &Browser, path: &str) {
    let response = browser.get(path).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let page = response.text().await.unwrap();
    assert!(page.contains("is no longer valid"), "{page}");
}

async fn enter_call(browser: &Browser, link: &NewGuestLink, name: &str) {
    let token = link.path.rsplit('/').next().unwrap();
    let target = browser
        .submit_form(
            &link.path,
            "/fn/enter-call",
            &[("token", token), ("name", name)],
        )
        .await;
    assert_eq!(target, link.path);
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
    assert!(lobby.contains("a guest in this call"), "{lobby}");
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
        let sender_seat = |frame: &ServerFrame| match frame {
            ServerFrame::Signal { from, .. } => Some(*from),
            _ => None,
        };
        let sender_seat = if from == 1 {
            ada.send_action(call, action).await;
            bob.ws.wait_for(sender_seat).await
        } else {
            bob.send_action(call, action).await;
            ada.ws.wait_for(sender_seat).await
        };
        assert_eq!(sender_seat, Some(Seat(from)));
    }
    // Guests receive changes of the participants without a room subscription.
    eve.join_group_call().await;
    wait_for_members(&mut bob.ws, 3).await;
    bob.send_action(call, ClientAction::HangUp).await;
    while next_participation(&mut bob.ws).await.1 != Participation::Out {}
    wait_for_members(&mut ada.ws, 2).await;
}

/// Of chunks, which nothing announced; each refusal names the upload, if the chunk does.
async fn assert_uploads_refused(guest: &mut Guest) {
    let id = message_id();
    let chunk = Chunk {
        id,
        offset: 0,
        data: b"a",
    };
    guest.ws.send_binary(chunk.encode()).await;
    let refusal = guest.next_refusal().await;
    assert_eq!(
        (refusal.code, refusal.id),
        (ErrorCode::NotAllowed, Some(id))
    );
    guest.ws.send_binary(vec![0; 3]).await;
    assert_eq!(guest.next_error_code().await, ErrorCode::NotAllowed);
}

#[tokio::test]
async fn a_guest_reaches_nothing_but_the_call() {
    let server = Server::start().await;
    let mut ada = CallClient::join(&server, "Ada").await;
    let call = ada.join_group_call().await;
    let link = ada.create_guest_link(call).await;
    let mut bob = Guest::join(&server, &link, "Bob").await;
    bob.join_group_call(call).await;

    // The cookie is limited to the link's path.
    assert_eq!(bob.browser.cookie(), None);
    let mut request = handshake_request(&bob.browser);
    let cookie = bob.browser.cookie_at(&socket_path(&link)).unwrap();
    request.headers_mut().insert("cookie", cookie);
    assert_eq!(
        handshake_error_status(request).await,
        Some(401),
        "the cookie is not valid elsewhere"
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

    // Guests receive no messages of the room, and members do not see them as present.
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

    // Guests may send nothing else.
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
    assert_uploads_refused(&mut bob).await;
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
    let second_guests = ["Eve".to_owned()];
    let first_guests = ["Bob".to_owned()];
    assert_eq!(
        known,
        [
            (second.link.id, &second_guests[..]),
            (first.link.id, &first_guests[..])
        ]
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
        "only guests of the revoked link are removed"
    );
    assert_link_is_invalid(&bob.browser, &first.path).await;
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
    // The seat of a lost connection is kept for a while.
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
                Content::GroupCall { people, guests, .. } => Some((people.clone(), guests.clone())),
                _ => None,
            },
            _ => None,
        })
        .await;
    assert_eq!(names, (vec!["Ada".to_owned(), "Bob".to_owned()], vec![1]));
    let html = ada.browser.html("/chat/general").await;
    assert!(html.contains("Ada, Bob (guest)"), "{html}");
    assert_link_is_invalid(&bob.browser, &link.path).await;
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
    assert_link_is_invalid(&stranger, "/call/0000").await;
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
    let hello = HelloFrame::default();
    bob.ws = Guest::connect(&bob.browser, &link, hello.clone()).await;
    bob.join_group_call(call).await;
    server.kill().await;
    server.restart().await;
    let browser = bob.browser.at_node(&server);
    let mut ws = Guest::connect(&browser, &link, hello).await;
    let (group, participation) = next_participation(&mut ws).await;
    assert_eq!(group.id, call);
    assert!(
        matches!(participation, Participation::In { seat: Seat(2), .. }),
        "{participation:?}"
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
    // The node started first is the call leader.
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
