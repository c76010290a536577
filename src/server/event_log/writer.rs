//! Group commit: requests that arrive during a commit form the next batch, which shares the cost of durability. A
//! rejected batch is committed entry by entry, so a bad entry fails alone.
//!
//! If the connection breaks during a commit, the outcome is unknown. Entries are idempotent, so the batch is retried for up to
//! [`COMMIT_RETRY_TIMEOUT`]. What an abandoned batch committed is published before anything newer, so that subscribers
//! see no gap.
//!
//! A stream that another node has locked delays only its own entries ([`BlockedAppends`]).

mod batch;
mod blocked;
mod doubt;
mod request;

pub(super) use request::{AppendRequest, ReplySender};

use crate::server::{
    error::{Error, Result},
    event_log::fanout::Fanout,
    store::{LockedRows, Store, is_lock_timeout, is_transient, is_unique_violation},
};
use batch::{AppendOutcome, Batch, CommittedEvents, EarlierCommit};
use blocked::BlockedAppends;
use doubt::AppendsInDoubt;
use futures::FutureExt;
use std::{collections::VecDeque, io::ErrorKind, panic::AssertUnwindSafe, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout_at},
};

const MAX_BATCH_ENTRIES: usize = 128;
/// Later requests wait meanwhile.
const COMMIT_RETRY_TIMEOUT: Duration = Duration::from_secs(10);
/// Doubles with each retry.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(20);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);
/// PostgreSQL ends the transaction of a stopped node after four seconds.
const BLOCKED_TIMEOUT: Duration = Duration::from_secs(10);
/// For appends that are blocked or in doubt.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// Outcomes and events, both in order.
type CommittedBatch = (Vec<AppendOutcome>, CommittedEvents);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreStatus {
    Available,
    Unavailable,
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    earlier: EarlierCommit,
    locked: LockedRows,
}

impl Attempt {
    const FIRST: Self = Self {
        earlier: EarlierCommit::Published,
        locked: LockedRows::Wait,
    };
}

#[derive(Debug)]
pub(super) struct Writer {
    store: Store,
    fanout: Fanout,
    in_doubt: AppendsInDoubt,
    blocked: BlockedAppends,
    retry_at: Instant,
}

impl Writer {
    pub(super) fn new(store: Store, fanout: Fanout) -> Self {
        Self {
            store,
            fanout,
            in_doubt: AppendsInDoubt::default(),
            blocked: BlockedAppends::default(),
            retry_at: Instant::now(),
        }
    }

    /// Handles requests until all senders are dropped.
    pub(super) async fn run(mut self, mut appends: mpsc::Receiver<AppendRequest>) {
        let mut batch = Vec::with_capacity(MAX_BATCH_ENTRIES);
        loop {
            let must_retry = !self.blocked.is_empty() || !self.in_doubt.is_empty();
            tokio::select! {
                biased;
                () = sleep_until(self.retry_at), if must_retry => {}
                count = appends.recv_many(&mut batch, MAX_BATCH_ENTRIES) => {
                    if count == 0 {
                        return;
                    }
                }
            }
            let appended = AssertUnwindSafe(async {
                if batch.is_empty() {
                    self.retry().await
                } else {
                    self.append(&mut batch).await
                }
            });
            match appended.catch_unwind().await {
                Ok(StoreStatus::Available) => {}
                // Waiting requests fail at once, not after the same timeout.
                Ok(StoreStatus::Unavailable) => {
                    fail_together(self.blocked.take_all(), unavailable());
                    while let Ok(entry) = appends.try_recv() {
                        entry.fail(unavailable());
                    }
                }
                Err(_) => tracing::error!("a batch of appends failed with a panic"),
            }
            batch.clear();
        }
    }

    async fn append(&mut self, batch: &mut Vec<AppendRequest>) -> StoreStatus {
        if self.in_doubt.is_full() {
            fail_together(std::mem::take(batch), unavailable());
            return StoreStatus::Available;
        }
        let mut entries = Vec::with_capacity(batch.len());
        for entry in batch.drain(..) {
            if self.blocked.contains(entry.lock_key()) || self.in_doubt.contains(entry.lock_key()) {
                self.block(entry);
            } else {
                entries.push(entry);
            }
        }
        entries.sort_by_key(AppendRequest::lock_key);
        let (status, locked) = self.commit_all(entries, Attempt::FIRST).await;
        for entry in locked {
            self.block(entry);
        }
        status
    }

    fn block(&mut self, entry: AppendRequest) {
        let now = Instant::now();
        self.schedule_retry();
        if let Err(entry) = self.blocked.push(entry, now) {
            entry.fail(unavailable());
        }
    }

    /// Tries again what was blocked or in doubt.
    async fn retry(&mut self) -> StoreStatus {
        if let Some(before) = Instant::now().checked_sub(BLOCKED_TIMEOUT) {
            fail_together(self.blocked.take_older(before), unavailable());
        }
        self.resolve_doubt().await;
        let in_doubt = self.in_doubt.locks();
        let entries = self.blocked.begin_attempt(MAX_BATCH_ENTRIES, &in_doubt);
        let attempt = Attempt {
            earlier: EarlierCommit::MaybeUnpublished,
            locked: LockedRows::Skip,
        };
        let (status, locked) = self.commit_all(entries, attempt).await;
        self.blocked.end_attempt(locked, Instant::now());
        self.retry_at = Instant::now() + RETRY_INTERVAL;
        status
    }

    /// Called before something is added to what is retried.
    fn schedule_retry(&mut self) {
        if self.blocked.is_empty() && self.in_doubt.is_empty() {
            self.retry_at = Instant::now() + RETRY_INTERVAL;
        }
    }

    /// Commits entries together or, if one prevents that, in parts. Returns those that are locked elsewhere.
    async fn commit_all(
        &mut self,
        entries: Vec<AppendRequest>,
        attempt: Attempt,
    ) -> (StoreStatus, Vec<AppendRequest>) {
        let mut locked = Vec::new();
        let mut groups = VecDeque::from([(entries, attempt)]);
        while let Some((mut entries, mut attempt)) = groups.pop_front() {
            if entries.is_empty() {
                continue;
            }
            match self.commit_with_retry(&entries, &mut attempt).await {
                Ok(committed) => locked.extend(self.publish_and_reply(entries, committed)),
                Err(Error::Store(why)) if is_lock_timeout(&why) => {
                    let cursors = entries.split_off(entries.partition_point(is_event));
                    match attempt.locked {
                        LockedRows::Wait => {
                            attempt.locked = LockedRows::Skip;
                            groups.push_back((entries, attempt));
                            groups.extend(cursors.into_iter().map(|entry| (vec![entry], attempt)));
                        }
                        LockedRows::Skip => locked.extend(entries.into_iter().chain(cursors)),
                    }
                }
                Err(Error::Store(why @ sqlx::Error::Database(_)))
                    if entries.len() > 1 && !is_transient(&why) =>
                {
                    // The failed commit may have become durable.
                    attempt.earlier = EarlierCommit::MaybeUnpublished;
                    groups.extend(entries.into_iter().map(|entry| (vec![entry], attempt)));
                }
                Err(Error::Store(why)) if is_away(&why) => {
                    fail_together(entries, why.into());
                    for (entries, attempt) in groups {
                        if attempt.earlier == EarlierCommit::MaybeUnpublished {
                            self.add_in_doubt(&entries);
                        }
                        fail_together(entries, unavailable());
                    }
                    return (StoreStatus::Unavailable, locked);
                }
                Err(error) => fail_together(entries, error),
            }
        }
        (StoreStatus::Available, locked)
    }

    async fn commit_with_retry(
        &mut self,
        entries: &[AppendRequest],
        attempt: &mut Attempt,
    ) -> Result<CommittedBatch> {
        let began = Instant::now();
        let deadline = began + COMMIT_RETRY_TIMEOUT;
        let mut wait = MIN_RETRY_DELAY;
        let mut is_first = true;
        loop {
            let committed = timeout_at(deadline, self.commit(entries, *attempt)).await;
            let result = committed.unwrap_or_else(|_| Err(timed_out().into()));
            let metrics = &self.fanout.metrics;
            let error = match result {
                Err(Error::Store(error)) => error,
                result => {
                    if result.is_ok() {
                        metrics.commit.observe(began.elapsed().as_secs_f64());
                        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
                        metrics.commit_appends.observe(entries.len() as f64);
                    }
                    return result;
                }
            };
            // Nothing is committed, and the caller knows what to do.
            if is_lock_timeout(&error) {
                return Err(error.into());
            }
            // Another process may have just taken an id or a slug.
            let may_pass = is_transient(&error) || is_first && is_unique_violation(&error);
            if !may_pass || Instant::now() >= deadline {
                metrics.commit_failures.inc();
                let is_in_doubt =
                    attempt.earlier == EarlierCommit::MaybeUnpublished || is_transient(&error);
                if is_in_doubt {
                    self.add_in_doubt(entries);
                }
                return Err(error.into());
            }
            tracing::info!(%error, entries = entries.len(), "retrying a batch of appends");
            if is_transient(&error) {
                attempt.earlier = EarlierCommit::MaybeUnpublished;
            }
            is_first = false;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(MAX_RETRY_DELAY);
        }
    }

    fn add_in_doubt(&mut self, entries: &[AppendRequest]) {
        self.schedule_retry();
        self.in_doubt.add(entries);
    }

    fn publish(&self, committed: CommittedEvents) {
        for event in &committed.events {
            self.fanout.publish(event);
        }
        self.fanout.publish_to_nodes(committed.rows);
    }

    fn publish_and_reply(
        &self,
        entries: Vec<AppendRequest>,
        (outcomes, events): CommittedBatch,
    ) -> Vec<AppendRequest> {
        // An author whose request succeeded must find it published.
        self.publish(events);
        let mut locked = Vec::new();
        for (entry, outcome) in entries.into_iter().zip(outcomes) {
            if matches!(outcome, AppendOutcome::Locked) {
                locked.push(entry);
            } else {
                entry.send_reply(outcome);
            }
        }
        locked
    }

    async fn commit(&self, entries: &[AppendRequest], attempt: Attempt) -> Result<CommittedBatch> {
        let Attempt { earlier, locked } = attempt;
        let mut batch = Batch::begin(&self.store, entries, earlier, locked).await?;
        let mut outcomes = Vec::with_capacity(entries.len());
        for entry in entries {
            outcomes.push(batch.add(entry).await?);
        }
        let events = batch.commit().await?;
        Ok((outcomes, events))
    }
}

fn fail_together(entries: Vec<AppendRequest>, error: Error) {
    let reason = error.to_string();
    let mut first = Some(error);
    for entry in entries {
        let error = first.take();
        entry.fail(error.unwrap_or_else(|| Error::Internal(reason.clone())));
    }
}

fn is_event(entry: &AppendRequest) -> bool {
    entry.stream().is_some()
}

/// Whether the store may answer later.
fn is_away(error: &sqlx::Error) -> bool {
    is_transient(error) || matches!(error, sqlx::Error::PoolTimedOut)
}

fn unavailable() -> Error {
    Error::Internal("the store is unavailable".to_owned())
}

fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests;
