//! What is said while it rings.

use super::{House, PATIENCE, Page, ended};
use crate::{
    model::{
        CallId,
        call::{Action, Outcome, Signal, State},
    },
    protocol::ws::ErrorCode,
};

/// Ada calls Bob, who has as many pages open.
async fn rings<const PAGES: usize>(house: &House) -> (CallId, Page, [Page; PAGES]) {
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let a = house.page(&ada).await;
    let mut pages = Vec::new();
    for _ in 0..PAGES {
        pages.push(house.page(&bob).await);
    }
    let id = a.start(&bob).await;
    let Ok(pages) = pages.try_into() else {
        unreachable!("there are as many")
    };
    (id, a, pages)
}

async fn say(page: &Page, id: CallId, signal: Signal) {
    page.act(id, Action::Signal { signal, to: None }).await;
}

fn offer(sdp: &str) -> Signal {
    let sdp = sdp.to_owned();
    Signal::Offer { sdp }
}

fn answer(sdp: &str) -> Signal {
    let sdp = sdp.to_owned();
    Signal::Answer { sdp }
}

fn foretold(sdp: &str) -> Signal {
    let sdp = sdp.to_owned();
    Signal::Pranswer { sdp }
}

#[tokio::test]
async fn what_the_caller_offers_while_it_rings_is_there_for_every_page_that_may_answer() {
    let house = House::new(PATIENCE).await;
    let (id, mut a, [mut b]) = rings(&house).await;
    say(&a, id, offer("first")).await;
    say(&a, id, offer("second")).await;
    assert_eq!(b.signal().await, offer("first"));
    assert_eq!(b.signal().await, offer("second"));
    let mut late = house.page(&b.connection.person).await;
    assert_eq!(
        late.signal().await,
        offer("second"),
        "and only what still holds"
    );
    late.act(id, Action::Accept).await;
    say(&late, id, answer("yes")).await;
    assert_eq!(a.signal().await, answer("yes"));
    say(&b, id, answer("yes")).await;
    assert_eq!(b.error().await, ErrorCode::NoSuchCall);
}

#[tokio::test]
async fn the_caller_hears_what_the_answer_will_be_of_the_first_page_that_says_so() {
    let house = House::new(PATIENCE).await;
    let (id, mut a, [b, c]) = rings(&house).await;
    say(&c, id, foretold("c")).await;
    assert_eq!(a.signal().await, foretold("c"));
    say(&b, id, foretold("b")).await;
    say(&a, id, foretold("a")).await;
    say(&c, id, foretold("c again")).await;
    assert_eq!(a.signal().await, foretold("c again"), "and nobody else");
    house.leave(&c).await;
    say(&b, id, foretold("b")).await;
    assert_eq!(a.signal().await, foretold("b"), "who is left may");
    let mut late = house.page(&b.connection.person).await;
    late.until(State::Dialing).await;
    late.silence().await;
}

#[tokio::test]
async fn nothing_is_foretold_of_a_call_that_was_answered_and_the_answer_may_come_from_another_page()
{
    let house = House::new(PATIENCE).await;
    let (id, mut a, [mut b, mut c]) = rings(&house).await;
    say(&c, id, foretold("c")).await;
    assert_eq!(a.signal().await, foretold("c"));
    b.act(id, Action::Accept).await;
    b.until(State::Connecting).await;
    say(&c, id, foretold("c")).await;
    say(&b, id, foretold("b")).await;
    say(&b, id, answer("b")).await;
    assert_eq!(a.signal().await, answer("b"));
    c.until(ended(Outcome::AnsweredElsewhere)).await;
    c.silence().await;
}

#[tokio::test]
async fn a_page_that_rings_can_say_nothing_else_to_the_caller() {
    let house = House::new(PATIENCE).await;
    let (id, mut a, [mut b]) = rings(&house).await;
    let candidate = Signal::Candidate {
        candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned(),
        sdp_mid: None,
        sdp_m_line_index: None,
    };
    for signal in [answer(""), Signal::Restart, candidate] {
        say(&b, id, signal).await;
    }
    for page in [&mut a, &mut b] {
        page.until(State::Dialing).await;
        page.silence().await;
    }
}
