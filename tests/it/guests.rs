//! Guests to one call of a room: what a link lets somebody do, and everything that it does not.

use crate::{
    calls::Party,
    support::{
        Cluster, Greeting, Page, Person, Server, call_id, message_id, needs_postgresql,
        page::{handshake, refusal},
    },
};
use reqwest::StatusCode;
use rialto::{
    calls::api::{GuestLinkSummary, NewGuestLink},
    model::{
        CallId,
        call::{
            Action, Media, Seat, Signal,
            group::{GroupView, Part},
        },
        message::{Content, MessageText, RoomEvent},
    },
    protocol::{
        close::CloseCode,
        failure::Failure,
        ws::{ClientFrame, ErrorCode, ServerFrame},
    },
};

impl Party {
    /// Joins the call of the room that is always there, or begins it.
    async fn gather(&mut self) -> CallId {
        let room = self.page.general();
        self.say(call_id(), Action::Join { room }).await;
        part(&mut self.page).await.0.id
    }

    async fn link(&self, call: CallId) -> NewGuestLink {
        let arguments = [("call", call.to_string()), ("hours", "1".to_owned())];
        self.person.ask("/fn/create-guest-link", &arguments).await
    }
}

/// The next word on the call of a room.
async fn group(page: &mut Page) -> GroupView {
    let group = |frame: &ServerFrame| match frame {
        ServerFrame::GroupCall { group } => Some(group.clone()),
        ServerFrame::Error { reason, .. } => panic!("refused: {reason}"),
        _ => None,
    };
    page.until(group).await
}

/// The first in which the page is told of its own part.
async fn part(page: &mut Page) -> (GroupView, Part) {
    loop {
        let group = group(page).await;
        if let Some(part) = group.part.clone() {
            return (group, part);
        }
    }
}

/// The first with so many in it.
async fn people(page: &mut Page, count: usize) -> GroupView {
    loop {
        let group = group(page).await;
        if group.members.len() == count {
            return group;
        }
    }
}

/// What comes of asking a server function that refuses.
async fn failure(person: &Person, path: &str, form: &[(&str, &str)]) -> Failure {
    let request = person.http().post(person.url(path));
    let request = request.header("accept", "application/json").form(form);
    let answer = request.send().await.unwrap();
    assert!(!answer.status().is_success(), "{path} was done");
    answer.json().await.unwrap()
}

/// A browser of somebody who is nobody here.
struct Guest {
    browser: Person,
    page: Page,
}

impl Guest {
    /// Opens the link, gives a name, and connects.
    async fn come(server: &Server, link: &NewGuestLink, name: &str) -> Self {
        let browser = Person::nobody(server, name);
        let asked = browser.html(&link.path).await;
        assert!(asked.contains("What is your name?"), "{asked}");
        enter(&browser, link, name).await;
        let page = Self::connect(&browser, link, Greeting::default()).await;
        Self { browser, page }
    }

    async fn connect(browser: &Person, link: &NewGuestLink, greeting: Greeting) -> Page {
        let mut page = Page::dial_at(browser, &socket_of(link)).await;
        page.hello(greeting).await;
        page.until(|frame| match frame {
            ServerFrame::Welcome { rooms, .. } => {
                assert!(rooms.is_empty());
                Some(())
            }
            other => panic!("before the welcome: {other:?}"),
        })
        .await;
        page
    }

    async fn say(&mut self, call: CallId, action: Action) {
        self.page.send(&ClientFrame::Call { call, action }).await;
    }

    async fn gather(&mut self, call: CallId) -> Seat {
        // A guest needs to know no room.
        let room = rialto::model::RoomId(call.0);
        self.say(call, Action::Join { room }).await;
        match part(&mut self.page).await.1 {
            Part::In { seat, .. } => seat,
            Part::Out => panic!("out"),
        }
    }

    async fn refusal(&mut self) -> ErrorCode {
        let error = |frame: &ServerFrame| match frame {
            ServerFrame::Error { code, .. } => Some(*code),
            _ => None,
        };
        self.page.until(error).await
    }
}

/// Where the page of a link connects.
fn socket_of(link: &NewGuestLink) -> String {
    format!("{}/ws", link.path)
}

/// What a guest whose time is over is told when they connect again.
async fn is_turned_away(guest: &Guest, link: &NewGuestLink) {
    let mut page = Page::dial_at(&guest.browser, &socket_of(link)).await;
    let (code, _) = page.expect_close().await;
    assert_eq!(code, CloseCode::SignedOut.code());
}

async fn enter(browser: &Person, link: &NewGuestLink, name: &str) {
    let token = link.path.rsplit('/').next().unwrap();
    let leads = browser
        .submit(
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
    let mut ada = Party::join(&server, "Ada").await;
    let mut eve = Party::join(&server, "Eve").await;
    let call = ada.gather().await;
    let link = ada.link(call).await;
    let mut bob = Guest::come(&server, &link, "Bob").await;
    let lobby = bob.browser.html(&link.path).await;
    assert!(lobby.contains("a guest to this call"), "{lobby}");
    assert_eq!(bob.gather(call).await, Seat(2));
    for page in [&mut ada.page, &mut eve.page] {
        let seen = people(page, 2).await;
        let seen: Vec<_> = seen
            .members
            .iter()
            .map(|it| (it.shown_name(), it.guest))
            .collect();
        let ada_and_bob = [("Ada".to_owned(), false), ("Bob (guest)".to_owned(), true)];
        assert_eq!(seen, ada_and_bob);
    }
    for (from, to) in [(1, 2), (2, 1)] {
        let action = Action::Signal {
            signal: Signal::Restart,
            to: Some(Seat(to)),
        };
        let heard = |frame: &ServerFrame| match frame {
            ServerFrame::Signal { from, .. } => Some(*from),
            _ => None,
        };
        let heard = if from == 1 {
            ada.say(call, action).await;
            bob.page.until(heard).await
        } else {
            bob.say(call, action).await;
            ada.page.until(heard).await
        };
        assert_eq!(heard, Some(Seat(from)));
    }
    // Who comes and goes is told to guests, who hear no room, as well.
    eve.gather().await;
    people(&mut bob.page, 3).await;
    bob.say(call, Action::HangUp).await;
    while part(&mut bob.page).await.1 != Part::Out {}
    people(&mut ada.page, 2).await;
}

#[tokio::test]
async fn a_guest_reaches_nothing_but_the_call() {
    let server = Server::start().await;
    let mut ada = Party::join(&server, "Ada").await;
    let call = ada.gather().await;
    let link = ada.link(call).await;
    let mut bob = Guest::come(&server, &link, "Bob").await;
    bob.gather(call).await;

    // The cookie is for one address and below.
    assert_eq!(bob.browser.cookie(), None);
    let mut request = handshake(&bob.browser);
    let cookie = bob.browser.cookie_at(&socket_of(&link)).unwrap();
    request.headers_mut().insert("cookie", cookie);
    assert_eq!(
        refusal(request).await,
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
        failure(&bob.browser, "/fn/ice-servers", &[]).await,
        Failure::NotSignedIn
    );
    let (call_id_text, hours) = (call.to_string(), "1");
    let form = [("call", call_id_text.as_str()), ("hours", hours)];
    assert_eq!(
        failure(&bob.browser, "/fn/create-guest-link", &form).await,
        Failure::NotSignedIn
    );

    // What is said in the room, and who is here, is not told.
    let room = ada.page.general();
    let mut eve = Party::join(&server, "Eve").await;
    let message = ClientFrame::Send {
        id: message_id(),
        room,
        text: MessageText::new("for members").unwrap(),
    };
    eve.page.send(&message).await;
    eve.page
        .until(|frame| matches!(frame, ServerFrame::Sent { .. }).then_some(()))
        .await;
    let names: Vec<_> = eve
        .page
        .welcome()
        .people
        .iter()
        .map(|it| it.person.name.to_string())
        .collect();
    assert!(!names.contains(&"Bob".to_owned()), "{names:?}");
    for frame in bob.page.all_so_far().await {
        assert!(
            matches!(
                frame,
                ServerFrame::GroupCall { .. } | ServerFrame::Pong { .. }
            ),
            "{frame:?}"
        );
    }

    // And nothing else can be said.
    let to = ada.page.me().id;
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
        bob.page.send(&frame).await;
        assert_eq!(bob.refusal().await, ErrorCode::NotAllowed, "{frame:?}");
    }
    bob.page.send_bytes(vec![0; 64]).await;
    assert_eq!(bob.refusal().await, ErrorCode::NotAllowed);
    let media = Media::Voice;
    for (id, action) in [
        (call_id(), Action::Join { room }),
        (call_id(), Action::Start { to, media }),
        (call, Action::Start { to, media }),
    ] {
        bob.say(id, action).await;
        assert_eq!(bob.refusal().await, ErrorCode::NoSuchCall);
    }
}

#[tokio::test]
async fn a_link_that_is_ended_takes_its_guests_with_it() {
    let server = Server::start().await;
    let mut ada = Party::join(&server, "Ada").await;
    let call = ada.gather().await;
    let (first, second) = (ada.link(call).await, ada.link(call).await);
    let mut bob = Guest::come(&server, &first, "Bob").await;
    let mut eve = Guest::come(&server, &second, "Eve").await;
    bob.gather(call).await;
    eve.gather(call).await;
    people(&mut ada.page, 3).await;
    let id = call.to_string();
    let links: Vec<GuestLinkSummary> = ada.person.ask("/fn/guest-links", &[("call", &id)]).await;
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
    let () = ada.person.ask("/fn/revoke-guest-link", &form).await;

    let (code, _) = bob.page.expect_close().await;
    assert_eq!(code, CloseCode::SignedOut.code());
    let left = people(&mut ada.page, 2).await;
    assert_eq!(
        left.members[1].shown_name(),
        "Eve (guest)",
        "at once, and no other"
    );
    let page = bob.browser.html(&first.path).await;
    assert!(page.contains("does not work any more"), "{page}");
    is_turned_away(&bob, &first).await;
    let links: Vec<GuestLinkSummary> = ada.person.ask("/fn/guest-links", &[("call", &id)]).await;
    assert_eq!(links.len(), 1);
}

#[tokio::test]
async fn a_guest_who_is_not_connected_when_the_link_is_ended_is_out_all_the_same() {
    let server = Server::start().await;
    let mut ada = Party::join(&server, "Ada").await;
    let call = ada.gather().await;
    let link = ada.link(call).await;
    let mut bob = Guest::come(&server, &link, "Bob").await;
    bob.gather(call).await;
    people(&mut ada.page, 2).await;
    // The connection breaks: the place is kept for a while.
    drop(bob.page);
    while !group(&mut ada.page).await.members[1].away {}
    let form = [
        ("call", call.to_string()),
        ("link", link.link.id.to_string()),
    ];
    let () = ada.person.ask("/fn/revoke-guest-link", &form).await;
    people(&mut ada.page, 1).await;
}

#[tokio::test]
async fn when_the_last_of_the_room_leaves_the_call_is_over_for_guests_too() {
    let server = Server::start().await;
    let mut ada = Party::join(&server, "Ada").await;
    let call = ada.gather().await;
    let link = ada.link(call).await;
    let mut bob = Guest::come(&server, &link, "Bob").await;
    bob.gather(call).await;
    ada.say(call, Action::HangUp).await;
    while part(&mut bob.page).await.1 != Part::Out {}
    let names = ada
        .page
        .until(|frame| match frame {
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
    let (code, _) = bob.page.expect_close().await;
    assert_eq!(code, CloseCode::SignedOut.code());
    is_turned_away(&bob, &link).await;
}

#[tokio::test]
async fn whoever_is_in_the_call_invites_guests_and_nobody_else() {
    let server = Server::start().await;
    let mut ada = Party::join(&server, "Ada").await;
    let eve = Party::join(&server, "Eve").await;
    let call = ada.gather().await;
    let id = call.to_string();
    let form = |hours| [("call", id.as_str()), ("hours", hours)];
    let make = "/fn/create-guest-link";
    let stranger = Person::nobody(&server, "Mallory");
    assert_eq!(
        failure(&stranger, make, &form("1")).await,
        Failure::NotSignedIn
    );
    let refused = failure(&eve.person, make, &form("1")).await;
    assert!(matches!(refused, Failure::NotAllowed { .. }), "{refused:?}");
    for hours in ["0", "169"] {
        let refused = failure(&ada.person, make, &form(hours)).await;
        assert!(matches!(refused, Failure::Invalid { .. }), "{refused:?}");
    }
    let link = ada.link(call).await;
    let end = [("call", id.clone()), ("link", link.link.id.to_string())];
    let end: Vec<_> = end
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let refused = failure(&eve.person, "/fn/revoke-guest-link", &end).await;
    assert!(matches!(refused, Failure::NotAllowed { .. }), "{refused:?}");

    let page = eve.person.html(&link.path).await;
    assert!(page.contains("You are a member of this room"), "{page}");
    let wrong = stranger.html("/call/0000").await;
    assert!(wrong.contains("does not work any more"), "{wrong}");
    let token = link.path.rsplit('/').next().unwrap();
    let form = [("token", token), ("name", "  ")];
    let back = stranger.submit(&link.path, "/fn/enter-call", &form).await;
    let page = stranger.html(&back).await;
    assert!(
        page.contains("What is your name?") && page.contains("role=\"alert\""),
        "{page}"
    );
}

#[tokio::test]
async fn a_guest_comes_back_to_their_place() {
    let mut server = Server::start().await;
    let mut ada = Party::join(&server, "Ada").await;
    let call = ada.gather().await;
    let link = ada.link(call).await;
    let mut bob = Guest::come(&server, &link, "Bob").await;
    let greeting = Greeting::default();
    bob.page = Guest::connect(&bob.browser, &link, greeting.clone()).await;
    bob.gather(call).await;
    server.kill().await;
    server.restart().await;
    let back = bob.browser.at(&server);
    let mut page = Guest::connect(&back, &link, greeting).await;
    let (group, part) = part(&mut page).await;
    assert_eq!(group.id, call);
    assert!(matches!(part, Part::In { seat: Seat(2), .. }), "{part:?}");
    let names: Vec<_> = group
        .members
        .iter()
        .map(rialto::model::call::group::Seated::shown_name)
        .collect();
    assert_eq!(names, ["Ada", "Bob (guest)"]);
}

#[tokio::test]
async fn guests_come_to_any_node() {
    needs_postgresql!();
    let cluster = Cluster::start(3).await;
    // The first node holds the desk.
    let mut ada = Party::open(cluster.join(1, "Ada").await).await;
    let call = ada.gather().await;
    let link = ada.link(call).await;
    let mut bob = Guest::come(&cluster.nodes[2], &link, "Bob").await;
    bob.gather(call).await;
    let seen = people(&mut ada.page, 2).await;
    assert!(seen.members[1].guest);
    let signal = Signal::Restart;
    let to = Some(Seat(1));
    bob.say(call, Action::Signal { signal, to }).await;
    ada.page
        .until(|frame| matches!(frame, ServerFrame::Signal { .. }).then_some(()))
        .await;
    let form = [
        ("call", call.to_string()),
        ("link", link.link.id.to_string()),
    ];
    let () = ada.person.ask("/fn/revoke-guest-link", &form).await;
    let (code, _) = bob.page.expect_close().await;
    assert_eq!(code, CloseCode::SignedOut.code());
    people(&mut ada.page, 1).await;
}
