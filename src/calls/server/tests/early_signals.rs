//! Tests of signals sent while a call rings.

use super::{CallFixture, LONG_TIMEOUTS, TestClient, ended_state};
use crate::{
    model::{
        CallId,
        call::{ClientAction, Outcome, SignalingMessage, State},
    },
    protocol::ws::ErrorCode,
};

/// Ada calls Bob, who has this many clients.
async fn start_ringing<const CLIENTS: usize>(
    fixture: &CallFixture,
) -> (CallId, TestClient, [TestClient; CLIENTS]) {
    let (ada, bob) = (
        fixture.create_person("Ada").await,
        fixture.create_person("Bob").await,
    );
    let a = fixture.connect_client(&ada).await;
    let mut pages = Vec::new();
    for _ in 0..CLIENTS {
        pages.push(fixture.connect_client(&bob).await);
    }
    let id = a.start_call(&bob).await;
    let Ok(pages) = pages.try_into() else {
        unreachable!("there are as many")
    };
    (id, a, pages)
}

async fn send_signal(client: &TestClient, id: CallId, signal: SignalingMessage) {
    client
        .send_action(id, ClientAction::Signal { signal, to: None })
        .await;
}

fn offer(sdp: &str) -> SignalingMessage {
    let sdp = sdp.to_owned();
    SignalingMessage::Offer { sdp }
}

fn answer(sdp: &str) -> SignalingMessage {
    let sdp = sdp.to_owned();
    SignalingMessage::Answer { sdp }
}

fn pranswer(sdp: &str) -> SignalingMessage {
    let sdp = sdp.to_owned();
    SignalingMessage::Pranswer { sdp }
}

#[tokio::test]
async fn an_offer_made_while_ringing_reaches_every_client_that_may_answer() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, mut a, [mut b]) = start_ringing(&fixture).await;
    send_signal(&a, id, offer("first")).await;
    send_signal(&a, id, offer("second")).await;
    assert_eq!(b.next_signal().await, offer("first"));
    assert_eq!(b.next_signal().await, offer("second"));
    let mut late = fixture.connect_client(&b.connection.person).await;
    assert_eq!(
        late.next_signal().await,
        offer("second"),
        "and only what still holds"
    );
    late.send_action(id, ClientAction::Accept).await;
    send_signal(&late, id, answer("yes")).await;
    assert_eq!(a.next_signal().await, answer("yes"));
    send_signal(&b, id, answer("yes")).await;
    assert_eq!(b.next_error().await, ErrorCode::NoSuchCall);
}

#[tokio::test]
async fn the_caller_gets_the_pranswer_of_the_first_client_that_sends_one() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, mut a, [b, c]) = start_ringing(&fixture).await;
    send_signal(&c, id, pranswer("c")).await;
    assert_eq!(a.next_signal().await, pranswer("c"));
    send_signal(&b, id, pranswer("b")).await;
    send_signal(&a, id, pranswer("a")).await;
    send_signal(&c, id, pranswer("c again")).await;
    assert_eq!(
        a.next_signal().await,
        pranswer("c again"),
        "and nobody else"
    );
    fixture.disconnect(&c).await;
    send_signal(&b, id, pranswer("b")).await;
    assert_eq!(a.next_signal().await, pranswer("b"), "who is left may");
    let mut late = fixture.connect_client(&b.connection.person).await;
    late.wait_for_state(State::Dialing).await;
    late.assert_no_call_frames().await;
}

#[tokio::test]
async fn no_pranswer_passes_after_an_answer_which_may_come_from_another_client() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, mut a, [mut b, mut c]) = start_ringing(&fixture).await;
    send_signal(&c, id, pranswer("c")).await;
    assert_eq!(a.next_signal().await, pranswer("c"));
    b.send_action(id, ClientAction::Accept).await;
    b.wait_for_state(State::Connecting).await;
    send_signal(&c, id, pranswer("c")).await;
    send_signal(&b, id, pranswer("b")).await;
    send_signal(&b, id, answer("b")).await;
    assert_eq!(a.next_signal().await, answer("b"));
    c.wait_for_state(ended_state(Outcome::AnsweredElsewhere))
        .await;
    c.assert_no_call_frames().await;
}

#[tokio::test]
async fn a_ringing_client_can_send_nothing_else_to_the_caller() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, mut a, [mut b]) = start_ringing(&fixture).await;
    let candidate = SignalingMessage::Candidate {
        candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned(),
        sdp_mid: None,
        sdp_m_line_index: None,
    };
    for signal in [answer(""), SignalingMessage::RestartIce, candidate] {
        send_signal(&b, id, signal).await;
    }
    for page in [&mut a, &mut b] {
        page.wait_for_state(State::Dialing).await;
        page.assert_no_call_frames().await;
    }
}
