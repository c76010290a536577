//! Appends of abandoned batches, which may be committed.

use super::{
    Attempt, MAX_BATCH_ENTRIES, StoreStatus, Writer,
    batch::{AppendOutcome, Batch, CommittedEvents, EarlierCommit},
    is_away, is_event,
    request::{AppendRequest, LockKey},
    timed_out,
};
use crate::{
    protocol::ws::ServerFrame,
    server::{
        error::{Error, Result},
        store::{LockedRows, Stream, is_lock_timeout},
    },
};
use std::{collections::HashSet, time::Duration};
use tokio::time::timeout;

/// Requests wait meanwhile.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Further appends fail without an attempt, which could add to these.
const MAX_APPENDS_IN_DOUBT: usize = 1_024;

/// Newer appends with the locks of these wait.
#[derive(Debug, Default)]
pub(super) struct AppendsInDoubt(Vec<AppendRequest>);

impl AppendsInDoubt {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_APPENDS_IN_DOUBT
    }

    pub(super) fn contains(&self, lock: LockKey) -> bool {
        self.0.iter().any(|entry| entry.lock_key() == lock)
    }

    pub(super) fn locks(&self) -> HashSet<LockKey> {
        self.0.iter().map(AppendRequest::lock_key).collect()
    }

    /// Adds copies: the callers are told that their appends failed.
    pub(super) fn add(&mut self, entries: &[AppendRequest]) {
        self.0
            .extend(entries.iter().map(AppendRequest::without_caller));
    }

    fn put_back(&mut self, entries: impl IntoIterator<Item = AppendRequest>) {
        self.0.extend(entries);
    }

    /// The oldest events and read cursors, up to a batch in all.
    fn take_batch(&mut self) -> (Vec<AppendRequest>, Vec<AppendRequest>) {
        let count = self.0.len().min(MAX_BATCH_ENTRIES);
        self.0.drain(..count).partition(is_event)
    }
}

impl Writer {
    /// Publishes events in doubt that are committed, and forgets the others. Then writes the read cursors again.
    pub(super) async fn resolve_doubt(&mut self) {
        let (events, cursors) = self.in_doubt.take_batch();
        match self.resolve_events(events).await {
            StoreStatus::Available => self.resolve_read_cursors(cursors).await,
            StoreStatus::Unavailable => self.in_doubt.put_back(cursors),
        }
    }

    async fn resolve_events(&mut self, entries: Vec<AppendRequest>) -> StoreStatus {
        if entries.is_empty() {
            return StoreStatus::Available;
        }
        let found = timeout(RESOLVE_TIMEOUT, self.find_committed(&entries)).await;
        match found.unwrap_or_else(|_| Err(timed_out().into())) {
            Ok((committed, locked)) => {
                self.publish(committed);
                let is_locked = |entry: &AppendRequest| {
                    entry
                        .stream()
                        .is_some_and(|stream| locked.contains(&stream))
                };
                self.in_doubt
                    .put_back(entries.into_iter().filter(is_locked));
            }
            Err(Error::Store(why)) if is_away(&why) => {
                self.in_doubt.put_back(entries);
                return StoreStatus::Unavailable;
            }
            Err(error) => {
                tracing::error!(%error, entries = entries.len(), "events in doubt could not be read");
            }
        }
        StoreStatus::Available
    }

    /// Writing again changes nothing if the cursors are committed. Tells the person's pages.
    async fn resolve_read_cursors(&mut self, mut entries: Vec<AppendRequest>) {
        if entries.is_empty() {
            return;
        }
        entries.sort_by_key(AppendRequest::lock_key);
        let attempt = Attempt {
            earlier: EarlierCommit::MaybeUnpublished,
            locked: LockedRows::Skip,
        };
        let committed = timeout(RESOLVE_TIMEOUT, self.commit(&entries, attempt)).await;
        match committed.unwrap_or_else(|_| Err(timed_out().into())) {
            Ok((outcomes, _)) => {
                for (entry, outcome) in entries.iter().zip(outcomes) {
                    self.tell_read_cursor(entry, &outcome);
                }
            }
            // The commit in doubt may hold the lock.
            Err(Error::Store(why)) if is_away(&why) || is_lock_timeout(&why) => {
                self.in_doubt.put_back(entries);
            }
            Err(error) => {
                tracing::error!(%error, entries = entries.len(), "read cursors in doubt could not be written");
            }
        }
    }

    fn tell_read_cursor(&self, entry: &AppendRequest, outcome: &AppendOutcome) {
        if let (
            AppendRequest::ReadCursor { room, user, .. },
            AppendOutcome::ReadCursor(Some(cursor)),
        ) = (entry, outcome)
        {
            let frame = ServerFrame::read(*room, *cursor);
            self.fanout.connections.send_to_user(*user, &frame);
        }
    }

    async fn find_committed(
        &self,
        entries: &[AppendRequest],
    ) -> Result<(CommittedEvents, HashSet<Stream>)> {
        let earlier = EarlierCommit::MaybeUnpublished;
        let mut batch = Batch::begin(&self.store, entries, earlier, LockedRows::Skip).await?;
        for entry in entries {
            batch.republish_if_committed(entry).await?;
        }
        let locked = batch.locked_elsewhere.clone();
        Ok((batch.commit().await?, locked))
    }
}
