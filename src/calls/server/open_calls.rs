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
    pub(super) command_tx: mpsc::Sender<CallCommand>,
}

#[derive(Debug, Clone)]
pub(super) struct GroupCallEntry {
    pub(super) room: RoomId,
    pub(super) command_tx: mpsc::Sender<GroupCallCommand>,
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

    pub(super) fn add(&mut self, call: &Call, command_tx: mpsc::Sender<CallCommand>) {
        self.calls.insert(
            call.id,
            CallEntry {
                caller: call.caller,
                callee: call.callee,
                command_tx,
            },
        );
        self.call_by_user.insert(call.caller, call.id);
        if *self.call_by_user.entry(call.callee).or_insert(call.id) != call.id {
            self.waiting_call_by_user.insert(call.callee, call.id);
        }
    }

    /// At most one call waits for a person.
    pub(super) fn can_receive_call(&self, callee: UserId) -> bool {
        !(self.call_by_user.contains_key(&callee)
            && self.waiting_call_by_user.contains_key(&callee))
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
