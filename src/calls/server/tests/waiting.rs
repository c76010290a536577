//! A call beside a call: it waits, and may be declined, switched to, or found busy.

use super::{House, PATIENCE, Page, ended, in_a_call};
use crate::{
    model::{
        CallId,
        call::{Action, Media, Outcome, Signal, State},
    },
    protocol::ws::ErrorCode,
};

/// Eve calls Bob, who is in a call with Ada, and rings beside it.
async fn waiting(house: &House) -> ([CallId; 2], Page, Page, Page) {
    let (first, a, mut b) = in_a_call(house).await;
    let eve = house.person("Eve").await;
    let mut e = house.page(&eve).await;
    let id = e.start(&b.connection.person).await;
    let seen = b.call().await;
    assert_eq!((seen.id, seen.waiting), (id, true));
    b.act(id, Action::Ringing).await;
    assert_eq!(
        [e.state().await, e.state().await, b.state().await],
        [State::Dialing, State::Ringing, State::Ringing]
    );
    ([first, id], a, b, e)
}

/// Eve says what she offers, while it waits.
async fn offers(eve: &Page, id: CallId, bob: &mut Page) -> Signal {
    let signal = Signal::Offer {
        sdp: "e".to_owned(),
    };
    let (offer, to) = (signal.clone(), None);
    eve.act(id, Action::Signal { signal, to }).await;
    assert_eq!(bob.signal().await, offer);
    offer
}

#[tokio::test]
async fn who_is_in_a_call_is_rung_beside_it_and_busy_for_a_third_and_cannot_start_another() {
    let house = House::new(PATIENCE).await;
    let (_, mut a, mut b, mut e) = waiting(&house).await;
    let frank = house.person("Frank").await;
    let mut f = house.page(&frank).await;
    let id = f.start(&b.connection.person).await;
    assert_eq!(f.state().await, ended(Outcome::Busy));
    assert_eq!(b.outcome().await, (id, Outcome::Busy, None));
    b.silence().await;
    let (to, media) = (b.connection.person.id, Media::Video);
    f.act(id, Action::Start { to, media }).await;
    assert_eq!(
        f.state().await,
        ended(Outcome::Busy),
        "the same start again"
    );
    a.start(&frank).await;
    assert_eq!(a.error().await, ErrorCode::InACall);
    a.start(&b.connection.person.clone()).await;
    assert_eq!(a.error().await, ErrorCode::InACall);
    e.start(&frank).await;
    assert_eq!(
        e.error().await,
        ErrorCode::InACall,
        "who rings is in a call"
    );
}

#[tokio::test]
async fn who_declines_the_second_call_goes_on_with_the_first() {
    let house = House::new(PATIENCE).await;
    let ([_, id], mut a, mut b, mut e) = waiting(&house).await;
    b.act(id, Action::Decline).await;
    assert_eq!(e.state().await, ended(Outcome::Declined));
    assert_eq!(b.state().await, ended(Outcome::Declined));
    a.silence().await;
    assert_eq!(house.calls.count(), 1);
}

#[tokio::test]
async fn who_switches_leaves_the_first_call_before_the_second_is_answered() {
    let house = House::new(PATIENCE).await;
    let ([first, id], mut a, mut b, mut e) = waiting(&house).await;
    let offer = offers(&e, id, &mut b).await;
    b.act(id, Action::Accept).await;
    assert_eq!(a.state().await, ended(Outcome::HungUp));
    let left = b.call().await;
    assert_eq!((left.id, left.state), (first, ended(Outcome::HungUp)));
    assert_eq!(b.signal().await, offer, "it need not ask for it");
    let answered = b.call().await;
    assert_eq!((answered.id, answered.state), (id, State::Connecting));
    assert!(answered.leg.is_some() && !answered.waiting);
    assert_eq!(e.until(State::Connecting).await.id, id);
    assert_eq!(house.calls.count(), 1);
}

#[tokio::test]
async fn what_waited_rings_when_the_first_call_ends_and_another_may_wait_then() {
    let house = House::new(PATIENCE).await;
    let ([first, id], a, mut b, mut e) = waiting(&house).await;
    let offer = offers(&e, id, &mut b).await;
    a.act(first, Action::HangUp).await;
    assert_eq!(b.state().await, ended(Outcome::HungUp));
    let rings = b.call().await;
    assert_eq!(
        (rings.id, rings.state, rings.waiting),
        (id, State::Ringing, false)
    );
    assert_eq!(
        b.signal().await,
        offer,
        "nobody had any use for it while it waited"
    );
    e.state().await;
    let again = a.start(&b.connection.person.clone()).await;
    let seen = b.call().await;
    assert_eq!((seen.id, seen.waiting), (again, true));
}

#[tokio::test]
async fn a_call_that_waits_survives_the_server_and_a_page_that_comes_later_sees_both() {
    let house = House::new(PATIENCE).await;
    let ([_, id], _a, b, _e) = waiting(&house).await;
    let (bob, client) = (b.connection.person.clone(), b.connection.client);
    let house = house.again(PATIENCE).await;
    let mut b = house.page_as(&bob, client).await;
    let (first, second) = (b.call().await, b.call().await);
    assert_eq!(first.state, State::Reconnecting);
    assert_eq!((second.id, second.waiting), (id, true));
}
