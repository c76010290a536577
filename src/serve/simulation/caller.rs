//! The calls of a simulated page: its own call state, and a person who acts by chance.

use crate::{
    calls::client::state::{
        ActiveGroupCall, CallRoom, CallTarget,
        machine::ClientCallMachine,
        retransmit_timers::{EARLY_RETRANSMIT_DELAY, RETRANSMIT_INTERVAL, RetransmitTimers},
    },
    model::{
        CallId, Millis, RoomId,
        call::{
            ClientAction, Media, State, group::GroupCallView,
            known_group_calls::CONFIRMATION_TIMEOUT,
        },
        room::RoomSummary,
        user::Person,
    },
    protocol::ws::{ErrorCode, Refusal, ServerFrame},
};
use rand::{Rng, rngs::StdRng};
use std::{collections::BTreeSet, ops::Range, time::Duration};
use tokio::time::Instant;
use uuid::Builder;

/// Milliseconds until a person answers, joins, or leaves a group call.
const ANSWER_DELAY: Range<u64> = 500..20_000;
/// Milliseconds until a person hangs up, before or after the answer.
const HANG_UP_DELAY: Range<u64> = 2_000..45_000;

#[derive(Debug, Default)]
pub(super) struct CallOutput {
    pub(super) actions: Vec<(CallId, ClientAction)>,
    /// After the actions; the reply confirms them.
    pub(super) should_ping: bool,
}

#[derive(Debug, Default)]
pub(super) struct Caller {
    machine: ClientCallMachine,
    /// When group calls that are unconfirmed since this connection are forgotten.
    sync_due: Option<(Instant, u32)>,
    retransmit_timers: RetransmitTimers,
    retransmit_due: Option<Instant>,
    early_retransmit_due: Option<Instant>,
    /// About the call that rings or goes on.
    decision: Option<Decision>,
    waiting_decision: Option<Decision>,
    invitations: Vec<(Decision, CallRoom)>,
    /// Group calls already considered.
    invited_to: BTreeSet<CallId>,
    has_gone_home: bool,
}

#[derive(Debug, Clone, Copy)]
struct Decision {
    call: CallId,
    /// None once made, or if the call goes on.
    due: Option<Instant>,
}

impl Decision {
    fn within(delay: Range<u64>, call: CallId, random: &mut StdRng) -> Self {
        let delay = Duration::from_millis(random.random_range(delay));
        let due = Some(Instant::now() + delay);
        Self { call, due }
    }

    fn take_due(&mut self) -> Option<CallId> {
        take_due(&mut self.due).then_some(self.call)
    }
}

fn take_due(due: &mut Option<Instant>) -> bool {
    due.take_if(|at| *at <= Instant::now()).is_some()
}

impl Caller {
    /// What is about to change by itself; none without a call, or once settled in a group call.
    pub(super) fn find_unsettled(&self) -> Option<String> {
        let state = &self.machine.state;
        let is_in_other_call = state.is_in_call() && state.active_group_call().is_none();
        let mut decisions = self.invitations.iter().map(|(decision, _)| *decision);
        let is_undecided = self.decision.is_some_and(|decision| decision.due.is_some())
            || decisions.any(|decision| decision.due.is_some());
        let is_unsettled = is_in_other_call
            || state.ringing_call().is_some()
            || self.machine.waiting_call.is_some()
            || is_undecided
            || !self.machine.unconfirmed_actions().is_empty();
        is_unsettled.then(|| format!("{self:?}"))
    }

    pub(super) fn active_group_call(&self) -> Option<&ActiveGroupCall> {
        self.machine.state.active_group_call()
    }

    pub(super) fn group_call_in_room(&self, room: RoomId) -> Option<&GroupCallView> {
        self.machine.group_calls.ongoing_in_room(room)
    }

    pub(super) fn call(&mut self, id: CallId, person: &Person) -> CallOutput {
        self.start(id, CallTarget::Person(person.clone()), Media::Voice)
    }

    pub(super) fn join_group_call(&mut self, id: CallId, room: &RoomSummary) -> CallOutput {
        self.start(id, CallTarget::Room(call_room(room)), Media::Video)
    }

    fn start(&mut self, id: CallId, target: CallTarget, media: Media) -> CallOutput {
        if self.has_gone_home {
            return CallOutput::default();
        }
        self.change(|machine| {
            if !machine.open_preview(target, media) {
                return None;
            }
            machine.start_call(id)
        })
    }

    pub(super) fn leave(&mut self, now: Millis) -> CallOutput {
        self.change(|machine| {
            let declined = machine.decline_waiting_call();
            declined.into_iter().chain(machine.leave(now))
        })
    }

    /// Hangs up, and starts, joins and answers nothing more.
    pub(super) fn go_home(&mut self, now: Millis) -> CallOutput {
        self.has_gone_home = true;
        self.invitations.clear();
        self.leave(now)
    }

    /// As `CallsClient::update_machine`.
    fn change<T: IntoIterator<Item = (CallId, ClientAction)>>(
        &mut self,
        change: impl FnOnce(&mut ClientCallMachine) -> T,
    ) -> CallOutput {
        let before = self.machine.clone();
        let actions = change(&mut self.machine);
        let mut all = self.machine.ringing_reports(&before);
        if before.state.answered_call().is_none() {
            all.extend(self.path_action());
        }
        all.extend(actions);
        self.schedule_retransmit();
        CallOutput {
            actions: all,
            should_ping: false,
        }
    }

    pub(super) fn on_frame(
        &mut self,
        frame: &ServerFrame,
        rooms: &[RoomSummary],
        now: Millis,
        is_awaiting_reply: bool,
        random: &mut StdRng,
    ) -> CallOutput {
        let output = match frame {
            ServerFrame::Welcome { .. } => self.on_welcome(),
            ServerFrame::Pong { .. } if self.retransmit_timers.on_reply() => {
                self.retransmit(is_awaiting_reply)
            }
            ServerFrame::Call { call } => self.change(|machine| {
                machine.apply_call_view(call, now);
                None
            }),
            ServerFrame::GroupCall { group } => {
                let output = self.change(|machine| machine.apply_group_view(group));
                self.consider_joining(group, rooms, random);
                output
            }
            ServerFrame::Error(Refusal {
                code,
                reason,
                call: Some(call),
                ..
            }) => {
                let output = self.change(|machine| {
                    machine.apply_refusal(*call, *code, reason, now);
                    None
                });
                if *code == ErrorCode::Unavailable {
                    let due = Instant::now() + milliseconds(EARLY_RETRANSMIT_DELAY);
                    self.early_retransmit_due.get_or_insert(due);
                }
                output
            }
            _ => return CallOutput::default(),
        };
        self.decide_later(random);
        output
    }

    fn on_welcome(&mut self) -> CallOutput {
        // Everything is repeated now.
        self.retransmit_timers.on_reply();
        let due = Instant::now() + milliseconds(CONFIRMATION_TIMEOUT);
        self.sync_due = Some((due, self.machine.group_calls.mark_unconfirmed()));
        let mut actions = self.machine.actions_on_reconnect();
        actions.extend(self.path_action());
        CallOutput {
            actions,
            should_ping: false,
        }
    }

    /// Sent until an answered call is connected on both sides.
    fn path_action(&self) -> Option<(CallId, ClientAction)> {
        let view = self.machine.state.answered_call()?;
        (view.state != State::Connected).then_some((view.id, ClientAction::Connected))
    }

    fn unconfirmed_actions(&self) -> Vec<(CallId, ClientAction)> {
        let mut actions = self.machine.unconfirmed_actions();
        actions.extend(self.path_action());
        actions
    }

    fn schedule_retransmit(&mut self) {
        if !self.unconfirmed_actions().is_empty() {
            let due = Instant::now() + milliseconds(RETRANSMIT_INTERVAL);
            self.retransmit_due.get_or_insert(due);
        }
    }

    fn retransmit(&mut self, is_awaiting_reply: bool) -> CallOutput {
        if !self.retransmit_timers.start(is_awaiting_reply) {
            return CallOutput::default();
        }
        CallOutput {
            actions: self.unconfirmed_actions(),
            should_ping: true,
        }
    }

    fn decide_later(&mut self, random: &mut StdRng) {
        let state = &self.machine.state;
        let two_party = state.ringing_call().or_else(|| state.answered_call());
        let two_party = two_party.map(|view| view.id);
        let group = state.active_group_call().map(|active| active.view.id);
        let is_about = |decision: Option<Decision>, call: Option<CallId>| {
            decision.map(|decision| decision.call) == call
        };
        if !is_about(self.decision, two_party.or(group)) {
            let may_hang_up = two_party.is_some() && state.ringing_call().is_none();
            let delay = if may_hang_up {
                HANG_UP_DELAY
            } else {
                ANSWER_DELAY
            };
            self.decision = two_party.or(group).map(|call| {
                let mut decision = Decision::within(delay, call, random);
                if two_party.is_none() && random.random_bool(0.5) {
                    decision.due = None;
                }
                decision
            });
        }
        let waiting = self.machine.waiting_call.as_ref().map(|view| view.id);
        if !is_about(self.waiting_decision, waiting) {
            self.waiting_decision =
                waiting.map(|call| Decision::within(ANSWER_DELAY, call, random));
        }
    }

    /// A person may join a group call of others.
    fn consider_joining(
        &mut self,
        group: &GroupCallView,
        rooms: &[RoomSummary],
        random: &mut StdRng,
    ) {
        let is_new = !group.is_ended() && self.invited_to.insert(group.id);
        let room = rooms.iter().find(|room| room.id == group.room);
        if let Some(room) = room.filter(|_| is_new && random.random_bool(0.6)) {
            let decision = Decision::within(ANSWER_DELAY, group.id, random);
            self.invitations.push((decision, call_room(room)));
        }
    }

    /// To be called twice a second.
    pub(super) fn on_tick(
        &mut self,
        now: Millis,
        is_awaiting_reply: bool,
        random: &mut StdRng,
    ) -> CallOutput {
        if let Some((_, connection)) = self.sync_due.take_if(|(at, _)| *at <= Instant::now()) {
            self.machine.group_calls.remove_unconfirmed(connection);
            self.schedule_retransmit();
        }
        let mut output = self.act_on_decisions(now, random);
        if take_due(&mut self.early_retransmit_due) {
            output.add(self.retransmit(is_awaiting_reply));
        }
        if take_due(&mut self.retransmit_due) {
            output.add(self.retransmit(is_awaiting_reply));
            self.schedule_retransmit();
        }
        output
    }

    fn act_on_decisions(&mut self, now: Millis, random: &mut StdRng) -> CallOutput {
        let mut output = CallOutput::default();
        if let Some(call) = self.decision.as_mut().and_then(Decision::take_due) {
            output.add(self.decide(call, now, random));
        }
        let waiting = self.waiting_decision.as_mut();
        if waiting.and_then(Decision::take_due).is_some() {
            output.add(match random.random_range(0..10) {
                0..5 if !self.has_gone_home => {
                    self.change(ClientCallMachine::switch_to_waiting_call)
                }
                0..8 => self.change(ClientCallMachine::decline_waiting_call),
                // The person takes no notice.
                _ => CallOutput::default(),
            });
        }
        for (decision, room) in &mut self.invitations.clone() {
            let is_ongoing =
                |view: &GroupCallView| view.id == decision.call && view.room == room.id;
            let view = self.machine.group_calls.ongoing_in_room(room.id);
            let is_ongoing = view.is_some_and(is_ongoing);
            if decision.take_due().is_some() && is_ongoing {
                let id = CallId(Builder::from_random_bytes(random.random()).into_uuid());
                output.add(self.start(id, CallTarget::Room(room.clone()), Media::Video));
            }
        }
        let now = Instant::now();
        self.invitations
            .retain(|(decision, _)| decision.due.is_some_and(|due| due > now));
        output
    }

    fn decide(&mut self, call: CallId, now: Millis, random: &mut StdRng) -> CallOutput {
        let is_ringing = self.machine.state.ringing_call().is_some();
        match random.random_range(0..10) {
            0..7 if is_ringing && !self.has_gone_home => {
                self.decision = Some(Decision::within(HANG_UP_DELAY, call, random));
                self.change(ClientCallMachine::accept)
            }
            // Nobody is there.
            9 if is_ringing => CallOutput::default(),
            _ => self.change(|machine| machine.leave(now)),
        }
    }
}

impl CallOutput {
    fn add(&mut self, other: Self) {
        self.actions.extend(other.actions);
        self.should_ping |= other.should_ping;
    }
}

fn call_room(room: &RoomSummary) -> CallRoom {
    CallRoom {
        id: room.id,
        title: room.title.clone(),
        guest_call_id: None,
    }
}

fn milliseconds(duration: i32) -> Duration {
    Duration::from_millis(duration.unsigned_abs().into())
}
