//! What is said again. A word to the server may be lost, and one from it: a server may stop, and nodes lose sight of each other, while the
//! connection of this page stands. So whatever is not settled between the two is said every few seconds until it is: the server answers
//! with how the call stands.

use super::{
    CallsClient,
    board::{Board, Scene},
    others::{self, ONLY},
};
use crate::{
    model::{
        CallId,
        call::{Action, State},
    },
    ui::{browser, socket::Link},
};
use leptos::prelude::*;
use std::cell::Cell;

/// How often it is said, in milliseconds.
const EVERY: i32 = 5_000;
/// When, after the server could not hear of it.
const SOON: i32 = 1_500;

thread_local! {
    /// Whether it will be, in its turn and soon. Never touched on the server.
    static IN_TURN: Cell<bool> = const { Cell::new(false) };
    static AT_ONCE: Cell<bool> = const { Cell::new(false) };
}

impl CallsClient {
    /// Sees to it that what is not settled is said again.
    pub(super) fn follow_up(self) {
        let is_over = matches!(self.socket.link().get_untracked(), Link::Ended(_));
        if !is_over && !self.unsettled().is_empty() && !IN_TURN.replace(true) {
            browser::after(EVERY, move || {
                IN_TURN.set(false);
                self.say_unsettled();
                self.follow_up();
            });
        }
    }

    /// The server could not hear of something just now.
    pub(super) fn follow_up_soon(self) {
        if !AT_ONCE.replace(true) {
            browser::after(SOON, move || {
                AT_ONCE.set(false);
                self.say_unsettled();
            });
        }
    }

    /// The server works off what a page says one thing after another. While it is at something, nothing is added to what waits.
    fn say_unsettled(self) {
        if !self.socket.is_waiting() {
            self.say_all(self.unsettled());
            self.socket.ping();
        }
    }

    fn unsettled(self) -> Vec<(CallId, Action)> {
        let mut say = self.board.with_untracked(Board::unsettled);
        say.extend(self.path_in_question());
        say
    }

    /// How the path stands, as long as the server does not know that both sides have one. Of a call that is over it says so.
    fn path_in_question(self) -> Option<(CallId, Action)> {
        let answered = |scene: &Scene| {
            let view = scene.answered()?;
            Some((view.id, view.state))
        };
        let (call, state) = self.scene.with_untracked(answered)?;
        (state != State::Connected).then(|| (call, path_of(call)))
    }
}

/// What there is to say of the path of a call between two.
pub(super) fn path_of(call: CallId) -> Action {
    if others::of(call, ONLY).is_some_and(|peer| peer.has_path()) {
        Action::Connected
    } else {
        Action::Lost
    }
}
