//! The end of a leader's term, and what the next leader finds.

use super::fixture::{CallFixture, LONG_TIMEOUTS, connected_call, ended_state};
use crate::{
    calls::server::CALL_LEADER_LEASE,
    model::call::{ClientAction, Outcome, State},
    server::{
        clock,
        store::{Connectivity, Lease, Saved, Term},
    },
};
use std::time::Duration;

/// More than a command queue holds.
const MANY_COMMANDS: usize = 200;

impl CallFixture {
    /// Once it is free.
    async fn acquire_lease(&self) -> Lease {
        loop {
            let lease = self
                .app
                .store
                .acquire_lease(CALL_LEADER_LEASE, "node", Connectivity::Connected)
                .await;
            if let Some(lease) = lease.unwrap() {
                return lease;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn stored_state(&self, call: crate::model::CallId) -> State {
        let row = self.app.store.find_call(call).await.unwrap();
        row.unwrap().state
    }
}

#[tokio::test]
async fn a_leader_whose_term_is_over_stores_nothing_tells_nobody_and_leads_no_more() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    if !fixture.app.store.is_shared() {
        return println!("skipped: only a node among several has a lease; needs PostgreSQL");
    }
    fixture.registry.step_down().await;
    let lease = fixture.acquire_lease().await;
    let term = fixture.registry.become_leader(lease.term()).await.unwrap();
    let (id, mut a, mut b) = connected_call(&fixture).await;
    drop(lease);
    let _lease = fixture.acquire_lease().await;

    a.send_action(id, ClientAction::HangUp).await;
    let over = tokio::time::timeout(Duration::from_secs(5), term.over()).await;
    over.expect("the write shows that the term is over");
    assert!(!fixture.registry.is_leader());
    fixture.registry.step_down().await;
    assert_eq!(fixture.stored_state(id).await, State::Connected);
    assert!(a.stored_outcomes().await.is_empty());
    a.assert_no_call_frames().await;
    b.assert_no_call_frames().await;
}

#[tokio::test]
async fn a_decision_that_is_not_stored_is_given_up_with_the_term() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, mut a, mut b) = connected_call(&fixture).await;
    fixture.app.store.close().await;
    b.send_action(id, ClientAction::HangUp).await;
    b.next_error().await;
    let ended = tokio::time::timeout(Duration::from_secs(1), fixture.registry.step_down());
    ended.await.expect("no task retries");
    a.assert_no_call_frames().await;
    b.assert_no_call_frames().await;
}

#[tokio::test]
async fn clients_that_come_and_go_wait_for_no_call() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, a, mut b) = connected_call(&fixture).await;
    fixture.app.store.close().await;
    b.send_action(id, ClientAction::HangUp).await;
    b.next_error().await;
    for _ in 0..MANY_COMMANDS {
        fixture.registry.on_client_connected(&a.connection);
    }
}

#[tokio::test]
async fn an_end_that_a_leader_stored_and_did_not_post_is_posted_once() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, a, _) = connected_call(&fixture).await;
    let mut row = fixture.app.store.find_call(id).await.unwrap().unwrap();
    (row.state, row.ended_at) = (ended_state(Outcome::HungUp), Some(clock::now()));
    let saved = fixture.app.store.save_call(Term::Sole, &row).await;
    assert_eq!(saved.unwrap(), Saved::Written);
    assert!(a.stored_outcomes().await.is_empty());
    let mut fixture = fixture;
    for _ in 0..2 {
        fixture = fixture.restart(LONG_TIMEOUTS).await;
        let a = fixture.connect_client(&a.connection.person).await;
        assert_eq!(a.stored_outcomes().await, [Outcome::HungUp]);
    }
}
