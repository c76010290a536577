//! Tests of waiting calls: declined, switched to, or busy.

use super::{CallFixture, LONG_TIMEOUTS, TestClient, connected_call, ended_state};
use crate::{
    model::{
        CallId,
        call::{ClientAction, Media, Outcome, SignalingMessage, State},
    },
    protocol::ws::ErrorCode,
};

/// Eve calls Bob during his call with Ada.
async fn start_waiting_call(
    fixture: &CallFixture,
) -> ([CallId; 2], TestClient, TestClient, TestClient) {
    let (first, a, mut b) = connected_call(fixture).await;
    let eve = fixture.create_person("Eve").await;
    let mut e = fixture.connect_client(&eve).await;
    let id = e.start_call(&b.connection.person).await;
    let seen = b.next_call().await;
    assert_eq!((seen.id, seen.is_waiting), (id, true));
    b.send_action(id, ClientAction::Ringing).await;
    assert_eq!(
        [
            e.next_state().await,
            e.next_state().await,
            b.next_state().await
        ],
        [State::Dialing, State::Ringing, State::Ringing]
    );
    ([first, id], a, b, e)
}

async fn send_offer(eve: &TestClient, id: CallId, bob: &mut TestClient) -> SignalingMessage {
    let signal = SignalingMessage::Offer {
        sdp: "e".to_owned(),
    };
    let (offer, to) = (signal.clone(), None);
    eve.send_action(id, ClientAction::Signal { signal, to })
        .await;
    assert_eq!(bob.next_signal().await, offer);
    offer
}

#[tokio::test]
async fn who_is_in_a_call_is_rung_beside_it_and_busy_for_a_third_and_cannot_start_another() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (_, mut a, mut b, mut e) = start_waiting_call(&fixture).await;
    let frank = fixture.create_person("Frank").await;
    let mut f = fixture.connect_client(&frank).await;
    let id = f.start_call(&b.connection.person).await;
    assert_eq!(f.next_state().await, ended_state(Outcome::Busy));
    assert_eq!(b.next_outcome().await, (id, Outcome::Busy, None));
    b.assert_no_call_frames().await;
    let (to, media) = (b.connection.person.id, Media::Video);
    f.send_action(id, ClientAction::Start { to, media }).await;
    assert_eq!(
        f.next_state().await,
        ended_state(Outcome::Busy),
        "the same start again"
    );
    a.start_call(&frank).await;
    assert_eq!(a.next_error().await, ErrorCode::AlreadyInCall);
    a.start_call(&b.connection.person.clone()).await;
    assert_eq!(a.next_error().await, ErrorCode::AlreadyInCall);
    e.start_call(&frank).await;
    assert_eq!(
        e.next_error().await,
        ErrorCode::AlreadyInCall,
        "who rings is in a call"
    );
}

#[tokio::test]
async fn who_declines_the_second_call_goes_on_with_the_first() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let ([_, id], mut a, mut b, mut e) = start_waiting_call(&fixture).await;
    b.send_action(id, ClientAction::Decline).await;
    assert_eq!(e.next_state().await, ended_state(Outcome::Declined));
    assert_eq!(b.next_state().await, ended_state(Outcome::Declined));
    a.assert_no_call_frames().await;
    assert_eq!(fixture.registry.open_call_count(), 1);
}

#[tokio::test]
async fn who_switches_leaves_the_first_call_before_the_second_is_answered() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let ([first, id], mut a, mut b, mut e) = start_waiting_call(&fixture).await;
    let offer = send_offer(&e, id, &mut b).await;
    b.send_action(id, ClientAction::Accept).await;
    assert_eq!(a.next_state().await, ended_state(Outcome::HungUp));
    let left = b.next_call().await;
    assert_eq!((left.id, left.state), (first, ended_state(Outcome::HungUp)));
    assert_eq!(b.next_signal().await, offer, "it need not ask for it");
    let answered = b.next_call().await;
    assert_eq!((answered.id, answered.state), (id, State::Connecting));
    assert!(answered.rtc_config.is_some() && !answered.is_waiting);
    assert_eq!(e.wait_for_state(State::Connecting).await.id, id);
    assert_eq!(fixture.registry.open_call_count(), 1);
}

#[tokio::test]
async fn a_waiting_call_rings_when_the_first_call_ends_and_another_may_wait_then() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let ([first, id], a, mut b, mut e) = start_waiting_call(&fixture).await;
    let offer = send_offer(&e, id, &mut b).await;
    a.send_action(first, ClientAction::HangUp).await;
    assert_eq!(b.next_state().await, ended_state(Outcome::HungUp));
    let rings = b.next_call().await;
    assert_eq!(
        (rings.id, rings.state, rings.is_waiting),
        (id, State::Ringing, false)
    );
    assert_eq!(
        b.next_signal().await,
        offer,
        "nobody had any use for it while it waited"
    );
    e.next_state().await;
    let again = a.start_call(&b.connection.person.clone()).await;
    let seen = b.next_call().await;
    assert_eq!((seen.id, seen.is_waiting), (again, true));
}

#[tokio::test]
async fn a_waiting_call_survives_a_restart_and_a_client_that_connects_later_sees_both() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let ([_, id], _a, b, _e) = start_waiting_call(&fixture).await;
    let (bob, client) = (b.connection.person.clone(), b.connection.client);
    let fixture = fixture.restart(LONG_TIMEOUTS).await;
    let mut b = fixture.connect_client_as(&bob, client).await;
    let (first, second) = (b.next_call().await, b.next_call().await);
    assert_eq!(first.state, State::Reconnecting);
    assert_eq!((second.id, second.is_waiting), (id, true));
}
