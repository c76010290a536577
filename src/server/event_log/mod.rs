//! Event log: commits an event, then fans it out, in sequence. Every change that other people see goes through it.
//!
//! A single task writes (`writer`). It commits all waiting requests as one transaction, so concurrent requests share the
//! cost of durability and none waits for a lock. A request that is dropped between commit and fan-out (a closed tab, a
//! timeout) loses nothing, because the writer finishes it.

mod fanout;
mod tail;
#[cfg(test)]
mod testing;
mod writer;

use super::{
    bus::Bus,
    clock,
    error::{Error, Result},
    live::{ConnectionRegistry, EncodedEvent, NewsSubscribers},
    metrics::Metrics,
    random,
    store::{EventRow, PostedMessage, Store, Stream},
};
use crate::model::{
    Epoch, MessageId, Millis, RoomId, Seq, UserId,
    message::Content,
    story::{Story, StoryDraft},
    stream::Cursor,
    user::Person,
};
use fanout::{Fanout, run_catch_up};
use std::{sync::Arc, time::Duration};
use tail::Tails;
use tokio::sync::{mpsc, oneshot};
use writer::{AppendRequest, ReplySender, Writer};

/// Maximum number of requests waiting for the writer. Further callers wait for a place.
const CHANNEL_CAPACITY: usize = 1_024;

/// A message to append, as its author sent it.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Id chosen by the author's client; makes a repeated request idempotent.
    pub id: MessageId,
    /// Room of the message.
    pub room: RoomId,
    /// Author of the message. The caller has checked that they are a member of the room.
    pub author: Person,
    /// Content of the message.
    pub content: Content,
    /// Media type detected in the bytes of a [`Content::File`].
    pub media_type: Option<String>,
}

/// A story to append.
#[derive(Debug, Clone)]
pub struct NewStory {
    /// Validated input of the author.
    pub draft: StoryDraft,
    /// The body as sanitised HTML.
    pub html: String,
    /// The beginning of the body as plain text.
    pub summary: String,
    /// Preferred slug. Another one is used if it is taken.
    pub slug: String,
    /// Display name of the publisher.
    pub byline: String,
    /// Idempotency key of the request, if there is one.
    pub request_id: Option<String>,
}

/// Answer to a resume request: the position of the stream, and all missed events if they are available.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The stream's epoch.
    pub epoch: Epoch,
    /// Newest sequence of the stream or, after recovery, of the last event replayed.
    pub head: Seq,
    /// All events after the cursor, oldest first. None if the cursor cannot be resumed from.
    pub missed: Option<Vec<EncodedEvent>>,
}

/// The event log. Cheap to clone: all clones append through one writer.
#[derive(Debug, Clone)]
pub struct EventLog {
    store: Store,
    fanout: Fanout,
    /// Channel to the writer, which ends when the last clone is dropped.
    appends: mpsc::Sender<AppendRequest>,
}

impl EventLog {
    /// A log over a store that replays at most `max_replay_events` events for a resume. Spawns the writer, so it must be called
    /// within a runtime.
    #[must_use]
    pub fn new(
        store: Store,
        connections: Arc<ConnectionRegistry>,
        news_subscribers: Arc<NewsSubscribers>,
        bus: Option<Bus>,
        metrics: Arc<Metrics>,
        max_replay_events: Seq,
    ) -> Self {
        let (appends, append_rx) = mpsc::channel(CHANNEL_CAPACITY);
        let (lagging_streams, lagging_stream_rx) = mpsc::channel(CHANNEL_CAPACITY);
        let fanout = Fanout {
            tails: Arc::new(Tails::new(max_replay_events)),
            connections,
            news_subscribers,
            bus,
            lagging_streams,
            metrics,
        };
        let writer = Writer::new(store.clone(), fanout.clone());
        tokio::spawn(writer.run(append_rx));
        tokio::spawn(run_catch_up(
            store.clone(),
            fanout.clone(),
            lagging_stream_rx,
        ));
        Self {
            store,
            fanout,
            appends,
        }
    }

    /// Commits a message and sends it to its room. A repeated id returns the result of the first request.
    ///
    /// # Errors
    /// When the store fails; [`Failure::Invalid`](crate::protocol::failure::Failure::Invalid) when the id belongs to a message
    /// of another author or room, or when the room does not exist.
    pub async fn post_message(&self, new: NewMessage) -> Result<PostedMessage> {
        self.append(|reply| AppendRequest::Message(new, reply))
            .await
    }

    /// Commits a story and sends it to every subscriber. A repeated request id returns the result of the first request.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn publish_story(&self, mut new: NewStory) -> Result<Story> {
        // Every story gets a request id, so that the writer can retry when it is unknown whether the store has it.
        let request = new.request_id.take();
        new.request_id = Some(request.map_or_else(
            || format!("once:{}", random::new_id()),
            // PostgreSQL text cannot contain NUL.
            |request| request.replace('\0', "\u{FFFD}"),
        ));
        self.append(|reply| AppendRequest::Story(new, reply)).await
    }

    /// Moves a member's read cursor forward, never back and never past the head. Returns the cursor and the number of later
    /// messages by others, or None for a user who is not a member. This is not an event, but shares transactions with events.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn update_read_cursor(
        &self,
        room: RoomId,
        user: UserId,
        seq: Seq,
    ) -> Result<Option<(Seq, i64)>> {
        self.append(|reply| AppendRequest::ReadCursor {
            room,
            user,
            seq,
            reply,
        })
        .await
    }

    async fn append<T>(&self, request: impl FnOnce(ReplySender<T>) -> AppendRequest) -> Result<T> {
        let lost = || Error::Internal("the event log writer has stopped".to_owned());
        let (reply_tx, reply_rx) = oneshot::channel();
        self.appends
            .send(request(reply_tx))
            .await
            .map_err(|_| lost())?;
        reply_rx.await.map_err(|_| lost())?
    }

    /// Position of a stream as published on this node: its epoch and the newest published sequence.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
    pub async fn position(&self, stream: Stream) -> Result<(Epoch, Seq)> {
        self.fanout.tails.position(&self.store, stream).await
    }

    /// All events of a stream after a cursor, or none of them. A caller that subscribes first misses nothing in between.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
    pub async fn replay(&self, stream: Stream, cursor: &Cursor) -> Result<Replay> {
        let replay = self
            .fanout
            .tails
            .replay(&self.store, stream, cursor)
            .await?;
        let recovered = replay.missed.is_some();
        self.fanout.metrics.count_resume(stream, recovered);
        Ok(replay)
    }

    /// Starts publishing other nodes' events of a stream here, in order, even if bus messages are lost. Needed for streams that are
    /// subscribed to without a call to [`Self::position`]: new rooms.
    pub fn track_stream(&self, stream: Stream) {
        if self.fanout.bus.is_none() {
            return;
        }
        let log = self.clone();
        tokio::spawn(async move {
            if let Err(error) = log.position(stream).await {
                tracing::warn!(%stream, %error, "the position of a stream could not be read");
            }
        });
    }

    /// Publishes events that another node has committed. `at` is the time of the commit by that node's clock.
    pub fn publish_remote_events(&self, stream: Stream, rows: &[EventRow], at: Millis) {
        let lag = clock::now().saturating_sub(at).max(0);
        let lag = Duration::from_millis(lag.unsigned_abs());
        self.fanout.metrics.bus_lag.observe(lag.as_secs_f64());
        for row in rows {
            match EncodedEvent::encode(stream, row) {
                Ok(event) => self.fanout.publish(&event),
                Err(error) => {
                    tracing::error!(%stream, seq = row.seq, %error, "an event could not be encoded");
                }
            }
        }
    }

    /// Schedules catching up with every stream whose newest event in the store was not published here.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn catch_up(&self) -> Result<()> {
        let published = self.fanout.tails.heads();
        let streams: Vec<_> = published.iter().map(|(stream, _)| *stream).collect();
        let heads = self.store.list_heads(&streams).await?;
        for (stream, published) in published {
            if heads.get(&stream).is_some_and(|head| *head > published) {
                self.fanout.schedule_catch_up(stream);
            }
        }
        Ok(())
    }
}
