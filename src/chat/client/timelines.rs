//! The timelines of the open room and of a few rooms left last.

use crate::{
    model::{MessageId, RoomId, timeline::Timeline},
    protocol::ws::RoomCursor,
};
use leptos::prelude::*;

/// Others are fetched when opened again.
const MAX_TIMELINES: usize = 4;

/// The most recently opened last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timelines(StoredValue<Vec<(RoomId, ArcRwSignal<Timeline>)>>);

impl Timelines {
    pub(super) fn new() -> Self {
        Self(StoredValue::new(Vec::new()))
    }

    pub(super) fn find(self, room: RoomId) -> Option<ArcRwSignal<Timeline>> {
        self.0.with_value(|timelines| {
            let mut timelines = timelines.iter();
            let found = timelines.find(|(known, _)| *known == room);
            found.map(|(_, timeline)| timeline.clone())
        })
    }

    /// A fetched page replaces the known timeline if it is newer or has another epoch.
    pub(super) fn open(self, room: RoomId, fetched: Timeline) -> ArcRwSignal<Timeline> {
        let timeline = match self.find(room) {
            Some(known) => {
                let (old, new) = (known.with_untracked(Timeline::cursor), fetched.cursor());
                if old.epoch != new.epoch || old.seq < new.seq {
                    known.set(fetched);
                }
                known
            }
            None => ArcRwSignal::new(fetched),
        };
        self.0.update_value(|timelines| {
            timelines.retain(|(known, _)| *known != room);
            timelines.push((room, timeline.clone()));
            let excess = timelines.len().saturating_sub(MAX_TIMELINES);
            timelines.drain(..excess);
        });
        timeline
    }

    pub(super) fn remove(self, room: RoomId) {
        self.0
            .update_value(|timelines| timelines.retain(|(known, _)| *known != room));
    }

    pub(super) fn message_ids(self) -> Vec<MessageId> {
        self.0.with_value(|timelines| {
            let ids = |(_, timeline): &(RoomId, ArcRwSignal<Timeline>)| {
                timeline.with_untracked(|timeline| {
                    let messages = timeline.messages().iter();
                    messages.map(|message| message.id).collect::<Vec<_>>()
                })
            };
            timelines.iter().flat_map(ids).collect()
        })
    }

    pub(super) fn cursors(self) -> Vec<RoomCursor> {
        self.0.with_value(|timelines| {
            let cursor = |(room, timeline): &(RoomId, ArcRwSignal<Timeline>)| RoomCursor {
                room: *room,
                cursor: timeline.with_untracked(Timeline::cursor),
            };
            timelines.iter().map(cursor).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Epoch, Seq};
    use uuid::Uuid;

    fn room(id: u128) -> RoomId {
        RoomId(Uuid::from_u128(id))
    }

    fn page(epoch: &str, head: Seq) -> Timeline {
        Timeline::new(Epoch(epoch.into()), head, Vec::new(), false)
    }

    #[test]
    fn only_the_open_timeline_and_those_left_last_are_kept() {
        Owner::new().with(|| {
            let timelines = Timelines::new();
            for id in 1..=10 {
                timelines.open(room(id), page("a", 0));
                timelines.open(room(1), page("a", 0));
            }
            let kept: Vec<_> = timelines.cursors().into_iter().map(|at| at.room).collect();
            assert_eq!(kept, [room(8), room(9), room(10), room(1)]);
            assert!(timelines.find(room(7)).is_none());
            timelines.remove(room(1));
            assert!(timelines.find(room(1)).is_none());
        });
    }

    #[test]
    fn a_fetched_page_replaces_only_an_older_timeline() {
        Owner::new().with(|| {
            let timelines = Timelines::new();
            let shown = timelines.open(room(1), page("a", 5));
            let seq_after = |fetched| {
                timelines.open(room(1), fetched);
                shown.with_untracked(Timeline::cursor).seq
            };
            assert_eq!(seq_after(page("a", 4)), 5);
            assert_eq!(seq_after(page("a", 6)), 6);
            assert_eq!(seq_after(page("b", 1)), 1);
        });
    }
}
