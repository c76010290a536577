//! Calls on the server: who may call whom, which call is whose, and one task for each call that is open.
//!
//! [`Calls`] is the desk: it knows which calls are open and who is in one, and decides what a start becomes (a call, busy, the
//! same call again, or the answer to a call the other way round). Everything about one call then goes through the task that
//! holds it (`line`; `group` for the call of a room), one thing after another, so that nothing about it is ever told before it is stored,
//! or out of order.

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

/// From the answer until both pages are connected, in milliseconds. ICE gives up after about 15 s; this leaves time for one
/// restart, and for somebody to answer the browser's question about the camera.
const CONNECT_TIMEOUT: Millis = 30_000;
/// For two pages that are both there to find each other again, in milliseconds. They try until somebody leaves; this ends what two pages
/// that everybody has forgotten would try for ever.
const RECONNECT_TIMEOUT: Millis = 60 * 60 * 1_000;
/// For a caller's page that vanished before an answer, in milliseconds; never longer than the configured grace.
const CALLER_GRACE_TIMEOUT: Millis = 5_000;
/// What somebody is told when the store, or every other node, is away.
const UNAVAILABLE_REASON: &str =
    "The server could not do that just now. The call was not changed; please try again.";
const NO_SUCH_CALL_REASON: &str = "That call does not exist, or is not yours.";
/// How many things may wait for one call's task; whoever sends more than that waits.
const COMMAND_QUEUE_CAPACITY: usize = 64;

/// The desk: every open call. Shared behind an [`Arc`].
#[derive(Debug)]
pub struct CallRegistry {
    app: Arc<AppState>,
    timeouts: Timeouts,
    group_limits: GroupCallLimits,
    open_calls: Mutex<OpenCalls>,
    /// Everything of calls that is under way and needs the store.
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct OpenCalls {
    /// Whether this node decides about calls. Another one does otherwise, or none for a moment.
    is_leader: bool,
    calls: HashMap<CallId, CallEntry>,
    /// Which call somebody is in. Nobody is in two.
    call_by_user: HashMap<UserId, CallId>,
    /// Calls in rooms.
    group_calls: HashMap<CallId, GroupCallEntry>,
    group_call_by_room: HashMap<RoomId, CallId>,
    /// A call that rings for somebody who is in another one: they may switch to it. It is theirs when the other one has ended.
    waiting_call_by_user: HashMap<UserId, CallId>,
}

/// An open call, as the desk sees it.
#[derive(Debug, Clone)]
struct CallEntry {
    caller: UserId,
    callee: UserId,
    /// To the task that holds the call. It ends when the call has ended; what waits then is still answered.
    command_tx: mpsc::Sender<CallCommand>,
}

/// A call in a room, as the desk sees it.
#[derive(Debug, Clone)]
struct GroupCallEntry {
    room: RoomId,
    /// To the task that holds it.
    command_tx: mpsc::Sender<GroupCallCommand>,
}

impl CallEntry {
    fn has_party(&self, user: UserId) -> bool {
        user == self.caller || user == self.callee
    }
}

impl CallRegistry {
    /// A desk without calls.
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

    /// From now on this node decides about calls, and goes on with those that are open in the store: they were when the server
    /// stopped, or when the node that held the desk died. What was connected is reconnecting, what was ringing rings on; both end by
    /// themselves if the pages do not come back in time. To be called before anybody connects to a node that is alone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn become_leader(self: &Arc<Self>) -> Result<()> {
        self.restore_calls().await?;
        self.lock().is_leader = true;
        for connection in self.app.connections.connections() {
            self.on_client_connected(&connection).await;
        }
        Ok(())
    }

    /// Another node decides about calls, or will in a moment. What this one knew of them is forgotten: the store has it.
    pub fn step_down(&self) {
        *self.lock() = OpenCalls::default();
    }

    /// Whether this node decides about calls.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.lock().is_leader
    }

    /// Decides about nothing more, and waits until what was decided is stored: for as long as the store is away.
    pub async fn shut_down(&self) {
        self.step_down();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Does something that [`Self::close`] waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    async fn restore_calls(self: &Arc<Self>) -> Result<()> {
        // First: what rings beside one of them waits.
        self.restore_group_calls().await?;
        let mut rows = self.app.store.list_open_calls().await?;
        // What rang for somebody who was in a call rings for them as it did.
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

    /// What a page asks. It is answered with frames to the pages concerned; what cannot be done with an error to this page.
    pub async fn handle_action(
        self: &Arc<Self>,
        from: &Arc<Connection>,
        call: CallId,
        action: ClientAction,
    ) {
        match &self.app.bus {
            _ if self.is_leader() => self.handle_as_leader(from, call, action).await,
            Some(bus) => self.forward_to_leader(bus, from, call, action).await,
            // The server stops.
            None => send_error(from, call, ErrorCode::Unavailable, UNAVAILABLE_REASON),
        }
    }

    /// Has the node that holds the desk deal with it.
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
            tracing::warn!(%call, %why, "what a page asked about a call came to nothing");
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

    /// Somebody accepts a call: if it waited for them, the one that they are in ends first.
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
        // Where nobody takes it, that call has ended by itself, which is as good.
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

    /// A page is connected (again) and has been welcomed: it is shown the call that it holds or may answer.
    pub async fn on_client_connected(self: &Arc<Self>, page: &Arc<Connection>) {
        for entry in self.entries_of_user(page.person.id) {
            // A call that ended meanwhile needs nobody any more: a page that still shows it asks by itself.
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

    /// The connection of a page is gone, and no newer one has taken its place.
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

    /// Gives something to the task of a call; if the call is over, tells the page how it ended.
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

    /// Shows a call that is over; for one that never was, or is not theirs, says just that.
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

    /// How many calls ring or are on, as far as this node decides about them.
    #[must_use]
    pub fn open_call_count(&self) -> usize {
        let open = self.lock();
        open.calls.len() + open.group_calls.len()
    }

    /// The call that somebody is in, and the one that waits for them.
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

    /// Whether a call rings for somebody who is in another one.
    fn is_waiting(&self, user: UserId, call: CallId) -> bool {
        self.lock().waiting_call_by_user.get(&user) == Some(&call)
    }

    /// Takes a call off the desk: its two people may call and be called again. What waited for one of them, and rings once the end was
    /// told.
    fn remove_call(&self, call: &Call) -> Vec<CallEntry> {
        self.lock().remove(call)
    }

    /// What waited rings now. Who switches to it is told so before the word that they have answered: their page has its offer then.
    fn notify_no_longer_waiting(unblocked: Vec<CallEntry>) {
        for CallEntry {
            command_tx: mail, ..
        } in unblocked
        {
            // Not waited for: this may be the task of a call, and none of them waits for another. It may have ended meanwhile.
            if let Err(TrySendError::Full(free)) = mail.try_send(CallCommand::NoLongerWaiting) {
                tokio::spawn(async move { drop(mail.send(free).await) });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, OpenCalls> {
        // A panic while the lock is held leaves plain data behind, which is as good as any.
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

    /// Whether somebody can be called: nobody rings twice beside a call.
    fn can_receive_call(&self, callee: UserId) -> bool {
        !(self.call_by_user.contains_key(&callee)
            && self.waiting_call_by_user.contains_key(&callee))
    }

    /// Removes a call. The calls that waited for one of its people, and do no more.
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

    /// Somebody is not in a call any more. What waited for them, and does no more.
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

/// Answers a page that asked for something that cannot be done.
fn send_error(page: &Connection, call: CallId, code: ErrorCode, reason: &str) {
    page.send(&ServerFrame::Error {
        code,
        reason: reason.to_owned(),
        call: Some(call),
    });
}

/// Answers a page when the store failed.
fn send_unavailable(page: &Connection, call: CallId, error: &crate::server::Error) {
    tracing::error!(%call, %error, "a call could not be read or stored");
    send_error(page, call, ErrorCode::Unavailable, UNAVAILABLE_REASON);
}

/// What is stored of a call.
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

/// A call from what was stored of it.
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
