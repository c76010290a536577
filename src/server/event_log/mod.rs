//! Commits events, then fans them out, in sequence.
//!
//! The `writer` task commits waiting requests together, so that none waits for another's lock. It finishes them even if
//! their callers are gone.

mod fanout;
mod memberships;
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
    task,
};
use crate::model::{
    Epoch, MessageId, Millis, RoomId, Seq, UserId,
    message::Content,
    room::ReadCursor,
    story::{Story, StoryDraft},
    stream::Cursor,
    user::Person,
};
use fanout::{Fanout, run_catch_up};
use memberships::run_announcements;
use std::{sync::Arc, time::Duration};
use tail::Tails;
use tokio::sync::{mpsc, oneshot};
use writer::{AppendRequest, ReplySender, Writer};

const CHANNEL_CAPACITY: usize = 1_024;

/// A message to append.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Idempotency key, chosen by the author's client.
    pub id: MessageId,
    pub room: RoomId,
    /// The caller has checked the membership.
    pub author: Person,
    pub content: Content,
    /// Detected in the bytes of a [`Content::File`].
    pub media_type: Option<String>,
}

/// A story to append.
#[derive(Debug, Clone)]
pub struct NewStory {
    pub draft: StoryDraft,
    /// Sanitized body.
    pub html: String,
    pub summary: String,
    /// Preferred; a similar one is used if it is taken.
    pub slug: String,
    pub byline: String,
    /// Idempotency key.
    pub request_id: Option<String>,
}

/// Answer to a resume request.
#[derive(Debug, Clone)]
pub struct Replay {
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
    appends: mpsc::Sender<AppendRequest>,
}

impl EventLog {
    /// Spawns tasks, so it needs a runtime.
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
        let (announcements, announcement_rx) = mpsc::channel(CHANNEL_CAPACITY);
        let fanout = Fanout {
            tails: Arc::new(Tails::new(max_replay_events)),
            connections,
            news_subscribers,
            bus,
            lagging_streams,
            announcements,
            metrics,
        };
        let writer = Writer::new(store.clone(), fanout.clone());
        task::spawn(writer.run(append_rx));
        task::spawn(run_catch_up(
            store.clone(),
            fanout.clone(),
            lagging_stream_rx,
        ));
        task::spawn(run_announcements(
            store.clone(),
            fanout.clone(),
            announcement_rx,
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
    /// When the store fails; [`Failure::Invalid`](crate::protocol::failure::Failure::Invalid) when another author or
    /// room has the id; `Failure::NotFound` when the room does not exist.
    pub async fn post_message(&self, new: NewMessage) -> Result<PostedMessage> {
        self.append(|reply| AppendRequest::Message(new, reply))
            .await
    }

    /// Commits a story and sends it to subscribers. A repeated request id returns the first result.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn publish_story(&self, mut new: NewStory) -> Result<Story> {
        // Makes a retry safe when the outcome is unknown.
        let request = new.request_id.take();
        new.request_id = Some(request.map_or_else(
            || format!("once:{}", random::new_id()),
            // PostgreSQL text cannot contain NUL.
            |request| request.replace('\0', "\u{FFFD}"),
        ));
        self.append(|reply| AppendRequest::Story(new, reply)).await
    }

    /// Moves a read cursor forward, never past the head. Returns none for a non-member.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn update_read_cursor(
        &self,
        room: RoomId,
        user: UserId,
        seq: Seq,
    ) -> Result<Option<ReadCursor>> {
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

    /// Epoch, and newest sequence that this node has published or loaded.
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

    /// Publishes every event of a new room, in order, even if bus messages are lost. Its members must be subscribed
    /// before.
    pub fn track_stream(&self, stream: Stream) {
        self.fanout.track_stream(&self.store, stream);
    }

    /// As [`Self::replay`], for one topic of the news: other stories do not count toward the bound.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn replay_topic(&self, cursor: &Cursor, topic: &str) -> Result<Replay> {
        let tails = &self.fanout.tails;
        let replay = tails.replay_topic(&self.store, cursor, topic).await?;
        let recovered = replay.missed.is_some();
        self.fanout.metrics.count_resume(Stream::News, recovered);
        Ok(replay)
    }

    /// Publishes what another node committed; `at` is its time of sending.
    pub fn publish_remote_events(&self, stream: Stream, rows: &[EventRow], at: Millis) {
        let lag = clock::now().saturating_sub(at).max(0);
        let lag = Duration::from_millis(lag.unsigned_abs());
        self.fanout.metrics.bus_lag.observe(lag.as_secs_f64());
        for row in rows {
            match EncodedEvent::encode(stream, row) {
                Ok(event) => {
                    self.fanout.publish(&event);
                }
                Err(error) => {
                    tracing::error!(%stream, seq = row.seq, %error, "an event could not be encoded");
                }
            }
        }
    }

    /// Catches up with every stream that has newer stored events.
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
