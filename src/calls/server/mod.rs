//! Calls on the server: the registry of open calls, and one task for each of them.
//!
//! [`CallRegistry`] tracks open calls and the people in them, and decides what a start becomes: a call, a busy one, the same
//! call again, or the answer to a call in the other direction. Each open call then has one task, which handles its commands
//! in order, so that no change is published before it is stored, or out of order.
//!
//! | module | contents |
//! |---|---|
//! | `call_task` | the task of a two-party call |
//! | `group_call_task` | the task of a group call |
//! | [`guests`] | guest links and guests |
//! | [`history`] | past calls of a person |
//! | `join_group_call` | joining group calls, and their part of the registry |
//! | `leader` | the call leader's role, lease and requests |
//! | `outcome_message` | the message about a call's outcome in the direct room |
//! | `signal_budget` | rate limit of relayed signals, and the buffer for early ones |
//! | `start_call` | starting two-party calls |
//! | `view` | what each client sees of a call |

mod call_task;
mod group_call_task;
pub mod guests;
pub mod history;
mod join_group_call;
mod leader;
mod outcome_message;
mod signal_budget;
mod start_call;
mod view;

#[cfg(test)]
mod tests;

use crate::{
    model::{
        CallId, Millis, RoomId, UserId,
        call::{
            Call, ClientAction, Request, Timeouts,
            group::GroupCallLimits,
            state_machine::{CallStart, StoredCall},
        },
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{
        AppState,
        bus::Bus,
        clock,
        error::Result,
        live::{Connection, Disconnect},
        store::CallRow,
    },
};
use call_task::{CallCommand, CallTask, MonotonicClock};
use group_call_task::GroupCallCommand;
pub use leader::{CALL_LEADER, CALL_LEADER_LEASE, CallRequest};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tokio_util::task::TaskTracker;
use view::Parties;

/// Time from the answer until both sides are connected, in milliseconds. ICE gives up after about 15 s; this leaves
/// time for one restart and for the camera's permission prompt.
const CONNECT_TIMEOUT: Millis = 30_000;
/// How long two connected clients may take to recover their path, in milliseconds. They retry until a person leaves;
/// this ends calls that both people have abandoned.
const RECONNECT_TIMEOUT: Millis = 60 * 60 * 1_000;
/// Grace period for a caller who disconnects before the answer, in milliseconds; never longer than the configured
/// grace.
const CALLER_GRACE_TIMEOUT: Millis = 5_000;
/// Error text when the store or the leader node is unavailable.
const UNAVAILABLE_REASON: &str = "The server is unavailable. The call did not change; try again.";
const NO_SUCH_CALL_REASON: &str = "This call does not exist, or you are not part of it.";
/// Capacity of a call task's command queue; senders wait when it is full.
const COMMAND_QUEUE_CAPACITY: usize = 64;

/// The registry of open calls. Shared behind an [`Arc`].
#[derive(Debug)]
pub struct CallRegistry {
    app: Arc<AppState>,
    timeouts: Timeouts,
    group_limits: GroupCallLimits,
    open_calls: Mutex<OpenCalls>,
    /// Background tasks that use the store and delay the shutdown.
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct OpenCalls {
    /// Whether this node is the call leader. Otherwise another node is, or none for a moment.
    is_leader: bool,
    calls: HashMap<CallId, CallEntry>,
    /// The current call of each person; at most one.
    call_by_user: HashMap<UserId, CallId>,
    /// Group calls in rooms.
    group_calls: HashMap<CallId, GroupCallEntry>,
    group_call_by_room: HashMap<RoomId, CallId>,
    /// The second call that rings for a person who is in another one. It becomes their current call when the other one
    /// ends.
    waiting_call_by_user: HashMap<UserId, CallId>,
}

/// An open two-party call in the registry.
#[derive(Debug, Clone)]
struct CallEntry {
    caller: UserId,
    callee: UserId,
    /// Commands to the call's task. The task ends with the call, and still answers the commands in its queue.
    command_tx: mpsc::Sender<CallCommand>,
}

/// A group call in the registry.
#[derive(Debug, Clone)]
struct GroupCallEntry {
    room: RoomId,
    /// Commands to the group call's task.
    command_tx: mpsc::Sender<GroupCallCommand>,
}

impl CallEntry {
    fn has_party(&self, user: UserId) -> bool {
        user == self.caller || user == self.callee
    }
}

impl CallRegistry {
    /// Creates a registry without calls.
    #[must_use]
    pub fn new(app: Arc<AppState>) -> Arc<Self> {
        let seconds = |seconds: u64| {
            Millis::try_from(seconds)
                .unwrap_or(Millis::MAX / 2_000)
                .saturating_mul(1_000)
        };
        let (ring, grace) = (
            seconds(app.config.ring_seconds),
            seconds(app.config.call_grace_seconds),
        );
        let timeouts = Timeouts {
            ring,
            connect: CONNECT_TIMEOUT,
            reconnect: RECONNECT_TIMEOUT,
            grace,
            caller_grace: CALLER_GRACE_TIMEOUT.min(grace),
        };
        Self::with_timeouts(app, timeouts)
    }

    fn with_timeouts(app: Arc<AppState>, patience: Timeouts) -> Arc<Self> {
        let group_limits = GroupCallLimits {
            max_participants: usize::from(app.config.group_call_size),
            grace: patience.grace,
        };
        Arc::new(Self {
            app,
            timeouts: patience,
            group_limits,
            open_calls: Mutex::default(),
            tasks: TaskTracker::new(),
        })
    }

    /// Makes this node the call leader. It resumes the open calls in the store, left by a stopped server or a former leader.
    ///
    /// Connected calls resume as reconnecting, ringing ones keep ringing; both end if the clients do not return in time. On a
    /// single node, call this before clients connect.
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn become_leader(self: &Arc<Self>) -> Result<()> {
        self.restore_calls().await?;
        self.lock().is_leader = true;
        for connection in self.app.connections.connections() {
            self.on_client_connected(&connection).await;
        }
        Ok(())
    }

    /// Gives up leadership. The registry is cleared, because the store has all calls.
    pub fn step_down(&self) {
        *self.lock() = OpenCalls::default();
    }

    /// Whether this node is the call leader.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.lock().is_leader
    }

    /// Stops deciding, and waits until all decisions are stored, however long the store is unavailable.
    pub async fn shut_down(&self) {
        self.step_down();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Runs a task that [`Self::shut_down`] waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    async fn restore_calls(self: &Arc<Self>) -> Result<()> {
        // Group calls first, so that calls ringing for their participants become waiting calls.
        self.restore_group_calls().await?;
        let mut rows = self.app.store.list_open_calls().await?;
        // Answered calls before ringing ones, so that the same calls wait as before.
        rows.sort_by_key(|row| (row.state.is_unanswered(), row.started_at));
        for row in rows {
            let Some(parties) = Parties::find(&self.app.store, row.caller, row.callee).await?
            else {
                continue;
            };
            let clock = MonotonicClock::starting_at(clock::now());
            let call = call_from_row(&row, self.timeouts, clock.now());
            let (command_tx, command_rx) = mpsc::channel(COMMAND_QUEUE_CAPACITY);
            self.lock().add(&call, command_tx);
            let task = CallTask::new(self.clone(), call, parties, clock);
            self.tasks.spawn(task.run(command_rx));
        }
        Ok(())
    }

    /// Handles a client's action. The replies are frames to the clients concerned, or an error to this client.
    pub async fn handle_action(
        self: &Arc<Self>,
        from: &Arc<Connection>,
        call: CallId,
        action: ClientAction,
    ) {
        match &self.app.bus {
            _ if self.is_leader() => self.handle_as_leader(from, call, action).await,
            Some(bus) => self.forward_to_leader(bus, from, call, action).await,
            // Without a bus, this node stops being the leader only at shutdown.
            None => send_error(from, call, ErrorCode::Unavailable, UNAVAILABLE_REASON),
        }
    }

    /// Forwards an action to the leader node.
    async fn forward_to_leader(
        &self,
        bus: &Bus,
        from: &Connection,
        call: CallId,
        action: ClientAction,
    ) {
        let request = CallRequest {
            from: bus.node(),
            client: from.client,
            person: from.person.clone(),
            guest_of: from.guest_of,
            call,
            action,
        };
        if let Err(why) = bus.ask_leader(CALL_LEADER, &request).await {
            tracing::warn!(%call, %why, "could not forward a call request to the leader");
            send_error(from, call, ErrorCode::Unavailable, UNAVAILABLE_REASON);
        }
    }

    async fn handle_as_leader(
        self: &Arc<Self>,
        from: &Arc<Connection>,
        call: CallId,
        action: ClientAction,
    ) {
        let starts = matches!(action, ClientAction::Start { .. });
        if from.guest_of.is_some_and(|only| only != call || starts) {
            return send_error(from, call, ErrorCode::NoSuchCall, NO_SUCH_CALL_REASON);
        }
        let request = match action {
            ClientAction::Start { to, media } => {
                return self.start_call(from, call, to, media).await;
            }
            ClientAction::Join { .. } if from.guest_of.is_some() => {
                return self.join_group_call_as_guest(from, call).await;
            }
            ClientAction::Join { room } => return self.join_group_call(from, call, room).await,
            action if self.is_group_call(call) => {
                return self.handle_group_action(from, call, action).await;
            }
            ClientAction::Signal { signal, .. } => {
                return self
                    .send_command(
                        from,
                        call,
                        CallCommand::Signal {
                            from: from.clone(),
                            signal,
                        },
                    )
                    .await;
            }
            ClientAction::Ringing => Request::Ringing,
            ClientAction::Accept => Request::Accept,
            ClientAction::Decline => Request::Decline,
            ClientAction::HangUp => Request::HangUp,
            ClientAction::Connected => Request::Connected,
            ClientAction::Disconnected => Request::Disconnected,
        };
        if request == Request::Accept {
            self.leave_current_call(from.person.id, call).await;
        }
        self.send_command(
            from,
            call,
            CallCommand::Request {
                from: from.clone(),
                request,
            },
        )
        .await;
    }

    /// Before a waiting call is accepted, ends the person's current call.
    async fn leave_current_call(&self, user: UserId, call: CallId) {
        let (done, left) = oneshot::channel();
        let sent = {
            let open = self.lock();
            let waits = open.waiting_call_by_user.get(&user) == Some(&call);
            let current_call = open.call_by_user.get(&user).filter(|_| waits);
            let entry = current_call.and_then(|id| open.calls.get(id)).cloned();
            let group_entry = current_call
                .and_then(|id| open.group_calls.get(id))
                .cloned();
            (entry, group_entry)
        };
        // If the command cannot be delivered, that call has already ended.
        let sent = match sent {
            (Some(two), _) => two
                .command_tx
                .send(CallCommand::Leave { user, done })
                .await
                .is_ok(),
            (None, Some(many)) => many
                .command_tx
                .send(GroupCallCommand::Leave { user, done })
                .await
                .is_ok(),
            (None, None) => false,
        };
        if sent {
            let _ = left.await;
        }
    }

    /// Handles a client that connected and was welcomed: its call tasks send it the current state.
    pub async fn on_client_connected(self: &Arc<Self>, page: &Arc<Connection>) {
        for entry in self.entries_of_user(page.person.id) {
            // A call may have ended meanwhile; a client that still shows it asks again.
            let _ = entry
                .command_tx
                .send(CallCommand::ClientConnected {
                    connection: page.clone(),
                })
                .await;
        }
        if let Some(group) = self.group_entry_of_user(page.person.id) {
            let page = page.clone();
            let _ = group
                .command_tx
                .send(GroupCallCommand::ClientConnected { connection: page })
                .await;
        }
    }

    /// Handles a lost connection that no newer connection of the client has replaced.
    pub async fn on_client_disconnected(
        self: &Arc<Self>,
        page: &Arc<Connection>,
        disconnect: Disconnect,
    ) {
        for entry in self.entries_of_user(page.person.id) {
            let page = page.clone();
            let _ = entry
                .command_tx
                .send(CallCommand::ClientDisconnected {
                    connection: page,
                    disconnect,
                })
                .await;
        }
        if let Some(group) = self.group_entry_of_user(page.person.id) {
            let page = page.clone();
            let _ = group
                .command_tx
                .send(GroupCallCommand::ClientDisconnected {
                    connection: page,
                    disconnect,
                })
                .await;
        }
    }

    /// Sends a command to a call's task; if the call is over, sends the client its outcome.
    async fn send_command(&self, from: &Connection, call: CallId, command: CallCommand) {
        let entry = self
            .lock()
            .calls
            .get(&call)
            .filter(|entry| entry.has_party(from.person.id))
            .cloned();
        let taken = match entry {
            Some(entry) => entry.command_tx.send(command).await.is_ok(),
            None => false,
        };
        if !taken {
            self.send_past_call(from, call).await;
        }
    }

    /// Sends an ended call to the client, or an error if it does not exist or belongs to others.
    async fn send_past_call(&self, from: &Connection, id: CallId) {
        match self.past_call_frame(from, id).await {
            Ok(Some(frame)) => from.send(&frame),
            Ok(None) => send_error(from, id, ErrorCode::NoSuchCall, NO_SUCH_CALL_REASON),
            Err(error) => send_unavailable(from, id, &error),
        }
    }

    async fn past_call_frame(&self, from: &Connection, id: CallId) -> Result<Option<ServerFrame>> {
        let Some(row) = self.app.store.find_call(id).await? else {
            return self.past_group_call_frame(from, id).await;
        };
        let call = call_from_row(&row, self.timeouts, clock::now());
        let Some(side) = call.side_of_user(from.person.id) else {
            return Ok(None);
        };
        let parties = Parties::find(&self.app.store, call.caller, call.callee).await?;
        Ok(parties.map(|two| ServerFrame::Call {
            call: two.view(&call, side, from.client),
        }))
    }

    /// Number of open calls, as far as this node is the leader.
    #[must_use]
    pub fn open_call_count(&self) -> usize {
        let open = self.lock();
        open.calls.len() + open.group_calls.len()
    }

    /// The current and the waiting two-party call of a person.
    fn entries_of_user(&self, user: UserId) -> Vec<CallEntry> {
        let open = self.lock();
        [
            open.call_by_user.get(&user),
            open.waiting_call_by_user.get(&user),
        ]
        .into_iter()
        .flatten()
        .filter_map(|call| open.calls.get(call).cloned())
        .collect()
    }

    /// Whether this is the waiting call of a person.
    fn is_waiting(&self, user: UserId, call: CallId) -> bool {
        self.lock().waiting_call_by_user.get(&user) == Some(&call)
    }

    /// Removes an ended call. Returns the calls that no longer wait; they are notified after the end was published.
    fn remove_call(&self, call: &Call) -> Vec<CallEntry> {
        self.lock().remove(call)
    }

    /// Notifies calls that no longer wait. A person who switched to one receives this before the answer, so their
    /// client already has the offer.
    fn notify_no_longer_waiting(unblocked: Vec<CallEntry>) {
        for CallEntry {
            command_tx: mail, ..
        } in unblocked
        {
            // `try_send`, because a call task must not wait for another one. The call may have ended meanwhile.
            if let Err(TrySendError::Full(free)) = mail.try_send(CallCommand::NoLongerWaiting) {
                tokio::spawn(async move { drop(mail.send(free).await) });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, OpenCalls> {
        // A panic while the lock is held leaves plain data behind, which is still usable.
        self.open_calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenCalls {
    fn add(&mut self, call: &Call, command_tx: mpsc::Sender<CallCommand>) {
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

    /// Whether a call can ring for a person: at most one waits beside their current call.
    fn can_receive_call(&self, callee: UserId) -> bool {
        !(self.call_by_user.contains_key(&callee)
            && self.waiting_call_by_user.contains_key(&callee))
    }

    /// Removes a call. Returns the calls that no longer wait.
    fn remove(&mut self, call: &Call) -> Vec<CallEntry> {
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

    /// Removes a person from a call. Returns their waiting call, which no longer waits.
    fn release_user(&mut self, user: UserId, call: CallId) -> Option<CallEntry> {
        if self.call_by_user.get(&user) != Some(&call) {
            return None;
        }
        self.call_by_user.remove(&user);
        let next = self.waiting_call_by_user.remove(&user)?;
        self.call_by_user.insert(user, next);
        self.calls.get(&next).cloned()
    }
}

/// Sends an error about a call to a client.
fn send_error(page: &Connection, call: CallId, code: ErrorCode, reason: &str) {
    page.send(&ServerFrame::Error {
        code,
        reason: reason.to_owned(),
        call: Some(call),
    });
}

/// Sends an error to a client after the store failed.
fn send_unavailable(page: &Connection, call: CallId, error: &crate::server::Error) {
    tracing::error!(%call, %error, "a call could not be read or stored");
    send_error(page, call, ErrorCode::Unavailable, UNAVAILABLE_REASON);
}

/// The stored row of a call.
fn call_row(call: &Call) -> CallRow {
    CallRow {
        id: call.id,
        room: call.room,
        caller: call.caller,
        callee: call.callee,
        media: call.media,
        state: call.state,
        caller_client: call.caller_client,
        callee_client: call.callee_client,
        started_at: call.started_at,
        answered_at: call.answered_at,
        connected_at: call.connected_at,
        ended_at: call.ended_at,
    }
}

/// Restores a call from its row.
fn call_from_row(row: &CallRow, patience: Timeouts, now: Millis) -> Call {
    let start = CallStart {
        id: row.id,
        room: row.room,
        caller: row.caller,
        caller_client: row.caller_client,
        callee: row.callee,
        media: row.media,
    };
    let stored = StoredCall {
        state: row.state,
        callee_client: row.callee_client,
        started_at: row.started_at,
        answered_at: row.answered_at,
        connected_at: row.connected_at,
    };
    Call::restore(start, stored, patience, now)
}
