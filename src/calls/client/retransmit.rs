//! What is said again. A word to the server may be lost, and one from it: a server may stop, and nodes lose sight of each other, while the
//! connection of this page stands. So whatever is not settled between the two is said every few seconds until it is: the server answers
//! with how the call stands.

use super::{
    CallsClient,
    peers::{self, SOLE_PEER},
    state::{ClientCallState, machine::ClientCallMachine},
};
use crate::{
    model::{
        CallId,
        call::{ClientAction, State},
    },
    ui::{browser, socket::SocketStatus},
};
use leptos::prelude::*;
use std::cell::Cell;

/// How often it is said, in milliseconds.
const RETRANSMIT_INTERVAL: i32 = 5_000;
/// When, after the server could not hear of it.
const EARLY_RETRANSMIT_DELAY: i32 = 1_500;

thread_local! {
    /// Whether it will be, in its turn and soon. Never touched on the server.
    static IS_RETRANSMIT_SCHEDULED: Cell<bool> = const { Cell::new(false) };
    static IS_EARLY_RETRANSMIT_SCHEDULED: Cell<bool> = const { Cell::new(false) };
}

impl CallsClient {
    /// Sees to it that what is not settled is said again.
    pub(super) fn schedule_retransmit(self) {
        let is_over = matches!(
            self.socket.status().get_untracked(),
            SocketStatus::Closed(_)
        );
        if !is_over
            && !self.unconfirmed_actions().is_empty()
            && !IS_RETRANSMIT_SCHEDULED.replace(true)
        {
            browser::run_after(RETRANSMIT_INTERVAL, move || {
                IS_RETRANSMIT_SCHEDULED.set(false);
                self.retransmit_unconfirmed();
                self.schedule_retransmit();
            });
        }
    }

    /// The server could not hear of something just now.
    pub(super) fn schedule_early_retransmit(self) {
        if !IS_EARLY_RETRANSMIT_SCHEDULED.replace(true) {
            browser::run_after(EARLY_RETRANSMIT_DELAY, move || {
                IS_EARLY_RETRANSMIT_SCHEDULED.set(false);
                self.retransmit_unconfirmed();
            });
        }
    }

    /// The server works off what a page says one thing after another. While it is at something, nothing is added to what waits.
    fn retransmit_unconfirmed(self) {
        if !self.socket.is_awaiting_reply() {
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

    /// How the path stands, as long as the server does not know that both sides have one. Of a call that is over it says so.
    fn unconfirmed_path_action(self) -> Option<(CallId, ClientAction)> {
        let answered = |client_state: &ClientCallState| {
            let view = client_state.answered_call()?;
            Some((view.id, view.state))
        };
        let (call, state) = self.state.with_untracked(answered)?;
        (state != State::Connected).then(|| (call, path_action(call)))
    }
}

/// What there is to say of the path of a call between two.
pub(super) fn path_action(call: CallId) -> ClientAction {
    if peers::find_in_call(call, SOLE_PEER).is_some_and(|peer| peer.is_path_alive()) {
        ClientAction::Connected
    } else {
        ClientAction::Disconnected
    }
}
