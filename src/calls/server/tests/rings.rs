//! Tests of unwanted rings: they engage nobody, keep nobody out and are limited.

use super::{CallFixture, LONG_TIMEOUTS, TestClient, ended_state};
use crate::{
    model::{
        CallId, RoomId,
        call::{ClientAction, Outcome, State},
        message::{Content, MessageText},
        user::Person,
    },
    protocol::ws::ErrorCode,
    server::{clock, event_log::NewMessage, random},
};

/// Mallory rings Bob.
async fn rung(fixture: &CallFixture) -> (CallId, TestClient, TestClient) {
    let (mallory, bob) = (
        fixture.create_person("Mallory").await,
        fixture.create_person("Bob").await,
    );
    let mut m = fixture.connect_client(&mallory).await;
    let mut b = fixture.connect_client(&bob).await;
    let id = m.start_call(&bob).await;
    assert_eq!(m.next_state().await, State::Dialing);
    let seen = b.next_call().await;
    assert_eq!((seen.id, seen.is_waiting), (id, false));
    (id, m, b)
}

/// Bob writes to somebody, who is no stranger from then on.
async fn write(fixture: &CallFixture, from: &Person, to: &Person) {
    let new = RoomId(random::new_id());
    let log = &fixture.app.event_log;
    let room = log.find_or_create_direct_room(new, from.id, to.id, clock::now());
    let text = MessageText::new("Hello").unwrap();
    let message = NewMessage {
        id: crate::model::MessageId(random::new_id()),
        room: room.await.unwrap(),
        author: from.clone(),
        content: Content::Text { text },
        media_type: None,
    };
    log.post_message(message).await.unwrap();
}

#[tokio::test]
async fn who_is_rung_calls_somebody_else_and_the_ring_waits() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (ring, mut m, mut b) = rung(&fixture).await;
    let carol = fixture.create_person("Carol").await;
    let mut c = fixture.connect_client(&carol).await;
    let own = b.start_call(&carol).await;
    let waits = b.next_call().await;
    let dials = b.next_call().await;
    let mut seen = [(waits.id, waits.is_waiting), (dials.id, dials.is_waiting)];
    seen.sort_by_key(|(_, is_waiting)| *is_waiting);
    assert_eq!(seen, [(own, false), (ring, true)]);
    assert_eq!(c.next_call().await.id, own);
    c.send_action(own, ClientAction::Accept).await;
    assert_eq!(b.next_state().await, State::Connecting);
    // It rings again when the own call is over.
    b.send_action(own, ClientAction::HangUp).await;
    assert_eq!(b.next_state().await, ended_state(Outcome::HungUp));
    let rings = b.next_call().await;
    assert_eq!((rings.id, rings.is_waiting), (ring, false));
    m.send_action(ring, ClientAction::HangUp).await;
    m.wait_for_state(ended_state(Outcome::Cancelled)).await;
    assert_eq!(b.next_state().await, ended_state(Outcome::Cancelled));
    fixture.wait_until_idle().await;
    assert_eq!(fixture.registry.engaged_user_count(), 0);
}

#[tokio::test]
async fn who_is_rung_joins_the_call_of_a_room() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (ring, _m, mut b) = rung(&fixture).await;
    let room = fixture.create_room().await;
    fixture.app.store.join_everybody(room).await;
    let group = CallId(random::new_id());
    b.send_action(group, ClientAction::Join { room }).await;
    let waits = b.next_call().await;
    assert_eq!((waits.id, waits.is_waiting), (ring, true));
    assert_eq!(fixture.registry.open_call_count(), 2);
    b.send_action(ring, ClientAction::Accept).await;
    assert_eq!(
        b.wait_for_state(State::Connecting).await.id,
        ring,
        "the person switches"
    );
}

#[tokio::test]
async fn calling_back_answers_also_the_second_of_two_rings() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (ring, _m, mut b) = rung(&fixture).await;
    let carol = fixture.create_person("Carol").await;
    let mut c = fixture.connect_client(&carol).await;
    let second = c.start_call(&b.connection.person).await;
    let seen = b.next_call().await;
    assert_eq!((seen.id, seen.is_waiting), (second, true));
    b.start_call(&carol).await;
    assert_eq!(c.wait_for_state(State::Connecting).await.id, second);
    let mut told = [b.next_call().await, b.next_call().await];
    told.sort_by_key(|view| view.is_waiting);
    assert_eq!((told[0].id, told[0].state), (second, State::Connecting));
    assert_eq!((told[1].id, told[1].is_waiting), (ring, true));
}

#[tokio::test]
async fn rings_of_strangers_give_way_to_somebody_known() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (first, mut mallory, mut bobs_page) = rung(&fixture).await;
    let bob = bobs_page.connection.person.clone();
    let eve = fixture.create_person("Eve").await;
    let mut eve = fixture.connect_client(&eve).await;
    let second = eve.start_call(&bob).await;
    assert_eq!(bobs_page.next_call().await.id, second);
    // Another stranger finds no place, and friends do.
    let stranger = fixture.create_person("Stranger").await;
    let mut stranger = fixture.connect_client(&stranger).await;
    stranger.start_call(&bob).await;
    assert_eq!(stranger.next_state().await, ended_state(Outcome::Busy));
    bobs_page.next_outcome().await;
    for (name, displaced) in [("Carol", second), ("Dan", first)] {
        let friend = fixture.create_person(name).await;
        write(&fixture, &bob, &friend).await;
        let mut friend = fixture.connect_client(&friend).await;
        let id = friend.start_call(&bob).await;
        let lost = if displaced == first {
            &mut mallory
        } else {
            &mut eve
        };
        assert_eq!(
            lost.wait_for_state(ended_state(Outcome::Busy)).await.id,
            displaced
        );
        assert_eq!(friend.next_state().await, State::Dialing, "{name}");
        while bobs_page.wait_for_state(State::Dialing).await.id != id {}
    }
    let friend = fixture.create_person("Frank").await;
    write(&fixture, &bob, &friend).await;
    let mut friend = fixture.connect_client(&friend).await;
    friend.start_call(&bob).await;
    assert_eq!(
        friend.next_state().await,
        ended_state(Outcome::Busy),
        "two friends ring"
    );
}

#[tokio::test]
async fn rings_of_one_person_are_limited_and_declined_ones_count_more() {
    let fixture = CallFixture::with_limits("rings=6/1h").await;
    let (first, mut m, b) = rung(&fixture).await;
    let bob = b.connection.person.clone();
    let mut id = first;
    let mut rings = 1;
    let refused = loop {
        b.send_action(id, ClientAction::Decline).await;
        assert_eq!(
            m.wait_for_state(ended_state(Outcome::Declined)).await.id,
            id
        );
        fixture.wait_until_idle().await;
        id = m.start_call(&bob).await;
        match m.next_call_or_error().await {
            Ok(view) => assert_eq!(view.state, State::Dialing),
            Err(refusal) => break refusal,
        }
        rings += 1;
    };
    assert_eq!(rings, 2, "each counts three times");
    assert_eq!(refused.code, ErrorCode::RateLimited);
    assert!(
        refused.reason.starts_with("Too many calls to Bob. Wait "),
        "{}",
        refused.reason
    );
    assert!(refused.retry_after_ms.is_some());
    // Bob calls Mallory, and somebody else calls Bob.
    let back = b.start_call(&m.connection.person.clone()).await;
    assert_eq!(m.wait_for_state(State::Dialing).await.id, back);
    let carol = fixture.create_person("Carol").await;
    let mut c = fixture.connect_client(&carol).await;
    c.start_call(&bob).await;
    assert_eq!(c.next_state().await, State::Dialing);
}

#[tokio::test]
async fn rings_of_many_strangers_are_limited_and_those_of_friends_are_not() {
    let fixture = CallFixture::with_limits("strangers-rings=3/1h").await;
    let bob = fixture.create_person("Bob").await;
    let _b = fixture.connect_client(&bob).await;
    for n in 0..5 {
        let stranger = fixture.create_person(&format!("Stranger {n}")).await;
        let mut s = fixture.connect_client(&stranger).await;
        let id = s.start_call(&bob).await;
        match s.next_call_or_error().await {
            Ok(view) => assert!(n < 3 && view.state == State::Dialing, "{n}"),
            Err(refusal) => assert!(n >= 3 && refusal.code == ErrorCode::RateLimited, "{n}"),
        }
        s.send_action(id, ClientAction::HangUp).await;
        fixture.wait_until_idle().await;
    }
    let friend = fixture.create_person("Friend").await;
    write(&fixture, &bob, &friend).await;
    let mut f = fixture.connect_client(&friend).await;
    f.start_call(&bob).await;
    assert_eq!(f.next_state().await, State::Dialing);
}
