//! The task of a two-party call: handles commands in order, and stores each change before it publishes it.

mod signals;

use super::{
    call_table::CallTable,
    commands::CallCommand,
    errors::send_error,
    leader_term::LeaderTerm,
    monotonic_clock::MonotonicClock,
    outcome_message,
    signal_budget::{EarlySignals, SignalBudget},
    stored_call::call_row,
    view::{Parties, call_frame, recipients},
};
use crate::{
    model::{
        CallId, ClientId, UserId,
        call::{Call, CallView, Input, Outcome, Rejection, Request, Side, State},
    },
    protocol::ws::ErrorCode,
    server::{
        error::Result,
        live::{Connection, Disconnect},
        rate_limit::{Bound, Charge, Key},
        turn::credentials::RelayUser,
    },
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::mpsc;

const STORE_RETRY_DELAY: Duration = Duration::from_secs(1);

/// In tokens of [`Bound::Rings`], besides the one of the ring.
const DECLINED_RING_COST: u32 = 2;
/// As [`DECLINED_RING_COST`].
const CANCELLED_RING_COST: u32 = 1;

pub(super) struct CallTask {
    table: Arc<CallTable>,
    term: LeaderTerm,
    call: Call,
    parties: Parties,
    clock: MonotonicClock,
    /// The other start, if both people called at once.
    merged_call: Option<CallId>,
    caller_budget: SignalBudget,
    callee_budget: SignalBudget,
    early_signals: EarlySignals,
    /// The callee's clients that cannot make calls.
    unable_clients: BTreeSet<ClientId>,
    /// The callee's client whose provisional answer was forwarded.
    pranswer_client: Option<ClientId>,
}

impl CallTask {
    pub(super) fn new(
        table: Arc<CallTable>,
        term: LeaderTerm,
        call: Call,
        parties: Parties,
        clock: MonotonicClock,
    ) -> Self {
        let budget = SignalBudget::new(clock.now());
        Self {
            table,
            term,
            call,
            parties,
            clock,
            merged_call: None,
            caller_budget: budget,
            callee_budget: budget,
            early_signals: EarlySignals::default(),
            unable_clients: BTreeSet::new(),
            pranswer_client: None,
        }
    }

    /// False if the call has ended; after an error, it does not exist.
    pub(super) async fn create(&self) -> Result<bool> {
        let is_new = self.save(&self.call).await?;
        if is_new {
            self.post_outcome(&self.call).await;
            self.notify_clients(None);
        }
        Ok(is_new)
    }

    pub(super) async fn run(mut self, mut command_rx: mpsc::Receiver<CallCommand>) {
        while !self.call.state.is_ended() {
            tokio::select! {
                biased;
                () = self.clock.sleep_until(self.call.deadline()) => {
                    // A timeout is never rejected.
                    let _ = self.apply_input(Input::Timeout, None).await;
                }
                command = command_rx.recv() => match command {
                    Some(command) => self.handle_command(command).await,
                    None => return,
                },
            }
        }
        // No longer registered; the remaining commands came too late.
        command_rx.close();
        while let Some(command) = command_rx.recv().await {
            match command {
                CallCommand::Request { from, .. } | CallCommand::Signal { from, .. } => {
                    self.send_view(&from);
                }
                CallCommand::Start { .. }
                | CallCommand::Leave { .. }
                | CallCommand::WaitingChanged
                | CallCommand::Displaced
                | CallCommand::ClientConnected { .. }
                | CallCommand::ClientDisconnected { .. } => {}
            }
        }
    }

    async fn handle_command(&mut self, command: CallCommand) {
        match command {
            CallCommand::Request { from, request } => self.handle_request(&from, request).await,
            CallCommand::Signal { from, signal } => self.relay_signal(&from, signal),
            CallCommand::Start { from, id, done } => {
                self.handle_repeated_start(&from, id).await;
                let _ = done.send(());
            }
            CallCommand::Leave { user, done } => {
                self.hang_up_for(user).await;
                let _ = done.send(());
            }
            CallCommand::WaitingChanged if self.call.state.is_unanswered() => {
                self.notify_clients(None);
                if !self.table.is_waiting(self.call.callee, self.call.id) {
                    self.resend_early_signals();
                }
            }
            CallCommand::WaitingChanged => {}
            CallCommand::Displaced => {
                let _ = self.apply_input(Input::Displaced, None).await;
            }
            CallCommand::ClientConnected { connection } => {
                // Commands may overtake one another.
                if self.table.app.connections.is_current(&connection) {
                    self.on_client_connected(&connection).await;
                }
            }
            CallCommand::ClientDisconnected {
                connection,
                disconnect,
            } => {
                // The client may have reconnected.
                if self
                    .table
                    .app
                    .connections
                    .user_of_client(connection.client)
                    .is_none()
                {
                    let client = connection.client;
                    // The call may be answered on another client of the callee.
                    self.pranswer_client.take_if(|claimed| *claimed == client);
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
        if (request, side) == (Request::CannotAnswer, Side::Callee)
            && self.may_be_answered_elsewhere(from.client)
        {
            return self.send_view(from);
        }
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
            Err(rejection) => self.send_rejection(from, rejection),
        }
    }

    /// Whether another connected client of the callee can make calls, as far as is known.
    fn may_be_answered_elsewhere(&mut self, unable: ClientId) -> bool {
        self.unable_clients.insert(unable);
        let clients = self.table.app.connections.clients_of_user(self.call.callee);
        clients
            .iter()
            .any(|client| !self.unable_clients.contains(client))
    }

    async fn hang_up_for(&mut self, user: UserId) {
        let Some(side) = self.call.side_of_user(user) else {
            return;
        };
        let request = Request::HangUp;
        let client = self.call.caller_client;
        // Fails only after the call's end.
        let _ = self
            .apply_input(
                Input::Requested {
                    side,
                    client,
                    request,
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
        self.post_outcome(&next).await;
        let before = std::mem::replace(&mut self.call, next);
        if !self.call.state.is_unanswered() {
            // All ringing clients have received them.
            self.early_signals = EarlySignals::default();
        }
        let mut free = Vec::new();
        if let State::Ended { outcome } = self.call.state {
            free = self.table.remove_call(&self.call);
            self.table.app.metrics.count_ended_call(outcome);
            self.charge_for_unwanted_ring(outcome);
        }
        if before.state != self.call.state {
            self.notify_clients(Some(&before));
        }
        CallTable::notify_waiting_changed(free);
        Ok(())
    }

    /// Cool-down: who is declined, or gives up, can ring this person again less often.
    fn charge_for_unwanted_ring(&self, outcome: Outcome) {
        let cost = match outcome {
            Outcome::Declined => DECLINED_RING_COST,
            Outcome::Cancelled => CANCELLED_RING_COST,
            _ => return,
        };
        let pair = Key::Pair(self.call.caller, self.call.callee);
        let charge = Charge::new(Bound::Rings, pair).with_cost(cost);
        self.table.app.limits.charge([charge]);
    }

    /// Retries while the term lasts: a call must not continue from an unstored state. Tells the requester once. False if the stored call
    /// has ended.
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

    /// A former leader may have stored the end after this node read the call.
    async fn with_stored_end(&self, mut call: Call) -> Call {
        // If the read fails, the next change detects the end.
        if let Ok(Some(row)) = self.table.app.store.find_call(call.id).await {
            (call.state, call.ended_at) = (row.state, row.ended_at);
        }
        call
    }

    async fn save(&self, call: &Call) -> Result<bool> {
        let (store, term) = (&self.table.app.store, self.term.term());
        let saved = store.save_call(term, &call_row(call)).await?;
        Ok(self.term.check(saved).await)
    }

    /// Retries while the term lasts; after that, the next leader posts the outcome.
    async fn post_outcome(&self, call: &Call) {
        let State::Ended { outcome } = call.state else {
            return;
        };
        let app = &self.table.app;
        while let Err(error) = outcome_message::post(app, &self.parties, call, outcome).await {
            tracing::error!(call = %call.id, %error, "the outcome of a call could not be posted; trying again");
            tokio::time::sleep(STORE_RETRY_DELAY).await;
        }
    }

    fn notify_clients(&self, before: Option<&Call>) {
        for (side, client) in recipients(&self.table.app.connections, before, &self.call) {
            self.table
                .app
                .connections
                .send_to_client(client, &call_frame(self.view(side, client)));
        }
    }

    fn send_view(&self, connection: &Connection) {
        if let Some(side) = self.call.side_of_user(connection.person.id) {
            connection.send(&call_frame(self.view(side, connection.client)));
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
        let user = match side {
            Side::Caller => &self.parties.caller,
            Side::Callee => &self.parties.callee,
        };
        let ice_servers = || {
            let user = RelayUser::in_call(user, self.call.id);
            self.table.app.ice_servers(user)
        };
        if self.call.side_of_client(client) == Some(side) {
            let servers = ice_servers();
            self.parties
                .holder_view(&self.call, side, client, servers, self.merged_call)
        } else if self.call.can_send_pranswer(side) {
            self.parties
                .ringing_view(&self.call, side, client, ice_servers())
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

/// Whether a request without effect is a repetition. `Connected` is one only once both sides are connected: each reports its own path.
fn is_repeated_request(request: Request, state: State) -> bool {
    match request {
        Request::Ringing
        | Request::CannotAnswer
        | Request::Accept
        | Request::Decline
        | Request::HangUp => true,
        Request::Connected => state == State::Connected,
        Request::Disconnected => false,
    }
}
