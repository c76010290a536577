//! What pages were told in a simulation, and what they may not be told.

use super::world::MAX_PARTICIPANTS;
use crate::{
    model::{
        CallId, MessageId, Millis, RoomId, Seq, StoryId,
        call::{
            ClientAction, Outcome, Seat, State,
            group::{GroupCallView, Participation},
        },
        message::MessageText,
        story::Story,
    },
    protocol::ws::{ClientFrame, RoomCursor, ServerFrame},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Default)]
pub(super) struct History(Mutex<Records>);

#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) messages: BTreeMap<MessageId, MessageRecord>,
    /// By number, once published.
    pub(super) stories: Vec<Option<(StoryId, Seq)>>,
    /// By page and room: the replay after the latest cursor.
    replays: BTreeMap<(usize, RoomId), Replay>,
    /// That a page was shown as answered.
    pub(super) answered_calls: BTreeSet<CallId>,
    /// By page.
    pub(super) outcomes: BTreeMap<(usize, CallId), Outcome>,
    /// By page: its seat, until it leaves or is told to be out.
    seats: BTreeMap<usize, (CallId, Seat)>,
    /// By page: the latest term that it was told.
    latest_terms: BTreeMap<usize, i64>,
    pub(super) group_calls: BTreeMap<CallId, GroupCallRecord>,
    pub(super) violations: Vec<String>,
    /// Of every frame; equal in equal runs.
    pub(super) digest: u64,
    pub(super) frame_count: u64,
}

#[derive(Debug)]
pub(super) struct MessageRecord {
    pub(super) page: usize,
    /// In the order of writing.
    pub(super) number: usize,
    pub(super) room: RoomId,
    pub(super) text: MessageText,
    pub(super) is_sent: bool,
    pub(super) acknowledged: Option<Seq>,
    pub(super) is_refused: bool,
}

#[derive(Debug, Default)]
pub(super) struct GroupCallRecord {
    /// By page: term and version of the end.
    ends: BTreeMap<usize, (i64, Millis)>,
    /// By page: term and version of the newest view.
    newest: BTreeMap<usize, (i64, Millis)>,
}

#[derive(Debug, Clone, Copy)]
struct Replay {
    next: Seq,
    /// None before `resumed`.
    head: Option<Seq>,
}

impl History {
    pub(super) fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fail(&self, what: String) {
        self.records().violations.push(what);
    }

    pub(super) fn begin_story(&self) -> usize {
        let mut records = self.records();
        records.stories.push(None);
        records.stories.len() - 1
    }

    pub(super) fn record_published(&self, number: usize, story: &Story) {
        self.records().stories[number] = Some((story.id, story.seq));
    }

    pub(super) fn record_written(
        &self,
        id: MessageId,
        room: RoomId,
        text: &MessageText,
        page: usize,
    ) {
        let mut records = self.records();
        let record = MessageRecord {
            page,
            number: records.messages.len(),
            room,
            text: text.clone(),
            is_sent: false,
            acknowledged: None,
            is_refused: false,
        };
        records.messages.insert(id, record);
    }

    pub(super) fn record_sent(&self, page: usize, frame: &ClientFrame) {
        let mut records = self.records();
        match frame {
            ClientFrame::Send { id, .. } => {
                if let Some(message) = records.messages.get_mut(id) {
                    message.is_sent = true;
                }
            }
            // What it was told before no longer counts.
            ClientFrame::Call {
                action: ClientAction::Join { .. } | ClientAction::HangUp,
                ..
            } => drop(records.seats.remove(&page)),
            _ => {}
        }
    }

    /// A refusal for good.
    pub(super) fn record_refusal(&self, id: MessageId) {
        if let Some(message) = self.records().messages.get_mut(&id) {
            message.is_refused = true;
        }
    }

    /// The page asked for the events after these cursors.
    pub(super) fn record_cursors(&self, page: usize, cursors: &[RoomCursor]) {
        let mut records = self.records();
        for RoomCursor { room, cursor } in cursors {
            let next = cursor.seq + 1;
            let replay = Replay { next, head: None };
            records.replays.insert((page, *room), replay);
        }
    }

    pub(super) fn record_reload(&self, page: usize) {
        let mut records = self.records();
        records.replays.retain(|(of, _), _| *of != page);
        records.seats.remove(&page);
    }

    pub(super) fn record_frame(&self, page: usize, frame: &ServerFrame) {
        let mut records = self.records();
        records.add_to_digest(page, frame);
        tracing::trace!(page, ?frame, "received");
        match frame {
            ServerFrame::Sent { id, room, seq, .. } => {
                records.record_acknowledgement(page, *id, *room, *seq);
            }
            ServerFrame::Resumed {
                room,
                recovered,
                head,
                ..
            } => {
                let replay = records.replays.remove(&(page, *room));
                if let (Some(Replay { next, .. }), true) = (replay, *recovered)
                    && next <= *head
                {
                    let head = Some(*head);
                    records.replays.insert((page, *room), Replay { next, head });
                }
            }
            ServerFrame::Event { room, seq, .. } => records.record_event(page, *room, *seq),
            ServerFrame::Call { call } => {
                if let State::Ended { outcome } = call.state {
                    records.record_outcome(page, call.id, outcome);
                } else if !call.state.is_unanswered() {
                    records.answered_calls.insert(call.id);
                }
            }
            ServerFrame::GroupCall { group } => records.record_group_call(page, group),
            _ => {}
        }
    }
}

impl Records {
    fn add_to_digest(&mut self, page: usize, frame: &ServerFrame) {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        let text = serde_json::to_string(frame).unwrap();
        (self.digest, page, text).hash(&mut hasher);
        self.digest = hasher.finish();
        self.frame_count += 1;
    }

    fn record_acknowledgement(&mut self, page: usize, id: MessageId, room: RoomId, seq: Seq) {
        let Some(message) = self.messages.get_mut(&id) else {
            self.violations.push(format!(
                "page {page}: {id} is acknowledged, and nobody sent it"
            ));
            return;
        };
        let earlier = message.acknowledged.replace(seq);
        if message.room != room || earlier.is_some_and(|earlier| earlier != seq) {
            self.violations.push(format!(
                "page {page}: {id} is acknowledged as {seq} of {room}, and before as {earlier:?} of {}",
                message.room
            ));
        }
    }

    /// An end is final.
    fn record_outcome(&mut self, page: usize, call: CallId, outcome: Outcome) {
        let earlier = self.outcomes.insert((page, call), outcome);
        if let Some(earlier) = earlier.filter(|earlier| *earlier != outcome) {
            self.violations.push(format!(
                "page {page}: the call {call} ended with {earlier:?}, and then with {outcome:?}"
            ));
        }
    }

    /// Seats and people are in it once, an end is final, and a page has one seat at a time.
    fn record_group_call(&mut self, page: usize, view: &GroupCallView) {
        let participants = &view.participants;
        let seats = participants.iter().map(|one| one.seat);
        let people: BTreeSet<_> = participants.iter().map(|one| one.person.id).collect();
        if !seats.is_sorted_by(|one, next| one < next)
            || people.len() < participants.len()
            || participants.len() > MAX_PARTICIPANTS
            || view.max_participants != MAX_PARTICIPANTS
        {
            let what = format!("page {page}: a group call has wrong participants: {view:?}");
            self.violations.push(what);
        }
        let record = self.group_calls.entry(view.id).or_default();
        if view.is_ended() {
            record.ends.insert(page, (view.term, view.as_of));
        } else if record
            .ends
            .get(&page)
            .is_some_and(|end| (view.term, view.as_of) > *end)
        {
            let what = format!("page {page}: a group call is back after its end: {view:?}");
            self.violations.push(what);
        }
        let version = (view.term, view.as_of);
        let newest = record.newest.entry(page).or_insert(version);
        let latest_term = self.latest_terms.entry(page).or_insert(view.term);
        if version < *newest || view.term < *latest_term {
            // Of a former leader that slept: the page hangs up.
            return;
        }
        *newest = version;
        *latest_term = view.term;
        match &view.participation {
            Some(Participation::In { seat, .. }) => {
                let earlier = self.seats.insert(page, (view.id, *seat));
                if let Some(earlier) = earlier.filter(|earlier| *earlier != (view.id, *seat)) {
                    self.violations.push(format!(
                        "page {page}: it is in as {seat:?} of {}, and still as {earlier:?}",
                        view.id
                    ));
                }
            }
            Some(Participation::Out) => {
                let known = self.seats.get(&page);
                if known.is_some_and(|(call, _)| *call == view.id) {
                    self.seats.remove(&page);
                }
            }
            None => {}
        }
    }

    /// After `recovered: true`, exactly the missed events follow.
    fn record_event(&mut self, page: usize, room: RoomId, seq: Seq) {
        let Some(replay) = self.replays.get_mut(&(page, room)) else {
            return;
        };
        let Some(head) = replay.head else { return };
        let expected = replay.next;
        replay.next += 1;
        if seq >= head {
            self.replays.remove(&(page, room));
        }
        if seq != expected {
            self.violations.push(format!(
                "page {page}: the replay of {room} up to {head} has {seq} in place of {expected}"
            ));
        }
    }
}
