//! Tests of group calls.

use super::{
    super::{commands::GroupCallCommand, join_group_call::JoinDecision},
    CallFixture, LONG_TIMEOUTS, TestClient, connected_call,
};
use crate::{
    model::{
        CallId, Millis, RoomId,
        call::{
            ClientAction, Media, Seat, SignalingMessage, State, Timeouts,
            group::{GroupCallView, Participation},
        },
        message::{Content, RoomEvent},
        room::{RoomKind, RoomName},
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{clock, random, store::Term},
};

impl CallFixture {
    /// Includes everybody; created before they connect.
    pub(super) async fn create_room(&self) -> RoomId {
        let id = RoomId(random::new_id());
        let name = RoomName::new("The Arsenal").unwrap();
        let made = self
            .app
            .store
            .create_room(id, "the-arsenal", &name, 0)
            .await;
        assert!(made.unwrap().is_some());
        id
    }

    pub(super) async fn connect_member(&self, name: &str, room: RoomId) -> TestClient {
        let person = self.create_person(name).await;
        self.app.store.join_everybody(room).await;
        self.app
            .connections
            .subscribe(person.id, room, RoomKind::Public);
        self.connect_client(&person).await
    }
}

impl TestClient {
    pub(super) async fn join_group_call(&self, room: RoomId) -> CallId {
        let id = CallId(random::new_id());
        self.send_action(id, ClientAction::Join { room }).await;
        id
    }

    async fn next_group_call(&mut self) -> GroupCallView {
        loop {
            match self.next_frame().await {
                ServerFrame::GroupCall { group } => return group,
                ServerFrame::Error(refusal) => panic!("{refusal:?}"),
                _ => {}
            }
        }
    }

    pub(super) async fn next_participation(&mut self) -> (GroupCallView, Participation) {
        loop {
            let group = self.next_group_call().await;
            if let Some(part) = group.participation.clone() {
                return (group, part);
            }
        }
    }

    async fn next_seat(&mut self) -> Seat {
        match self.next_participation().await.1 {
            Participation::In { seat, .. } => seat,
            Participation::Out => panic!("out"),
        }
    }

    async fn wait_for_participants(&mut self, count: usize) -> GroupCallView {
        loop {
            let group = self.next_group_call().await;
            if group.participants.len() == count {
                return group;
            }
        }
    }
}

#[tokio::test]
async fn a_join_repeated_as_the_call_ends_does_not_begin_another() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let room = fixture.create_room().await;
    let mut ada = fixture.connect_member("Ada", room).await;
    let id = ada.join_group_call(room).await;
    ada.next_seat().await;
    ada.send_action(id, ClientAction::HangUp).await;
    fixture.wait_until_idle().await;
    assert_eq!(ada.next_participation().await.1, Participation::Out);
    // The lookup of this join preceded the call's end.
    let user = ada.connection.person.id;
    let JoinDecision::NewCall(_, task, command_tx, command_rx) =
        fixture.registry.decide_join(user, id, room)
    else {
        panic!("nothing else goes on in the room");
    };
    tokio::spawn(task.run(command_rx));
    let from = ada.connection.clone();
    let sent = command_tx.send(GroupCallCommand::Join { from, id }).await;
    assert!(sent.is_ok());
    assert_eq!(ada.next_participation().await.1, Participation::Out);
    fixture.wait_until_idle().await;
    let other = ada.join_group_call(room).await;
    assert_eq!(
        ada.wait_for_participants(1).await.id,
        other,
        "another one begins"
    );
}

#[tokio::test]
async fn whoever_comes_first_starts_it_and_everybody_in_the_room_sees_who_is_in_it() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let room = fixture.create_room().await;
    let mut ada = fixture.connect_member("Ada", room).await;
    let mut bob = fixture.connect_member("Bob", room).await;
    let mut eve = fixture.connect_member("Eve", room).await;
    let id = ada.join_group_call(room).await;
    let (group, part) = ada.next_participation().await;
    assert_eq!(
        (group.id, group.room, group.max_participants),
        (id, room, 6)
    );
    assert!(
        matches!(part, Participation::In { seat: Seat(1), ice_servers } if !ice_servers.is_empty())
    );
    bob.join_group_call(room).await;
    let (group, part) = bob.next_participation().await;
    assert_eq!(
        group.id, id,
        "one call a room, whatever id it was asked with"
    );
    assert!(matches!(part, Participation::In { seat: Seat(2), .. }));
    let seen = eve.wait_for_participants(2).await;
    let names: Vec<_> = seen
        .participants
        .iter()
        .map(|it| it.person.name.to_string())
        .collect();
    assert_eq!(
        (names, seen.participation),
        (vec!["Ada".to_owned(), "Bob".to_owned()], None)
    );
    ada.wait_for_participants(2).await;
    let stranger = fixture.create_person("Mallory").await;
    let mut mallory = fixture.connect_client(&stranger).await;
    mallory.join_group_call(room).await;
    assert_eq!(mallory.next_error().await, ErrorCode::NoSuchRoom);
}

#[tokio::test]
async fn each_change_has_a_later_as_of_whichever_node_is_the_leader() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let room = fixture.create_room().await;
    let mut eve = fixture.connect_member("Eve", room).await;
    let mut views = Vec::new();
    let mut pages = Vec::new();
    for (count, name) in (1..).zip(["Ada", "Bob", "Dan"]) {
        let mut page = fixture.connect_member(name, room).await;
        page.join_group_call(room).await;
        let mine = page.next_participation().await.0.as_of;
        views.push(eve.wait_for_participants(count).await);
        assert_eq!(views.last().unwrap().as_of, mine, "told in two ways");
        pages.push(page);
    }
    // The next leader's clock is behind the retained version.
    let ahead = clock::now() + 60_000;
    let known = GroupCallView {
        as_of: ahead,
        ..views.last().unwrap().clone()
    };
    let table = &fixture.registry.table;
    table.publish_group_call(Term::Sole, known);
    views.push(eve.wait_for_participants(3).await);
    fixture.registry.step_down().await;
    fixture.registry.become_leader(Term::Sole).await.unwrap();
    views.push(eve.wait_for_participants(3).await);
    let moments: Vec<_> = views.iter().map(|view| view.as_of).collect();
    assert!(moments.is_sorted_by(|one, next| one < next), "{moments:?}");
}

#[tokio::test]
async fn signals_go_from_seat_to_seat() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let room = fixture.create_room().await;
    let mut pages = Vec::new();
    for name in ["Ada", "Bob", "Eve"] {
        let mut page = fixture.connect_member(name, room).await;
        page.join_group_call(room).await;
        page.next_seat().await;
        pages.push(page);
    }
    let [ada, bob, eve] = &mut pages[..] else {
        unreachable!()
    };
    let id = ada.wait_for_participants(3).await.id;
    let signal = SignalingMessage::RestartIce;
    let to = Some(Seat(1));
    eve.send_action(id, ClientAction::Signal { signal, to })
        .await;
    let from_seat = loop {
        if let ServerFrame::Signal { from, .. } = ada.next_frame().await {
            break from;
        }
    };
    assert_eq!(from_seat, Some(Seat(3)));
    bob.wait_for_participants(3).await;
    bob.assert_no_call_frames().await;
}

#[tokio::test]
async fn it_ends_with_the_last_who_leaves_and_its_outcome_is_posted_in_the_room() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let room = fixture.create_room().await;
    let mut ada = fixture.connect_member("Ada", room).await;
    let mut bob = fixture.connect_member("Bob", room).await;
    let id = ada.join_group_call(room).await;
    ada.next_seat().await;
    bob.join_group_call(room).await;
    bob.next_seat().await;
    ada.send_action(id, ClientAction::HangUp).await;
    loop {
        if ada.next_participation().await.1 == Participation::Out {
            break;
        }
    }
    assert_eq!(
        bob.wait_for_participants(1).await.participants[0]
            .person
            .name
            .to_string(),
        "Bob"
    );
    fixture.disconnect(&bob).await;
    let closed = &bob.connection;
    fixture
        .registry
        .on_client_disconnected(closed, crate::server::live::Disconnect::Left);
    let (call, people) = loop {
        if let ServerFrame::Event {
            event: RoomEvent::Message { message },
            ..
        } = ada.next_frame().await
            && let Content::GroupCall { call, people, .. } = message.content
        {
            break (call, people);
        }
    };
    assert_eq!(
        (call, people),
        (id, vec!["Ada".to_owned(), "Bob".to_owned()])
    );
    assert!(ada.wait_for_participants(0).await.is_ended());
    assert_eq!(fixture.registry.open_call_count(), 0);
    let again = ada.join_group_call(room).await;
    assert_eq!(
        ada.wait_for_participants(1).await.id,
        again,
        "and another one begins"
    );
}

#[tokio::test]
async fn whoever_joins_with_another_client_is_out_on_the_first() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let room = fixture.create_room().await;
    let mut ada = fixture.connect_member("Ada", room).await;
    ada.join_group_call(room).await;
    ada.next_seat().await;
    let mut other = fixture.connect_client(&ada.connection.person.clone()).await;
    other.join_group_call(room).await;
    assert_eq!(other.next_seat().await, Seat(2));
    assert_eq!(ada.next_participation().await.1, Participation::Out);
    assert_eq!(fixture.registry.open_call_count(), 1);
}

#[tokio::test]
async fn a_repeated_join_does_not_take_the_call_back_from_another_client() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let room = fixture.create_room().await;
    let mut ada = fixture.connect_member("Ada", room).await;
    let first = ada.join_group_call(room).await;
    ada.next_seat().await;
    let mut other = fixture.connect_client(&ada.connection.person.clone()).await;
    other.join_group_call(room).await;
    assert_eq!(other.next_seat().await, Seat(2));
    assert_eq!(ada.next_participation().await.1, Participation::Out);

    // As after an acknowledgement that was lost.
    ada.send_action(first, ClientAction::Join { room }).await;
    assert_eq!(ada.next_participation().await.1, Participation::Out);
    assert_eq!(ada.next_error().await, ErrorCode::AlreadyInCall);
    ada.join_group_call(room).await;
    assert_eq!(ada.next_seat().await, Seat(3), "a new join moves the call");
    assert_eq!(other.next_participation().await.1, Participation::Out);
}

#[tokio::test]
async fn nobody_is_in_two_calls_of_whichever_kind() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let room = fixture.create_room().await;
    let mut eve = fixture.connect_member("Eve", room).await;
    let (first, mut ada, mut bob) = connected_call(&fixture).await;
    fixture.app.store.join_everybody(room).await;
    ada.join_group_call(room).await;
    assert_eq!(ada.next_error().await, ErrorCode::AlreadyInCall);
    eve.join_group_call(room).await;
    eve.next_seat().await;
    eve.start_call(&ada.connection.person.clone()).await;
    assert_eq!(eve.next_error().await, ErrorCode::AlreadyInCall);

    // A participant can be called, and leave for that call.
    bob.send_action(first, ClientAction::HangUp).await;
    assert_eq!(
        bob.next_state().await,
        super::ended_state(crate::model::call::Outcome::HungUp)
    );
    let id = bob.start_call(&eve.connection.person.clone()).await;
    let rings = eve.next_call().await;
    assert_eq!((rings.id, rings.is_waiting), (id, true));
    eve.send_action(id, ClientAction::Accept).await;
    assert_eq!(eve.wait_for_state(State::Connecting).await.id, id);
    assert_eq!(
        fixture.registry.open_call_count(),
        1,
        "the call of the room is over"
    );
}

#[tokio::test]
async fn a_full_call_rejects_whoever_joins() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let room = fixture.create_room().await;
    for n in 0..6 {
        let mut page = fixture.connect_member(&format!("Person {n}"), room).await;
        page.join_group_call(room).await;
        page.next_seat().await;
    }
    let mut late = fixture.connect_member("Late", room).await;
    late.join_group_call(room).await;
    assert_eq!(late.next_error().await, ErrorCode::WrongState);
    let with = fixture.create_person("Friend").await;
    let (to, media) = (with.id, Media::Voice);
    late.send_action(CallId(random::new_id()), ClientAction::Start { to, media })
        .await;
    assert_eq!(
        late.next_state().await,
        State::Dialing,
        "who was not let in is free"
    );
}

const SHORT_GRACE_TIMEOUTS: Timeouts = Timeouts {
    grace: 1_000,
    ..LONG_TIMEOUTS
};

#[tokio::test]
async fn a_disconnected_client_may_reconnect_and_one_that_stays_away_is_out() {
    let fixture = CallFixture::new(SHORT_GRACE_TIMEOUTS).await;
    let room = fixture.create_room().await;
    let mut ada = fixture.connect_member("Ada", room).await;
    let mut bob = fixture.connect_member("Bob", room).await;
    ada.join_group_call(room).await;
    ada.next_seat().await;
    bob.join_group_call(room).await;
    bob.next_seat().await;
    fixture.disconnect(&bob).await;
    loop {
        let group = ada.next_group_call().await;
        if group.participants.len() == 2 && group.participants[1].is_disconnected {
            break;
        }
    }
    let (person, client) = (bob.connection.person.clone(), bob.connection.client);
    let mut back = fixture.connect_client_as(&person, client).await;
    assert_eq!(back.next_seat().await, Seat(2), "in the same place");
    fixture.disconnect(&back).await;
    ada.wait_for_participants(1).await;
    let mut late = fixture.connect_client_as(&person, client).await;
    let id = fixture.group_call_id(room);
    late.send_action(id, ClientAction::Disconnected).await;
    assert_eq!(
        late.next_participation().await.1,
        Participation::Out,
        "asked how things are"
    );
}

impl CallFixture {
    fn group_call_id(&self, room: RoomId) -> CallId {
        self.registry.table.lock().group_call_by_room[&room]
    }
}

#[tokio::test]
async fn it_survives_the_server_and_ends_by_itself_if_nobody_comes_back() {
    let fixture = CallFixture::new(SHORT_GRACE_TIMEOUTS).await;
    let room = fixture.create_room().await;
    let mut ada = fixture.connect_member("Ada", room).await;
    let mut bob = fixture.connect_member("Bob", room).await;
    let id = ada.join_group_call(room).await;
    ada.next_seat().await;
    bob.join_group_call(room).await;
    bob.next_seat().await;
    let (person, client) = (ada.connection.person.clone(), ada.connection.client);
    let fixture = fixture.restart(SHORT_GRACE_TIMEOUTS).await;
    let mut ada = fixture.connect_client_as(&person, client).await;
    let (group, part) = ada.next_participation().await;
    assert!(group.id == id && matches!(part, Participation::In { seat: Seat(1), .. }));
    let waited: Millis = 5_000;
    let until = clock::now() + waited;
    let stored = loop {
        let row = fixture
            .app
            .store
            .find_group_call(id)
            .await
            .unwrap()
            .unwrap();
        if row.members.len() == 1 || clock::now() > until {
            break row;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(stored.members.len(), 1, "Bob did not come back");
    fixture.disconnect(&ada).await;
    let ended = loop {
        let row = fixture
            .app
            .store
            .find_group_call(id)
            .await
            .unwrap()
            .unwrap();
        if row.ended_at.is_some() || clock::now() > until {
            break row;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(ended.ended_at.is_some());
}
