//! Retransmission of actions to the server.
//!
//! Frames can get lost while the page's connection stays up: a server may stop, and nodes may lose each other. The page
//! therefore repeats every unconfirmed action every few seconds; the server replies with the state of the call.

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

/// Interval between retransmissions, in milliseconds.
const RETRANSMIT_INTERVAL: i32 = 5_000;
/// Delay of the early retransmission after the server was unavailable, in milliseconds.
const EARLY_RETRANSMIT_DELAY: i32 = 1_500;

thread_local! {
    /// Whether the regular retransmission is scheduled. Unused on the server.
    static IS_RETRANSMIT_SCHEDULED: Cell<bool> = const { Cell::new(false) };
    static IS_EARLY_RETRANSMIT_SCHEDULED: Cell<bool> = const { Cell::new(false) };
}

impl CallsClient {
    /// Schedules a retransmission while actions are unconfirmed.
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

    /// Schedules an early retransmission, after the server reported
    /// [`ErrorCode::Unavailable`](crate::protocol::ws::ErrorCode::Unavailable).
    pub(super) fn schedule_early_retransmit(self) {
        if !IS_EARLY_RETRANSMIT_SCHEDULED.replace(true) {
            browser::run_after(EARLY_RETRANSMIT_DELAY, move || {
                IS_EARLY_RETRANSMIT_SCHEDULED.set(false);
                self.retransmit_unconfirmed();
            });
        }
    }

    /// Repeats unconfirmed actions. The server handles a page's frames in order, so nothing is repeated while a reply
    /// is outstanding.
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

    /// The path report to repeat until the server has both sides connected. For a call that has ended, the server
    /// replies with its end.
    fn unconfirmed_path_action(self) -> Option<(CallId, ClientAction)> {
        let answered = |client_state: &ClientCallState| {
            let view = client_state.answered_call()?;
            Some((view.id, view.state))
        };
        let (call, state) = self.state.with_untracked(answered)?;
        (state != State::Connected).then(|| (call, path_action(call)))
    }
}

/// The action that reports the path of a two-party call.
pub(super) fn path_action(call: CallId) -> ClientAction {
    if peers::find_in_call(call, SOLE_PEER).is_some_and(|peer| peer.is_path_alive()) {
        ClientAction::Connected
    } else {
        ClientAction::Disconnected
    }
}
