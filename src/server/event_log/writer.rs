//! Group commit: requests that arrive during a commit form the next batch. A rejected batch is committed entry by
//! entry, so a bad entry fails alone.
//!
//! When a connection breaks during a commit, the outcome is unknown. Entries are idempotent, so the batch is retried
//! for up to [`COMMIT_RETRY_TIMEOUT`]. Whatever an abandoned batch did commit is published before anything newer, so
//! that subscribers see no gap.

mod batch;

use crate::{
    model::{RoomId, Seq, UserId, story::Story},
    server::{
        error::{Error, Result},
        event_log::{NewMessage, NewStory, fanout::Fanout},
        store::{PostedMessage, Store, Stream, is_transient, is_unique_violation},
    },
};
use batch::{AppendOutcome, Batch, CommittedEvents, EarlierCommit};
use futures::FutureExt;
use std::{
    panic::AssertUnwindSafe,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

const MAX_BATCH_ENTRIES: usize = 128;
/// Limits retries after transient errors; later requests wait meanwhile.
const COMMIT_RETRY_TIMEOUT: Duration = Duration::from_secs(10);
/// Doubles with each retry.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(20);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The caller that receives may have gone.
pub(super) type ReplySender<T> = oneshot::Sender<Result<T>>;

#[derive(Debug)]
pub(super) enum AppendRequest {
    Message(NewMessage, ReplySender<PostedMessage>),
    Story(NewStory, ReplySender<Story>),
    ReadCursor {
        room: RoomId,
        user: UserId,
        seq: Seq,
        /// Receives the cursor and the number of messages after it.
        reply: ReplySender<Option<(Seq, i64)>>,
    },
}

impl AppendRequest {
    fn stream(&self) -> Option<Stream> {
        match self {
            Self::Message(new, _) => Some(Stream::Room(new.room)),
            Self::Story(..) => Some(Stream::News),
            Self::ReadCursor { .. } => None,
        }
    }

    /// Puts events first, as they arrived, then cursors in an order that all writers share, against deadlocks.
    fn cursor_key(&self) -> Option<(RoomId, UserId)> {
        match self {
            Self::Message(..) | Self::Story(..) => None,
            Self::ReadCursor { room, user, .. } => Some((*room, *user)),
        }
    }

    /// None for a read cursor.
    fn without_caller(&self) -> Option<Self> {
        match self {
            Self::Message(new, _) => Some(Self::Message(new.clone(), oneshot::channel().0)),
            Self::Story(new, _) => Some(Self::Story(new.clone(), oneshot::channel().0)),
            Self::ReadCursor { .. } => None,
        }
    }

    fn fail(self, error: Error) {
        match self {
            Self::Message(_, reply) => drop(reply.send(Err(error))),
            Self::Story(_, reply) => drop(reply.send(Err(error))),
            Self::ReadCursor { reply, .. } => drop(reply.send(Err(error))),
        }
    }

    fn send_reply(self, outcome: AppendOutcome) {
        match (self, outcome) {
            (Self::Message(_, reply), AppendOutcome::Message(posted)) => {
                drop(reply.send(Ok(posted)));
            }
            (Self::Story(_, reply), AppendOutcome::Story(story)) => drop(reply.send(Ok(*story))),
            (Self::ReadCursor { reply, .. }, AppendOutcome::ReadCursor(cursor)) => {
                drop(reply.send(Ok(cursor)));
            }
            (entry, AppendOutcome::Rejected(failure)) => entry.fail(failure.into()),
            (
                entry,
                AppendOutcome::Message(_) | AppendOutcome::Story(_) | AppendOutcome::ReadCursor(_),
            ) => {
                entry.fail(Error::Internal(
                    "the outcome does not match the request".to_owned(),
                ));
            }
        }
    }
}

/// Outcomes and events, both in order.
type CommittedBatch = (Vec<AppendOutcome>, CommittedEvents);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreStatus {
    Available,
    Unavailable,
}

#[derive(Debug)]
pub(super) struct Writer {
    store: Store,
    fanout: Fanout,
    /// Events of an abandoned batch that may be committed. The next commit resolves them first.
    in_doubt: Mutex<Vec<AppendRequest>>,
}

impl Writer {
    pub(super) fn new(store: Store, fanout: Fanout) -> Self {
        Self {
            store,
            fanout,
            in_doubt: Mutex::default(),
        }
    }

    /// Handles requests until all senders are dropped.
    pub(super) async fn run(self, mut appends: mpsc::Receiver<AppendRequest>) {
        let mut batch = Vec::with_capacity(MAX_BATCH_ENTRIES);
        while appends.recv_many(&mut batch, MAX_BATCH_ENTRIES).await > 0 {
            let appended = AssertUnwindSafe(self.append(&mut batch));
            match appended.catch_unwind().await {
                Ok(StoreStatus::Available) => {}
                // Waiting requests fail at once, not after the same timeout.
                Ok(StoreStatus::Unavailable) => {
                    while let Ok(entry) = appends.try_recv() {
                        entry.fail(Error::Internal("the store is unavailable".to_owned()));
                    }
                }
                Err(_) => tracing::error!("a batch of appends failed with a panic"),
            }
            batch.clear();
        }
    }

    async fn append(&self, batch: &mut Vec<AppendRequest>) -> StoreStatus {
        batch.sort_by_key(AppendRequest::cursor_key);
        match self
            .commit_with_retry(batch, EarlierCommit::Published)
            .await
        {
            Ok(committed) => self.publish_and_reply(batch.drain(..), committed),
            Err(Error::Store(ref why @ sqlx::Error::Database(_)))
                if batch.len() > 1 && !is_transient(why) =>
            {
                for entry in batch.drain(..) {
                    // The failed commit may have become durable.
                    let alone = std::slice::from_ref(&entry);
                    match self
                        .commit_with_retry(alone, EarlierCommit::MaybeUnpublished)
                        .await
                    {
                        Ok(committed) => self.publish_and_reply([entry], committed),
                        Err(error) => entry.fail(error),
                    }
                }
            }
            Err(error) => {
                let is_away = matches!(&error, Error::Store(why) if is_transient(why) || matches!(why, sqlx::Error::PoolTimedOut));
                let reason = error.to_string();
                for entry in batch.drain(..) {
                    entry.fail(Error::Internal(reason.clone()));
                }
                if is_away {
                    return StoreStatus::Unavailable;
                }
            }
        }
        StoreStatus::Available
    }

    async fn commit_with_retry(
        &self,
        entries: &[AppendRequest],
        mut earlier: EarlierCommit,
    ) -> Result<CommittedBatch> {
        let began = Instant::now();
        let metrics = &self.fanout.metrics;
        let mut wait = MIN_RETRY_DELAY;
        let mut is_first = true;
        let mut was_attempted = false;
        loop {
            let result = match self.publish_events_in_doubt().await {
                Ok(()) => {
                    was_attempted = true;
                    self.commit(entries, earlier).await
                }
                Err(error) => Err(error),
            };
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
            // Another process may have just taken an id or a slug.
            let may_pass = is_transient(&error) || is_first && is_unique_violation(&error);
            if !may_pass || began.elapsed() >= COMMIT_RETRY_TIMEOUT {
                metrics.commit_failures.inc();
                let is_in_doubt =
                    earlier == EarlierCommit::MaybeUnpublished || is_transient(&error);
                if was_attempted && is_in_doubt {
                    let events = entries.iter().filter_map(AppendRequest::without_caller);
                    self.lock_in_doubt().extend(events);
                }
                return Err(error.into());
            }
            tracing::info!(%error, entries = entries.len(), "retrying a batch of appends");
            if was_attempted && is_transient(&error) {
                earlier = EarlierCommit::MaybeUnpublished;
            }
            is_first = false;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(MAX_RETRY_DELAY);
        }
    }

    fn publish(&self, committed: CommittedEvents) {
        for event in &committed.events {
            self.fanout.publish(event);
        }
        self.fanout.publish_to_nodes(committed.rows);
    }

    fn publish_and_reply(
        &self,
        entries: impl IntoIterator<Item = AppendRequest>,
        (outcomes, events): CommittedBatch,
    ) {
        // Publish first, so that an author whose request succeeded finds it published.
        self.publish(events);
        for (entry, outcome) in entries.into_iter().zip(outcomes) {
            entry.send_reply(outcome);
        }
    }

    /// Forgets uncommitted events: their callers know that they failed.
    async fn publish_events_in_doubt(&self) -> Result<()> {
        let entries = std::mem::take(&mut *self.lock_in_doubt());
        if entries.is_empty() {
            return Ok(());
        }
        match self.find_committed(&entries).await {
            Ok(committed) => {
                self.publish(committed);
                Ok(())
            }
            Err(Error::Store(why))
                if is_transient(&why) || matches!(why, sqlx::Error::PoolTimedOut) =>
            {
                *self.lock_in_doubt() = entries;
                Err(why.into())
            }
            Err(error) => {
                tracing::error!(%error, entries = entries.len(), "events in doubt could not be read");
                Ok(())
            }
        }
    }

    async fn find_committed(&self, entries: &[AppendRequest]) -> Result<CommittedEvents> {
        let mut batch = Batch::begin(&self.store, entries, EarlierCommit::MaybeUnpublished).await?;
        for entry in entries {
            batch.republish_if_committed(entry).await?;
        }
        batch.commit().await
    }

    fn lock_in_doubt(&self) -> MutexGuard<'_, Vec<AppendRequest>> {
        self.in_doubt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn commit(
        &self,
        entries: &[AppendRequest],
        earlier: EarlierCommit,
    ) -> Result<CommittedBatch> {
        let mut batch = Batch::begin(&self.store, entries, earlier).await?;
        let mut outcomes = Vec::with_capacity(entries.len());
        for entry in entries {
            outcomes.push(match entry {
                AppendRequest::Message(new, _) => batch.add_message(new)?,
                AppendRequest::Story(new, _) => batch.add_story(new).await?,
                AppendRequest::ReadCursor {
                    room, user, seq, ..
                } => AppendOutcome::ReadCursor(
                    self.store
                        .update_read_cursor(&mut batch.tx, *room, *user, *seq)
                        .await?,
                ),
            });
        }
        let events = batch.commit().await?;
        Ok((outcomes, events))
    }
}

#[cfg(test)]
mod tests;
