//! The task of one two-party call: it handles commands in order, stores each change, then publishes it.

use super::{
    call_table::CallTable,
    commands::CallCommand,
    errors::send_error,
    monotonic_clock::MonotonicClock,
    outcome_message,
    signal_budget::{EarlySignals, SignalBudget},
    stored_call::call_row,
    view::{Parties, call_frame, recipients},
};
use crate::{
    model::{
        CallId, ClientId, UserId,
        call::{Call, CallView, Input, Rejection, Request, Side, SignalingMessage, State},
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{
        error::Result,
        live::{Connection, Disconnect},
    },
};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Delay before a failed store operation is retried.
const STORE_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The state of a call's task.
pub(super) struct CallTask {
    table: Arc<CallTable>,
    call: Call,
    parties: Parties,
    clock: MonotonicClock,
    /// The start that became the answer of this call, because both people called at once.
    merged_call: Option<CallId>,
    caller_budget: SignalBudget,
    callee_budget: SignalBudget,
    /// The caller's signals from before the answer.
    early_signals: EarlySignals,
    /// The callee's client whose provisional answer was forwarded to the caller.
    pranswer_client: Option<ClientId>,
}

impl CallTask {
    pub(super) fn new(
        table: Arc<CallTable>,
        call: Call,
        parties: Parties,
        clock: MonotonicClock,
    ) -> Self {
        let budget = SignalBudget::new(clock.now());
        Self {
            table,
            call,
            parties,
            clock,
            merged_call: None,
            caller_budget: budget,
            callee_budget: budget,
            early_signals: EarlySignals::default(),
            pranswer_client: None,
        }
    }

    /// Stores a new call and publishes it. False if a call with this id exists and has ended.
    ///
    /// # Errors
    /// Fails if the store fails; the call then does not exist.
    pub(super) async fn create(&self) -> Result<bool> {
        let is_new = self.save(&self.call).await?;
        if is_new {
            self.notify_clients(None);
        }
        Ok(is_new)
    }

    /// Runs the call until it ends.
    pub(super) async fn run(mut self, mut command_rx: mpsc::Receiver<CallCommand>) {
        while !self.call.state.is_ended() {
            tokio::select! {
                command = command_rx.recv() => match command {
                    Some(mail) => self.handle_command(mail).await,
                    None => return,
                },
                () = self.clock.sleep_until(self.call.deadline()) => {
                    // A timeout is never rejected.
                    let _ = self.apply_input(Input::Timeout, None).await;
                }
            }
        }
        // The call is no longer registered; the remaining commands came too late.
        command_rx.close();
        while let Some(mail) = command_rx.recv().await {
            match mail {
                CallCommand::Request { from, .. } | CallCommand::Signal { from, .. } => {
                    self.send_view(&from);
                }
                CallCommand::Start { .. }
                | CallCommand::Leave { .. }
                | CallCommand::NoLongerWaiting
                | CallCommand::ClientConnected { .. }
                | CallCommand::ClientDisconnected { .. } => {}
            }
        }
    }

    async fn handle_command(&mut self, command: CallCommand) {
        match command {
            CallCommand::Request { from, request: ask } => self.handle_request(&from, ask).await,
            CallCommand::Signal { from, signal } => self.relay_signal(&from, signal),
            CallCommand::Start { from, id, done } => {
                self.handle_repeated_start(&from, id).await;
                // The caller of the command may be gone.
                let _ = done.send(());
            }
            CallCommand::Leave { user, done } => {
                self.hang_up_for(user).await;
                let _ = done.send(());
            }
            CallCommand::NoLongerWaiting if self.call.state.is_unanswered() => {
                self.notify_clients(None);
                self.resend_early_signals();
            }
            CallCommand::NoLongerWaiting => {}
            CallCommand::ClientConnected { connection: page } => {
                self.on_client_connected(&page).await;
            }
            CallCommand::ClientDisconnected {
                connection: page,
                disconnect,
            } => {
                // A newer connection of the client may have replaced the lost one.
                if self
                    .table
                    .app
                    .connections
                    .user_of_client(page.client)
                    .is_none()
                {
                    let client = page.client;
                    // The call may be answered on another client of the callee.
                    self.pranswer_client.take_if(|foretold| *foretold == client);
                    let input = match disconnect {
                        Disconnect::Lost => Input::ConnectionLost { client },
                        Disconnect::Left => Input::ClientLeft { client },
                    };
                    let _ = self.apply_input(input, None).await;
                }
            }
        }
    }

    async fn handle_request(&mut self, from: &Connection, request: Request) {
        let Some(side) = self.call.side_of_user(from.person.id) else {
            return;
        };
        let before = self.call.state;
        match self
            .apply_input(
                Input::Requested {
                    side,
                    client: from.client,
                    request,
                },
                Some(from),
            )
            .await
        {
            Ok(()) if before == self.call.state && is_repeated_request(request, before) => {
                self.send_view(from);
            }
            Ok(()) => {}
            Err(wrong) => self.send_rejection(from, wrong),
        }
    }

    /// Hangs up for a participant.
    async fn hang_up_for(&mut self, user: UserId) {
        let Some(side) = self.call.side_of_user(user) else {
            return;
        };
        let ask = Request::HangUp;
        let client = self.call.caller_client;
        // Fails only for a call that has ended.
        let _ = self
            .apply_input(
                Input::Requested {
                    side,
                    client,
                    request: ask,
                },
                None,
            )
            .await;
    }

    async fn on_client_connected(&mut self, connection: &Connection) {
        let Some(side) = self.call.side_of_user(connection.person.id) else {
            return;
        };
        let holds = self.call.side_of_client(connection.client).is_some();
        let _ = self
            .apply_input(
                Input::ClientConnected {
                    client: connection.client,
                },
                None,
            )
            .await;
        let rings = side == Side::Callee && self.call.state.is_unanswered();
        if holds || rings {
            self.send_view(connection);
        }
        if rings {
            for signal in self.early_signals.signals() {
                connection.send(&self.signal_frame(signal.clone()));
            }
        }
    }

    async fn handle_repeated_start(&mut self, from: &Connection, id: CallId) {
        let same = id == self.call.id || self.merged_call == Some(id);
        if same && self.call.side_of_client(from.client).is_some() {
            self.send_view(from);
        } else if self.call.side_of_user(from.person.id) == Some(Side::Callee)
            && self.call.state.is_unanswered()
        {
            self.merged_call = Some(id);
            self.handle_request(from, Request::Accept).await;
        } else {
            let reason = "You are already in a call, perhaps on another page. Hang up there first.";
            send_error(from, id, ErrorCode::AlreadyInCall, reason);
        }
    }

    fn relay_signal(&mut self, from: &Connection, signal: SignalingMessage) {
        let now = self.clock.now();
        let side = self.call.side_of_user(from.person.id);
        let is_early = self.call.can_offer_early(from.client) && EarlySignals::accepts(&signal);
        let targets = if is_early {
            self.table.app.connections.clients_of_user(self.call.callee)
        } else if matches!(signal, SignalingMessage::Pranswer { .. }) {
            if !self.claim_pranswer(side, from.client) {
                // The call was answered meanwhile, or another client sent one first. The answer itself will do.
                return;
            }
            vec![self.call.caller_client]
        } else if side.is_some_and(|side| self.call.can_send_pranswer(side)) {
            // Signals that follow a lost acceptance must not reveal the client's addresses. After the answer, the
            // client requests what is missing.
            return;
        } else {
            match self.call.signal_target(from.client) {
                Ok(target) => vec![target],
                Err(wrong) => return self.send_rejection(from, wrong),
            }
        };
        let budget = match side {
            Some(Side::Caller) | None => &mut self.caller_budget,
            Some(Side::Callee) => &mut self.callee_budget,
        };
        if budget.allow(&signal, now) {
            if is_early {
                self.early_signals.push(&signal);
            }
            let frame = self.signal_frame(signal);
            for target in targets {
                // A disconnected client requests what it missed when it returns.
                self.table.app.connections.send_to_client(target, &frame);
            }
        } else {
            let reason = "Too many signaling messages from this page.";
            send_error(from, self.call.id, ErrorCode::RateLimited, reason);
        }
    }

    /// Claims the provisional answer for a client; the first of the callee's clients gets it.
    fn claim_pranswer(&mut self, side: Option<Side>, client: ClientId) -> bool {
        side.is_some_and(|side| self.call.can_send_pranswer(side))
            && *self.pranswer_client.get_or_insert(client) == client
    }

    /// Applies an input: stores the change, then publishes it.
    async fn apply_input(
        &mut self,
        input: Input,
        from: Option<&Connection>,
    ) -> Result<(), Rejection> {
        let mut next = self.call.clone();
        next.apply(input, self.clock.now())?;
        if call_row(&next) != call_row(&self.call) && !self.save_with_retries(&next, from).await {
            next = self.with_stored_end(next).await;
        }
        let before = std::mem::replace(&mut self.call, next);
        if !self.call.state.is_unanswered() {
            // All ringing clients have received them.
            self.early_signals = EarlySignals::default();
        }
        let mut free = Vec::new();
        if let State::Ended { outcome } = self.call.state {
            free = self.table.remove_call(&self.call);
            self.table.app.metrics.count_ended_call(outcome);
        }
        if before.state != self.call.state {
            self.notify_clients(Some(&before));
        }
        CallTable::notify_no_longer_waiting(free);
        Ok(())
    }

    /// Stores a change, retrying without limit, because a call must not continue from an unstored state. The
    /// requesting client is informed once of the delay. False if the stored call has already ended.
    async fn save_with_retries(&self, next: &Call, from: Option<&Connection>) -> bool {
        let mut has_notified = from.is_none();
        loop {
            let error = match self.save(next).await {
                Ok(written) => return written,
                Err(error) => error,
            };
            tracing::error!(call = %next.id, %error, "a call could not be stored; trying again");
            if let Some(from) = from.filter(|_| !has_notified) {
                let reason = "The server cannot save the call right now. It keeps trying.";
                send_error(from, next.id, ErrorCode::Unavailable, reason);
                has_notified = true;
            }
            tokio::time::sleep(STORE_RETRY_DELAY).await;
        }
    }

    /// Adopts the stored end of a call that the former leader ended after this node had read it.
    async fn with_stored_end(&self, mut call: Call) -> Call {
        // If the read fails, the next change detects the end.
        if let Ok(Some(row)) = self.table.app.store.find_call(call.id).await {
            (call.state, call.ended_at) = (row.state, row.ended_at);
        }
        call
    }

    /// Posts the outcome before the end is stored: after a crash in between, the call ends again, and the message id,
    /// which is the call id, prevents a duplicate.
    async fn save(&self, call: &Call) -> Result<bool> {
        if let State::Ended { outcome } = call.state {
            outcome_message::post(&self.table.app, &self.parties, call, outcome).await?;
        }
        self.table.app.store.save_call(&call_row(call)).await
    }

    /// Sends the state of the call to all clients concerned.
    fn notify_clients(&self, before: Option<&Call>) {
        for (side, client) in recipients(&self.table.app.connections, before, &self.call) {
            self.table
                .app
                .connections
                .send_to_client(client, &call_frame(self.view(side, client)));
        }
    }

    /// Sends the state of the call to one client.
    fn send_view(&self, connection: &Connection) {
        if let Some(side) = self.call.side_of_user(connection.person.id) {
            connection.send(&call_frame(self.view(side, connection.client)));
        }
    }

    /// Sends the early signals again, because the callee's clients ignored them while the call was waiting.
    fn resend_early_signals(&self) {
        for client in self.table.app.connections.clients_of_user(self.call.callee) {
            for signal in self.early_signals.signals() {
                let frame = self.signal_frame(signal.clone());
                self.table.app.connections.send_to_client(client, &frame);
            }
        }
    }

    fn signal_frame(&self, signal: SignalingMessage) -> ServerFrame {
        ServerFrame::Signal {
            call: self.call.id,
            signal,
            from: None,
        }
    }

    fn view(&self, side: Side, client: ClientId) -> CallView {
        let waits = side == Side::Callee
            && self.call.state.is_unanswered()
            && self.table.is_waiting(self.call.callee, self.call.id);
        CallView {
            is_waiting: waits,
            ..self.view_without_waiting(side, client)
        }
    }

    fn view_without_waiting(&self, side: Side, client: ClientId) -> CallView {
        let ice_servers = |user| self.table.app.ice_servers(user, self.call.id);
        let user = match side {
            Side::Caller => self.call.caller,
            Side::Callee => self.call.callee,
        };
        if self.call.side_of_client(client) == Some(side) {
            let servers = ice_servers(user);
            self.parties
                .holder_view(&self.call, side, client, servers, self.merged_call)
        } else if self.call.can_send_pranswer(side) {
            self.parties
                .ringing_view(&self.call, side, client, ice_servers(user))
        } else {
            self.parties.view(&self.call, side, client)
        }
    }

    fn send_rejection(&self, from: &Connection, rejection: Rejection) {
        let code = match rejection {
            Rejection::Ended => return self.send_view(from),
            Rejection::NotParticipant => ErrorCode::NoSuchCall,
            Rejection::WrongState => ErrorCode::WrongState,
        };
        send_error(from, self.call.id, code, &rejection.to_string());
    }
}

/// Whether a request without effect is a repetition to answer with the current state. `Connected` counts only once
/// both sides are connected, because each side reports its own path.
fn is_repeated_request(ask: Request, state: State) -> bool {
    match ask {
        Request::Ringing | Request::Accept | Request::Decline | Request::HangUp => true,
        Request::Connected => state == State::Connected,
        Request::Disconnected => false,
    }
}
