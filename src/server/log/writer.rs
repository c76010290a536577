//! The writer of the log: group commit.
//!
//! While one transaction is made durable, what arrives meanwhile gathers and becomes the next one. An entry that the store
//! refuses takes nobody with it: its group is then committed entry by entry.
//!
//! A database on another machine can be lost in the middle of a commit, and nobody knows then whether it has it. Everything here
//! can be committed twice and is there once (a message by its id, a story by its request, a cursor by only going forward), so
//! the group is tried again until the database answers or [`PATIENCE`] is over.

mod group;

use crate::{
    model::{RoomId, Seq, UserId, story::Story},
    server::{
        error::{Error, Result},
        log::{Fanout, NewMessage, NewStory},
        store::{Posted, Store, Stream, is_passing, is_taken},
    },
};
use futures::FutureExt;
use group::{Done, Earlier, Group, Told};
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// The most entries in one transaction.
const GROUP: usize = 128;
/// For so long a group is tried again when what stands in its way may pass. What arrives meanwhile waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// The wait before the first of these tries; it doubles from try to try.
const AGAIN: Duration = Duration::from_millis(20);
/// The longest wait between two tries.
const AGAIN_MOST: Duration = Duration::from_secs(1);

/// Where the result of an append goes. Nobody may be left to hear it.
pub(super) type Answer<T> = oneshot::Sender<Result<T>>;

/// Something to append.
#[derive(Debug)]
pub(super) enum Append {
    /// A message to its room.
    Message(NewMessage, Answer<Posted>),
    /// A story to the news.
    Story(NewStory, Answer<Story>),
    /// How far a member has read, which is no event.
    Read {
        room: RoomId,
        user: UserId,
        seq: Seq,
        /// Where their cursor is now, and how many messages stand after it.
        answer: Answer<Option<(Seq, i64)>>,
    },
}

impl Append {
    fn stream(&self) -> Option<Stream> {
        match self {
            Self::Message(new, _) => Some(Stream::Room(new.room)),
            Self::Story(..) => Some(Stream::News),
            Self::Read { .. } => None,
        }
    }

    /// Whose cursor is moved, if one is. Sorted by it, a group has its events first, in the order in which they came, and then
    /// the cursors in an order that every writer keeps to: two that move the same ones cannot wait for one another.
    fn cursor(&self) -> Option<(RoomId, UserId)> {
        match self {
            Self::Message(..) | Self::Story(..) => None,
            Self::Read { room, user, .. } => Some((*room, *user)),
        }
    }

    fn fail(self, error: Error) {
        // Whoever asked may have left.
        match self {
            Self::Message(_, answer) => drop(answer.send(Err(error))),
            Self::Story(_, answer) => drop(answer.send(Err(error))),
            Self::Read { answer, .. } => drop(answer.send(Err(error))),
        }
    }

    fn finish(self, done: Done) {
        match (self, done) {
            (Self::Message(_, answer), Done::Message(posted)) => drop(answer.send(Ok(posted))),
            (Self::Story(_, answer), Done::Story(story)) => drop(answer.send(Ok(*story))),
            (Self::Read { answer, .. }, Done::Read(read)) => drop(answer.send(Ok(read))),
            (entry, Done::Refused(failure)) => entry.fail(failure.into()),
            (entry, Done::Message(_) | Done::Story(_) | Done::Read(_)) => {
                entry.fail(Error::Internal("an answer of another kind".to_owned()));
            }
        }
    }
}

/// What became of each entry, and what is told, both in order.
type Committed = (Vec<Done>, Told);

/// Whether the store could be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    Yes,
    No,
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
    pub(super) async fn run(self, mut appends: mpsc::Receiver<Append>) {
        let mut group = Vec::with_capacity(GROUP);
        while appends.recv_many(&mut group, GROUP).await > 0 {
            // A bug that panics costs this group its answers, not everybody theirs from then on.
            let appended = AssertUnwindSafe(self.append(&mut group));
            match appended.catch_unwind().await {
                Ok(Reached::Yes) => {}
                // Whoever has come meanwhile need not wait as long again to hear the same.
                Ok(Reached::No) => {
                    while let Ok(entry) = appends.try_recv() {
                        entry.fail(Error::Internal("the store does not answer".to_owned()));
                    }
                }
                Err(_) => tracing::error!("a group of appends was lost to a panic"),
            }
            group.clear();
        }
    }

    async fn append(&self, group: &mut Vec<Append>) -> Reached {
        group.sort_by_key(Append::cursor);
        match self.commit_patiently(group, Earlier::Known).await {
            Ok(done) => self.finish(group.drain(..), done),
            Err(Error::Store(ref why @ sqlx::Error::Database(_)))
                if group.len() > 1 && !is_passing(why) =>
            {
                for entry in group.drain(..) {
                    // A commit that failed may have been made durable all the same.
                    let alone = std::slice::from_ref(&entry);
                    match self.commit_patiently(alone, Earlier::PerhapsUntold).await {
                        Ok(done) => self.finish([entry], done),
                        Err(error) => entry.fail(error),
                    }
                }
            }
            Err(error) => {
                let is_away = matches!(&error, Error::Store(why) if is_passing(why) || matches!(why, sqlx::Error::PoolTimedOut));
                let reason = error.to_string();
                for entry in group.drain(..) {
                    entry.fail(Error::Internal(reason.clone()));
                }
                if is_away {
                    return Reached::No;
                }
            }
        }
        Reached::Yes
    }

    /// Commits all of it as one transaction, trying again while what is in the way may pass.
    async fn commit_patiently(
        &self,
        entries: &[Append],
        mut earlier: Earlier,
    ) -> Result<Committed> {
        let began = Instant::now();
        let metrics = &self.fanout.metrics;
        let mut wait = AGAIN;
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
            let may_pass = is_passing(&error) || is_first && is_taken(&error);
            if !may_pass || began.elapsed() >= PATIENCE {
                metrics.commit_failures.inc();
                return Err(error.into());
            }
            tracing::info!(%error, entries = entries.len(), "a group of appends is tried again");
            if is_passing(&error) {
                earlier = Earlier::PerhapsUntold;
            }
            is_first = false;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(AGAIN_MOST);
        }
    }

    fn finish(&self, entries: impl IntoIterator<Item = Append>, (done, told): Committed) {
        // First to all, then to those who asked: an author who hears "sent" finds it said.
        for event in &told.events {
            self.fanout.tell(event);
        }
        self.fanout.tell_nodes(told.rows);
        for (entry, done) in entries.into_iter().zip(done) {
            entry.finish(done);
        }
    }

    /// Commits all of it as one transaction, or nothing.
    async fn commit(&self, entries: &[Append], earlier: Earlier) -> Result<Committed> {
        let mut group = Group::begin(&self.store, entries, earlier).await?;
        let mut done = Vec::with_capacity(entries.len());
        for entry in entries {
            done.push(match entry {
                Append::Message(new, _) => group.message(new)?,
                Append::Story(new, _) => group.story(new).await?,
                Append::Read {
                    room, user, seq, ..
                } => Done::Read(
                    self.store
                        .update_read(&mut group.tx, *room, *user, *seq)
                        .await?,
                ),
            });
        }
        let told = group.commit().await?;
        Ok((done, told))
    }
}

#[cfg(test)]
mod tests;
