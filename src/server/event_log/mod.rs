//! Event log: commits an event, then fans it out, in sequence.
//!
//! One task writes (`writer`) and commits all waiting requests as one transaction, so they share the cost of durability
//! and none waits for a lock. It finishes a request whose caller is gone.

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

/// Requests that may wait for the writer; further callers wait for a place.
const CHANNEL_CAPACITY: usize = 1_024;

/// A message to append.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Chosen by the author's client, as idempotency key.
    pub id: MessageId,
    /// Room of the message.
    pub room: RoomId,
    /// The caller has checked their membership of the room.
    pub author: Person,
    /// Content of the message.
    pub content: Content,
    /// Detected in the bytes of a [`Content::File`].
    pub media_type: Option<String>,
}

/// A story to append.
#[derive(Debug, Clone)]
pub struct NewStory {
    /// Validated input of the author.
    pub draft: StoryDraft,
    /// The body as sanitised HTML.
    pub html: String,
    /// Beginning of the body, as plain text.
    pub summary: String,
    /// Another slug is used if it is taken.
    pub slug: String,
    /// Display name of the publisher.
    pub byline: String,
    /// Idempotency key of the request.
    pub request_id: Option<String>,
}

/// Answer to a resume request.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The stream's epoch.
    pub epoch: Epoch,
    /// Newest sequence, or that of the last event replayed.
    pub head: Seq,
    /// All events after the cursor, oldest first; none if it cannot be resumed from.
    pub missed: Option<Vec<EncodedEvent>>,
}

/// The event log; clones append through one writer.
#[derive(Debug, Clone)]
pub struct EventLog {
    store: Store,
    fanout: Fanout,
    /// The writer ends when the last sender is dropped.
    appends: mpsc::Sender<AppendRequest>,
}

impl EventLog {
    /// Replays at most `max_replay_events` events for a resume. Spawns the writer, so it must be called within a
    /// runtime.
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

    /// Commits a message and sends it to its room. A repeated id returns the first result.
    ///
    /// # Errors
    /// When the store fails; [`Failure::Invalid`](crate::protocol::failure::Failure::Invalid) when the id belongs to
    /// another author's or room's message, or the room does not exist.
    pub async fn post_message(&self, new: NewMessage) -> Result<PostedMessage> {
        self.append(|reply| AppendRequest::Message(new, reply))
            .await
    }

    /// Commits a story and sends it to every subscriber. A repeated request id returns the first result.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn publish_story(&self, mut new: NewStory) -> Result<Story> {
        // Makes a retry possible when it is unknown whether the store has the story.
        let request = new.request_id.take();
        new.request_id = Some(request.map_or_else(
            || format!("once:{}", random::new_id()),
            // PostgreSQL text cannot contain NUL.
            |request| request.replace('\0', "\u{FFFD}"),
        ));
        self.append(|reply| AppendRequest::Story(new, reply)).await
    }

    /// Moves a member's read cursor forward, never past the head. Returns it with the number of later messages by
    /// others; none for a user who is not a member. No event, but in the same transactions.
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

    /// Epoch and newest sequence of a stream as published on this node.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
    pub async fn position(&self, stream: Stream) -> Result<(Epoch, Seq)> {
        self.fanout.tails.position(&self.store, stream).await
    }

    /// All events after a cursor, or none of them. A caller that subscribes first misses nothing.
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

    /// Publishes other nodes' events of a stream here, in order, even if bus messages are lost. For streams that are
    /// subscribed to without [`Self::position`]: new rooms.
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

    /// Publishes what another node committed at the time `at` of its clock.
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

    /// Catches up with every stream whose newest stored event was not published here.
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
