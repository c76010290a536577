//! Offers, answers and candidates, as chains of operations.
//!
//! While the call rings, the callee sends a provisional answer (`pranswer`), so answering only exchanges candidates and
//! attaches tracks. Only answering discloses the callee's addresses: before, the callee neither sends candidates nor
//! uses the caller's, and the caller sends no media.

use super::{
    PeerConnectionState, Phase, RestartAfterAnswer, SignalingState,
    candidates::{IceCandidate, split_candidates},
    interface::{Moment, Operation, PeerEffect, SdpKind, Timer},
    jobs::{Job, RecoveryReason, Step},
};
use crate::{
    calls::client::peer::event::PeerEvent,
    model::call::{Side, SignalingMessage},
};

/// Milliseconds before an answering page without an offer requests one.
const OFFER_TIMEOUT: i32 = 1_500;
/// Milliseconds before the caller repeats an unanswered offer.
const ANSWER_TIMEOUT: i32 = 5_000;

impl PeerConnectionState {
    pub(super) fn run_jobs(&mut self, moment: Moment) {
        while self.next_step.is_none()
            && let Some(job) = self.jobs.pop_front()
        {
            self.run_job(job, moment);
        }
    }

    fn run_job(&mut self, job: Job, moment: Moment) {
        match job {
            Job::SendOffer => self.create_offer(false),
            Job::StartConnecting => self.start_connecting(),
            Job::SendPranswer => self.send_pranswer(moment),
            Job::ApplySignal(SignalingMessage::Offer { sdp }) => self.apply_offer(sdp),
            Job::ApplySignal(SignalingMessage::Answer { sdp }) => self.apply_answer(sdp),
            Job::ApplySignal(SignalingMessage::Pranswer { sdp }) => self.apply_pranswer(sdp),
            Job::ApplySignal(SignalingMessage::Candidate {
                candidate,
                sdp_mid,
                sdp_m_line_index,
            }) => self.apply_candidate(IceCandidate {
                candidate,
                sdp_mid,
                sdp_m_line_index,
            }),
            Job::ApplySignal(SignalingMessage::RestartIce) => {
                self.recover(RecoveryReason::RemoteRequest, moment.now);
            }
            Job::Run(operation) => self.start(operation, Step::Last),
            Job::Recover(reason) => self.recover(reason, moment.now),
        }
    }

    fn start(&mut self, operation: Operation, step: Step) {
        self.next_step = Some(step);
        self.effects.push(PeerEffect::Start(operation));
    }

    /// `description` is what the operation created, or empty.
    pub(super) fn continue_job(&mut self, description: String, moment: Moment) {
        match self.next_step.take() {
            None | Some(Step::Last) => {}
            Some(Step::CreateOffer) => {
                self.recovery.record_offer(moment.now);
                let operation = Operation::SetLocalDescription(SdpKind::Offer, description);
                self.start(operation, Step::SetOffer);
            }
            Some(Step::SetOffer) => {
                self.signaling_state = SignalingState::HaveLocalOffer;
                self.effects.push(PeerEffect::SendLocalDescription);
                self.start(Operation::AttachTracks, Step::Last);
            }
            Some(Step::ApplyPranswer) => {
                self.signaling_state = SignalingState::HaveRemotePranswer;
                self.configure_early_camera();
            }
            Some(Step::ApplyAnswer) => {
                self.complete_exchange();
                self.add_pending_candidates();
                if self.take_restart_after_answer() {
                    self.create_offer(true);
                }
            }
            Some(Step::ApplyOffer) => {
                self.signaling_state = SignalingState::HaveRemoteOffer;
                if self.can_exchange_candidates() {
                    self.add_pending_candidates();
                }
                self.effects.push(PeerEffect::ActivateTransceivers);
                self.start(Operation::AttachTracks, Step::AttachTracks);
            }
            Some(Step::AttachTracks) => {
                self.start(Operation::ConfigureCamera, Step::ConfigureCamera);
            }
            Some(Step::ConfigureCamera) => {
                self.start(Operation::CreateAnswer, Step::PrepareAnswer);
            }
            Some(Step::PrepareAnswer) => {
                self.prepared_answer = Some(description);
                if self.is_answered() {
                    self.send_answer();
                } else {
                    self.send_pranswer(moment);
                }
            }
            Some(Step::SetPranswer { sdp }) => {
                self.signaling_state = SignalingState::HaveLocalPranswer;
                self.send_signal(SignalingMessage::Pranswer { sdp });
            }
            Some(Step::CreateAnswer) => self.set_answer(description),
            Some(Step::SetAnswer) => {
                self.complete_exchange();
                self.effects.push(PeerEffect::SendLocalDescription);
                self.start(Operation::AttachTracks, Step::Last);
            }
            Some(Step::CreateFinalAnswer) => {
                let operation = Operation::SetLocalDescription(SdpKind::Answer, description);
                self.start(operation, Step::SetFinalAnswer);
            }
            Some(Step::SetFinalAnswer) => {
                self.complete_exchange();
                if self.take_restart_after_answer() {
                    self.send_signal(SignalingMessage::RestartIce);
                }
                self.start(Operation::AttachTracks, Step::Last);
            }
        }
    }

    pub(super) fn abandon_job(&mut self) {
        match self.next_step.take() {
            Some(Step::ApplyOffer | Step::ApplyAnswer) => self.emit(PeerEvent::Error(
                "The two browsers could not agree on a connection. Try another browser.",
            )),
            // The final answer follows, also without support or when another page of the callee answers.
            Some(Step::ApplyPranswer) => self.configure_early_camera(),
            Some(
                Step::Last
                | Step::CreateOffer
                | Step::SetOffer
                | Step::AttachTracks
                | Step::ConfigureCamera
                | Step::PrepareAnswer
                // Firefox lacks provisional answers, and answers after acceptance.
                | Step::SetPranswer { .. }
                | Step::CreateAnswer
                | Step::SetAnswer
                | Step::CreateFinalAnswer
                | Step::SetFinalAnswer,
            )
            | None => {}
        }
    }

    pub(super) fn create_offer(&mut self, ice_restart: bool) {
        self.start(Operation::CreateOffer { ice_restart }, Step::CreateOffer);
    }

    /// The offer creates the transceivers; locally added ones would be additional (RFC 8829 section 5.10).
    fn apply_offer(&mut self, sdp: String) {
        if self.side == Side::Caller {
            // Only the caller makes offers.
            return;
        }
        // The caller makes no second offer before it has an answer.
        let is_retransmission = self.signaling_state == SignalingState::HaveLocalPranswer;
        let sdp = if is_retransmission || !self.can_exchange_candidates() {
            let (stripped_sdp, candidates) = split_candidates(&sdp);
            self.pending_candidates.extend(candidates);
            stripped_sdp
        } else {
            sdp
        };
        if !is_retransmission {
            let operation = Operation::SetRemoteDescription(SdpKind::Offer, sdp);
            self.start(operation, Step::ApplyOffer);
        } else if self.is_answered() {
            self.send_answer();
        }
    }

    /// Of several ringing pages, a visible one is the likeliest to answer.
    fn send_pranswer(&mut self, moment: Moment) {
        let is_possible = self.signaling_state == SignalingState::HaveRemoteOffer
            && !self.can_exchange_candidates()
            && moment.is_page_visible;
        if let Some(sdp) = self.prepared_answer.clone().filter(|_| is_possible) {
            let operation = Operation::SetLocalDescription(SdpKind::Pranswer, sdp.clone());
            self.start(operation, Step::SetPranswer { sdp });
        }
    }

    fn apply_pranswer(&mut self, sdp: String) {
        if self.side == Side::Caller && self.phase == Phase::Ringing && self.is_awaiting_answer() {
            let operation = Operation::SetRemoteDescription(SdpKind::Pranswer, sdp);
            self.start(operation, Step::ApplyPranswer);
        }
    }

    /// Configuring the encoder before its start avoids a restart.
    fn configure_early_camera(&mut self) {
        self.start(Operation::ConfigureCamera, Step::Last);
    }

    /// A callee without an offer requests a restart after a while: the offer may be lost with the server that held it.
    fn start_connecting(&mut self) {
        let has_offer = matches!(
            self.signaling_state,
            SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPranswer
        );
        if self.side == Side::Callee && has_offer {
            return self.send_answer();
        }
        match self.side {
            Side::Caller => self.start_timer(Timer::Answer, ANSWER_TIMEOUT),
            Side::Callee => self.start_timer(Timer::Offer, OFFER_TIMEOUT),
        }
        self.start(Operation::AttachTracks, Step::Last);
    }

    /// Tracks follow the answer: the camera may still belong to the call left for this one.
    fn send_answer(&mut self) {
        let prepared = self.prepared_answer.take();
        if self.signaling_state == SignalingState::HaveLocalPranswer {
            // Both browsers have this answer; the local description now contains the missing candidates.
            self.effects.push(PeerEffect::SendLocalDescription);
            self.add_pending_candidates();
            // Also contains the candidates, in case it must be sent again.
            self.start(Operation::CreateAnswer, Step::CreateFinalAnswer);
        } else if let Some(sdp) = prepared {
            self.set_answer(sdp);
        } else {
            self.start(Operation::CreateAnswer, Step::CreateAnswer);
        }
    }

    fn set_answer(&mut self, sdp: String) {
        self.add_pending_candidates();
        let operation = Operation::SetLocalDescription(SdpKind::Answer, sdp);
        self.start(operation, Step::SetAnswer);
    }

    /// Duplicates, sent for a repeated offer, are ignored.
    fn apply_answer(&mut self, sdp: String) {
        if self.is_awaiting_answer() {
            let operation = Operation::SetRemoteDescription(SdpKind::Answer, sdp);
            self.start(operation, Step::ApplyAnswer);
        }
    }

    fn complete_exchange(&mut self) {
        self.signaling_state = SignalingState::Stable;
        self.exchanges = self.exchanges.saturating_add(1);
    }

    fn take_restart_after_answer(&mut self) -> bool {
        std::mem::take(&mut self.restart_after_answer) == RestartAfterAnswer::Needed
    }

    pub(super) fn is_awaiting_answer(&self) -> bool {
        matches!(
            self.signaling_state,
            SignalingState::HaveLocalOffer | SignalingState::HaveRemotePranswer
        )
    }

    /// Candidates can be added only to a remote description.
    pub(super) fn has_remote_description(&self) -> bool {
        match self.signaling_state {
            SignalingState::Stable | SignalingState::HaveLocalOffer => self.exchanges > 0,
            SignalingState::HaveRemoteOffer
            | SignalingState::HaveLocalPranswer
            | SignalingState::HaveRemotePranswer => true,
        }
    }

    /// False on a ringing page.
    fn can_exchange_candidates(&self) -> bool {
        self.side == Side::Caller || self.is_answered()
    }

    /// No trickle while ringing: candidates go out inside the answer.
    pub(super) fn send_candidate(&mut self, candidate: IceCandidate) {
        if self.can_exchange_candidates() {
            self.send_signal(SignalingMessage::Candidate {
                candidate: candidate.candidate,
                sdp_mid: candidate.sdp_mid,
                sdp_m_line_index: candidate.sdp_m_line_index,
            });
        }
    }

    fn apply_candidate(&mut self, candidate: IceCandidate) {
        if self.can_exchange_candidates() && self.has_remote_description() {
            self.effects.push(PeerEffect::AddCandidate(candidate));
        } else {
            self.pending_candidates.push(candidate);
        }
    }

    fn add_pending_candidates(&mut self) {
        let candidates = std::mem::take(&mut self.pending_candidates);
        self.effects
            .extend(candidates.into_iter().map(PeerEffect::AddCandidate));
    }
}
