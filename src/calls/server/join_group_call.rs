//! Joining group calls.

use super::{
    call_table::CallTable,
    commands::GroupCallCommand,
    errors::{
        NO_SUCH_CALL_REASON, UNAVAILABLE_REASON, send_error, send_rate_limited, send_unavailable,
    },
    group_call_task::GroupCallTask,
    leader_term::LeaderTerm,
    open_calls::GroupCallEntry,
    registry::{COMMAND_QUEUE_CAPACITY, CallRegistry},
};
use crate::{
    model::{
        CallId, RoomId, UserId,
        call::{
            ClientAction,
            group::{GroupCallStart, GroupCallView, Participation},
        },
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{error::Result, live::Connection},
};
use std::{pin::Pin, sync::Arc};
use tokio::sync::mpsc;

const RATE_LIMITED_REASON: &str = "Too many attempts. Wait a moment, then join again.";
const CALL_ENDED_REASON: &str = "This call is over.";

pub(super) enum JoinDecision {
    Delegate(CallId, mpsc::Sender<GroupCallCommand>),
    /// Now registered.
    NewCall(
        LeaderTerm,
        Box<GroupCallTask>,
        mpsc::Sender<GroupCallCommand>,
        mpsc::Receiver<GroupCallCommand>,
    ),
    Reject(ErrorCode, &'static str),
}

impl CallRegistry {
    pub(super) async fn join_group_call(
        self: &Arc<Self>,
        from: &Arc<Connection>,
        id: CallId,
        room: RoomId,
    ) {
        if let Err(error) = self.try_join_group_call(from, id, room).await {
            send_unavailable(from, id, &error);
        }
    }

    pub(super) async fn join_group_call_as_guest(
        self: &Arc<Self>,
        from: &Arc<Connection>,
        call: CallId,
    ) {
        if let Err(exceeded) = self.take_message(from.person.id) {
            return send_rate_limited(from, call, RATE_LIMITED_REASON, exceeded.wait);
        }
        let command_tx = {
            let open = self.table.lock();
            open.group_calls
                .get(&call)
                .map(|entry| entry.command_tx.clone())
        };
        let sent = match command_tx {
            Some(command) => {
                let (from, id) = (from.clone(), call);
                command
                    .send(GroupCallCommand::Join { from, id })
                    .await
                    .is_ok()
            }
            None => false,
        };
        if !sent {
            send_error(from, call, ErrorCode::NoSuchCall, CALL_ENDED_REASON);
        }
    }

    pub(super) fn retry_join_group_call(
        self: Arc<Self>,
        from: Arc<Connection>,
        id: CallId,
        room: RoomId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if from.guest_of.is_some() {
                send_error(&from, id, ErrorCode::NoSuchCall, CALL_ENDED_REASON);
            } else {
                self.join_group_call(&from, id, room).await;
            }
        })
    }

    async fn try_join_group_call(
        self: &Arc<Self>,
        from: &Arc<Connection>,
        id: CallId,
        room: RoomId,
    ) -> Result<()> {
        let user = from.person.id;
        if !self.table.app.store.is_member(room, user).await? {
            let reason = "This room does not exist, or you are not a member.";
            send_error(from, id, ErrorCode::NoSuchRoom, reason);
            return Ok(());
        }
        if self.table.app.store.find_call(id).await?.is_some() {
            send_error(from, id, ErrorCode::Invalid, "That call id is taken.");
            return Ok(());
        }
        let stored = self.table.app.store.find_group_call(id).await?;
        if stored.is_some_and(|row| row.ended_at.is_some() || row.room != room) {
            self.send_past_call(from, id).await;
            return Ok(());
        }
        if let Err(exceeded) = self.take_message(user) {
            send_rate_limited(from, id, RATE_LIMITED_REASON, exceeded.wait);
            return Ok(());
        }
        loop {
            let from = from.clone();
            let (call, command_tx) = match self.decide_join(user, id, room) {
                JoinDecision::Delegate(call, command) => (call, command),
                JoinDecision::NewCall(term, task, command, command_rx) => {
                    self.table.spawn(term, task.run(command_rx));
                    (id, command)
                }
                JoinDecision::Reject(code, reason) => {
                    send_error(&from, id, code, reason);
                    return Ok(());
                }
            };
            // If the call has just ended, the next iteration starts one.
            if command_tx
                .send(GroupCallCommand::Join { from, id })
                .await
                .is_ok()
            {
                return Ok(());
            }
            self.table.release_user(user, call);
            tokio::task::yield_now().await;
        }
    }

    /// Atomic: no await while the lock is held. Registers a person who may join.
    pub(super) fn decide_join(
        self: &Arc<Self>,
        user: UserId,
        id: CallId,
        room: RoomId,
    ) -> JoinDecision {
        let mut open = self.table.lock();
        let Some(term) = open.current_term().cloned() else {
            return JoinDecision::Reject(ErrorCode::Unavailable, UNAVAILABLE_REASON);
        };
        let room_call = open.group_call_by_room.get(&room).copied();
        let user_call = open.call_by_user.get(&user).copied();
        if !open.is_free(user) && user_call != room_call {
            return JoinDecision::Reject(
                ErrorCode::AlreadyInCall,
                "You are already in a call, perhaps on another page. End that call first.",
            );
        }
        if let Some((call, entry)) =
            room_call.and_then(|call| Some((call, open.group_calls.get(&call)?)))
        {
            let command_tx = entry.command_tx.clone();
            if user_call != Some(call) {
                CallTable::notify_set_aside(open.set_ring_aside(user));
            }
            open.call_by_user.insert(user, call);
            return JoinDecision::Delegate(call, command_tx);
        }
        if open.group_calls.contains_key(&id) || open.calls.contains_key(&id) {
            return JoinDecision::Reject(ErrorCode::Invalid, "That call id is taken.");
        }
        let start = GroupCallStart {
            id,
            room,
            started_by: user,
        };
        let (table, limits) = (self.table.clone(), self.table.group_limits);
        let group = GroupCallTask::start(table, term.clone(), start, limits);
        let (command, inbox) = mpsc::channel(COMMAND_QUEUE_CAPACITY);
        let entry = GroupCallEntry {
            room,
            command_tx: command.clone(),
        };
        open.group_calls.insert(id, entry);
        open.group_call_by_room.insert(room, id);
        CallTable::notify_set_aside(open.set_ring_aside(user));
        open.call_by_user.insert(user, id);
        JoinDecision::NewCall(term, Box::new(group), command, inbox)
    }

    pub(super) fn is_group_call(&self, call: CallId) -> bool {
        self.table.lock().group_calls.contains_key(&call)
    }

    pub(super) fn group_entry_of_user(&self, user: UserId) -> Option<GroupCallEntry> {
        let open = self.table.lock();
        open.group_calls.get(open.call_by_user.get(&user)?).cloned()
    }

    pub(super) async fn handle_group_action(
        &self,
        from: &Arc<Connection>,
        call: CallId,
        action: ClientAction,
    ) {
        let (entry, is_in) = {
            let open = self.table.lock();
            let is_in = open.call_by_user.get(&from.person.id) == Some(&call);
            (open.group_calls.get(&call).cloned(), is_in)
        };
        let Some(entry) = entry else { return };
        let is_theirs = async || {
            let member = self
                .table
                .app
                .store
                .is_member(entry.room, from.person.id)
                .await;
            member.unwrap_or(false)
        };
        if !is_in && !is_theirs().await {
            return send_error(from, call, ErrorCode::NoSuchCall, NO_SUCH_CALL_REASON);
        }
        let from = from.clone();
        let command = match action {
            ClientAction::Signal { signal, to } => GroupCallCommand::Signal { from, to, signal },
            ClientAction::HangUp => GroupCallCommand::HangUp { from },
            _ => GroupCallCommand::Refresh { from },
        };
        // The call may have ended.
        let _ = entry.command_tx.send(command).await;
    }

    /// For members of its room.
    pub(super) async fn past_group_call_frame(
        &self,
        from: &Connection,
        id: CallId,
    ) -> Result<Option<ServerFrame>> {
        let Some(row) = self.table.app.store.find_group_call(id).await? else {
            return Ok(None);
        };
        if !self
            .table
            .app
            .store
            .is_member(row.room, from.person.id)
            .await?
        {
            return Ok(None);
        }
        let group = GroupCallView {
            id,
            room: row.room,
            started_at: row.started_at,
            participants: Vec::new(),
            max_participants: self.table.group_limits.max_participants,
            term: self
                .table
                .current_term()
                .map_or(0, |term| term.term().number()),
            as_of: crate::server::clock::now().max(row.ended_at.unwrap_or(row.started_at)),
            participation: Some(Participation::Out),
        };
        Ok(Some(ServerFrame::GroupCall { group }))
    }
}
