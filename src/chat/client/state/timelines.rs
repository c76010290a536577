//! The timelines of the open room and of a few rooms left last, and when to resume them.

use crate::{
    model::{
        MessageId, RoomId, backoff,
        message::Message,
        timeline::{MergeOutcome, Timeline},
    },
    protocol::ws::RoomCursor,
};

/// Others are fetched when opened again.
const MAX_TIMELINES: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Timelines {
    /// The most recently opened last.
    open: Vec<OpenTimeline>,
    last_number: u32,
}

#[derive(Debug)]
struct OpenTimeline {
    room: RoomId,
    timeline: Timeline,
    resume: ResumeState,
    /// Refused resumes since the last answered one.
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ResumeState {
    /// Not resumed on this connection.
    Needed,
    Requested,
    BackingOff {
        number: u32,
    },
    /// All later events arrive.
    Done,
    /// Shown until the room is fetched again.
    Unrecoverable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResumeBackoff {
    pub(super) room: RoomId,
    pub(super) number: u32,
    pub(super) delay_ms: u32,
}

impl OpenTimeline {
    fn new(room: RoomId, timeline: Timeline) -> Self {
        Self {
            room,
            timeline,
            resume: ResumeState::Needed,
            failures: 0,
        }
    }

    fn request(&mut self) -> RoomCursor {
        self.resume = ResumeState::Requested;
        RoomCursor {
            room: self.room,
            cursor: self.timeline.cursor(),
        }
    }
}

impl Timelines {
    pub(super) fn find(&self, room: RoomId) -> Option<&Timeline> {
        let found = self.open.iter().find(|open| open.room == room);
        found.map(|open| &open.timeline)
    }

    fn find_mut(&mut self, room: RoomId) -> Option<&mut OpenTimeline> {
        self.open.iter_mut().find(|open| open.room == room)
    }

    /// A fetched page replaces a timeline that is older, of another epoch or unrecoverable. Returns whether the timeline changed.
    pub(super) fn open(&mut self, room: RoomId, fetched: Timeline) -> bool {
        let known = self.open.iter().position(|open| open.room == room);
        let known = known.map(|at| self.open.remove(at));
        let new = fetched.cursor();
        let known = known.filter(|known| {
            known.resume != ResumeState::Unrecoverable && known.timeline.cursor().epoch == new.epoch
        });
        let (opened, is_changed) = match known {
            Some(known) if known.timeline.cursor().seq >= new.seq => (known, false),
            Some(mut known) => {
                known.timeline = fetched;
                (known, true)
            }
            None => (OpenTimeline::new(room, fetched), true),
        };
        self.open.push(opened);
        let excess = self.open.len().saturating_sub(MAX_TIMELINES);
        self.open.drain(..excess);
        is_changed
    }

    /// `None` without a recoverable timeline.
    pub(super) fn merge(&mut self, room: RoomId, message: &Message) -> Option<MergeOutcome> {
        let open = self.find_mut(room)?;
        (open.resume != ResumeState::Unrecoverable).then(|| open.timeline.merge(message))
    }

    pub(super) fn prepend(
        &mut self,
        room: RoomId,
        messages: Vec<Message>,
        has_older: bool,
    ) -> bool {
        let open = self.find_mut(room);
        open.map(|open| open.timeline.prepend(messages, has_older))
            .is_some()
    }

    pub(super) fn message_ids(&self) -> Vec<MessageId> {
        let messages = self.open.iter().flat_map(|open| open.timeline.messages());
        messages.map(|message| message.id).collect()
    }

    /// The cursors of a new connection's `hello`.
    pub(super) fn request_all(&mut self) -> Vec<RoomCursor> {
        self.request_where(|resume| resume != ResumeState::Unrecoverable)
    }

    /// The cursors of timelines opened after `hello`.
    pub(super) fn request_needed(&mut self) -> Vec<RoomCursor> {
        self.request_where(|resume| resume == ResumeState::Needed)
    }

    fn request_where(&mut self, is_due: impl Fn(ResumeState) -> bool) -> Vec<RoomCursor> {
        let due = self.open.iter_mut().filter(|open| is_due(open.resume));
        due.map(OpenTimeline::request).collect()
    }

    /// `None` while a resume is on its way.
    pub(super) fn request_after_gap(&mut self, room: RoomId) -> Option<RoomCursor> {
        let open = self.find_mut(room)?;
        match open.resume {
            ResumeState::Needed | ResumeState::Done => Some(open.request()),
            ResumeState::Requested
            | ResumeState::BackingOff { .. }
            | ResumeState::Unrecoverable => None,
        }
    }

    pub(super) fn on_resumed(&mut self, room: RoomId, is_recovered: bool) {
        if let Some(open) = self.find_mut(room) {
            open.failures = 0;
            open.resume = if is_recovered {
                ResumeState::Done
            } else {
                ResumeState::Unrecoverable
            };
        }
    }

    /// An older server does not say which room it could not resume. `random` is in `0.0..1.0`.
    pub(super) fn back_off(
        &mut self,
        room: Option<RoomId>,
        retry_after_ms: Option<u32>,
        random: f64,
    ) -> Vec<ResumeBackoff> {
        let mut started = Vec::new();
        for open in &mut self.open {
            let is_meant = room.is_none_or(|room| room == open.room);
            if !is_meant || open.resume != ResumeState::Requested {
                continue;
            }
            self.last_number = self.last_number.wrapping_add(1);
            let number = self.last_number;
            open.resume = ResumeState::BackingOff { number };
            let delay_ms = backoff::retry_delay(open.failures, random);
            open.failures = open.failures.saturating_add(1);
            started.push(ResumeBackoff {
                room: open.room,
                number,
                delay_ms: delay_ms.max(retry_after_ms.unwrap_or_default()),
            });
        }
        started
    }

    pub(super) fn end_backoff(&mut self, room: RoomId, number: u32) -> Option<RoomCursor> {
        let open = self.find_mut(room)?;
        (open.resume == ResumeState::BackingOff { number }).then(|| open.request())
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
        let mut timelines = Timelines::default();
        for id in 1..=10 {
            timelines.open(room(id), page("a", 0));
            timelines.open(room(1), page("a", 0));
        }
        let kept = timelines.request_all().into_iter().map(|at| at.room);
        assert_eq!(
            kept.collect::<Vec<_>>(),
            [room(8), room(9), room(10), room(1)]
        );
        assert!(timelines.find(room(7)).is_none());
    }

    #[test]
    fn a_fetched_page_replaces_only_an_older_timeline() {
        let mut timelines = Timelines::default();
        let mut seq_after = |fetched| {
            let is_changed = timelines.open(room(1), fetched);
            let seq = timelines.find(room(1)).map(|shown| shown.cursor().seq);
            (is_changed, seq)
        };
        assert_eq!(seq_after(page("a", 5)), (true, Some(5)));
        assert_eq!(seq_after(page("a", 4)), (false, Some(5)));
        assert_eq!(seq_after(page("a", 6)), (true, Some(6)));
        assert_eq!(seq_after(page("b", 1)), (true, Some(1)));
    }

    #[test]
    fn a_fetched_page_replaces_any_timeline_that_cannot_be_resumed() {
        let mut timelines = Timelines::default();
        timelines.open(room(1), page("a", 5));
        timelines.on_resumed(room(1), false);
        assert!(timelines.request_all().is_empty());
        assert!(timelines.open(room(1), page("a", 4)));
        assert_eq!(timelines.find(room(1)), Some(&page("a", 4)));
        assert_eq!(timelines.request_needed().len(), 1);
    }

    #[test]
    fn a_resume_that_is_refused_for_now_is_repeated_after_a_growing_backoff() {
        let mut timelines = Timelines::default();
        timelines.open(room(1), page("a", 5));
        timelines.open(room(2), page("a", 5));
        timelines.request_all();
        assert_eq!(timelines.back_off(Some(room(3)), None, 1.0), []);
        let mut delays = Vec::new();
        for _ in 0..3 {
            let started = timelines.back_off(Some(room(1)), None, 1.0);
            assert_eq!(started.len(), 1);
            assert_eq!(timelines.back_off(Some(room(1)), None, 1.0), []);
            assert_eq!(timelines.request_after_gap(room(1)), None);
            delays.push(started[0].delay_ms);
            let again = timelines.end_backoff(room(1), started[0].number);
            assert_eq!(again.map(|again| again.room), Some(room(1)));
            assert_eq!(timelines.end_backoff(room(1), started[0].number), None);
        }
        assert_eq!(delays, [500, 1_000, 2_000]);
        let of_older_server = timelines.back_off(None, None, 1.0);
        let rooms = of_older_server.iter().map(|started| started.room);
        assert_eq!(rooms.collect::<Vec<_>>(), [room(1), room(2)]);
        timelines.request_all();
        let stale = of_older_server[0].number;
        assert_eq!(timelines.end_backoff(room(1), stale), None);
    }
}
