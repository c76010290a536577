//! The client's state machine of calls.
//!
//! Frames enter through `apply_*`, the person's actions through the other functions.

mod group_view;
#[cfg(test)]
mod tests;

use super::{ActiveCall, CallTarget, ClientCallState, EndedCall, Preview};
use crate::{
    model::{
        CallId, Millis,
        call::{
            CallView, ClientAction, Media, Outcome, Side, State, known_group_calls::KnownGroupCalls,
        },
        user::PersonalSettings,
    },
    protocol::ws::ErrorCode,
};
use std::collections::VecDeque;

/// The call state, and what the server has not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientCallMachine {
    pub state: ClientCallState,
    /// A second incoming call; the other one may be on another page.
    pub waiting_call: Option<CallView>,
    pub group_calls: KnownGroupCalls,
    /// The browser has no WebRTC: nothing is started, rings or is answered here.
    pub is_webrtc_missing: bool,
    /// Hang-ups and declines, repeated until confirmed.
    unconfirmed_ends: Vec<(CallId, ClientAction)>,
    /// Later frames about these calls are stale, from a former leader node.
    recently_ended: VecDeque<CallId>,
}

/// Shown instead of a call.
pub const NO_WEBRTC_REASON: &str = "This browser cannot make calls: it has no WebRTC, or a setting or an extension turned it off. Turn it on, or \
     use another browser.";

/// Stale frames arrive within seconds.
const MAX_RECENTLY_ENDED: usize = 8;

impl ClientCallMachine {
    /// Applies the server's view of a two-party call.
    pub fn apply_call_view(&mut self, view: &CallView, now: Millis) {
        let was_left_here = self.unconfirmed_ends.iter().any(|(id, _)| *id == view.id);
        match view.state {
            State::Ended { outcome } => {
                self.recently_ended.retain(|id| *id != view.id);
                self.recently_ended.push_front(view.id);
                self.recently_ended.truncate(MAX_RECENTLY_ENDED);
                self.unconfirmed_ends.retain(|(id, _)| *id != view.id);
                if self.is_waiting_call(view.id) {
                    self.waiting_call = None;
                }
                if self.state.is_same_call(view) {
                    self.end_call(view, outcome, now);
                    self.ring_waiting_call();
                }
            }
            _ if was_left_here || self.recently_ended.contains(&view.id) => {}
            State::Dialing
            | State::Ringing
            | State::Connecting
            | State::Connected
            | State::Reconnecting => {
                self.apply_live_view(view, now);
            }
        }
    }

    fn apply_live_view(&mut self, view: &CallView, now: Millis) {
        if view.rtc_config.is_some() {
            if self.is_waiting_call(view.id) {
                self.waiting_call = None;
            }
            let since = match &self.state {
                ClientCallState::InCall(active_call) if active_call.view.id == view.id => {
                    active_call.connected_since
                }
                _ => None,
            };
            let since = since.or_else(|| (view.state == State::Connected).then_some(now));
            self.state = ClientCallState::InCall(ActiveCall {
                view: view.clone(),
                connected_since: since,
            });
        } else if view.side == Side::Callee && view.state.is_unanswered() {
            // Calling one's caller answers: the server merges both calls.
            let accepted = match &self.state {
                ClientCallState::Answering(answering) => answering.id == view.id,
                ClientCallState::Starting { callee, .. } => callee.id == view.caller.id,
                _ => false,
            };
            // Unconfirmed requests do not count: the server marks a call as waiting for a busy person.
            let is_other_call = match &self.state {
                ClientCallState::Ringing(ringing) => ringing.id != view.id,
                ClientCallState::Starting { .. } | ClientCallState::Joining { .. } => false,
                state => state.is_in_call() && !state.is_same_call(view),
            };
            let is_set_aside = self.is_waiting_call(view.id) && self.is_about_to_call();
            if accepted {
                self.state = ClientCallState::Answering(view.clone());
            } else if is_other_call || is_set_aside || view.is_waiting {
                self.waiting_call = Some(view.clone());
            } else {
                if self.is_waiting_call(view.id) {
                    self.waiting_call = None;
                }
                self.state = ClientCallState::Ringing(view.clone());
            }
        }
    }

    /// Whether the person has turned from what rings to a call of their own.
    fn is_about_to_call(&self) -> bool {
        matches!(
            self.state,
            ClientCallState::Preview(_)
                | ClientCallState::Starting { .. }
                | ClientCallState::Joining { .. }
        )
    }

    fn is_waiting_call(&self, id: CallId) -> bool {
        self.waiting_call.as_ref().is_some_and(|view| view.id == id)
    }

    fn ring_waiting_call(&mut self) {
        if let Some(mut view) = self.waiting_call.take() {
            view.is_waiting = false;
            self.state = ClientCallState::Ringing(view);
        }
    }

    /// Leaves the current call for the waiting one. Returns the actions, in order.
    pub fn switch_to_waiting_call(&mut self) -> Vec<(CallId, ClientAction)> {
        if self.is_webrtc_missing {
            return Vec::new();
        }
        let Some(view) = self.waiting_call.take() else {
            return Vec::new();
        };
        let mut actions = Vec::new();
        // The server ends the current call before it answers the waiting one, which may already be over.
        if let Some(former) = self.state.call_id().filter(|_| self.state.is_in_call()) {
            actions.push((former, ClientAction::HangUp));
            self.unconfirmed_ends.extend(actions.clone());
        }
        actions.push((view.id, ClientAction::Accept));
        self.state = ClientCallState::Answering(view);
        actions
    }

    /// Declines the waiting call.
    pub fn decline_waiting_call(&mut self) -> Option<(CallId, ClientAction)> {
        let action = (self.waiting_call.take()?.id, ClientAction::Decline);
        self.unconfirmed_ends.push(action.clone());
        Some(action)
    }

    /// Leaves what a blocked person rings or is in, except a group call. Returns the actions, in order.
    pub fn leave_blocked(
        &mut self,
        settings: &PersonalSettings,
        now: Millis,
    ) -> Vec<(CallId, ClientAction)> {
        let mut actions = Vec::new();
        if self
            .waiting_call
            .as_ref()
            .is_some_and(|view| settings.has_blocked(view.caller.id))
        {
            actions.extend(self.decline_waiting_call());
        }
        let other = match &self.state {
            ClientCallState::Starting { callee, .. } => Some(callee.id),
            ClientCallState::Ringing(view)
            | ClientCallState::Answering(view)
            | ClientCallState::InCall(ActiveCall { view, .. }) => Some(view.peer().id),
            _ => None,
        };
        if other.is_some_and(|other| settings.has_blocked(other)) {
            actions.extend(self.leave(now));
        }
        actions
    }

    fn end_call(&mut self, view: &CallView, outcome: Outcome, now: Millis) {
        let ringing = matches!(self.state, ClientCallState::Ringing(_));
        let connected_since = match &self.state {
            ClientCallState::InCall(active_call) => active_call.connected_since,
            _ => None,
        };
        // After answering or declining, here or elsewhere, no summary is needed.
        let is_already_known =
            outcome == Outcome::AnsweredElsewhere || (ringing && outcome == Outcome::Declined);
        self.state = if is_already_known {
            ClientCallState::Idle
        } else {
            ClientCallState::Ended(EndedCall {
                id: view.id,
                person: view.peer().clone(),
                side: view.side,
                media: view.media,
                outcome,
                duration: connected_since.map(|since| now - since),
            })
        };
    }

    /// Applies a refusal. True if the reason should be shown.
    pub fn apply_refusal(
        &mut self,
        call: CallId,
        code: ErrorCode,
        reason: &str,
        now: Millis,
    ) -> bool {
        if code != ErrorCode::Unavailable {
            self.unconfirmed_ends.retain(|(id, _)| *id != call);
        }
        if self.is_waiting_call(call) && code == ErrorCode::NoSuchCall {
            self.waiting_call = None;
        }
        if self.state.call_id() != Some(call) {
            return false;
        }
        // A temporary refusal of a retransmission is not shown.
        let was_requested = matches!(
            self.state,
            ClientCallState::Starting { .. }
                | ClientCallState::Joining { .. }
                | ClientCallState::Answering(_)
        );
        match &self.state {
            ClientCallState::Starting { callee, media, .. } => {
                if code == ErrorCode::Unavailable {
                    // The server may have processed the start.
                    self.unconfirmed_ends.push((call, ClientAction::HangUp));
                }
                let preview = Preview {
                    target: CallTarget::Person(callee.clone()),
                    media: *media,
                    refusal: Some(reason.to_owned()),
                };
                self.state = ClientCallState::Preview(preview);
            }
            ClientCallState::Joining { room, .. } => {
                if code == ErrorCode::Unavailable {
                    // The server may have processed the join.
                    self.unconfirmed_ends.push((call, ClientAction::HangUp));
                }
                let preview = Preview {
                    target: CallTarget::Room(room.clone()),
                    media: Media::Video,
                    refusal: Some(reason.to_owned()),
                };
                self.state = ClientCallState::Preview(preview);
            }
            ClientCallState::InGroup(group_call) if code == ErrorCode::NoSuchCall => {
                self.state = ClientCallState::Removed(group_call.room.clone());
            }
            ClientCallState::Ringing(view)
            | ClientCallState::Answering(view)
            | ClientCallState::InCall(ActiveCall { view, .. })
                if code == ErrorCode::NoSuchCall =>
            {
                let view = view.clone();
                self.end_call(&view, Outcome::Failed, now);
            }
            _ => {}
        }
        was_requested || code != ErrorCode::Unavailable
    }

    /// Opens a preview, beside a ringing call. False while a call is in progress.
    pub fn open_preview(&mut self, target: CallTarget, media: Media) -> bool {
        let free = match &self.state {
            ClientCallState::Idle
            | ClientCallState::Preview(_)
            | ClientCallState::Ended(_)
            | ClientCallState::Removed(_) => true,
            ClientCallState::Ringing(view) if self.waiting_call.is_none() => {
                self.waiting_call = Some(view.clone());
                true
            }
            _ => false,
        };
        if free {
            self.state = ClientCallState::Preview(Preview {
                target,
                media,
                refusal: self.is_webrtc_missing.then(|| NO_WEBRTC_REASON.to_owned()),
            });
        }
        free
    }

    /// Starts or joins the previewed call.
    pub fn start_call(&mut self, id: CallId) -> Option<(CallId, ClientAction)> {
        if self.is_webrtc_missing {
            return None;
        }
        let Preview { target, media, .. } = self.state.preview()?.clone();
        Some(match target {
            CallTarget::Person(callee) => {
                let action = ClientAction::Start {
                    to: callee.id,
                    media,
                };
                self.state = ClientCallState::Starting { id, callee, media };
                (id, action)
            }
            CallTarget::Room(room) => {
                let action = ClientAction::Join { room: room.id };
                self.state = ClientCallState::Joining { id, room };
                (id, action)
            }
        })
    }

    /// Accepts the ringing call.
    pub fn accept(&mut self) -> Option<(CallId, ClientAction)> {
        if self.is_webrtc_missing {
            return None;
        }
        let ClientCallState::Ringing(view) = &self.state else {
            return None;
        };
        let action = (view.id, ClientAction::Accept);
        self.state = ClientCallState::Answering(view.clone());
        Some(action)
    }

    /// Ends a call here at once, or closes a summary.
    pub fn leave(&mut self, now: Millis) -> Option<(CallId, ClientAction)> {
        let state = std::mem::take(&mut self.state);
        let action = match state {
            ClientCallState::Preview(_) => {
                // A call that was set aside rings again.
                if self
                    .waiting_call
                    .as_ref()
                    .is_some_and(|view| !view.is_waiting)
                {
                    self.ring_waiting_call();
                }
                None
            }
            ClientCallState::Idle | ClientCallState::Ended(_) | ClientCallState::Removed(_) => None,
            ClientCallState::Ringing(view) => Some((view.id, ClientAction::Decline)),
            ClientCallState::Joining { id, .. } => Some((id, ClientAction::HangUp)),
            ClientCallState::InGroup(group_call) => {
                Some((group_call.view.id, ClientAction::HangUp))
            }
            ClientCallState::Starting { id, callee, media } => {
                let (side, outcome) = (Side::Caller, Outcome::Cancelled);
                self.state = ClientCallState::Ended(EndedCall {
                    id,
                    person: callee,
                    side,
                    media,
                    outcome,
                    duration: None,
                });
                Some((id, ClientAction::HangUp))
            }
            ClientCallState::Answering(view) => {
                // The call may still ring on the server: declining covers that case, hanging up the other.
                self.unconfirmed_ends.push((view.id, ClientAction::Decline));
                Some((view.id, ClientAction::HangUp))
            }
            ClientCallState::InCall(active_call) => {
                let id = active_call.view.id;
                let unanswered = active_call.view.state.is_unanswered();
                let outcome = if unanswered {
                    Outcome::Cancelled
                } else {
                    Outcome::HungUp
                };
                let view = active_call.view.clone();
                self.state = ClientCallState::InCall(active_call);
                self.end_call(&view, outcome, now);
                Some((id, ClientAction::HangUp))
            }
        };
        if action.is_some() {
            self.ring_waiting_call();
        }
        self.unconfirmed_ends.extend(action.clone());
        action
    }

    /// The reports of the calls that ring here since `before`.
    #[must_use]
    pub fn ringing_reports(&self, before: &Self) -> Vec<(CallId, ClientAction)> {
        let waiting_id = |machine: &Self| machine.waiting_call.as_ref().map(|view| view.id);
        let ringing = self.state.ringing_call().map(|view| view.id);
        let ringing = ringing.filter(|id| before.state.call_id() != Some(*id));
        let waiting = waiting_id(self).filter(|id| waiting_id(before) != Some(*id));
        let ids = ringing.into_iter().chain(waiting);
        ids.map(|id| (id, self.ringing_report())).collect()
    }

    fn ringing_report(&self) -> ClientAction {
        if self.is_webrtc_missing {
            ClientAction::CannotAnswer
        } else {
            ClientAction::Ringing
        }
    }

    /// Unconfirmed actions, and a query whether the group call is over; without the path report.
    #[must_use]
    pub fn actions_on_reconnect(&self) -> Vec<(CallId, ClientAction)> {
        let mut actions = self.unconfirmed_actions();
        if let Some(group_call) = self.state.active_group_call() {
            actions.push((group_call.view.id, ClientAction::Disconnected));
        }
        actions
    }

    /// Actions whose delivery or reply may be lost. The server replies with the state; a repeated start yields its
    /// call.
    #[must_use]
    pub fn unconfirmed_actions(&self) -> Vec<(CallId, ClientAction)> {
        let mut actions = match &self.state {
            // The join may target the call just left; its reply settles both.
            ClientCallState::Joining { .. } => Vec::new(),
            _ => self.unconfirmed_ends.clone(),
        };
        actions.extend(
            self.waiting_call
                .iter()
                .map(|view| (view.id, self.ringing_report())),
        );
        match &self.state {
            ClientCallState::Starting { id, callee, media } => actions.push((
                *id,
                ClientAction::Start {
                    to: callee.id,
                    media: *media,
                },
            )),
            ClientCallState::Joining { id, room } => {
                actions.push((*id, ClientAction::Join { room: room.id }));
            }
            // The frame about the removal or the call's end was lost.
            ClientCallState::InGroup(group_call) if !self.is_known_participant(group_call) => {
                actions.push((group_call.view.id, ClientAction::Disconnected));
            }
            ClientCallState::Ringing(view) => actions.push((view.id, self.ringing_report())),
            ClientCallState::Answering(view) => actions.push((view.id, ClientAction::Accept)),
            ClientCallState::InCall(ActiveCall { view, .. }) if view.state.is_unanswered() => {
                actions.push((
                    view.id,
                    ClientAction::Start {
                        to: view.callee.id,
                        media: view.media,
                    },
                ));
            }
            _ => {}
        }
        actions
    }
}
