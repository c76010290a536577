//! The open calls: plain data, locked by the call table.

use super::{
    commands::{CallCommand, GroupCallCommand},
    leader_term::LeaderTerm,
};
use crate::model::{CallId, RoomId, UserId, call::Call};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

#[derive(Debug, Default)]
pub(super) struct OpenCalls {
    /// If none, another node leads, or no node for a moment.
    pub(super) term: Option<LeaderTerm>,
    pub(super) calls: BTreeMap<CallId, CallEntry>,
    pub(super) call_by_user: BTreeMap<UserId, CallId>,
    pub(super) group_calls: BTreeMap<CallId, GroupCallEntry>,
    pub(super) group_call_by_room: BTreeMap<RoomId, CallId>,
    /// A second, ringing call; current when the other ends.
    pub(super) waiting_call_by_user: BTreeMap<UserId, CallId>,
}

#[derive(Debug, Clone)]
pub(super) struct CallEntry {
    pub(super) caller: UserId,
    pub(super) callee: UserId,
    /// Whether the callee has not answered. Being rung engages nobody.
    pub(super) is_ringing: bool,
    /// Whether the callee has never written to the caller, nor answered them.
    pub(super) is_from_stranger: bool,
    pub(super) command_tx: mpsc::Sender<CallCommand>,
}

#[derive(Debug, Clone)]
pub(super) struct GroupCallEntry {
    pub(super) room: RoomId,
    pub(super) command_tx: mpsc::Sender<GroupCallCommand>,
}

/// A call that its callee answers by calling back.
#[derive(Debug)]
pub(super) struct CallBack {
    pub(super) answered: CallEntry,
    /// What rang before.
    pub(super) waits: Option<CallEntry>,
}

/// What else changes for a new ring.
#[derive(Debug, Default)]
pub(super) struct RingPlace {
    /// Loses its place.
    pub(super) displaced: Option<CallEntry>,
    /// Waits no longer.
    pub(super) promoted: Option<CallEntry>,
}

impl CallEntry {
    pub(super) fn has_party(&self, user: UserId) -> bool {
        user == self.caller || user == self.callee
    }
}

impl OpenCalls {
    pub(super) fn current_term(&self) -> Option<&LeaderTerm> {
        self.term.as_ref().filter(|term| !term.is_over())
    }

    pub(super) fn add(
        &mut self,
        call: &Call,
        is_from_stranger: bool,
        command_tx: mpsc::Sender<CallCommand>,
    ) {
        self.calls.insert(
            call.id,
            CallEntry {
                caller: call.caller,
                callee: call.callee,
                is_ringing: call.state.is_unanswered(),
                is_from_stranger,
                command_tx,
            },
        );
        self.call_by_user.insert(call.caller, call.id);
        if *self.call_by_user.entry(call.callee).or_insert(call.id) != call.id {
            self.waiting_call_by_user.insert(call.callee, call.id);
        }
    }

    /// The call of a person with another one: their current one, or one that rings beside another ring and becomes the current one. Calling
    /// one's caller answers it.
    pub(super) fn answer_call_with(&mut self, user: UserId, other: UserId) -> Option<CallBack> {
        let current = self.call_by_user.get(&user).copied();
        let waiting = self.waiting_call_by_user.get(&user).copied();
        let is_with_other = |call: Option<CallId>| {
            let entry = call.and_then(|call| self.calls.get(&call));
            entry.is_some_and(|entry| entry.has_party(other))
        };
        let (call, waits) = if is_with_other(current) {
            (current?, None)
        } else if self.is_free(user) && is_with_other(waiting) {
            let (current, waiting) = (current?, waiting?);
            self.call_by_user.insert(user, waiting);
            self.waiting_call_by_user.insert(user, current);
            (waiting, self.calls.get(&current).cloned())
        } else {
            return None;
        };
        self.mark_answered(user, call);
        let answered = self.calls.get(&call).cloned()?;
        Some(CallBack { answered, waits })
    }

    /// Whether a call of `caller` rings for a person.
    pub(super) fn rings(&self, caller: UserId, callee: UserId) -> bool {
        let current = self.call_by_user.get(&callee);
        let waiting = self.waiting_call_by_user.get(&callee);
        let entries = current.into_iter().chain(waiting);
        let mut entries = entries.filter_map(|call| self.calls.get(call));
        entries.any(|entry| entry.is_ringing && entry.caller == caller && entry.callee == callee)
    }

    /// Makes a place for a ring; none if there is no place. At most one call waits for a person, and a stranger's ring gives way to
    /// somebody known.
    pub(super) fn make_place_for_ring(
        &mut self,
        callee: UserId,
        is_from_stranger: bool,
    ) -> Option<RingPlace> {
        let current = self.call_by_user.get(&callee).copied();
        let waiting = self.waiting_call_by_user.get(&callee).copied();
        let (Some(current), Some(waiting)) = (current, waiting) else {
            return Some(RingPlace::default());
        };
        if is_from_stranger {
            return None;
        }
        if let Some(displaced) = self.ring_of_stranger(callee, waiting) {
            self.waiting_call_by_user.remove(&callee);
            return Some(RingPlace {
                displaced: Some(displaced),
                promoted: None,
            });
        }
        let displaced = self.ring_of_stranger(callee, current)?;
        self.waiting_call_by_user.remove(&callee);
        self.call_by_user.insert(callee, waiting);
        Some(RingPlace {
            displaced: Some(displaced),
            promoted: self.calls.get(&waiting).cloned(),
        })
    }

    fn ring_of_stranger(&self, callee: UserId, call: CallId) -> Option<CallEntry> {
        let entry = self.calls.get(&call)?;
        let is_rung = entry.callee == callee && entry.is_ringing && entry.is_from_stranger;
        is_rung.then(|| entry.clone())
    }

    /// Whether nothing engages a person: their current call, if there is one, only rings for them.
    pub(super) fn is_free(&self, user: UserId) -> bool {
        let Some(call) = self.call_by_user.get(&user) else {
            return true;
        };
        let entry = self.calls.get(call);
        entry.is_some_and(|entry| entry.callee == user && entry.is_ringing)
    }

    /// Lets what rings for a person whom nothing engages wait beside a call of their own, which is added next. Returns what rang, and another ring that
    /// has no place then.
    pub(super) fn set_ring_aside(&mut self, user: UserId) -> [Option<CallEntry>; 2] {
        if !self.is_free(user) {
            return [None, None];
        }
        let Some(ring) = self.call_by_user.remove(&user) else {
            return [None, None];
        };
        let without_place = self.waiting_call_by_user.insert(user, ring);
        [Some(ring), without_place].map(|call| self.calls.get(&call?).cloned())
    }

    /// The callee answers: from now on the call engages them.
    pub(super) fn mark_answered(&mut self, user: UserId, call: CallId) {
        if let Some(entry) = self.calls.get_mut(&call)
            && entry.callee == user
        {
            entry.is_ringing = false;
        }
    }

    pub(super) fn remove(&mut self, call: &Call) -> Vec<CallEntry> {
        self.calls.remove(&call.id);
        let mut free = Vec::new();
        for user in [call.caller, call.callee] {
            if self.waiting_call_by_user.get(&user) == Some(&call.id) {
                self.waiting_call_by_user.remove(&user);
            }
            free.extend(self.release_user(user, call.id));
        }
        free
    }

    /// Returns the person's waiting call, which no longer waits.
    pub(super) fn release_user(&mut self, user: UserId, call: CallId) -> Option<CallEntry> {
        if self.call_by_user.get(&user) != Some(&call) {
            return None;
        }
        self.call_by_user.remove(&user);
        let next = self.waiting_call_by_user.remove(&user)?;
        self.call_by_user.insert(user, next);
        self.calls.get(&next).cloned()
    }
}
