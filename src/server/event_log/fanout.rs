//! Fan-out of committed events, in stream order, to this node's subscribers and to other nodes.

use super::{
    memberships::Announcement,
    tail::{PublishOutcome, Tails, Watched},
};
use crate::server::{
    bus::{Bus, Message},
    clock,
    live::{ConnectionRegistry, EncodedEvent, NewsSubscribers},
    metrics::Metrics,
    store::{EventRow, NewEvent, Store, Stream},
    task,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::sleep};

const BUS_MESSAGE_BYTES: usize = 256 * 1024;
/// Other nodes' events may still arrive over the bus.
const CATCH_UP_DELAY: Duration = Duration::from_millis(20);
const CATCH_UP_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Afterwards a gap shows with the next event.
const MAX_START_ATTEMPTS: u32 = 60;

#[derive(Debug, Clone)]
pub(super) struct Fanout {
    pub(super) tails: Arc<Tails>,
    pub(super) connections: Arc<ConnectionRegistry>,
    pub(super) news_subscribers: Arc<NewsSubscribers>,
    pub(super) bus: Option<Bus>,
    /// Streams with a gap, sent to [`run_catch_up`].
    pub(super) lagging_streams: mpsc::Sender<Stream>,
    /// Sent to [`run_announcements`](super::memberships::run_announcements).
    pub(super) announcements: mpsc::Sender<Announcement>,
    pub(super) metrics: Arc<Metrics>,
}

impl Fanout {
    /// After a gap, schedules a catch-up instead.
    pub(super) fn publish(&self, event: &EncodedEvent) -> PublishOutcome {
        let outcome = self.tails.deliver(event, |event| self.deliver(event));
        if outcome == PublishOutcome::Gap {
            self.schedule_catch_up(event.stream);
        }
        outcome
    }

    fn deliver(&self, event: &EncodedEvent) {
        match event.stream {
            Stream::News => self.news_subscribers.publish(event),
            Stream::Room(room) => self.connections.publish(room, event),
            Stream::Memberships => self.subscribe_members(event),
        }
    }

    pub(super) fn track_stream(&self, store: &Store, stream: Stream) {
        if self.bus.is_none() {
            return;
        }
        let watched = self.tails.watch(stream);
        let (store, fanout) = (store.clone(), self.clone());
        task::spawn(async move { fanout.publish_from_start(&store, stream, watched).await });
    }

    pub(super) fn schedule_catch_up(&self, stream: Stream) {
        // When full, the next periodic catch-up finds the stream.
        let _ = self.lagging_streams.try_send(stream);
    }

    async fn publish_from_start(&self, store: &Store, stream: Stream, mut watched: Watched) {
        for _ in 0..MAX_START_ATTEMPTS {
            let published = self
                .tails
                .publish_from_start(store, stream, watched, |event| self.deliver(event));
            let Err(error) = published.await else { return };
            tracing::warn!(%stream, %error, "the events of a new stream could not be read; retrying");
            // The failure removed the tail.
            watched = Watched::Before;
            sleep(CATCH_UP_RETRY_DELAY).await;
        }
    }

    pub(super) fn publish_to_nodes(&self, committed: Vec<NewEvent>) {
        let Some(bus) = &self.bus else { return };
        let (mut stream, mut rows, mut bytes) = (Stream::News, Vec::new(), 0);
        let at = clock::now();
        let broadcast = |stream: Stream, rows: Vec<EventRow>| {
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
                broadcast(stream, std::mem::take(&mut rows));
                bytes = 0;
            }
            stream = of;
            bytes += row.payload.len();
            rows.push(row);
        }
        broadcast(stream, rows);
    }
}

/// Fills gaps from the store until all senders are dropped.
pub(super) async fn run_catch_up(
    store: Store,
    fanout: Fanout,
    mut lagging_stream_rx: mpsc::Receiver<Stream>,
) {
    let mut streams = BTreeSet::new();
    loop {
        match lagging_stream_rx.recv().await {
            Some(stream) => drop(streams.insert(stream)),
            None => return,
        }
        sleep(CATCH_UP_DELAY).await;
        while let Ok(stream) = lagging_stream_rx.try_recv() {
            streams.insert(stream);
        }
        for stream in std::mem::take(&mut streams) {
            let caught_up = fanout.tails.catch_up(&store, stream, |event| {
                fanout.metrics.bus_missed.inc();
                fanout.deliver(event);
            });
            if let Err(error) = caught_up.await {
                tracing::warn!(%stream, %error, "events of other nodes could not be read; retrying");
                let (fanout, stream) = (fanout.clone(), stream);
                task::spawn(async move {
                    sleep(CATCH_UP_RETRY_DELAY).await;
                    fanout.schedule_catch_up(stream);
                });
            }
        }
    }
}
