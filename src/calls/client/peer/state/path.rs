//! Loss of the media path, and its recovery.

use super::{
    PeerConnectionState, Phase, RestartAfterAnswer, SignalingState,
    interface::{ConnectionState, Operation, PathCheck, PeerEffect, Timer},
    jobs::{Job, RecoveryReason},
    path_monitor::{CheckResult, Liveness},
};
use crate::{
    calls::client::{
        peer::event::PeerEvent,
        state::{
            recovery::{Recovery, RecoveryStep},
            video_adaptation::VideoRamp,
        },
    },
    model::{
        Millis,
        call::{Side, SignalingMessage},
    },
};

/// Milliseconds for a path to show activity after the server connection was restored.
const PATH_PROBE_TIMEOUT: i32 = 1_300;

impl PeerConnectionState {
    pub(super) fn on_connection_state_change(&mut self, state: ConnectionState, now: Millis) {
        self.connection_state = state;
        match state {
            ConnectionState::Inactive => {}
            ConnectionState::Connected => {
                self.monitor.start_over();
                self.start_ramp_up(now);
                self.report_connected();
            }
            ConnectionState::Disconnected => {
                // Also follows `failed` when something arrives again.
                self.emit(PeerEvent::Disconnected);
                self.schedule_recovery(Recovery::DISCONNECTED_DELAY);
            }
            ConnectionState::Failed => {
                self.report_diagnosis();
                self.enqueue(Job::Recover(RecoveryReason::Disconnected));
            }
        }
    }

    fn report_connected(&mut self) {
        self.recovery.mark_connected();
        self.emit(PeerEvent::Connected);
    }

    fn start_ramp_up(&mut self, now: Millis) {
        self.monitor.mark_responsive();
        self.ramp = VideoRamp::Starting { since: now };
        self.enqueue(Job::Run(Operation::ConfigureEncoders));
        self.start_timer(Timer::RampUp { since: now }, VideoRamp::DURATION);
    }

    pub(super) fn send_heartbeat(&mut self, now: Millis) {
        self.effects.push(PeerEffect::SendHeartbeat);
        if self.monitor.start_check(now) {
            self.effects
                .push(PeerEffect::ReadPacketAge(PathCheck::Overdue));
        }
        self.start_timer(Timer::Heartbeat, self.monitor.heartbeat_interval());
    }

    pub(super) fn judge_path(&mut self, check: PathCheck, packet_age: Option<f64>, now: Millis) {
        match check {
            PathCheck::Overdue => match self.monitor.finish_check(packet_age, now) {
                CheckResult::NotOverdue => {}
                CheckResult::Busy => self.on_path_activity(now),
                CheckResult::Silent => {
                    self.mark_unresponsive(packet_age, RecoveryReason::HeartbeatTimeout);
                }
            },
            PathCheck::Probe { since } => {
                if packet_age.is_none_or(|age| age > f64::from(PATH_PROBE_TIMEOUT))
                    && !self.monitor.has_heartbeat_since(since)
                {
                    self.mark_unresponsive(packet_age, RecoveryReason::SignalingRestored);
                }
            }
        }
    }

    /// Known silence suspends video: nobody would see it, and its losses would count against the next path. The
    /// restarted encoder begins with a key frame.
    fn mark_unresponsive(&mut self, packet_age: Option<f64>, reason: RecoveryReason) {
        if self.monitor.mark_unresponsive() {
            if packet_age.is_some() {
                self.ramp = VideoRamp::Suspended;
                self.enqueue(Job::Run(Operation::ConfigureEncoders));
            }
            self.enqueue(Job::Recover(reason));
        }
    }

    pub(super) fn on_path_activity(&mut self, now: Millis) {
        if self.monitor.liveness() == Liveness::Unresponsive && self.is_connected() {
            self.start_ramp_up(now);
            self.report_connected();
        }
    }

    fn schedule_recovery(&mut self, millis: i32) {
        let generation = self.recovery.schedule_check();
        self.start_timer(Timer::Recovery { generation }, millis);
    }

    pub(super) fn recover(&mut self, reason: RecoveryReason, now: Millis) {
        if self.phase == Phase::Ringing {
            if reason == RecoveryReason::SignalingRestored {
                self.restart_after_answer = RestartAfterAnswer::Needed;
            }
            // A ringing page may have missed the offer.
            if self.side == Side::Caller {
                self.effects.push(PeerEffect::SendLocalDescription);
            }
            return;
        }
        let is_alive = self.is_path_alive();
        if is_alive && reason == RecoveryReason::Disconnected {
            return;
        }
        if is_alive && reason == RecoveryReason::SignalingRestored {
            // Signals may be lost, and the path dead without notice.
            if self.is_awaiting_answer() {
                self.effects.push(PeerEffect::SendLocalDescription);
            }
            self.start_timer(Timer::PathProbe { since: now }, PATH_PROBE_TIMEOUT);
            return;
        }
        if !is_alive && self.recovery.mark_lost() {
            self.emit(PeerEvent::Lost);
            if reason != RecoveryReason::SignalingRestored {
                self.recover_with_fresh_credentials(now);
                return;
            }
        }
        let is_offer_pending = self.is_awaiting_answer();
        let has_network_changed = reason == RecoveryReason::SignalingRestored;
        let (step, retry_delay) =
            self.recovery
                .next_step(self.side, is_offer_pending, has_network_changed, now);
        self.schedule_recovery(retry_delay);
        match step {
            RecoveryStep::RequestRestart => self.send_signal(SignalingMessage::RestartIce),
            RecoveryStep::ResendOffer => self.effects.push(PeerEffect::SendLocalDescription),
            // The offer is repeated, and the restart follows the answer.
            RecoveryStep::RestartIce if is_offer_pending && self.exchanges == 0 => {
                let has_pranswer = self.signaling_state == SignalingState::HaveRemotePranswer;
                if reason == RecoveryReason::SignalingRestored
                    || (reason == RecoveryReason::RemoteRequest && has_pranswer)
                {
                    self.restart_after_answer = RestartAfterAnswer::Needed;
                }
                self.effects.push(PeerEffect::SendLocalDescription);
            }
            RecoveryStep::RestartIce => self.create_offer(true),
            RecoveryStep::Wait => {}
        }
    }
}
