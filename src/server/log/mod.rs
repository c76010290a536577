//! The log: an event is committed, then fanned out, in sequence. The only way in which anything that others see changes.
//!
//! One task writes ([`writer`]): it takes everything that waits and commits it as one transaction, so that the cost of making
//! something durable is shared by all who ask at the same time, and nobody's request waits for a lock. A request that is dropped
//! between the commit and the fan-out (a closed tab, a timeout) changes nothing: what it asked for is done by the writer.

mod tail;
mod writer;

use super::{
    error::{Error, Result},
    live::{Event, Live, Readers},
    store::{Posted, Store, Stream},
};
use crate::model::{
    Epoch, MessageId, RoomId, Seq, UserId,
    message::Content,
    story::{Story, StoryDraft},
    stream::Cursor,
    user::Person,
};
use std::sync::Arc;
use tail::Tails;
use tokio::sync::{mpsc, oneshot};
use writer::{Answer, Append, Writer};

/// How many appends may wait for the writer; who comes after them waits for a place.
const WAITING: usize = 1_024;

/// What the author of a message gives.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The idempotency id.
    pub id: MessageId,
    /// Where to.
    pub room: RoomId,
    /// Who writes. The caller has checked that they are a member.
    pub author: Person,
    /// What.
    pub content: Content,
    /// What the bytes of a [`Content::File`] were found to be.
    pub media_type: Option<String>,
}

/// What whoever publishes a story gives.
#[derive(Debug, Clone)]
pub struct NewStory {
    /// What was typed, checked.
    pub draft: StoryDraft,
    /// The body as sanitised HTML.
    pub html: String,
    /// The beginning of the body as plain text.
    pub summary: String,
    /// The address it would like to have.
    pub slug: String,
    /// The shown name of who publishes.
    pub byline: String,
    /// Makes a repeated request harmless.
    pub request_id: Option<String>,
}

/// What a resume is answered: where the stream stands, and what was missed if all of it can be told.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The stream's epoch.
    pub epoch: Epoch,
    /// The newest sequence, of the stream or, when recovered, of the last event replayed.
    pub head: Seq,
    /// Everything after the cursor, oldest first; none when the cursor cannot be resumed from.
    pub missed: Option<Vec<Event>>,
}

/// The log. Cheap to clone: all clones append through one writer.
#[derive(Debug, Clone)]
pub struct Log {
    store: Store,
    tails: Arc<Tails>,
    /// To the writer, which ends when the last clone is gone.
    appends: mpsc::Sender<Append>,
}

impl Log {
    /// A log over a store, fanning out to these, that replays at most `most` events to whoever comes back. Starts the writer, so it
    /// has to be called within a runtime.
    #[must_use]
    pub fn new(store: Store, live: Arc<Live>, readers: Arc<Readers>, most: Seq) -> Self {
        let (appends, taken) = mpsc::channel(WAITING);
        let tails = Arc::new(Tails::new(most));
        let fanout = Fanout {
            tails: tails.clone(),
            live,
            readers,
        };
        let writer = Writer::new(store.clone(), fanout);
        tokio::spawn(writer.run(taken));
        Self {
            store,
            tails,
            appends,
        }
    }

    /// Commits a message and sends it to its room. A repeated id is answered with its first result.
    ///
    /// # Errors
    /// When the store fails; [`Failure::Invalid`](crate::protocol::failure::Failure::Invalid) when the id belongs to a message
    /// of somebody else or of another room, or when the room does not exist.
    pub async fn post(&self, new: NewMessage) -> Result<Posted> {
        self.append(|answer| Append::Message(new, answer)).await
    }

    /// Commits a story and sends it to every reader. A repeated request id is answered with its first result.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn publish(&self, new: NewStory) -> Result<Story> {
        self.append(|answer| Append::Story(new, answer)).await
    }

    /// Moves a member's read cursor forward, never back and never past the head, and says where it is and how many messages of
    /// others stand after it. None for somebody who is not a member. No event, but written with those that are: what a room
    /// reads at the same moment is one transaction.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read(&self, room: RoomId, user: UserId, seq: Seq) -> Result<Option<(Seq, i64)>> {
        self.append(|answer| Append::Read {
            room,
            user,
            seq,
            answer,
        })
        .await
    }

    async fn append<T>(&self, entry: impl FnOnce(Answer<T>) -> Append) -> Result<T> {
        let lost = || Error::Internal("the writer of the log is gone".to_owned());
        let (answer, answered) = oneshot::channel();
        self.appends.send(entry(answer)).await.map_err(|_| lost())?;
        answered.await.map_err(|_| lost())?
    }

    /// Where a stream stands for those who listen to it here: its epoch, and the newest sequence that they were told.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
    pub async fn stand(&self, stream: Stream) -> Result<(Epoch, Seq)> {
        self.tails.stand(&self.store, stream).await
    }

    /// What somebody missed in a stream, all of it or nothing. Whoever listens before they ask misses nothing in between.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
    pub async fn replay(&self, stream: Stream, cursor: &Cursor) -> Result<Replay> {
        self.tails.replay(&self.store, stream, cursor).await
    }
}

/// Tells what was committed to those who listen.
#[derive(Debug, Clone)]
struct Fanout {
    tails: Arc<Tails>,
    live: Arc<Live>,
    readers: Arc<Readers>,
}

impl Fanout {
    /// To be called in the order of each stream.
    fn tell(&self, event: &Event) {
        self.tails.append(event);
        match event.stream {
            Stream::News => self.readers.send(event),
            Stream::Room(room) => self.live.happened(room, event),
        }
    }
}
