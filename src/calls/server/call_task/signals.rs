//! Relays the signaling messages of a two-party call.

use super::CallTask;
use crate::{
    calls::server::{errors::send_rate_limited, signal_budget::EarlySignals},
    model::{
        ClientId,
        call::{Side, SignalingMessage},
    },
    protocol::ws::ServerFrame,
    server::live::Connection,
};

impl CallTask {
    /// Before the answer, all clients of the callee receive a signal, then the one that answered.
    pub(super) fn relay_signal(&mut self, from: &Connection, signal: SignalingMessage) {
        let now = self.clock.now();
        let side = self.call.side_of_user(from.person.id);
        let is_early = self.call.can_offer_early(from.client) && EarlySignals::accepts(&signal);
        let targets = if is_early {
            self.table.app.connections.clients_of_user(self.call.callee)
        } else if matches!(signal, SignalingMessage::Pranswer { .. }) {
            if !self.claim_pranswer(side, from.client) {
                // Answered meanwhile, or another client was first.
                return;
            }
            vec![self.call.caller_client]
        } else if side.is_some_and(|side| self.call.can_send_pranswer(side)) {
            // After a lost acceptance, signals must not reveal the client's addresses. Once answered, the client
            // requests what is missing.
            return;
        } else {
            match self.call.signal_target(from.client) {
                Ok(target) => vec![target],
                Err(rejection) => return self.send_rejection(from, rejection),
            }
        };
        let budget = match side {
            Some(Side::Caller) | None => &mut self.caller_budget,
            Some(Side::Callee) => &mut self.callee_budget,
        };
        if let Err(wait) = budget.take(&signal, now) {
            let reason = "Too many signaling messages from this page. Wait a moment, then retry.";
            return send_rate_limited(from, self.call.id, reason, wait);
        }
        if is_early {
            self.early_signals.push(&signal);
        }
        let frame = self.signal_frame(signal);
        for target in targets {
            // Disconnected clients request what they missed.
            self.table.app.connections.send_to_client(target, &frame);
        }
    }

    /// The first of the callee's clients claims it.
    fn claim_pranswer(&mut self, side: Option<Side>, client: ClientId) -> bool {
        side.is_some_and(|side| self.call.can_send_pranswer(side))
            && *self.pranswer_client.get_or_insert(client) == client
    }

    /// While the call waits, clients ignore early signals.
    pub(super) fn resend_early_signals(&self) {
        for client in self.table.app.connections.clients_of_user(self.call.callee) {
            for signal in self.early_signals.signals() {
                let frame = self.signal_frame(signal.clone());
                self.table.app.connections.send_to_client(client, &frame);
            }
        }
    }

    pub(super) fn signal_frame(&self, signal: SignalingMessage) -> ServerFrame {
        ServerFrame::Signal {
            call: self.call.id,
            signal,
            from: None,
        }
    }
}
