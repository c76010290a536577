//! Missed events for a client that resumes.

use super::{
    CacheDelta, StreamStore, Tail, Tails,
    cached_stream::{ReplayLookup, is_contiguous},
    read_events,
};
use crate::{
    model::{
        Epoch, Seq,
        stream::{Cursor, ResumeDecision, decide_resume},
    },
    server::{
        error::Result,
        event_log::Replay,
        live::EncodedEvent,
        store::{EventRow, Store, Stream, StreamState},
    },
};

impl Tails {
    pub(in crate::server::event_log) async fn replay(
        &self,
        store: &impl StreamStore,
        stream: Stream,
        cursor: &Cursor,
    ) -> Result<Replay> {
        let (tail, _) = self.get_or_insert_tail(stream);
        if let ReplayLookup::Found(replay) = self.find_replay(&tail, cursor) {
            return Ok(replay);
        }
        let loaded = self.load(store, stream).await?;
        let tail = &loaded.tail;
        match self.find_replay(tail, cursor) {
            ReplayLookup::Found(replay) => return Ok(replay),
            ReplayLookup::Missing(after, upto) => {
                let epoch = &cursor.epoch;
                let events = read_events(store, stream, epoch, after, upto - after).await?;
                self.prepend(tail, events, after);
            }
            ReplayLookup::NotLoaded | ReplayLookup::Ahead => {}
        }
        match self.find_replay(tail, cursor) {
            ReplayLookup::Found(replay) => Ok(replay),
            // The tail is briefly behind the store, or was evicted.
            ReplayLookup::Missing(..) | ReplayLookup::NotLoaded | ReplayLookup::Ahead => {
                self.replay_from_store(store, stream, cursor).await
            }
        }
    }

    pub(in crate::server::event_log) async fn replay_topic(
        &self,
        store: &Store,
        cursor: &Cursor,
        topic: &str,
    ) -> Result<Replay> {
        let mut replay = self.replay(store, Stream::News, cursor).await?;
        if let Some(missed) = &mut replay.missed {
            missed.retain(|story| story.is_about(Some(topic)));
            return Ok(replay);
        }
        let (tail, _) = self.get_or_insert_tail(Stream::News);
        let unbounded = tail.lock().cached.as_ref().map(|cached| {
            let decision = cached.decide_resume(cursor, Seq::MAX);
            (cached.epoch.clone(), cached.head, decision)
        });
        let Some((epoch, head, ResumeDecision::Recovered { after })) = unbounded else {
            return Ok(replay);
        };
        let _reading = self.topic_lock.lock().await;
        let missed = read_topic(store, &epoch, topic, (after, head), self.max_events).await?;
        Ok(Replay {
            epoch,
            head,
            missed,
        })
    }

    fn find_replay(&self, tail: &Tail, cursor: &Cursor) -> ReplayLookup {
        let state = tail.lock();
        let cached = state.cached.as_ref();
        cached.map_or(ReplayLookup::NotLoaded, |cached| {
            cached.find_replay(cursor, self.max_events())
        })
    }

    fn prepend(&self, tail: &Tail, events: Vec<EncodedEvent>, after: Seq) {
        let added_bytes = events.iter().map(|event| event.bytes.len()).sum();
        let mut state = tail.lock();
        let joined = state
            .cached
            .as_mut()
            .is_some_and(|cached| cached.prepend(events, after));
        if joined {
            self.count_bytes(CacheDelta {
                added_bytes,
                removed_bytes: 0,
            });
        }
        drop(state);
        self.evict_if_full();
    }

    async fn replay_from_store(
        &self,
        store: &impl StreamStore,
        stream: Stream,
        cursor: &Cursor,
    ) -> Result<Replay> {
        let StreamState {
            epoch,
            head,
            oldest,
        } = store.find_stream(stream).await?;
        let max_events = self.max_events();
        let ResumeDecision::Recovered { after } =
            decide_resume(&epoch, head, oldest, cursor, max_events)
        else {
            let missed = None;
            return Ok(Replay {
                epoch,
                head,
                missed,
            });
        };
        let events = read_events(store, stream, &epoch, after, max_events).await?;
        let last = events.last().map_or(after, |event| event.seq);
        // An event that cannot be encoded is missing.
        let is_complete = is_contiguous(&events, after) && last >= head;
        Ok(Replay {
            epoch,
            head: last.max(head),
            missed: is_complete.then_some(events),
        })
    }
}

/// Stories after the first sequence, up to the second; none if more than `max_events`.
async fn read_topic(
    store: &Store,
    epoch: &Epoch,
    topic: &str,
    (after, head): (Seq, Seq),
    max_events: usize,
) -> Result<Option<Vec<EncodedEvent>>> {
    let most = Seq::try_from(max_events).unwrap_or(Seq::MAX - 1) + 1;
    let stories = store.list_topic_stories(topic, after, most).await?;
    if stories.len() > max_events {
        return Ok(None);
    }
    let mut events = Vec::with_capacity(stories.len());
    for story in stories.iter().filter(|story| story.seq <= head) {
        let row = EventRow {
            seq: story.seq,
            payload: serde_json::to_string(story)?,
        };
        events.push(EncodedEvent::encode(Stream::News, &row)?.in_epoch(epoch));
    }
    Ok(Some(events))
}
