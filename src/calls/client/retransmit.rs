//! Retransmission of unconfirmed actions: frames can get lost on a live connection, when a server stops or nodes lose
//! each other.

use super::{
    CallsClient,
    peers::SOLE_PEER,
    state::{
        ClientCallState,
        machine::ClientCallMachine,
        retransmit_timers::{
            EARLY_RETRANSMIT_DELAY, RETRANSMIT_INTERVAL, RetransmitTimers, TimerState,
        },
    },
};
use crate::{
    model::{
        CallId,
        call::{ClientAction, State},
    },
    ui::{browser, socket::SocketStatus},
};
use leptos::prelude::*;

impl CallsClient {
    pub(super) fn schedule_retransmit(self) {
        let is_over = matches!(
            self.socket.status().get_untracked(),
            SocketStatus::Closed(_)
        );
        if !is_over
            && !self.unconfirmed_actions().is_empty()
            && self.update_timers(|timers| timers.regular.schedule())
        {
            browser::run_after(RETRANSMIT_INTERVAL, move || {
                self.update_timers(|timers| timers.regular = TimerState::Idle);
                self.retransmit_unconfirmed();
                self.schedule_retransmit();
            });
        }
    }

    pub(super) fn schedule_early_retransmit(self) {
        if self.update_timers(|timers| timers.early.schedule()) {
            browser::run_after(EARLY_RETRANSMIT_DELAY, move || {
                self.update_timers(|timers| timers.early = TimerState::Idle);
                self.retransmit_unconfirmed();
            });
        }
    }

    fn update_timers<T: Default>(self, change: impl FnOnce(&mut RetransmitTimers) -> T) -> T {
        self.retransmit_timers
            .try_update_value(change)
            .unwrap_or_default()
    }

    /// A reply confirms every earlier frame; a postponed retransmission follows.
    pub(super) fn on_reply(self) {
        if self.update_timers(RetransmitTimers::on_reply) {
            self.retransmit_unconfirmed();
        }
    }

    /// After a reconnect, everything is repeated anyway.
    pub(super) fn cancel_postponed_retransmit(self) {
        self.update_timers(RetransmitTimers::on_reply);
    }

    /// The server handles a page's frames in order, so nothing is repeated while a reply is outstanding.
    fn retransmit_unconfirmed(self) {
        let is_awaiting_reply = self.socket.is_awaiting_reply();
        if self.update_timers(|timers| timers.start(is_awaiting_reply)) {
            self.send_actions(self.unconfirmed_actions());
            self.socket.ping();
        }
    }

    fn unconfirmed_actions(self) -> Vec<(CallId, ClientAction)> {
        let mut actions = self
            .machine
            .with_untracked(ClientCallMachine::unconfirmed_actions);
        actions.extend(self.unconfirmed_path_action());
        actions
    }

    /// Repeated until the server has both sides connected; an ended call's end is the reply.
    fn unconfirmed_path_action(self) -> Option<(CallId, ClientAction)> {
        let answered = |client_state: &ClientCallState| {
            let view = client_state.answered_call()?;
            Some((view.id, view.state))
        };
        let (call, state) = self.state.with_untracked(answered)?;
        (state != State::Connected).then(|| (call, self.path_action(call)))
    }

    pub(super) fn path_action(self, call: CallId) -> ClientAction {
        let peer = self.peer_in_call(call, SOLE_PEER);
        if peer.is_some_and(|peer| peer.is_path_alive()) {
            ClientAction::Connected
        } else {
            ClientAction::Disconnected
        }
    }
}
