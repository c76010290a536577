//! Calls in rooms, with a real store and real queues.

use super::{
    super::{group::GroupMail, join::Decision},
    House, PATIENCE, Page, in_a_call,
};
use crate::{
    model::{
        CallId, Millis, RoomId,
        call::{
            Action, Media, Patience, Seat, Signal, State,
            group::{GroupView, Part},
        },
        message::{Content, RoomEvent},
        room::{RoomKind, RoomName},
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{clock, secret},
};

impl House {
    /// A room of everybody, made before they come.
    pub(super) async fn room(&self) -> RoomId {
        let id = RoomId(secret::id());
        let name = RoomName::new("The Arsenal").unwrap();
        let made = self
            .app
            .store
            .create_room(id, "the-arsenal", &name, 0)
            .await;
        assert!(made.unwrap());
        id
    }

    /// Somebody who is in a room, with a page.
    pub(super) async fn in_room(&self, name: &str, room: RoomId) -> Page {
        let person = self.person(name).await;
        self.app
            .store
            .create_memberships(room, clock::now())
            .await
            .unwrap();
        self.app.live.hear(person.id, room, RoomKind::Public);
        self.page(&person).await
    }
}

impl Page {
    pub(super) async fn join(&self, room: RoomId) -> CallId {
        let id = CallId(secret::id());
        self.act(id, Action::Join { room }).await;
        id
    }

    /// The next word on the call of a room.
    async fn group(&mut self) -> GroupView {
        loop {
            match self.hear().await {
                ServerFrame::GroupCall { group } => return group,
                ServerFrame::Error { reason, .. } => panic!("refused: {reason}"),
                _ => {}
            }
        }
    }

    /// The first word on it in which this page is told of its own part.
    pub(super) async fn part(&mut self) -> (GroupView, Part) {
        loop {
            let group = self.group().await;
            if let Some(part) = group.part.clone() {
                return (group, part);
            }
        }
    }

    async fn seat(&mut self) -> Seat {
        match self.part().await.1 {
            Part::In { seat, .. } => seat,
            Part::Out => panic!("out"),
        }
    }

    /// The first word on it with so many in it.
    async fn people(&mut self, count: usize) -> GroupView {
        loop {
            let group = self.group().await;
            if group.members.len() == count {
                return group;
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_is_joined_again_as_it_ends_does_not_begin_again() {
    let house = House::new(PATIENCE).await;
    let room = house.room().await;
    let mut ada = house.in_room("Ada", room).await;
    let id = ada.join(room).await;
    ada.seat().await;
    ada.act(id, Action::HangUp).await;
    house.is_quiet().await;
    assert_eq!(ada.part().await.1, Part::Out);
    // What is decided for who looked it up a moment before it ended.
    let user = ada.connection.person.id;
    let Decision::Begin(group, mail, inbox) = house.calls.decide_join(user, id, room) else {
        panic!("nothing else goes on in the room");
    };
    tokio::spawn(group.run(inbox));
    let from = ada.connection.clone();
    let sent = mail.send(GroupMail::Join { from, id }).await;
    assert!(sent.is_ok());
    assert_eq!(ada.part().await.1, Part::Out);
    house.is_quiet().await;
    let other = ada.join(room).await;
    assert_eq!(ada.people(1).await.id, other, "another one begins");
}

#[tokio::test]
async fn whoever_comes_first_starts_it_and_everybody_in_the_room_sees_who_is_in_it() {
    let house = House::new(PATIENCE).await;
    let room = house.room().await;
    let mut ada = house.in_room("Ada", room).await;
    let mut bob = house.in_room("Bob", room).await;
    let mut eve = house.in_room("Eve", room).await;
    let id = ada.join(room).await;
    let (group, part) = ada.part().await;
    assert_eq!((group.id, group.room, group.most), (id, room, 6));
    assert!(matches!(part, Part::In { seat: Seat(1), ice_servers } if !ice_servers.is_empty()));
    bob.join(room).await;
    let (group, part) = bob.part().await;
    assert_eq!(
        group.id, id,
        "one call a room, whatever id it was asked with"
    );
    assert!(matches!(part, Part::In { seat: Seat(2), .. }));
    let seen = eve.people(2).await;
    let names: Vec<_> = seen
        .members
        .iter()
        .map(|it| it.person.name.to_string())
        .collect();
    assert_eq!(
        (names, seen.part),
        (vec!["Ada".to_owned(), "Bob".to_owned()], None)
    );
    ada.people(2).await;
    let stranger = house.person("Mallory").await;
    let mut mallory = house.page(&stranger).await;
    mallory.join(room).await;
    assert_eq!(mallory.error().await, ErrorCode::NoSuchRoom);
}

#[tokio::test]
async fn each_change_is_of_a_later_moment_whoever_decides_about_the_call() {
    let house = House::new(PATIENCE).await;
    let room = house.room().await;
    let mut eve = house.in_room("Eve", room).await;
    let mut told = Vec::new();
    let mut pages = Vec::new();
    for (count, name) in (1..).zip(["Ada", "Bob", "Dan"]) {
        let mut page = house.in_room(name, room).await;
        page.join(room).await;
        let mine = page.part().await.0.as_of;
        told.push(eve.people(count).await);
        assert_eq!(told.last().unwrap().as_of, mine, "told in two ways");
        pages.push(page);
    }
    // The next to decide has a clock that is behind: what this node knows of it is ahead.
    let ahead = clock::now() + 60_000;
    let known = GroupView {
        as_of: ahead,
        ..told.last().unwrap().clone()
    };
    house.app.live.tell_group(known);
    told.push(eve.people(3).await);
    house.calls.step_down();
    house.calls.restore().await.unwrap();
    told.push(eve.people(3).await);
    let moments: Vec<_> = told.iter().map(|view| view.as_of).collect();
    assert!(moments.is_sorted_by(|one, next| one < next), "{moments:?}");
}

#[tokio::test]
async fn signals_go_from_place_to_place() {
    let house = House::new(PATIENCE).await;
    let room = house.room().await;
    let mut pages = Vec::new();
    for name in ["Ada", "Bob", "Eve"] {
        let mut page = house.in_room(name, room).await;
        page.join(room).await;
        page.seat().await;
        pages.push(page);
    }
    let [ada, bob, eve] = &mut pages[..] else {
        unreachable!()
    };
    let id = ada.people(3).await.id;
    let signal = Signal::Restart;
    let to = Some(Seat(1));
    eve.act(id, Action::Signal { signal, to }).await;
    let heard = loop {
        if let ServerFrame::Signal { from, .. } = ada.hear().await {
            break from;
        }
    };
    assert_eq!(heard, Some(Seat(3)));
    bob.people(3).await;
    bob.silence().await;
}

#[tokio::test]
async fn it_ends_with_the_last_who_leaves_and_the_room_is_told_how_long_and_who() {
    let house = House::new(PATIENCE).await;
    let room = house.room().await;
    let mut ada = house.in_room("Ada", room).await;
    let mut bob = house.in_room("Bob", room).await;
    let id = ada.join(room).await;
    ada.seat().await;
    bob.join(room).await;
    bob.seat().await;
    ada.act(id, Action::HangUp).await;
    loop {
        if ada.part().await.1 == Part::Out {
            break;
        }
    }
    assert_eq!(
        bob.people(1).await.members[0].person.name.to_string(),
        "Bob"
    );
    house.leave(&bob).await;
    let closed = &bob.connection;
    house
        .calls
        .closed(closed, crate::server::live::Gone::ForGood)
        .await;
    let (call, people) = loop {
        if let ServerFrame::Event {
            event: RoomEvent::Message { message },
            ..
        } = ada.hear().await
            && let Content::GroupCall { call, people, .. } = message.content
        {
            break (call, people);
        }
    };
    assert_eq!(
        (call, people),
        (id, vec!["Ada".to_owned(), "Bob".to_owned()])
    );
    assert!(ada.people(0).await.is_over());
    assert_eq!(house.calls.count(), 0);
    let again = ada.join(room).await;
    assert_eq!(ada.people(1).await.id, again, "and another one begins");
}

#[tokio::test]
async fn whoever_goes_on_with_another_page_is_out_on_the_first() {
    let house = House::new(PATIENCE).await;
    let room = house.room().await;
    let mut ada = house.in_room("Ada", room).await;
    ada.join(room).await;
    ada.seat().await;
    let mut other = house.page(&ada.connection.person.clone()).await;
    other.join(room).await;
    assert_eq!(other.seat().await, Seat(2));
    assert_eq!(ada.part().await.1, Part::Out);
    assert_eq!(house.calls.count(), 1);
}

#[tokio::test]
async fn nobody_is_in_two_calls_of_whichever_kind() {
    let house = House::new(PATIENCE).await;
    let room = house.room().await;
    let mut eve = house.in_room("Eve", room).await;
    let (first, mut ada, mut bob) = in_a_call(&house).await;
    house.app.store.create_memberships(room, 0).await.unwrap();
    ada.join(room).await;
    assert_eq!(ada.error().await, ErrorCode::InACall);
    eve.join(room).await;
    eve.seat().await;
    eve.start(&ada.connection.person.clone()).await;
    assert_eq!(eve.error().await, ErrorCode::InACall);

    // Whoever is in the call of a room can be called, and leave it for that.
    bob.act(first, Action::HangUp).await;
    assert_eq!(
        bob.state().await,
        super::ended(crate::model::call::Outcome::HungUp)
    );
    let id = bob.start(&eve.connection.person.clone()).await;
    let rings = eve.call().await;
    assert_eq!((rings.id, rings.waiting), (id, true));
    eve.act(id, Action::Accept).await;
    assert_eq!(eve.until(State::Connecting).await.id, id);
    assert_eq!(house.calls.count(), 1, "the call of the room is over");
}

#[tokio::test]
async fn it_takes_as_many_as_may() {
    let house = House::new(PATIENCE).await;
    let room = house.room().await;
    for n in 0..6 {
        let mut page = house.in_room(&format!("Person {n}"), room).await;
        page.join(room).await;
        page.seat().await;
    }
    let mut late = house.in_room("Late", room).await;
    late.join(room).await;
    assert_eq!(late.error().await, ErrorCode::WrongState);
    let with = house.person("Friend").await;
    let (to, media) = (with.id, Media::Voice);
    late.act(CallId(secret::id()), Action::Start { to, media })
        .await;
    assert_eq!(
        late.state().await,
        State::Dialing,
        "who was not let in is free"
    );
}

const SHORT: Patience = Patience {
    grace: 1_000,
    ..PATIENCE
};

#[tokio::test]
async fn a_page_that_vanishes_may_come_back_and_one_that_stays_away_is_out() {
    let house = House::new(SHORT).await;
    let room = house.room().await;
    let mut ada = house.in_room("Ada", room).await;
    let mut bob = house.in_room("Bob", room).await;
    ada.join(room).await;
    ada.seat().await;
    bob.join(room).await;
    bob.seat().await;
    house.leave(&bob).await;
    loop {
        let group = ada.group().await;
        if group.members.len() == 2 && group.members[1].away {
            break;
        }
    }
    let (person, client) = (bob.connection.person.clone(), bob.connection.client);
    let mut back = house.page_as(&person, client).await;
    assert_eq!(back.seat().await, Seat(2), "in the same place");
    house.leave(&back).await;
    ada.people(1).await;
    let mut late = house.page_as(&person, client).await;
    let id = house.group_id(room);
    late.act(id, Action::Lost).await;
    assert_eq!(late.part().await.1, Part::Out, "asked how things are");
}

impl House {
    fn group_id(&self, room: RoomId) -> CallId {
        self.calls.lock().in_rooms[&room]
    }
}

#[tokio::test]
async fn it_survives_the_server_and_ends_by_itself_if_nobody_comes_back() {
    let house = House::new(SHORT).await;
    let room = house.room().await;
    let mut ada = house.in_room("Ada", room).await;
    let mut bob = house.in_room("Bob", room).await;
    let id = ada.join(room).await;
    ada.seat().await;
    bob.join(room).await;
    bob.seat().await;
    let (person, client) = (ada.connection.person.clone(), ada.connection.client);
    let house = house.again(SHORT).await;
    let mut ada = house.page_as(&person, client).await;
    let (group, part) = ada.part().await;
    assert!(group.id == id && matches!(part, Part::In { seat: Seat(1), .. }));
    let waited: Millis = 5_000;
    let until = clock::now() + waited;
    let stored = loop {
        let row = house.app.store.find_group_call(id).await.unwrap().unwrap();
        if row.members.len() == 1 || clock::now() > until {
            break row;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(stored.members.len(), 1, "Bob did not come back");
    house.leave(&ada).await;
    let ended = loop {
        let row = house.app.store.find_group_call(id).await.unwrap().unwrap();
        if row.ended_at.is_some() || clock::now() > until {
            break row;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(ended.ended_at.is_some());
}
