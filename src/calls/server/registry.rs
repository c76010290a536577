//! The registry of open calls: routes client actions to call tasks.

use super::{
    call_table::{CallTable, JoinRetry},
    commands::{CallCommand, GroupCallCommand, deliver},
    errors::{NO_SUCH_CALL_REASON, UNAVAILABLE_REASON, send_error, send_unavailable},
    leader::{CALL_LEADER, CallRequest},
    leader_term::LeaderTerm,
    open_calls::{CallEntry, OpenCalls},
    stored_call::call_from_row,
    view::Parties,
};
use crate::{
    model::{
        CallId, Millis, UserId,
        call::{ClientAction, Request, Timeouts, group::GroupCallLimits},
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{
        AppState,
        bus::Bus,
        clock,
        error::{Error, Result},
        live::{Connection, Disconnect},
        rate_limit::{Bound, Charge, Exceeded, Key},
        store::Term,
        task,
    },
};
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot};

/// In milliseconds: 15 s for ICE, the rest for a restart and the camera's prompt.
const CONNECT_TIMEOUT: Millis = 30_000;
/// In milliseconds. Ends calls that both people abandoned.
const RECONNECT_TIMEOUT: Millis = 60 * 60 * 1_000;
/// In milliseconds; at most the configured grace.
const CALLER_GRACE_TIMEOUT: Millis = 5_000;
pub(super) const COMMAND_QUEUE_CAPACITY: usize = 64;

/// Registry of open calls.
#[derive(Debug)]
pub struct CallRegistry {
    pub(super) table: Arc<CallTable>,
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

    pub(super) fn with_timeouts(app: Arc<AppState>, timeouts: Timeouts) -> Arc<Self> {
        let group_limits = GroupCallLimits {
            max_participants: usize::from(app.config.group_call_size),
            grace: timeouts.grace,
        };
        let (join_retry_tx, join_retry_rx) = mpsc::unbounded_channel();
        let registry = Arc::new(Self {
            table: CallTable::new(app, timeouts, group_limits, join_retry_tx),
        });
        task::spawn(retry_joins(Arc::downgrade(&registry), join_retry_rx));
        registry
    }

    /// Makes this node the call leader for a term and resumes the stored calls, which end if their clients do not return. On a single
    /// node, call this before clients connect.
    ///
    /// # Errors
    /// When the store fails, or a newer term begins.
    pub async fn become_leader(self: &Arc<Self>, term: Term) -> Result<LeaderTerm> {
        let term = LeaderTerm::new(term);
        let restored = term.run(self.restore_calls(&term)).await;
        let in_time = || Error::Internal("a newer term has begun".to_owned());
        if let Err(error) = restored.ok_or_else(in_time).flatten() {
            term.end();
            return Err(error);
        }
        self.table.lock().term = Some(term.clone());
        for connection in self.table.app.connections.connections() {
            self.on_client_connected(&connection);
        }
        Ok(term)
    }

    /// Gives up leadership at once: nothing more is decided, stored or sent.
    pub async fn step_down(&self) {
        let open = std::mem::take(&mut *self.table.lock());
        if let Some(term) = open.term {
            term.end();
        }
        self.table.wait_for_tasks().await;
    }

    /// Whether this node is the call leader.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.table.is_leader()
    }

    /// Runs a task in the current term, if this node leads. [`Self::shut_down`] waits for it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(term) = self.table.current_term() {
            self.table.spawn(term, task);
        }
    }

    /// Number of open calls; 0 unless this node leads.
    #[must_use]
    pub fn open_call_count(&self) -> usize {
        self.table.open_call_count()
    }

    #[cfg(test)]
    pub(crate) fn engaged_user_count(&self) -> usize {
        let open = self.table.lock();
        open.call_by_user.len() + open.waiting_call_by_user.len()
    }

    /// Publishes the open group calls to all nodes, which correct what they missed.
    pub fn publish_group_calls(&self) {
        self.table.publish_group_calls();
    }

    /// Stops deciding and waits until all decisions are stored.
    pub async fn shut_down(&self) {
        // Without senders, the tasks end after their queued commands.
        *self.table.lock() = OpenCalls::default();
        self.table.wait_for_tasks().await;
    }

    /// A started or joined call counts as a message.
    pub(super) fn take_message(&self, user: UserId) -> Result<(), Exceeded> {
        let message = Charge::new(Bound::Messages, Key::Person(user));
        self.table.app.limits.take([message])
    }

    /// Handles a client's action. Replies and errors are frames.
    pub async fn handle_action(
        self: &Arc<Self>,
        from: &Arc<Connection>,
        call: CallId,
        action: ClientAction,
    ) {
        if let Some(term) = self.table.current_term() {
            let handled = self.handle_as_leader(from, call, action.clone());
            if term.run(handled).await.is_some() {
                return;
            }
        }
        match &self.table.app.bus {
            Some(bus) => self.forward_to_leader(bus, from, call, action).await,
            // Without a bus, this node stops being the leader only at shutdown.
            None => send_error(from, call, ErrorCode::Unavailable, UNAVAILABLE_REASON),
        }
    }

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
            subject: from.subject.clone(),
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
            ClientAction::CannotAnswer => Request::CannotAnswer,
            ClientAction::Accept => Request::Accept,
            ClientAction::Decline => Request::Decline,
            ClientAction::HangUp => Request::HangUp,
            ClientAction::Connected => Request::Connected,
            ClientAction::Disconnected => Request::Disconnected,
        };
        if request == Request::Accept {
            self.engage(from.person.id, call).await;
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

    /// Before a call is accepted: from now on it engages the person. Their current call ends, if this one waits.
    async fn engage(&self, user: UserId, call: CallId) {
        let (done, left) = oneshot::channel();
        let sent = {
            let mut open = self.table.lock();
            open.mark_answered(user, call);
            let waits = open.waiting_call_by_user.get(&user) == Some(&call);
            let current_call = open.call_by_user.get(&user).filter(|_| waits);
            let entry = current_call.and_then(|id| open.calls.get(id)).cloned();
            let group_entry = current_call
                .and_then(|id| open.group_calls.get(id))
                .cloned();
            (entry, group_entry)
        };
        // If a send fails, the call has ended.
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

    /// Has a connected client's calls send it their state. Never waits.
    pub fn on_client_connected(&self, connection: &Arc<Connection>) {
        for entry in self.entries_of_user(connection.person.id) {
            let connection = connection.clone();
            deliver(
                &entry.command_tx,
                CallCommand::ClientConnected { connection },
            );
        }
        if let Some(group) = self.group_entry_of_user(connection.person.id) {
            let connection = connection.clone();
            deliver(
                &group.command_tx,
                GroupCallCommand::ClientConnected { connection },
            );
        }
    }

    /// Handles a lost connection that the client has not replaced. Never waits.
    pub fn on_client_disconnected(&self, connection: &Arc<Connection>, disconnect: Disconnect) {
        for entry in self.entries_of_user(connection.person.id) {
            let connection = connection.clone();
            let command = CallCommand::ClientDisconnected {
                connection,
                disconnect,
            };
            deliver(&entry.command_tx, command);
        }
        if let Some(group) = self.group_entry_of_user(connection.person.id) {
            let connection = connection.clone();
            let command = GroupCallCommand::ClientDisconnected {
                connection,
                disconnect,
            };
            deliver(&group.command_tx, command);
        }
    }

    /// After the call, the client gets the outcome.
    async fn send_command(&self, from: &Connection, call: CallId, command: CallCommand) {
        let entry = self
            .table
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

    /// Sends an ended call; an error if there is none or it is others'.
    pub(super) async fn send_past_call(&self, from: &Connection, id: CallId) {
        match self.past_call_frame(from, id).await {
            Ok(Some(frame)) => from.send(&frame),
            Ok(None) => send_error(from, id, ErrorCode::NoSuchCall, NO_SUCH_CALL_REASON),
            Err(error) => send_unavailable(from, id, &error),
        }
    }

    async fn past_call_frame(&self, from: &Connection, id: CallId) -> Result<Option<ServerFrame>> {
        let Some(row) = self.table.app.store.find_call(id).await? else {
            return self.past_group_call_frame(from, id).await;
        };
        let call = call_from_row(&row, self.table.timeouts, clock::now());
        let Some(side) = call.side_of_user(from.person.id) else {
            return Ok(None);
        };
        let parties = Parties::find(&self.table.app.store, call.caller, call.callee).await?;
        Ok(parties.map(|two| ServerFrame::Call {
            call: two.view(&call, side, from.client),
        }))
    }

    fn entries_of_user(&self, user: UserId) -> Vec<CallEntry> {
        let open = self.table.lock();
        [
            open.call_by_user.get(&user),
            open.waiting_call_by_user.get(&user),
        ]
        .into_iter()
        .flatten()
        .filter_map(|call| open.calls.get(call).cloned())
        .collect()
    }
}

async fn retry_joins(
    registry: Weak<CallRegistry>,
    mut join_retry_rx: mpsc::UnboundedReceiver<JoinRetry>,
) {
    while let Some(JoinRetry { from, id, room }) = join_retry_rx.recv().await {
        let Some(registry) = registry.upgrade() else {
            return;
        };
        let retry = registry.clone().retry_join_group_call(from, id, room);
        registry.spawn(retry);
    }
}
