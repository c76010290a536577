//! Event log: commits an event, then fans it out, in sequence.
//!
//! One task writes (`writer`) and commits all waiting requests as one transaction, so they share the cost of durability
//! and none waits for a lock. It finishes a request whose caller is gone.

mod tail;
#[cfg(test)]
mod testing;
mod writer;

use super::{
    bus::{Bus, Message},
    clock,
    error::{Error, Result},
    live::{ConnectionRegistry, EncodedEvent, NewsSubscribers},
    metrics::Metrics,
    random,
    store::{EventRow, NewEvent, PostedMessage, Store, Stream},
};
use crate::model::{
    Epoch, MessageId, Millis, RoomId, Seq, UserId,
    message::Content,
    story::{Story, StoryDraft},
    stream::Cursor,
    user::Person,
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tail::{PublishOutcome, Tails};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};
use writer::{AppendRequest, ReplySender, Writer};

/// Requests that may wait for the writer; further callers wait for a place.
const CHANNEL_CAPACITY: usize = 1_024;
/// Approximate size of the events in one bus message.
const BUS_MESSAGE_BYTES: usize = 256 * 1024;
/// Events of another node usually arrive over the bus; after this they are read from the store.
const CATCH_UP_DELAY: Duration = Duration::from_millis(20);
const CATCH_UP_RETRY_DELAY: Duration = Duration::from_secs(1);

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
        live: Arc<ConnectionRegistry>,
        readers: Arc<NewsSubscribers>,
        bus: Option<Bus>,
        metrics: Arc<Metrics>,
        max_replay_events: Seq,
    ) -> Self {
        let (appends, taken) = mpsc::channel(CHANNEL_CAPACITY);
        let tails = Arc::new(Tails::new(max_replay_events));
        let (behind, streams) = mpsc::channel(CHANNEL_CAPACITY);
        let fanout = Fanout {
            tails,
            connections: live,
            news_subscribers: readers,
            bus,
            lagging_streams: behind,
            metrics,
        };
        let writer = Writer::new(store.clone(), fanout.clone());
        tokio::spawn(writer.run(taken));
        tokio::spawn(run_catch_up(store.clone(), fanout.clone(), streams));
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
        self.append(|answer| AppendRequest::Message(new, answer))
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
        self.append(|answer| AppendRequest::Story(new, answer))
            .await
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
        self.append(|answer| AppendRequest::ReadCursor {
            room,
            user,
            seq,
            reply: answer,
        })
        .await
    }

    async fn append<T>(&self, entry: impl FnOnce(ReplySender<T>) -> AppendRequest) -> Result<T> {
        let lost = || Error::Internal("the event log writer has stopped".to_owned());
        let (answer, answered) = oneshot::channel();
        self.appends.send(entry(answer)).await.map_err(|_| lost())?;
        answered.await.map_err(|_| lost())?
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
        let told = self.fanout.tails.heads();
        let streams: Vec<_> = told.iter().map(|(stream, _)| *stream).collect();
        let heads = self.store.list_heads(&streams).await?;
        for (stream, told) in told {
            if heads.get(&stream).is_some_and(|head| *head > told) {
                self.fanout.schedule_catch_up(stream);
            }
        }
        Ok(())
    }
}

/// Sends committed events to subscribers and to other nodes.
#[derive(Debug, Clone)]
struct Fanout {
    tails: Arc<Tails>,
    connections: Arc<ConnectionRegistry>,
    news_subscribers: Arc<NewsSubscribers>,
    bus: Option<Bus>,
    /// Streams with unpublished events.
    lagging_streams: mpsc::Sender<Stream>,
    metrics: Arc<Metrics>,
}

impl Fanout {
    /// Publishes in the order of the stream. After a gap the missing events come first.
    fn publish(&self, event: &EncodedEvent) {
        if self.tails.deliver(event, |event| self.deliver(event)) == PublishOutcome::Gap {
            self.schedule_catch_up(event.stream);
        }
    }

    fn deliver(&self, event: &EncodedEvent) {
        match event.stream {
            Stream::News => self.news_subscribers.publish(event),
            Stream::Room(room) => self.connections.publish(room, event),
        }
    }

    fn schedule_catch_up(&self, stream: Stream) {
        // If the channel is full, the periodic catch-up finds the stream.
        let _ = self.lagging_streams.try_send(stream);
    }

    fn publish_to_nodes(&self, committed: Vec<NewEvent>) {
        let Some(bus) = &self.bus else { return };
        let (mut stream, mut rows, mut bytes) = (Stream::News, Vec::new(), 0);
        let at = clock::now();
        let tell = |stream: Stream, rows: Vec<EventRow>| {
            if !rows.is_empty() {
                let stream = stream.to_string();
                bus.broadcast(Message::Committed { stream, rows, at });
            }
        };
        for NewEvent {
            stream: of, row, ..
        } in committed
        {
            if of != stream || bytes > BUS_MESSAGE_BYTES {
                tell(stream, std::mem::take(&mut rows));
                bytes = 0;
            }
            stream = of;
            bytes += row.payload.len();
            rows.push(row);
        }
        tell(stream, rows);
    }
}

/// Fills gaps from the store, one stream after another.
async fn run_catch_up(store: Store, fanout: Fanout, mut behind: mpsc::Receiver<Stream>) {
    let mut streams = HashSet::new();
    loop {
        match behind.recv().await {
            Some(stream) => drop(streams.insert(stream)),
            None => return,
        }
        // Most missing events are on their way.
        sleep(CATCH_UP_DELAY).await;
        while let Ok(stream) = behind.try_recv() {
            streams.insert(stream);
        }
        for stream in streams.drain() {
            let caught_up = fanout.tails.catch_up(&store, stream, |event| {
                fanout.metrics.bus_missed.inc();
                fanout.deliver(event);
            });
            if let Err(error) = caught_up.await {
                tracing::warn!(%stream, %error, "events of other nodes could not be read; retrying");
                let (fanout, stream) = (fanout.clone(), stream);
                tokio::spawn(async move {
                    sleep(CATCH_UP_RETRY_DELAY).await;
                    fanout.schedule_catch_up(stream);
                });
            }
        }
    }
}
