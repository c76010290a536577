//! The desk and the tasks behind it, with a real store and real queues, and without sockets.

mod any_order;
mod early;
mod group;
mod guests;
mod house;
mod waiting;

use super::{start::Decision, *};
use crate::{
    model::{
        call::{Media, Outcome, Side, Signal, State},
        user::Person,
    },
    server::secret,
};
use house::{House, PATIENCE, Page, ended, in_a_call};

#[tokio::test]
async fn a_call_is_stored_before_it_is_told_and_its_outcome_stands_in_the_room() {
    let house = House::new(PATIENCE).await;
    let (id, mut a, mut b) = in_a_call(&house).await;
    assert_eq!(
        house.app.store.find_call(id).await.unwrap().unwrap().state,
        State::Connected
    );
    b.act(id, Action::HangUp).await;
    let (call, outcome, lasted) = a.outcome().await;
    assert_eq!((call, outcome), (id, Outcome::HungUp));
    assert!(lasted.is_some());
    assert_eq!(b.outcome().await.0, id);
    assert_eq!(
        (a.state().await, b.state().await),
        (ended(Outcome::HungUp), ended(Outcome::HungUp))
    );
    let row = house.app.store.find_call(id).await.unwrap().unwrap();
    assert_eq!(
        (row.state, row.ended_at.is_some()),
        (ended(Outcome::HungUp), true)
    );
    assert!(house.app.store.list_open_calls().await.unwrap().is_empty());
}

#[tokio::test]
async fn only_pages_that_hold_a_side_or_ring_are_given_what_a_path_takes() {
    let house = House::new(PATIENCE).await;
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let (mut a, mut b, mut c) = (
        house.page(&ada).await,
        house.page(&bob).await,
        house.page(&bob).await,
    );
    let mut other = house.page(&ada).await;
    let id = a.start(&bob).await;
    let mine = a.call().await;
    assert_eq!(
        mine.leg.unwrap().ice_servers[0].urls,
        ["stun:stun.example.org"]
    );
    for page in [&mut b, &mut c] {
        let ringing = page.call().await;
        assert!(ringing.leg.is_none() && ringing.ice_servers.is_some());
    }
    b.act(id, Action::Accept).await;
    let accepted = b.call().await;
    assert!(accepted.leg.is_some() && accepted.answered_at.is_some());
    assert!(accepted.ice_servers.is_none());
    let elsewhere = c.call().await;
    assert_eq!(elsewhere.state, ended(Outcome::AnsweredElsewhere));
    assert!(elsewhere.leg.is_none() && elsewhere.ice_servers.is_none());
    a.act(id, Action::HangUp).await;
    assert_eq!(b.state().await, ended(Outcome::HungUp));
    assert_eq!(c.outcome().await.1, Outcome::HungUp);
    c.silence().await;
    assert_eq!(
        other.outcome().await.1,
        Outcome::HungUp,
        "it hears of the room, and of nothing before"
    );
}

#[tokio::test]
async fn what_is_said_again_is_answered_with_how_the_call_stands() {
    let house = House::new(PATIENCE).await;
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let (mut a, mut b) = (house.page(&ada).await, house.page(&bob).await);
    let id = a.start(&bob).await;
    let (to, media) = (bob.id, Media::Video);
    a.until(State::Dialing).await;
    b.until(State::Dialing).await;
    a.act(id, Action::Start { to, media }).await;
    assert_eq!(a.state().await, State::Dialing);
    b.act(id, Action::Ringing).await;
    b.until(State::Ringing).await;
    b.act(id, Action::Ringing).await;
    assert_eq!(b.state().await, State::Ringing);
    b.act(id, Action::Accept).await;
    b.until(State::Connecting).await;
    b.act(id, Action::Accept).await;
    assert_eq!(b.state().await, State::Connecting);
    b.act(id, Action::Connected).await;
    b.act(id, Action::Connected).await;
    b.silence().await;
    a.act(id, Action::Connected).await;
    b.until(State::Connected).await;
    b.act(id, Action::Connected).await;
    assert_eq!(b.state().await, State::Connected);
    a.act(id, Action::HangUp).await;
    b.until(ended(Outcome::HungUp)).await;
    b.act(id, Action::HangUp).await;
    assert_eq!(b.state().await, ended(Outcome::HungUp));
}

#[tokio::test]
async fn a_call_that_is_started_again_as_it_ends_does_not_ring_again() {
    let house = House::new(PATIENCE).await;
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let (mut a, mut b) = (house.page(&ada).await, house.page(&bob).await);
    let id = a.start(&bob).await;
    b.act(id, Action::Decline).await;
    for page in [&mut a, &mut b] {
        page.until(ended(Outcome::Declined)).await;
    }
    house.is_quiet().await;
    // What is decided for who looked it up a moment before it ended.
    let row = house.app.store.find_call(id).await.unwrap().unwrap();
    let start = Start {
        id,
        room: row.room,
        caller: ada.id,
        page: a.connection.client,
        callee: bob.id,
        media: Media::Video,
    };
    let Decision::Ring(call, inbox) = house.calls.decide(start) else {
        panic!("both are free");
    };
    let two = Two::find(&house.app.store, ada.id, bob.id).await.unwrap();
    let rings = house.calls.ring(call, two.unwrap(), inbox).await;
    assert!(!rings.unwrap(), "it is looked up anew");
    assert_eq!(house.calls.count(), 0);
    for page in [&mut a, &mut b] {
        page.silence().await;
    }
}

#[tokio::test]
async fn a_call_that_another_node_has_ended_is_over_here_with_the_next_change() {
    let house = House::new(PATIENCE).await;
    let (id, mut a, mut b) = in_a_call(&house).await;
    let mut row = house.app.store.find_call(id).await.unwrap().unwrap();
    (row.state, row.ended_at) = (ended(Outcome::HungUp), Some(clock::now()));
    assert!(house.app.store.save_call(&row).await.unwrap());
    a.act(id, Action::Lost).await;
    for page in [&mut a, &mut b] {
        assert_eq!(page.state().await, ended(Outcome::HungUp));
    }
    house.is_quiet().await;
}

#[tokio::test]
async fn what_was_decided_is_stored_before_the_desk_is_closed() {
    let house = House::new(PATIENCE).await;
    let (id, a, b) = in_a_call(&house).await;
    house.leave(&a).await;
    house.leave(&b).await;
    house.calls.close().await;
    assert!(house.calls.tasks.is_empty(), "nothing is under way");
    let row = house.app.store.find_call(id).await.unwrap().unwrap();
    assert_eq!(row.state, State::Reconnecting);
    assert_eq!(house.calls.count(), 0, "another node may hold it");
    let frank = house.person("Frank").await;
    let mut f = house.page(&frank).await;
    f.start(&b.connection.person).await;
    assert_eq!(f.error().await, ErrorCode::Unavailable);
    assert_eq!(house.calls.count(), 0);
}

#[tokio::test]
async fn declined_and_cancelled() {
    let house = House::new(PATIENCE).await;
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let (mut a, mut b, mut c) = (
        house.page(&ada).await,
        house.page(&bob).await,
        house.page(&bob).await,
    );
    let id = a.start(&bob).await;
    c.act(id, Action::Decline).await;
    for page in [&mut a, &mut b, &mut c] {
        assert_eq!(
            (page.state().await, page.state().await),
            (State::Dialing, ended(Outcome::Declined))
        );
    }
    let id = a.start(&bob).await;
    a.act(id, Action::HangUp).await;
    for page in [&mut a, &mut b, &mut c] {
        assert_eq!(
            (page.state().await, page.state().await),
            (State::Dialing, ended(Outcome::Cancelled))
        );
    }
    assert_eq!(
        b.outcome_after_all().await,
        [Outcome::Declined, Outcome::Cancelled]
    );
}

#[tokio::test]
async fn nobody_answers_in_time_and_a_page_that_opens_meanwhile_rings() {
    let house = House::new(Patience {
        ring: 2_000,
        ..PATIENCE
    })
    .await;
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let mut a = house.page(&ada).await;
    let id = a.start(&bob).await;
    assert_eq!(a.state().await, State::Dialing);
    let mut b = house.page(&bob).await;
    assert_eq!(b.state().await, State::Dialing);
    b.act(id, Action::Ringing).await;
    assert_eq!(
        (a.state().await, b.state().await),
        (State::Ringing, State::Ringing)
    );
    assert_eq!(
        (a.state().await, b.state().await),
        (ended(Outcome::NoAnswer), ended(Outcome::NoAnswer))
    );
    assert_eq!(b.outcome_after_all().await, [Outcome::NoAnswer]);
}

#[tokio::test]
async fn a_missed_call_is_unread_and_one_that_took_place_is_not() {
    let house = House::new(PATIENCE).await;
    let (id, a, mut b) = in_a_call(&house).await;
    let unread = async |page: &Page| {
        let rooms = house.app.store.list_rooms(page.connection.person.id).await;
        rooms.unwrap().iter().map(|room| room.unread).sum::<i64>()
    };
    a.act(id, Action::HangUp).await;
    assert_eq!(b.state().await, ended(Outcome::HungUp));
    assert_eq!(unread(&b).await, 0);
    let id = a.start(&b.connection.person.clone()).await;
    a.act(id, Action::HangUp).await;
    assert_eq!(
        (b.state().await, b.state().await),
        (State::Dialing, ended(Outcome::Cancelled))
    );
    assert_eq!((unread(&b).await, unread(&a).await), (1, 0));
}

#[tokio::test]
async fn the_history_tells_each_side_what_it_was_to_them() {
    let house = House::new(PATIENCE).await;
    let (id, mut a, b) = in_a_call(&house).await;
    a.act(id, Action::HangUp).await;
    assert_eq!(a.state().await, ended(Outcome::HungUp));
    for (page, side, other) in [(&a, Side::Caller, &b), (&b, Side::Callee, &a)] {
        let past = history::past(&house.app.store, page.connection.person.id)
            .await
            .unwrap();
        let [call] = past.as_slice() else {
            panic!("{past:?}")
        };
        assert_eq!(
            (call.id, call.side, &call.with),
            (id, side, &other.connection.person)
        );
        assert!(call.outcome == Outcome::HungUp && call.lasted.is_some());
    }
}

#[tokio::test]
async fn calling_each_other_at_once_becomes_one_call() {
    let house = House::new(PATIENCE).await;
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let (mut a, mut b, mut c) = (
        house.page(&ada).await,
        house.page(&bob).await,
        house.page(&bob).await,
    );
    let first = a.start(&bob).await;
    let second = b.start(&ada).await;
    assert_eq!(
        (b.state().await, a.state().await, c.state().await),
        (State::Dialing, State::Dialing, State::Dialing)
    );
    let merged = b.call().await;
    assert_eq!(
        (merged.id, merged.instead_of, merged.state),
        (first, Some(second), State::Connecting)
    );
    assert!(merged.leg.is_some());
    assert_eq!(a.state().await, State::Connecting);
    assert_eq!(c.state().await, ended(Outcome::AnsweredElsewhere));
    b.act(
        second,
        Action::Start {
            to: ada.id,
            media: Media::Voice,
        },
    )
    .await;
    assert_eq!(
        b.call().await.instead_of,
        Some(second),
        "the same start again"
    );
    assert_eq!(house.app.store.find_call(second).await.unwrap(), None);
}

#[tokio::test]
async fn a_repeated_start_is_the_same_call() {
    let house = House::new(PATIENCE).await;
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let (mut a, mut b) = (house.page(&ada).await, house.page(&bob).await);
    let id = a.start(&bob).await;
    a.act(
        id,
        Action::Start {
            to: bob.id,
            media: Media::Video,
        },
    )
    .await;
    assert_eq!(
        (a.state().await, a.state().await),
        (State::Dialing, State::Dialing)
    );
    assert_eq!(b.state().await, State::Dialing);
    b.silence().await;
    let eve = house.person("Eve").await;
    let mut e = house.page(&eve).await;
    e.act(
        id,
        Action::Start {
            to: ada.id,
            media: Media::Video,
        },
    )
    .await;
    assert_eq!(e.error().await, ErrorCode::Invalid);
    e.act(id, Action::Accept).await;
    assert_eq!(e.error().await, ErrorCode::NoSuchCall);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let house = House::new(PATIENCE).await;
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let (mut a, mut b) = (house.page(&ada).await, house.page(&bob).await);
    a.start(&ada).await;
    assert_eq!(a.error().await, ErrorCode::NoSuchUser);
    let nobody = Person {
        id: UserId(secret::id()),
        ..bob.clone()
    };
    a.start(&nobody).await;
    assert_eq!(a.error().await, ErrorCode::NoSuchUser);
    a.act(CallId(secret::id()), Action::HangUp).await;
    assert_eq!(a.error().await, ErrorCode::NoSuchCall);
    let id = a.start(&bob).await;
    a.act(id, Action::Accept).await;
    assert_eq!(a.error().await, ErrorCode::WrongState);
    a.act(
        id,
        Action::Signal {
            signal: Signal::Restart,
            to: None,
        },
    )
    .await;
    assert_eq!(a.error().await, ErrorCode::WrongState);
    b.act(id, Action::Connected).await;
    assert_eq!(b.error().await, ErrorCode::NoSuchCall);
}

#[tokio::test]
async fn signals_pass_in_order_between_the_two_pages_that_hold_it_and_within_reason() {
    let house = House::new(PATIENCE).await;
    let (id, mut a, mut b) = in_a_call(&house).await;
    let mut other = house.page(&b.connection.person.clone()).await;
    for n in 0..3 {
        a.act(
            id,
            Action::Signal {
                signal: Signal::Offer { sdp: n.to_string() },
                to: None,
            },
        )
        .await;
    }
    for n in 0..3 {
        assert_eq!(b.signal().await, Signal::Offer { sdp: n.to_string() });
    }
    b.act(
        id,
        Action::Signal {
            signal: Signal::Restart,
            to: None,
        },
    )
    .await;
    assert_eq!(a.signal().await, Signal::Restart);
    other
        .act(
            id,
            Action::Signal {
                signal: Signal::Restart,
                to: None,
            },
        )
        .await;
    assert_eq!(other.error().await, ErrorCode::NoSuchCall);
    for _ in 0..10 {
        a.act(
            id,
            Action::Signal {
                signal: Signal::Offer {
                    sdp: "v".repeat(60_000),
                },
                to: None,
            },
        )
        .await;
    }
    assert_eq!(a.error().await, ErrorCode::TooFast);
    b.act(
        id,
        Action::Signal {
            signal: Signal::Restart,
            to: None,
        },
    )
    .await;
    assert_eq!(
        a.signal().await,
        Signal::Restart,
        "the other one's are not held up"
    );
}

#[tokio::test]
async fn a_page_that_vanishes_may_come_back_and_go_on() {
    let house = House::new(PATIENCE).await;
    let (id, mut a, b) = in_a_call(&house).await;
    house.leave(&b).await;
    assert_eq!(a.state().await, State::Reconnecting);
    let mut b = house
        .page_as(&b.connection.person.clone(), b.connection.client)
        .await;
    let view = b.call().await;
    assert!(view.state == State::Reconnecting && view.leg.is_some());
    b.act(id, Action::Connected).await;
    assert_eq!(
        (a.state().await, b.state().await),
        (State::Connected, State::Connected)
    );
    a.act(id, Action::Lost).await;
    assert_eq!(
        (a.state().await, b.state().await),
        (State::Reconnecting, State::Reconnecting)
    );
}

#[tokio::test]
async fn a_page_that_stays_away_ends_it() {
    let house = House::new(Patience {
        grace: 100,
        vanish: 100,
        ..PATIENCE
    })
    .await;
    let (_, mut a, b) = in_a_call(&house).await;
    house.leave(&b).await;
    assert_eq!(
        (a.state().await, a.state().await),
        (State::Reconnecting, ended(Outcome::Failed))
    );
    let bob = b.connection.person.clone();
    let mut b = house.page(&bob).await;
    let id = a.start(&bob).await;
    assert_eq!(
        (a.state().await, b.state().await),
        (State::Dialing, State::Dialing)
    );
    house.leave(&a).await;
    assert_eq!(b.state().await, ended(Outcome::Cancelled));
    b.act(id, Action::Accept).await;
    assert_eq!(
        b.state().await,
        ended(Outcome::Cancelled),
        "too late, and told how it ended"
    );
}

#[tokio::test]
async fn a_page_that_was_replaced_is_not_gone() {
    let house = House::new(PATIENCE).await;
    let (id, mut a, b) = in_a_call(&house).await;
    let mut again = house
        .page_as(&b.connection.person.clone(), b.connection.client)
        .await;
    assert!(
        !house.app.live.close(&b.connection, Gone::ForNow),
        "the former connection is not the current one"
    );
    house.calls.closed(&b.connection, Gone::ForNow).await;
    assert_eq!(again.state().await, State::Connected);
    again.act(id, Action::Lost).await;
    assert_eq!(
        a.state().await,
        State::Reconnecting,
        "that is the first it hears"
    );
}

#[tokio::test]
async fn a_connected_call_goes_on_after_the_server_died() {
    let house = House::new(PATIENCE).await;
    let (id, a, b) = in_a_call(&house).await;
    let house = house.again(PATIENCE).await;
    let mut a = house
        .page_as(&a.connection.person.clone(), a.connection.client)
        .await;
    let mut b = house
        .page_as(&b.connection.person.clone(), b.connection.client)
        .await;
    assert_eq!(
        (a.state().await, b.state().await),
        (State::Reconnecting, State::Reconnecting)
    );
    a.act(id, Action::Connected).await;
    b.act(id, Action::Connected).await;
    assert_eq!(
        (a.state().await, b.state().await),
        (State::Connected, State::Connected)
    );
    a.act(id, Action::HangUp).await;
    assert_eq!(b.state().await, ended(Outcome::HungUp));
    assert_eq!(b.outcome_after_all().await, [Outcome::HungUp]);
}

#[tokio::test]
async fn calls_that_nobody_comes_back_to_end_by_themselves() {
    let house = House::new(PATIENCE).await;
    let (id, a, _) = in_a_call(&house).await;
    let (eve, dan) = (house.person("Eve").await, house.person("Dan").await);
    let ringing = house.page(&eve).await.start(&dan).await;
    let house = house
        .again(Patience {
            grace: 1_500,
            vanish: 1_500,
            ..PATIENCE
        })
        .await;
    let mut a = house.page(&a.connection.person.clone()).await;
    let mut d = house.page(&dan).await;
    assert_eq!(
        a.outcome().await.1,
        Outcome::Failed,
        "it is another page, so it only hears of the end"
    );
    assert_eq!(
        (d.state().await, d.state().await),
        (State::Dialing, ended(Outcome::Cancelled))
    );
    a.act(id, Action::Connected).await;
    assert_eq!(a.state().await, ended(Outcome::Failed));
    d.act(ringing, Action::Ringing).await;
    assert_eq!(d.state().await, ended(Outcome::Cancelled));
}

#[tokio::test]
async fn a_first_call_makes_the_direct_room_and_tells_both() {
    let house = House::new(PATIENCE).await;
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let (mut a, mut b) = (house.page(&ada).await, house.page(&bob).await);
    a.start(&bob).await;
    for (page, other) in [(&mut a, "Bob"), (&mut b, "Ada")] {
        let ServerFrame::Room { room } = page.hear().await else {
            panic!("the room comes first")
        };
        assert_eq!(
            (room.title.as_str(), page.call().await.room),
            (other, room.id)
        );
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_told_and_the_page_that_asked_hears_why() {
    let house = House::new(PATIENCE).await;
    let (id, mut a, mut b) = in_a_call(&house).await;
    let eve = house.person("Eve").await;
    let mut e = house.page(&eve).await;
    house.app.store.close().await;
    b.act(id, Action::HangUp).await;
    assert_eq!(b.error().await, ErrorCode::Unavailable);
    a.silence().await;
    e.start(&a.connection.person.clone()).await;
    assert_eq!(e.error().await, ErrorCode::Unavailable);
}
