//! Publishing what the bus did not deliver, from the store.

use super::{CacheDelta, StreamStore, Tail, Tails, cached_stream::is_contiguous, read_events};
use crate::{
    model::Seq,
    server::{error::Result, live::EncodedEvent, store::Stream},
};

const MAX_CATCH_UP_EVENTS: Seq = 256;

/// Since when the events of a stream pass through its tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server::event_log) enum Watched {
    FromNow,
    /// Perhaps before its subscribers came.
    Before,
}

impl Tails {
    pub(in crate::server::event_log) async fn catch_up(
        &self,
        store: &impl StreamStore,
        stream: Stream,
        mut publish: impl FnMut(&EncodedEvent),
    ) -> Result<()> {
        let loaded = self.load(store, stream).await?;
        while let Some((epoch, head)) = loaded.tail.position() {
            let events = read_events(store, stream, &epoch, head, MAX_CATCH_UP_EVENTS).await?;
            let Some(last) = events.last().map(|event| event.seq) else {
                return Ok(());
            };
            if is_contiguous(&events, head) {
                for event in &events {
                    self.deliver(event, &mut publish);
                }
                continue;
            }
            self.publish_after_gap(&loaded.tail, &events, last, &mut publish);
        }
        Ok(())
    }

    /// An event that cannot be encoded must not block later ones.
    fn publish_after_gap(
        &self,
        tail: &Tail,
        events: &[EncodedEvent],
        last: Seq,
        publish: impl FnMut(&EncodedEvent),
    ) {
        let mut state = tail.lock();
        let cached = state.cached.as_mut();
        self.count_bytes(CacheDelta {
            added_bytes: 0,
            removed_bytes: cached.map_or(0, |cached| cached.skip_to(last)),
        });
        events.iter().for_each(publish);
    }

    /// From now on, the stream's events pass through its tail.
    pub(in crate::server::event_log) fn watch(&self, stream: Stream) -> Watched {
        self.get_or_insert_tail(stream).1
    }

    /// Publishes a new stream from its first event on: some may be lost, or came before the subscribers.
    pub(in crate::server::event_log) async fn publish_from_start(
        &self,
        store: &impl StreamStore,
        stream: Stream,
        watched: Watched,
        mut publish: impl FnMut(&EncodedEvent),
    ) -> Result<()> {
        let loaded = self.load(store, stream).await?;
        let Some((epoch, head)) = loaded.tail.position() else {
            return Ok(());
        };
        if head == 0 {
            return Ok(());
        }
        let max_events = head.min(self.max_events());
        let events = read_events(store, stream, &epoch, 0, max_events).await?;
        let mut state = loaded.tail.lock();
        let Some(cached) = &mut state.cached else {
            return Ok(());
        };
        for event in events.iter().filter(|event| event.seq <= head) {
            let is_overdue = cached.remember_published(event.seq);
            match watched {
                Watched::FromNow if !is_overdue => {}
                Watched::FromNow | Watched::Before => publish(event),
            }
        }
        Ok(())
    }
}
