//! The calls of a simulated page: the page's own call state, and a person who answers and hangs up by chance.

use crate::{
    calls::client::state::{CallTarget, ClientCallState, machine::ClientCallMachine},
    model::{
        CallId, Millis,
        call::{ClientAction, Media, State},
        user::Person,
    },
    protocol::ws::{ErrorCode, Refusal, ServerFrame},
};
use rand::{Rng, rngs::StdRng};
use std::time::Duration;
use tokio::time::Instant;

/// As of the page.
const RETRANSMIT_INTERVAL: Duration = Duration::from_secs(5);

pub(super) type Actions = Vec<(CallId, ClientAction)>;

#[derive(Debug)]
pub(super) struct Caller {
    machine: ClientCallMachine,
    retransmit_at: Instant,
    /// When the person answers, declines or hangs up, and in which call.
    decision: Option<(Instant, CallId)>,
}

impl Default for Caller {
    fn default() -> Self {
        Self {
            machine: ClientCallMachine::default(),
            retransmit_at: Instant::now(),
            decision: None,
        }
    }
}

impl Caller {
    /// Whether the page shows a call that has not ended.
    pub(super) fn is_busy(&self) -> bool {
        self.machine.state.is_in_call()
            || self.machine.state.ringing_call().is_some()
            || self.machine.waiting_call.is_some()
    }

    pub(super) fn call(&mut self, id: CallId, person: &Person) -> Actions {
        let target = CallTarget::Person(person.clone());
        if !self.machine.open_preview(target, Media::Voice) {
            return Vec::new();
        }
        self.machine.start_call(id).into_iter().collect()
    }

    /// Hangs up, whatever is going on.
    pub(super) fn leave(&mut self, now: Millis) -> Actions {
        let mut actions: Actions = self.machine.decline_waiting_call().into_iter().collect();
        actions.extend(self.machine.leave(now));
        actions
    }

    pub(super) fn on_frame(
        &mut self,
        frame: &ServerFrame,
        now: Millis,
        random: &mut StdRng,
    ) -> Actions {
        match frame {
            ServerFrame::Welcome { .. } => {
                let mut actions = self.machine.actions_on_reconnect();
                actions.extend(self.path_action());
                actions
            }
            ServerFrame::Call { call } => {
                let before = self.machine.state.clone();
                self.machine.apply_call_view(call, now);
                self.decide_later(random);
                let mut actions = Vec::new();
                if before != self.machine.state {
                    if let ClientCallState::Ringing(view) = &self.machine.state
                        && view.state == State::Dialing
                    {
                        actions.push((view.id, ClientAction::Ringing));
                    }
                    actions.extend(self.path_action());
                }
                actions
            }
            ServerFrame::Error(Refusal {
                code,
                reason,
                call: Some(call),
                ..
            }) => {
                self.machine.apply_refusal(*call, *code, reason, now);
                if *code == ErrorCode::Unavailable {
                    self.retransmit_at = Instant::now() + Duration::from_millis(1_500);
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// While an answered call is not connected on both sides, the path of this one is reported.
    fn path_action(&self) -> Option<(CallId, ClientAction)> {
        let view = self.machine.state.answered_call()?;
        (view.state != State::Connected).then_some((view.id, ClientAction::Connected))
    }

    fn decide_later(&mut self, random: &mut StdRng) {
        let state = &self.machine.state;
        let current = state.ringing_call().or_else(|| state.answered_call());
        let Some(id) = current.map(|view| view.id) else {
            self.decision = None;
            return;
        };
        let is_decided = self.decision.is_some_and(|(_, call)| call == id);
        if !is_decided {
            let wait = Duration::from_millis(random.random_range(500..20_000));
            self.decision = Some((Instant::now() + wait, id));
        }
    }

    /// To be called twice a second. Also returns whether anything is sent again.
    pub(super) fn on_tick(&mut self, now: Millis, random: &mut StdRng) -> (Actions, bool) {
        let mut actions = Vec::new();
        let mut repeated = Vec::new();
        if let Some((_, id)) = self.decision.take_if(|(at, _)| *at <= Instant::now()) {
            actions.extend(self.decide(id, now, random));
        }
        if self.retransmit_at <= Instant::now() {
            self.retransmit_at = Instant::now() + RETRANSMIT_INTERVAL;
            repeated.extend(self.machine.unconfirmed_actions());
            repeated.extend(self.path_action());
        }
        let is_retransmission = !repeated.is_empty();
        actions.extend(repeated);
        (actions, is_retransmission)
    }

    fn decide(&mut self, id: CallId, now: Millis, random: &mut StdRng) -> Actions {
        let is_ringing = self.machine.state.ringing_call().is_some();
        match random.random_range(0..10) {
            0..7 if is_ringing => {
                let wait = Duration::from_millis(random.random_range(500..20_000));
                self.decision = Some((Instant::now() + wait, id));
                self.machine.accept().into_iter().collect()
            }
            // Nobody is there.
            9 if is_ringing => Vec::new(),
            _ => self.machine.leave(now).into_iter().collect(),
        }
    }
}
