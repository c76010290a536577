//! The state of a peer connection: events in, effects out, without browser access.

pub(super) mod candidates;
pub(super) mod interface;
mod jobs;
mod negotiation;
mod path;
mod path_monitor;
#[cfg(test)]
mod tests;

use super::event::{MediaState, PeerEvent};
use crate::{
    calls::client::state::{
        path_diagnosis::PathDiagnosis,
        recovery::Recovery,
        video_adaptation::{EncoderSettings, VideoAdaptation, VideoQuality, VideoRamp},
    },
    model::{
        Millis,
        call::{IceServer, Side, SignalingMessage},
    },
};
use candidates::IceCandidate;
use interface::{
    ConnectionEvent, ConnectionState, Moment, Operation, PathCheck, PeerEffect, Timer,
};
use jobs::{Job, RecoveryReason, Step};
use path_monitor::{Liveness, PathMonitor};
use std::collections::VecDeque;

/// Milliseconds before a missing path is explained; browsers report `failed` only after 15 s.
const DIAGNOSIS_DELAY: i32 = 10_000;
/// Half of the credentials' lifetime.
const CREDENTIALS_TTL: Millis = 5 * 60 * 1_000;
/// Milliseconds that recovery waits for new credentials.
const CREDENTIALS_TIMEOUT: i32 = 700;
/// Milliseconds.
const STATS_POLL_INTERVAL: i32 = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No media, no recovery; a callee sends only its provisional answer.
    Ringing,
    Answered,
    Closed,
}

/// W3C `RTCSignalingState`, as far as descriptions were applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SignalingState {
    Stable,
    HaveLocalOffer,
    HaveRemoteOffer,
    HaveLocalPranswer,
    HaveRemotePranswer,
}

/// Recovery starts once `Awaited` ones arrive; the current ones arrived at `at` or `former_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Credentials {
    Received { at: Millis },
    Awaited { former_at: Millis },
}

/// Whether ICE restarts after the first answer. Before it, a second offer is unsafe: an answer could match the wrong
/// one, and a provisional answer rules it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum RestartAfterAnswer {
    #[default]
    NotNeeded,
    /// The network may have changed since the candidates were gathered.
    Needed,
}

#[derive(Debug)]
pub(super) struct PeerConnectionState {
    side: Side,
    phase: Phase,
    connection_state: ConnectionState,
    signaling_state: SignalingState,
    /// Completed exchanges of an offer and an answer.
    exchanges: u32,
    jobs: VecDeque<Job>,
    /// `None` while no operation runs.
    next_step: Option<Step>,
    prepared_answer: Option<String>,
    /// Held back until their description is applied and the call is answered.
    pending_candidates: Vec<IceCandidate>,
    restart_after_answer: RestartAfterAnswer,
    credentials: Credentials,
    recovery: Recovery,
    monitor: PathMonitor,
    diagnosis: PathDiagnosis,
    adaptation: VideoAdaptation,
    ramp: VideoRamp,
    media_state: MediaState,
    /// Effects of the current event, in order.
    effects: Vec<PeerEffect>,
}

impl PeerConnectionState {
    pub(super) fn new(side: Side, ice_servers: &[IceServer], now: Millis) -> Self {
        let mut diagnosis = PathDiagnosis::default();
        diagnosis.record_ice_servers(ice_servers);
        Self {
            side,
            phase: Phase::Ringing,
            connection_state: ConnectionState::Inactive,
            signaling_state: SignalingState::Stable,
            exchanges: 0,
            jobs: VecDeque::new(),
            next_step: None,
            prepared_answer: None,
            pending_candidates: Vec::new(),
            restart_after_answer: RestartAfterAnswer::default(),
            credentials: Credentials::Received { at: now },
            recovery: Recovery::default(),
            monitor: PathMonitor::default(),
            diagnosis,
            adaptation: VideoAdaptation::new(VideoQuality::Full),
            ramp: VideoRamp::Starting { since: now },
            media_state: MediaState::default(),
            effects: Vec::new(),
        }
    }

    pub(super) fn side(&self) -> Side {
        self.side
    }

    pub(super) fn is_answered(&self) -> bool {
        self.phase == Phase::Answered
    }

    pub(super) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    pub(super) fn is_path_alive(&self) -> bool {
        self.is_connected() && self.monitor.liveness() == Liveness::Responsive
    }

    pub(super) fn camera_settings(&self, frame_height: f32) -> EncoderSettings {
        EncoderSettings::new(self.adaptation.quality(), self.ramp, frame_height)
    }

    pub(super) fn is_screen_active(&self) -> bool {
        self.ramp != VideoRamp::Suspended
    }

    pub(super) fn record_sent_signal(&mut self, signal: &SignalingMessage) {
        self.diagnosis.record_sent_signal(signal);
    }

    pub(super) fn on_event(&mut self, event: ConnectionEvent, moment: Moment) -> Vec<PeerEffect> {
        if self.phase != Phase::Closed {
            self.apply_event(event, moment);
            self.run_jobs(moment);
        }
        std::mem::take(&mut self.effects)
    }

    fn apply_event(&mut self, event: ConnectionEvent, moment: Moment) {
        let now = moment.now;
        match event {
            ConnectionEvent::Opened => self.open(now),
            ConnectionEvent::Answered(servers) => self.answer(servers, now),
            ConnectionEvent::IceServersReceived(servers) => self.renew_ice_servers(servers, now),
            ConnectionEvent::PageShown => self.enqueue(Job::SendPranswer),
            ConnectionEvent::SignalingRestored => self.recover_with_fresh_credentials(now),
            ConnectionEvent::SignalReceived(signal) => {
                self.diagnosis.record_received_signal(&signal);
                self.enqueue(Job::ApplySignal(signal));
            }
            ConnectionEvent::LocalTrackChanged(slot) => {
                self.enqueue(Job::Run(Operation::ReplaceTrack(slot)));
            }
            ConnectionEvent::LocalMediaStateChanged(media_state) => {
                self.media_state = media_state;
                self.send_media_state();
            }
            ConnectionEvent::MaxVideoQualityChanged(quality) => {
                let is_changed = self.adaptation.set_max_quality(quality);
                self.apply_adaptation(is_changed);
            }
            ConnectionEvent::Closed => {
                self.phase = Phase::Closed;
                self.connection_state = ConnectionState::Inactive;
                self.jobs.clear();
                self.effects.push(PeerEffect::Close);
            }
            ConnectionEvent::ConnectionStateChanged(state) => {
                self.on_connection_state_change(state, now);
            }
            ConnectionEvent::CandidateGathered(candidate) => self.send_candidate(candidate),
            ConnectionEvent::MediaStateChannelOpened => self.send_media_state(),
            ConnectionEvent::HeartbeatReceived => {
                self.monitor.record_heartbeat(now);
                self.on_path_activity(now);
            }
            ConnectionEvent::OperationDone(description) => {
                self.continue_job(description.unwrap_or_default(), moment);
            }
            ConnectionEvent::OperationFailed => self.abandon_job(),
            ConnectionEvent::PacketAgeRead(check, age) => self.judge_path(check, age, now),
            ConnectionEvent::UplinkMeasured(uplink) => {
                // Without camera or response, the sample does not describe the uplink.
                if let Some(uplink) = uplink.filter(|_| {
                    self.media_state.camera && self.monitor.liveness() == Liveness::Responsive
                }) {
                    let is_changed = self.adaptation.update(uplink);
                    self.apply_adaptation(is_changed);
                }
                self.start_timer(Timer::Stats, STATS_POLL_INTERVAL);
            }
            ConnectionEvent::TimerFired(timer) => self.on_timer(timer, now),
        }
    }

    fn on_timer(&mut self, timer: Timer, now: Millis) {
        match timer {
            Timer::Diagnosis => self.report_diagnosis(),
            Timer::Answer => {
                if self.is_awaiting_answer() {
                    self.effects.push(PeerEffect::SendLocalDescription);
                }
            }
            Timer::Offer => {
                if !self.has_remote_description() {
                    self.send_signal(SignalingMessage::RestartIce);
                }
            }
            Timer::Credentials => {
                if let Credentials::Awaited { former_at } = self.credentials {
                    self.credentials = Credentials::Received { at: former_at };
                    self.enqueue(Job::Recover(RecoveryReason::SignalingRestored));
                }
            }
            Timer::Recovery { generation } => {
                if self.recovery.is_check_current(generation) {
                    self.enqueue(Job::Recover(RecoveryReason::Disconnected));
                }
            }
            Timer::RampUp { since } => {
                // A suspended video gets a new ramp-up.
                if self.ramp == (VideoRamp::Starting { since }) {
                    self.ramp = VideoRamp::Finished;
                    self.enqueue(Job::Run(Operation::PrioritizeAudio));
                    self.enqueue(Job::Run(Operation::ConfigureEncoders));
                }
            }
            Timer::Heartbeat => self.send_heartbeat(now),
            Timer::PathProbe { since } => {
                if !self.monitor.has_heartbeat_since(since) {
                    let check = PathCheck::Probe { since };
                    self.effects.push(PeerEffect::ReadPacketAge(check));
                }
            }
            Timer::Stats => {
                if self.is_connected() {
                    self.effects.push(PeerEffect::SampleStats);
                } else {
                    self.start_timer(Timer::Stats, STATS_POLL_INTERVAL);
                }
            }
        }
    }

    fn open(&mut self, now: Millis) {
        self.send_heartbeat(now);
        self.start_timer(Timer::Stats, STATS_POLL_INTERVAL);
        if self.side == Side::Caller {
            self.effects.push(PeerEffect::AddTransceivers);
            self.enqueue(Job::SendOffer);
        }
    }

    fn answer(&mut self, servers: Vec<IceServer>, now: Millis) {
        if self.phase == Phase::Ringing {
            self.phase = Phase::Answered;
            self.renew_ice_servers(servers, now);
            self.enqueue(Job::StartConnecting);
            self.start_timer(Timer::Diagnosis, DIAGNOSIS_DELAY);
        }
    }

    fn renew_ice_servers(&mut self, servers: Vec<IceServer>, now: Millis) {
        self.diagnosis.record_ice_servers(&servers);
        self.effects.push(PeerEffect::SetIceServers(servers));
        let former = std::mem::replace(&mut self.credentials, Credentials::Received { at: now });
        if matches!(former, Credentials::Awaited { .. }) {
            self.enqueue(Job::Recover(RecoveryReason::SignalingRestored));
        }
    }

    /// Waits for the server's new credentials, sent on every reconnect and call change; after [`CREDENTIALS_TIMEOUT`],
    /// the current ones must do.
    fn recover_with_fresh_credentials(&mut self, now: Millis) {
        match self.credentials {
            Credentials::Received { at } if now - at < CREDENTIALS_TTL => {
                self.enqueue(Job::Recover(RecoveryReason::SignalingRestored));
            }
            Credentials::Received { at: former_at } | Credentials::Awaited { former_at } => {
                self.credentials = Credentials::Awaited { former_at };
                self.start_timer(Timer::Credentials, CREDENTIALS_TIMEOUT);
            }
        }
    }

    fn apply_adaptation(&mut self, is_changed: bool) {
        if is_changed {
            self.enqueue(Job::Run(Operation::ConfigureEncoders));
            self.send_media_state();
            let quality = self.adaptation.quality();
            self.emit(PeerEvent::VideoQuality(quality));
        }
    }

    fn send_media_state(&mut self) {
        let is_video_paused =
            self.media_state.camera && self.adaptation.quality() == VideoQuality::Paused;
        self.effects.push(PeerEffect::SendMediaState(MediaState {
            is_video_paused,
            ..self.media_state
        }));
    }

    fn report_diagnosis(&mut self) {
        if !self.recovery.has_ever_connected() {
            let explanation = self.diagnosis.explanation();
            self.emit(PeerEvent::Error(explanation));
        }
    }

    fn is_connected(&self) -> bool {
        self.connection_state == ConnectionState::Connected
    }

    fn enqueue(&mut self, job: Job) {
        self.jobs.push_back(job);
    }

    fn start_timer(&mut self, timer: Timer, millis: i32) {
        self.effects.push(PeerEffect::StartTimer(timer, millis));
    }

    fn send_signal(&mut self, signal: SignalingMessage) {
        self.diagnosis.record_sent_signal(&signal);
        self.emit(PeerEvent::SendSignal(signal));
    }

    fn emit(&mut self, event: PeerEvent) {
        self.effects.push(PeerEffect::Emit(event));
    }
}
