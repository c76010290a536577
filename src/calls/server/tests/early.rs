//! What is said while it rings.

use super::{House, PATIENCE, Page, ended};
use crate::{
    model::{
        CallId,
        call::{Action, Outcome, Signal, State},
    },
    protocol::ws::ErrorCode,
};

async fn say(page: &Page, id: CallId, signal: Signal) {
    page.act(id, Action::Signal { signal, to: None }).await;
}

fn foretold(sdp: &str) -> Signal {
    Signal::Pranswer {
        sdp: sdp.to_owned(),
    }
}

#[tokio::test]
async fn what_the_caller_offers_while_it_rings_is_there_for_every_page_that_may_answer() {
    let house = House::new(PATIENCE).await;
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let (mut a, mut b) = (house.page(&ada).await, house.page(&bob).await);
    let id = a.start(&bob).await;
    let offer = |sdp: &str| Signal::Offer {
        sdp: sdp.to_owned(),
    };
    for signal in [offer("first"), offer("second")] {
        a.act(id, Action::Signal { signal, to: None }).await;
    }
    assert_eq!(b.signal().await, offer("first"));
    assert_eq!(b.signal().await, offer("second"));
    let mut late = house.page(&b.connection.person.clone()).await;
    assert_eq!(
        late.signal().await,
        offer("second"),
        "and only what still holds"
    );
    late.act(id, Action::Accept).await;
    let signal = Signal::Answer {
        sdp: "yes".to_owned(),
    };
    late.act(
        id,
        Action::Signal {
            signal: signal.clone(),
            to: None,
        },
    )
    .await;
    assert_eq!(a.signal().await, signal);
    b.act(id, Action::Signal { signal, to: None }).await;
    assert_eq!(b.error().await, ErrorCode::NoSuchCall);
}

#[tokio::test]
async fn the_caller_hears_what_the_answer_will_be_of_the_first_page_that_says_so() {
    let house = House::new(PATIENCE).await;
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let (mut a, b, c) = (
        house.page(&ada).await,
        house.page(&bob).await,
        house.page(&bob).await,
    );
    let id = a.start(&bob).await;
    say(&c, id, foretold("c")).await;
    assert_eq!(a.signal().await, foretold("c"));
    say(&b, id, foretold("b")).await;
    say(&a, id, foretold("a")).await;
    say(&c, id, foretold("c again")).await;
    assert_eq!(a.signal().await, foretold("c again"), "and nobody else");
    house.leave(&c).await;
    say(&b, id, foretold("b")).await;
    assert_eq!(a.signal().await, foretold("b"), "who is left may");
    let mut late = house.page(&bob).await;
    late.until(State::Dialing).await;
    late.silence().await;
}

#[tokio::test]
async fn nothing_is_foretold_of_a_call_that_was_answered_and_the_answer_may_come_from_another_page()
{
    let house = House::new(PATIENCE).await;
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let (mut a, mut b, mut c) = (
        house.page(&ada).await,
        house.page(&bob).await,
        house.page(&bob).await,
    );
    let id = a.start(&bob).await;
    say(&c, id, foretold("c")).await;
    assert_eq!(a.signal().await, foretold("c"));
    b.act(id, Action::Accept).await;
    b.until(State::Connecting).await;
    say(&c, id, foretold("c")).await;
    say(&b, id, foretold("b")).await;
    let answer = Signal::Answer {
        sdp: "b".to_owned(),
    };
    say(&b, id, answer.clone()).await;
    assert_eq!(a.signal().await, answer);
    c.until(ended(Outcome::AnsweredElsewhere)).await;
    c.silence().await;
}

#[tokio::test]
async fn a_page_that_rings_can_say_nothing_else_to_the_caller() {
    let house = House::new(PATIENCE).await;
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let (mut a, mut b) = (house.page(&ada).await, house.page(&bob).await);
    let id = a.start(&bob).await;
    for signal in [
        Signal::Answer { sdp: String::new() },
        Signal::Restart,
        Signal::Candidate {
            candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned(),
            sdp_mid: None,
            sdp_m_line_index: None,
        },
    ] {
        say(&b, id, signal).await;
    }
    a.until(State::Dialing).await;
    a.silence().await;
    b.until(State::Dialing).await;
    b.silence().await;
}
