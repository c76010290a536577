//! One open call: a task that takes everything about it one after another, stores what changes, then tells it.

use super::{
    CallRegistry, call_row, outcome_message, send_error,
    signal_budget::{EarlySignals, SignalBudget},
    view::{Parties, call_frame, recipients},
};
use crate::{
    model::{
        CallId, ClientId, Millis, UserId,
        call::{Call, CallView, Input, Rejection, Request, Side, SignalingMessage, State},
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{
        clock,
        error::Result,
        live::{Connection, Disconnect},
    },
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// What a call's task is told. Sent by the tasks of connections.
#[derive(Debug)]
pub(super) enum CallCommand {
    /// A page asks for something.
    Request {
        from: Arc<Connection>,
        request: Request,
    },
    /// A page has something for the other one.
    Signal {
        from: Arc<Connection>,
        signal: SignalingMessage,
    },
    /// Somebody in this call starts one with the other person of it: the same start again, or the other one's call answered by
    /// calling back. The answer says that it was dealt with; none comes if the call has ended before.
    Start {
        from: Arc<Connection>,
        id: CallId,
        done: oneshot::Sender<()>,
    },
    /// One of the two leaves, for another call. The answer says that they have.
    Leave {
        user: UserId,
        done: oneshot::Sender<()>,
    },
    /// The callee was in another call, which has ended.
    NoLongerWaiting,
    /// A page of one of the two is connected (again).
    ClientConnected { connection: Arc<Connection> },
    /// The connection of a page of one of the two is gone, and perhaps the page.
    ClientDisconnected {
        connection: Arc<Connection>,
        disconnect: Disconnect,
    },
}

/// The time of day when the call came to this task, carried on by a clock that nobody sets: so a call is neither cut short nor
/// drawn out when the machine's clock is corrected.
#[derive(Debug, Clone, Copy)]
pub(super) struct MonotonicClock {
    wall_start: Millis,
    monotonic_start: Instant,
}

impl MonotonicClock {
    pub(super) fn starting_at(at: Millis) -> Self {
        Self {
            wall_start: at,
            monotonic_start: Instant::now(),
        }
    }

    pub(super) fn now(self) -> Millis {
        self.wall_start
            + Millis::try_from(self.monotonic_start.elapsed().as_millis())
                .unwrap_or(Millis::MAX / 2)
    }

    /// Waits for a moment; for ever when there is none.
    pub(super) async fn sleep_until(self, deadline: Option<Millis>) {
        match deadline {
            Some(moment) => {
                tokio::time::sleep(Duration::from_millis(
                    moment.abs_diff(self.now().min(moment)),
                ))
                .await;
            }
            None => std::future::pending().await,
        }
    }
}

/// How long to wait before something that the store refused is tried again.
const STORE_RETRY_DELAY: Duration = Duration::from_secs(1);

/// An open call and what its task needs.
pub(super) struct CallTask {
    registry: Arc<CallRegistry>,
    call: Call,
    parties: Parties,
    clock: MonotonicClock,
    /// The start that became this call's answer, because both called at once.
    merged_call: Option<CallId>,
    caller_budget: SignalBudget,
    callee_budget: SignalBudget,
    /// What the caller said before anybody answered.
    early_signals: EarlySignals,
    /// The page of the callee whose answer the caller knows already, should it be the one that answers.
    pranswer_client: Option<ClientId>,
}

impl CallTask {
    pub(super) fn new(
        registry: Arc<CallRegistry>,
        call: Call,
        parties: Parties,
        clock: MonotonicClock,
    ) -> Self {
        let budget = SignalBudget::new(clock.now());
        Self {
            registry,
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

    /// Stores the call for the first time and shows it. False when it exists, and has ended.
    ///
    /// # Errors
    /// When the store fails; then the call does not exist.
    pub(super) async fn create(&self) -> Result<bool> {
        let is_new = self.save(&self.call).await?;
        if is_new {
            self.notify_clients(None);
        }
        Ok(is_new)
    }

    /// Holds the call until it ends.
    pub(super) async fn run(mut self, mut command_rx: mpsc::Receiver<CallCommand>) {
        while !self.call.state.is_ended() {
            tokio::select! {
                command = command_rx.recv() => match command {
                    Some(mail) => self.handle_command(mail).await,
                    None => return,
                },
                () = self.clock.sleep_until(self.call.deadline()) => {
                    // Time alone is never refused.
                    let _ = self.apply_input(Input::Timeout, None).await;
                }
            }
        }
        // The call is off the desk: what still waits came too late.
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
                // Whoever asked may be gone.
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
                disconnect: gone,
            } => {
                // The same page may have connected again before its former connection was given up.
                if self
                    .registry
                    .app
                    .connections
                    .user_of_client(page.client)
                    .is_none()
                {
                    let client = page.client;
                    // Another page may be the one that answers.
                    self.pranswer_client.take_if(|foretold| *foretold == client);
                    let input = match gone {
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

    /// Hangs up for somebody.
    async fn hang_up_for(&mut self, user: UserId) {
        let Some(side) = self.call.side_of_user(user) else {
            return;
        };
        let ask = Request::HangUp;
        let client = self.call.caller_client;
        // A call that has ended has been left.
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
            let reason = "You are in a call already, perhaps on another page. Hang up there first.";
            send_error(from, id, ErrorCode::AlreadyInCall, reason);
        }
    }

    fn relay_signal(&mut self, from: &Connection, signal: SignalingMessage) {
        let now = self.clock.now();
        let side = self.call.side_of_user(from.person.id);
        let is_early = self.call.can_offer_early(from.client) && EarlySignals::accepts(&signal);
        let targets = if is_early {
            self.registry
                .app
                .connections
                .clients_of_user(self.call.callee)
        } else if matches!(signal, SignalingMessage::Pranswer { .. }) {
            if !self.claim_pranswer(side, from.client) {
                // Said a moment too late, or by the second page that rings: the answer itself is as good.
                return;
            }
            vec![self.call.caller_client]
        } else if side.is_some_and(|side| self.call.can_send_pranswer(side)) {
            // On the heels of an acceptance that was lost: where this page is, is nobody's business. What is missing then is asked for.
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
                // A page that is away asks for what it missed when it is back.
                self.registry.app.connections.send_to_client(target, &frame);
            }
        } else {
            let reason = "This page sends more than a call needs. Slow down.";
            send_error(from, self.call.id, ErrorCode::RateLimited, reason);
        }
    }

    /// Whether this page may say what its answer will be: the first of the callee's that does.
    fn claim_pranswer(&mut self, side: Option<Side>, client: ClientId) -> bool {
        side.is_some_and(|side| self.call.can_send_pranswer(side))
            && *self.pranswer_client.get_or_insert(client) == client
    }

    /// Takes something in: stored first, told then.
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
            // Every page that rang has it.
            self.early_signals = EarlySignals::default();
        }
        let mut free = Vec::new();
        if let State::Ended { outcome } = self.call.state {
            free = self.registry.remove_call(&self.call);
            self.registry.app.metrics.count_ended_call(outcome);
        }
        if before.state != self.call.state {
            self.notify_clients(Some(&before));
        }
        CallRegistry::notify_no_longer_waiting(free);
        Ok(())
    }

    /// Stores a change, for as many tries as it takes: a call cannot go on from a state that would be forgotten. Whoever asked
    /// for the change is told once that it takes longer. False for a call that has ended.
    async fn save_with_retries(&self, next: &Call, from: Option<&Connection>) -> bool {
        let mut has_notified = from.is_none();
        loop {
            let error = match self.save(next).await {
                Ok(written) => return written,
                Err(error) => error,
            };
            tracing::error!(call = %next.id, %error, "a call could not be stored; trying again");
            if let Some(from) = from.filter(|_| !has_notified) {
                let reason = "The server cannot store anything just now. It keeps trying; the call goes on when it can.";
                send_error(from, next.id, ErrorCode::Unavailable, reason);
                has_notified = true;
            }
            tokio::time::sleep(STORE_RETRY_DELAY).await;
        }
    }

    /// A call that the node ended which held the desk before this one, a moment later than this one read it.
    async fn with_stored_end(&self, mut call: Call) -> Call {
        // Where it cannot be read, it is found out with the next change.
        if let Ok(Some(row)) = self.registry.app.store.find_call(call.id).await {
            (call.state, call.ended_at) = (row.state, row.ended_at);
        }
        call
    }

    /// The outcome is in the room before the call counts as ended: a server that stops in between ends the call anew, and the
    /// message, whose id is the call's, is written once all the same.
    async fn save(&self, call: &Call) -> Result<bool> {
        if let State::Ended { outcome } = call.state {
            outcome_message::post(&self.registry.app, &self.parties, call, outcome).await?;
        }
        self.registry.app.store.save_call(&call_row(call)).await
    }

    /// Tells every page concerned where the call stands.
    fn notify_clients(&self, before: Option<&Call>) {
        for (side, client) in recipients(&self.registry.app.connections, before, &self.call) {
            self.registry
                .app
                .connections
                .send_to_client(client, &call_frame(self.view(side, client)));
        }
    }

    /// Shows one page where the call stands.
    fn send_view(&self, connection: &Connection) {
        if let Some(side) = self.call.side_of_user(connection.person.id) {
            connection.send(&call_frame(self.view(side, connection.client)));
        }
    }

    /// What the caller said while the callee was in another call, and their pages had no use for it.
    fn resend_early_signals(&self) {
        for client in self
            .registry
            .app
            .connections
            .clients_of_user(self.call.callee)
        {
            for signal in self.early_signals.signals() {
                let frame = self.signal_frame(signal.clone());
                self.registry.app.connections.send_to_client(client, &frame);
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
            && self.registry.is_waiting(self.call.callee, self.call.id);
        CallView {
            is_waiting: waits,
            ..self.view_without_waiting(side, client)
        }
    }

    fn view_without_waiting(&self, side: Side, client: ClientId) -> CallView {
        let ice_servers = |user| self.registry.app.ice_servers(user, self.call.id);
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

/// Whether something that changed nothing is a repeated or late question, to be answered with how things stand. Of a path each side
/// speaks for itself, and one that has found it waits for the other.
fn is_repeated_request(ask: Request, state: State) -> bool {
    match ask {
        Request::Ringing | Request::Accept | Request::Decline | Request::HangUp => true,
        Request::Connected => state == State::Connected,
        Request::Disconnected => false,
    }
}

/// The clock of a call that starts now.
pub(super) fn start_clock() -> MonotonicClock {
    MonotonicClock::starting_at(clock::now())
}
