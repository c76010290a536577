//! The log: an event is committed, then fanned out, in sequence. The only way in which anything that others see changes.
//!
//! One task writes ([`writer`]): it takes everything that waits and commits it as one transaction, so that the cost of making
//! something durable is shared by all who ask at the same time, and nobody's request waits for a lock. A request that is dropped
//! between the commit and the fan-out (a closed tab, a timeout) changes nothing: what it asked for is done by the writer.

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

/// How many appends may wait for the writer; who comes after them waits for a place.
const CHANNEL_CAPACITY: usize = 1_024;
/// About how many bytes of events go to the other nodes in one message.
const BUS_MESSAGE_BYTES: usize = 256 * 1024;
/// How long what another node committed may be on its way before it is read from the store.
const CATCH_UP_DELAY: Duration = Duration::from_millis(20);
/// How long to wait after the store failed.
const CATCH_UP_RETRY_DELAY: Duration = Duration::from_secs(1);

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
    pub missed: Option<Vec<EncodedEvent>>,
}

/// The log. Cheap to clone: all clones append through one writer.
#[derive(Debug, Clone)]
pub struct EventLog {
    store: Store,
    fanout: Fanout,
    /// To the writer, which ends when the last clone is gone.
    appends: mpsc::Sender<AppendRequest>,
}

impl EventLog {
    /// A log over a store, fanning out to these, that replays at most `most` events to whoever comes back. Starts the writer, so it
    /// has to be called within a runtime.
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

    /// Commits a message and sends it to its room. A repeated id is answered with its first result.
    ///
    /// # Errors
    /// When the store fails; [`Failure::Invalid`](crate::protocol::failure::Failure::Invalid) when the id belongs to a message
    /// of somebody else or of another room, or when the room does not exist.
    pub async fn post_message(&self, new: NewMessage) -> Result<PostedMessage> {
        self.append(|answer| AppendRequest::Message(new, answer))
            .await
    }

    /// Commits a story and sends it to every reader. A repeated request id is answered with its first result.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn publish_story(&self, mut new: NewStory) -> Result<Story> {
        // Every story has a request, so that the writer can try again where it cannot know whether the store has it.
        let request = new.request_id.take();
        new.request_id = Some(request.map_or_else(
            || format!("once:{}", random::new_id()),
            // No store holds a NUL.
            |request| request.replace('\0', "\u{FFFD}"),
        ));
        self.append(|answer| AppendRequest::Story(new, answer))
            .await
    }

    /// Moves a member's read cursor forward, never back and never past the head, and says where it is and how many messages of
    /// others stand after it. None for somebody who is not a member. No event, but written with those that are: what a room
    /// reads at the same moment is one transaction.
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
        let lost = || Error::Internal("the writer of the log is gone".to_owned());
        let (answer, answered) = oneshot::channel();
        self.appends.send(entry(answer)).await.map_err(|_| lost())?;
        answered.await.map_err(|_| lost())?
    }

    /// Where a stream stands for those who listen to it here: its epoch, and the newest sequence that they were told.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
    pub async fn position(&self, stream: Stream) -> Result<(Epoch, Seq)> {
        self.fanout.tails.position(&self.store, stream).await
    }

    /// What somebody missed in a stream, all of it or nothing. Whoever listens before they ask misses nothing in between.
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

    /// From now on what other nodes commit to a stream is told here in order, however little came by the bus. For streams that
    /// somebody begins to listen to without having asked how they stand: a new room.
    pub fn track_stream(&self, stream: Stream) {
        if self.fanout.bus.is_none() {
            return;
        }
        let log = self.clone();
        tokio::spawn(async move {
            if let Err(error) = log.position(stream).await {
                tracing::warn!(%stream, %error, "it could not be found out where a stream stands");
            }
        });
    }

    /// Tells what another node has committed, at a moment by its clock.
    pub fn publish_remote_events(&self, stream: Stream, rows: &[EventRow], at: Millis) {
        let lag = clock::now().saturating_sub(at).max(0);
        let lag = Duration::from_millis(lag.unsigned_abs());
        self.fanout.metrics.bus_lag.observe(lag.as_secs_f64());
        for row in rows {
            match EncodedEvent::encode(stream, row) {
                Ok(event) => self.fanout.publish(&event),
                Err(error) => {
                    tracing::error!(%stream, seq = row.seq, %error, "an event cannot be read");
                }
            }
        }
    }

    /// Looks for events that other nodes have committed and that never came by the bus, and tells them.
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

/// Tells what was committed to those who listen on this node, and to the other nodes.
#[derive(Debug, Clone)]
struct Fanout {
    tails: Arc<Tails>,
    connections: Arc<ConnectionRegistry>,
    news_subscribers: Arc<NewsSubscribers>,
    bus: Option<Bus>,
    /// Streams with a hole between what was told and what came.
    lagging_streams: mpsc::Sender<Stream>,
    metrics: Arc<Metrics>,
}

impl Fanout {
    /// Tells those who listen on this node, in the order of each stream; what came too early is told after what is missing.
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
        // When too many wait already, the next look at all streams finds it.
        let _ = self.lagging_streams.try_send(stream);
    }

    /// Tells the other nodes of what this one has committed.
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

/// Fills holes, one after another.
async fn run_catch_up(store: Store, fanout: Fanout, mut behind: mpsc::Receiver<Stream>) {
    let mut streams = HashSet::new();
    loop {
        match behind.recv().await {
            Some(stream) => drop(streams.insert(stream)),
            None => return,
        }
        // What is missing is most often on its way.
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
                tracing::warn!(%stream, %error, "what other nodes committed could not be read; trying again");
                let (fanout, stream) = (fanout.clone(), stream);
                tokio::spawn(async move {
                    sleep(CATCH_UP_RETRY_DELAY).await;
                    fanout.schedule_catch_up(stream);
                });
            }
        }
    }
}
