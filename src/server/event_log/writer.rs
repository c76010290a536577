//! The writer of the log: group commit.
//!
//! While one transaction is made durable, what arrives meanwhile gathers and becomes the next one. An entry that the store
//! refuses takes nobody with it: its group is then committed entry by entry.
//!
//! A database on another machine can be lost in the middle of a commit, and nobody knows then whether it has it. Everything here
//! can be committed twice and is there once (a message by its id, a story by its request, a cursor by only going forward), so
//! the group is tried again until the database answers or [`PATIENCE`] is over.

mod batch;

use crate::{
    model::{RoomId, Seq, UserId, story::Story},
    server::{
        error::{Error, Result},
        event_log::{Fanout, NewMessage, NewStory},
        store::{PostedMessage, Store, Stream, is_transient, is_unique_violation},
    },
};
use batch::{AppendOutcome, Batch, CommittedEvents, EarlierCommit};
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// The most entries in one transaction.
const MAX_BATCH_ENTRIES: usize = 128;
/// For so long a group is tried again when what stands in its way may pass. What arrives meanwhile waits.
const COMMIT_RETRY_TIMEOUT: Duration = Duration::from_secs(10);
/// The wait before the first of these tries; it doubles from try to try.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(20);
/// The longest wait between two tries.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Where the result of an append goes. Nobody may be left to hear it.
pub(super) type ReplySender<T> = oneshot::Sender<Result<T>>;

/// Something to append.
#[derive(Debug)]
pub(super) enum AppendRequest {
    /// A message to its room.
    Message(NewMessage, ReplySender<PostedMessage>),
    /// A story to the news.
    Story(NewStory, ReplySender<Story>),
    /// How far a member has read, which is no event.
    ReadCursor {
        room: RoomId,
        user: UserId,
        seq: Seq,
        /// Where their cursor is now, and how many messages stand after it.
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

    /// Whose cursor is moved, if one is. Sorted by it, a group has its events first, in the order in which they came, and then
    /// the cursors in an order that every writer keeps to: two that move the same ones cannot wait for one another.
    fn cursor_key(&self) -> Option<(RoomId, UserId)> {
        match self {
            Self::Message(..) | Self::Story(..) => None,
            Self::ReadCursor { room, user, .. } => Some((*room, *user)),
        }
    }

    fn fail(self, error: Error) {
        // Whoever asked may have left.
        match self {
            Self::Message(_, answer) => drop(answer.send(Err(error))),
            Self::Story(_, answer) => drop(answer.send(Err(error))),
            Self::ReadCursor { reply: answer, .. } => drop(answer.send(Err(error))),
        }
    }

    fn send_reply(self, done: AppendOutcome) {
        match (self, done) {
            (Self::Message(_, answer), AppendOutcome::Message(posted)) => {
                drop(answer.send(Ok(posted)));
            }
            (Self::Story(_, answer), AppendOutcome::Story(story)) => drop(answer.send(Ok(*story))),
            (Self::ReadCursor { reply: answer, .. }, AppendOutcome::ReadCursor(read)) => {
                drop(answer.send(Ok(read)));
            }
            (entry, AppendOutcome::Rejected(failure)) => entry.fail(failure.into()),
            (
                entry,
                AppendOutcome::Message(_) | AppendOutcome::Story(_) | AppendOutcome::ReadCursor(_),
            ) => {
                entry.fail(Error::Internal("an answer of another kind".to_owned()));
            }
        }
    }
}

/// What became of each entry, and what is told, both in order.
type CommittedBatch = (Vec<AppendOutcome>, CommittedEvents);

/// Whether the store could be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreStatus {
    Available,
    Unavailable,
}

/// The one task that writes to the log.
#[derive(Debug)]
pub(super) struct Writer {
    store: Store,
    fanout: Fanout,
}

impl Writer {
    pub(super) fn new(store: Store, fanout: Fanout) -> Self {
        Self { store, fanout }
    }

    /// Appends until nobody is left who could ask.
    pub(super) async fn run(self, mut appends: mpsc::Receiver<AppendRequest>) {
        let mut batch = Vec::with_capacity(MAX_BATCH_ENTRIES);
        while appends.recv_many(&mut batch, MAX_BATCH_ENTRIES).await > 0 {
            // A bug that panics costs this group its answers, not everybody theirs from then on.
            let appended = AssertUnwindSafe(self.append(&mut batch));
            match appended.catch_unwind().await {
                Ok(StoreStatus::Available) => {}
                // Whoever has come meanwhile need not wait as long again to hear the same.
                Ok(StoreStatus::Unavailable) => {
                    while let Ok(entry) = appends.try_recv() {
                        entry.fail(Error::Internal("the store does not answer".to_owned()));
                    }
                }
                Err(_) => tracing::error!("a group of appends was lost to a panic"),
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
            Ok(done) => self.publish_and_reply(batch.drain(..), done),
            Err(Error::Store(ref why @ sqlx::Error::Database(_)))
                if batch.len() > 1 && !is_transient(why) =>
            {
                for entry in batch.drain(..) {
                    // A commit that failed may have been made durable all the same.
                    let alone = std::slice::from_ref(&entry);
                    match self
                        .commit_with_retry(alone, EarlierCommit::MaybeUnpublished)
                        .await
                    {
                        Ok(done) => self.publish_and_reply([entry], done),
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

    /// Commits all of it as one transaction, trying again while what is in the way may pass.
    async fn commit_with_retry(
        &self,
        entries: &[AppendRequest],
        mut earlier: EarlierCommit,
    ) -> Result<CommittedBatch> {
        let began = Instant::now();
        let metrics = &self.fanout.metrics;
        let mut wait = MIN_RETRY_DELAY;
        let mut is_first = true;
        loop {
            let error = match self.commit(entries, earlier).await {
                Err(Error::Store(error)) => error,
                done => {
                    if done.is_ok() {
                        metrics.commit.observe(began.elapsed().as_secs_f64());
                        #[expect(clippy::cast_precision_loss, reason = "a group is small")]
                        metrics.commit_appends.observe(entries.len() as f64);
                    }
                    return done;
                }
            };
            // Another program may have taken an id or an address a moment ago: then it is seen at the second try.
            let may_pass = is_transient(&error) || is_first && is_unique_violation(&error);
            if !may_pass || began.elapsed() >= COMMIT_RETRY_TIMEOUT {
                metrics.commit_failures.inc();
                return Err(error.into());
            }
            tracing::info!(%error, entries = entries.len(), "a group of appends is tried again");
            if is_transient(&error) {
                earlier = EarlierCommit::MaybeUnpublished;
            }
            is_first = false;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(MAX_RETRY_DELAY);
        }
    }

    fn publish_and_reply(
        &self,
        entries: impl IntoIterator<Item = AppendRequest>,
        (done, told): CommittedBatch,
    ) {
        // First to all, then to those who asked: an author who hears "sent" finds it said.
        for event in &told.events {
            self.fanout.publish(event);
        }
        self.fanout.publish_to_nodes(told.rows);
        for (entry, done) in entries.into_iter().zip(done) {
            entry.send_reply(done);
        }
    }

    /// Commits all of it as one transaction, or nothing.
    async fn commit(
        &self,
        entries: &[AppendRequest],
        earlier: EarlierCommit,
    ) -> Result<CommittedBatch> {
        let mut batch = Batch::begin(&self.store, entries, earlier).await?;
        let mut done = Vec::with_capacity(entries.len());
        for entry in entries {
            done.push(match entry {
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
        let told = batch.commit().await?;
        Ok((done, told))
    }
}

#[cfg(test)]
mod tests;
