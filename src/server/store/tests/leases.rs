//! Leases and the terms that fence calls. PostgreSQL only.

use super::{StoreFixture, *};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const LEASE: LeaseName = LeaseName {
    name: "test",
    key: 7,
};

impl StoreFixture {
    fn is_shared(&self) -> bool {
        self.stores.len() > 1
    }

    async fn try_acquire(&self, n: usize, connectivity: Connectivity) -> Option<Lease> {
        let holder = format!("node {n}");
        let acquired = self.store(n).acquire_lease(LEASE, &holder, connectivity);
        acquired.await.unwrap()
    }

    /// Once it is free.
    async fn acquire(&self, n: usize) -> Lease {
        let acquiring = async {
            loop {
                if let Some(lease) = self.try_acquire(n, Connectivity::Connected).await {
                    return lease;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let acquired = timeout(2 * LEASE_EXPIRY, acquiring).await;
        acquired.expect("the lease is free by now")
    }

    async fn call(&self, state: State) -> CallRow {
        let (ada, bob, room) = self.friends().await;
        CallRow {
            id: crate::model::CallId(random::new_id()),
            room,
            caller: ada,
            callee: bob,
            media: Media::Voice,
            state,
            caller_client: ClientId(random::new_id()),
            callee_client: None,
            started_at: 1,
            answered_at: None,
            connected_at: None,
            ended_at: None,
        }
    }
}

fn failed(call: &CallRow) -> CallRow {
    CallRow {
        state: State::Ended {
            outcome: Outcome::Failed,
        },
        ended_at: Some(2),
        ..call.clone()
    }
}

#[tokio::test]
async fn a_write_of_an_earlier_term_changes_no_call() {
    let fixture = StoreFixture::new().await;
    if !fixture.is_shared() {
        return;
    }
    let call = fixture.call(State::Connected).await;
    let former = fixture.acquire(0).await;
    let save = async |term: Term, row: &CallRow| fixture.store(0).save_call(term, row).await;
    let saved = save(former.term(), &call).await.unwrap();
    assert_eq!(saved, Saved::Written);
    let former_term = former.term();
    drop(former);
    let leader = fixture.acquire(1).await;
    assert!(leader.term().number() > former_term.number());

    let saved = save(former_term, &failed(&call)).await.unwrap();
    assert_eq!(saved, Saved::TermOver);
    let kept = fixture.store(0).find_call(call.id).await.unwrap();
    assert_eq!(kept, Some(call.clone()));
    let saved = save(leader.term(), &failed(&call)).await.unwrap();
    assert_eq!(saved, Saved::Written);
    let saved = save(leader.term(), &call).await.unwrap();
    assert_eq!(saved, Saved::AlreadyEnded);
}

#[tokio::test]
async fn a_write_of_an_earlier_term_changes_no_group_call() {
    let fixture = StoreFixture::new().await;
    if !fixture.is_shared() {
        return;
    }
    let (ada, _, room) = fixture.friends().await;
    let call = GroupCallRow {
        id: crate::model::CallId(random::new_id()),
        room,
        started_by: ada,
        started_at: 1,
        ended_at: None,
        next_seat: 1,
        members: Vec::new(),
        ever_joined: vec![ada],
    };
    let former = fixture.acquire(0).await;
    let save =
        async |term: Term, row: &GroupCallRow| fixture.store(0).save_group_call(term, row).await;
    let saved = save(former.term(), &call).await.unwrap();
    assert_eq!(saved, Saved::Written);
    let former_term = former.term();
    drop(former);
    let leader = fixture.acquire(1).await;
    let ended = GroupCallRow {
        ended_at: Some(2),
        ..call.clone()
    };
    let saved = save(former_term, &ended).await.unwrap();
    assert_eq!(saved, Saved::TermOver);
    let kept = fixture.store(0).find_group_call(call.id).await.unwrap();
    assert_eq!(kept, Some(call));
    let saved = save(leader.term(), &ended).await.unwrap();
    assert_eq!(saved, Saved::Written);
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_expires_and_one_that_is_does_not() {
    let fixture = StoreFixture::new().await;
    if !fixture.is_shared() {
        return;
    }
    let mut lease = fixture.acquire(0).await;
    let start = Instant::now();
    while start.elapsed() < LEASE_EXPIRY + Duration::from_secs(1) {
        assert_eq!(lease.renew(Connectivity::Connected).await, Renewal::Held);
        let other = fixture.try_acquire(1, Connectivity::Connected).await;
        assert!(other.is_none());
        sleep(Duration::from_millis(500)).await;
    }
    let silent = Instant::now();
    let other = fixture.acquire(1).await;
    let waited = silent.elapsed();
    assert!(waited < LEASE_EXPIRY + Duration::from_secs(1), "{waited:?}");
    assert!(other.term().number() > lease.term().number());
    assert_eq!(lease.renew(Connectivity::Connected).await, Renewal::Lost);
}

#[tokio::test]
async fn the_lease_of_a_holder_that_is_cut_off_goes_to_a_node_that_is_not() {
    let fixture = StoreFixture::new().await;
    if !fixture.is_shared() {
        return;
    }
    let mut lease = fixture.acquire(0).await;
    assert!(
        fixture
            .try_acquire(1, Connectivity::Connected)
            .await
            .is_none()
    );
    assert_eq!(
        lease.renew(Connectivity::CutOff).await,
        Renewal::Held,
        "nobody wanted it yet"
    );
    assert!(fixture.try_acquire(1, Connectivity::CutOff).await.is_none());
    assert_eq!(
        lease.renew(Connectivity::CutOff).await,
        Renewal::Held,
        "they are both cut off"
    );
    assert!(
        fixture
            .try_acquire(1, Connectivity::Connected)
            .await
            .is_none()
    );
    assert_eq!(lease.renew(Connectivity::CutOff).await, Renewal::Claimed);
    drop(lease);
    assert!(
        fixture.try_acquire(0, Connectivity::CutOff).await.is_none(),
        "it is the claimant's"
    );
    let mut lease = fixture.acquire(1).await;
    assert_eq!(lease.renew(Connectivity::CutOff).await, Renewal::Held);
}
