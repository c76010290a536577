//! What the registry and the call tasks share.

use super::{
    commands::{CallCommand, deliver},
    leader_term::LeaderTerm,
    open_calls::{CallEntry, OpenCalls},
};
use crate::{
    model::{
        CallId, RoomId, UserId,
        call::{
            Call, Timeouts,
            group::{GroupCall, GroupCallLimits, GroupCallView},
        },
    },
    protocol::ws::ServerFrame,
    server::{
        AppState,
        live::{Connection, RetainedFrame},
        store::Term,
        task,
    },
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// A join of a group call that ended meanwhile; the registry retries it.
#[derive(Debug)]
pub(super) struct JoinRetry {
    pub(super) from: Arc<Connection>,
    pub(super) id: CallId,
    pub(super) room: RoomId,
}

/// Open calls and the people in them.
#[derive(Debug)]
pub struct CallTable {
    pub(super) app: Arc<AppState>,
    pub(super) timeouts: Timeouts,
    pub(super) group_limits: GroupCallLimits,
    open_calls: Mutex<OpenCalls>,
    pub(super) tasks: TaskTracker,
    /// Received by the registry; sending never waits.
    join_retry_tx: mpsc::UnboundedSender<JoinRetry>,
}

impl CallTable {
    pub(super) fn new(
        app: Arc<AppState>,
        timeouts: Timeouts,
        group_limits: GroupCallLimits,
        join_retry_tx: mpsc::UnboundedSender<JoinRetry>,
    ) -> Arc<Self> {
        Arc::new(Self {
            app,
            timeouts,
            group_limits,
            open_calls: Mutex::default(),
            tasks: TaskTracker::new(),
            join_retry_tx,
        })
    }

    pub(super) fn retry_join(&self, retry: JoinRetry) {
        // Fails only after a shutdown.
        let _ = self.join_retry_tx.send(retry);
    }

    pub(super) fn is_waiting(&self, user: UserId, call: CallId) -> bool {
        self.lock().waiting_call_by_user.get(&user) == Some(&call)
    }

    /// Returns the calls that no longer wait, to notify once the end is published.
    pub(super) fn remove_call(&self, call: &Call) -> Vec<CallEntry> {
        self.lock().remove(call)
    }

    /// A person who switches to a waiting call receives this, and the offer, before the answer.
    pub(super) fn notify_waiting_changed(calls: impl IntoIterator<Item = CallEntry>) {
        for CallEntry { command_tx, .. } in calls {
            deliver(&command_tx, CallCommand::WaitingChanged);
        }
    }

    /// After [`OpenCalls::set_ring_aside`].
    pub(super) fn notify_set_aside([waits, without_place]: [Option<CallEntry>; 2]) {
        Self::notify_waiting_changed(waits);
        Self::notify_displaced(without_place);
    }

    pub(super) fn notify_displaced(call: Option<CallEntry>) {
        if let Some(CallEntry { command_tx, .. }) = call {
            deliver(&command_tx, CallCommand::Displaced);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, OpenCalls> {
        // A panic under the lock leaves valid plain data.
        self.open_calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// This node's term, while it leads.
    #[must_use]
    pub fn current_term(&self) -> Option<LeaderTerm> {
        self.lock().current_term().cloned()
    }

    /// Whether this node leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.lock().current_term().is_some()
    }

    /// Runs a task until the term is over.
    pub(super) fn spawn(&self, term: LeaderTerm, work: impl Future<Output = ()> + Send + 'static) {
        task::spawn(self.tasks.track_future(async move {
            let _ = term.run(work).await;
        }));
    }

    pub(super) async fn wait_for_tasks(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    /// Number of open calls.
    #[must_use]
    pub fn open_call_count(&self) -> usize {
        let open = self.lock();
        open.calls.len() + open.group_calls.len()
    }

    /// False if the person is in another call or this node does not lead. A call that rings for them waits.
    pub(super) fn reserve_user(&self, user: UserId, call: CallId) -> bool {
        let mut open = self.lock();
        if open.current_term().is_none() {
            return false;
        }
        let set_aside = if open.is_free(user) {
            open.set_ring_aside(user)
        } else {
            [None, None]
        };
        let is_reserved = *open.call_by_user.entry(user).or_insert(call) == call;
        drop(open);
        Self::notify_set_aside(set_aside);
        is_reserved
    }

    pub(super) fn release_user(&self, user: UserId, call: CallId) {
        let free = self.lock().release_user(user, call);
        Self::notify_waiting_changed(free);
    }

    pub(super) fn remove_group_call(&self, call: &GroupCall) {
        let mut free = Vec::new();
        {
            let mut open = self.lock();
            open.group_calls.remove(&call.id);
            if open.group_call_by_room.get(&call.room) == Some(&call.id) {
                open.group_call_by_room.remove(&call.room);
            }
            let engaged = open.call_by_user.iter();
            let users: Vec<_> = engaged
                .filter(|(_, id)| **id == call.id)
                .map(|(user, _)| *user)
                .collect();
            for user in users {
                free.extend(open.release_user(user, call.id));
            }
        }
        Self::notify_waiting_changed(free);
    }

    /// The room retains the frame until the call ends.
    pub(super) fn publish_group_call(&self, term: Term, group: GroupCallView) {
        let (room, subject, version) = (group.room, group.id.0, group.as_of);
        if group.is_ended() {
            let frame = ServerFrame::GroupCall { group };
            self.app
                .connections
                .clear_retained_frame(room, subject, frame);
            return;
        }
        let ended = GroupCallView {
            participants: Vec::new(),
            ..group.clone()
        };
        let retained = RetainedFrame {
            subject,
            version,
            term: term.number(),
            frame: ServerFrame::GroupCall { group },
            end_frame: ServerFrame::GroupCall { group: ended },
        };
        self.app.connections.retain_frame(room, retained);
    }

    /// Publishes the open group calls to all nodes, so that each corrects what it missed.
    pub fn publish_group_calls(&self) {
        let open = self.lock();
        let Some(term) = open.current_term() else {
            return;
        };
        // A call that starts meanwhile waits for the lock before its frame is retained.
        let subjects = open.group_calls.keys().map(|id| id.0).collect();
        self.app
            .connections
            .sync_retained_frames(term.term().number(), &subjects);
    }
}
