//! Offers, answers, candidates and ICE restarts: the jobs that change the session.
//!
//! While the call rings, both pages do what takes time: the callee sends a provisional answer (`pranswer`), and the caller
//! applies it. Addresses are disclosed only by a user action: the caller's by calling, the callee's by answering. Until
//! then, the callee neither sends its candidates nor uses the caller's, and the caller sends no media. Answering then only
//! has to exchange candidates and attach tracks.

use super::{Job, PeerEvent, RecoveryReason, Shared, candidates};
use crate::{
    calls::client::{state::recovery::RecoveryStep, track_slot::TrackSlot},
    model::call::{Side, SignalingMessage},
    ui::browser,
};
use futures::future;
use std::rc::Rc;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    RtcIceCandidateInit, RtcOfferOptions, RtcRtpTransceiver, RtcRtpTransceiverDirection,
    RtcSdpType, RtcSessionDescription, RtcSessionDescriptionInit, RtcSignalingState,
};

/// How long an answering page waits for an offer before it requests one, in milliseconds.
const OFFER_TIMEOUT: i32 = 1_500;
/// How long the caller waits for the answer before it sends its offer again, in milliseconds.
const ANSWER_TIMEOUT: i32 = 5_000;

impl Shared {
    pub(super) async fn run_job(self: &Rc<Self>, job: Job) -> Result<(), JsValue> {
        match job {
            Job::SendOffer { restart } => self.send_offer(restart).await,
            Job::StartConnecting => self.start_connecting().await,
            Job::ApplySignal(SignalingMessage::Offer { sdp }) => self.apply_offer(&sdp).await,
            Job::ApplySignal(SignalingMessage::Answer { sdp }) => self.apply_answer(&sdp).await,
            Job::ApplySignal(SignalingMessage::Pranswer { sdp }) => {
                self.apply_pranswer(&sdp).await;
                Ok(())
            }
            Job::SendPranswer => {
                self.send_pranswer().await;
                Ok(())
            }
            Job::ApplySignal(SignalingMessage::Candidate {
                candidate,
                sdp_mid,
                sdp_m_line_index,
            }) => {
                let init = RtcIceCandidateInit::new(&candidate);
                init.set_sdp_mid(sdp_mid.as_deref());
                init.set_sdp_m_line_index(sdp_m_line_index);
                if self.can_exchange_candidates() && self.connection.remote_description().is_some()
                {
                    self.add_candidate(&init);
                } else {
                    self.pending_candidates.borrow_mut().push(init);
                }
                Ok(())
            }
            Job::ApplySignal(SignalingMessage::RestartIce) => {
                self.recover_path(RecoveryReason::RemoteRequest).await
            }
            Job::Recover(reason) => self.recover_path(reason).await,
            Job::ReplaceTrack(slot) => self.replace_track(slot).await,
            Job::ConfigureEncoders => {
                self.configure_video_encoder(None).await;
                self.configure_screen_encoder().await;
                Ok(())
            }
            Job::PrioritizeAudio => {
                self.prioritize_audio().await;
                Ok(())
            }
        }
    }

    async fn send_offer(&self, restart: bool) -> Result<(), JsValue> {
        let options = RtcOfferOptions::new();
        options.set_ice_restart(restart);
        let offer = JsFuture::from(
            self.connection
                .create_offer_with_rtc_offer_options(&options),
        )
        .await?;
        self.recovery.borrow_mut().record_offer(browser::now());
        JsFuture::from(self.connection.set_local_description(offer.unchecked_ref())).await?;
        self.send_local_description();
        self.attach_tracks().await
    }

    /// Applies an offer on the callee's side. The offer creates the transceivers; locally added ones would be
    /// additional (RFC 8829 section 5.10).
    async fn apply_offer(&self, sdp: &str) -> Result<(), JsValue> {
        if self.side == Side::Caller {
            // Only the caller makes offers, so this one is invalid.
            return Ok(());
        }
        // The caller makes no second offer before it has an answer.
        let is_retransmission =
            self.connection.signaling_state() == RtcSignalingState::HaveLocalPranswer;
        let (stripped_sdp, candidates) = candidates::split_candidates(sdp);
        let sdp = if is_retransmission || !self.can_exchange_candidates() {
            self.pending_candidates.borrow_mut().extend(candidates);
            &stripped_sdp
        } else {
            sdp
        };
        if is_retransmission {
            return if self.is_answered.get() {
                self.send_answer().await
            } else {
                Ok(())
            };
        }
        self.set_remote_description(RtcSdpType::Offer, sdp).await?;
        for transceiver in self.transceivers() {
            transceiver.set_direction(RtcRtpTransceiverDirection::Sendrecv);
        }
        self.attach_tracks().await?;
        self.configure_video_encoder(None).await;
        let answer = self.create_answer().await?;
        self.prepared_answer.replace(Some(answer));
        if self.is_answered.get() {
            return self.send_answer().await;
        }
        self.send_pranswer().await;
        Ok(())
    }

    /// Sends the provisional answer of a visible page: of several ringing pages, it is the likeliest to answer.
    async fn send_pranswer(&self) {
        let has_offer = self.connection.signaling_state() == RtcSignalingState::HaveRemoteOffer;
        let prepared = self.prepared_answer.borrow().clone();
        let Some(sdp) = prepared
            .filter(|_| has_offer && !self.can_exchange_candidates() && browser::is_visible())
        else {
            return;
        };
        // A browser without provisional answers (Firefox) answers after acceptance.
        if self
            .set_local_description(RtcSdpType::Pranswer, &sdp)
            .await
            .is_ok()
        {
            self.send_signal(SignalingMessage::Pranswer { sdp });
        }
    }

    /// Applies a provisional answer. Failure is ignored: the final answer follows, also in browsers without support
    /// and when another page of the callee answers.
    async fn apply_pranswer(&self, sdp: &str) {
        if self.side == Side::Caller && !self.is_answered.get() && self.is_awaiting_answer() {
            let description = session_description_init(RtcSdpType::Pranswer, sdp);
            let _ = JsFuture::from(self.connection.set_remote_description(&description)).await;
            // Configuring the encoder before it starts avoids a restart.
            let camera = self.local_tracks.borrow()[TrackSlot::Camera.index()].clone();
            self.configure_video_encoder(camera.as_ref()).await;
        }
    }

    /// Connects after the call was answered. The callee answers the offer; without one, it requests a restart, because
    /// the offer may be lost with the server that held it.
    async fn start_connecting(self: &Rc<Self>) -> Result<(), JsValue> {
        if self.side == Side::Caller {
            let shared = Rc::downgrade(self);
            browser::run_after(ANSWER_TIMEOUT, move || {
                if let Some(shared) = shared.upgrade().filter(|shared| !shared.is_closed.get())
                    && shared.is_awaiting_answer()
                {
                    shared.send_local_description();
                }
            });
            return self.attach_tracks().await;
        }
        if matches!(
            self.connection.signaling_state(),
            RtcSignalingState::HaveRemoteOffer | RtcSignalingState::HaveLocalPranswer
        ) {
            self.send_answer().await?;
        } else {
            let shared = Rc::downgrade(self);
            browser::run_after(OFFER_TIMEOUT, move || {
                if let Some(shared) = shared.upgrade()
                    && shared.connection.remote_description().is_none()
                {
                    shared.send_signal(SignalingMessage::RestartIce);
                }
            });
        }
        // The camera may be open from another call that was left for this one.
        self.attach_tracks().await
    }

    async fn send_answer(&self) -> Result<(), JsValue> {
        let prepared = self.prepared_answer.take();
        if self.connection.signaling_state() == RtcSignalingState::HaveLocalPranswer {
            // The browsers already have this answer; only the candidates are missing, and the local description now
            // contains them.
            self.send_local_description();
            self.add_pending_candidates();
            // The new answer also contains the candidates, in case it must be sent again.
            let sdp = self.create_answer().await?;
            self.set_local_description(RtcSdpType::Answer, &sdp).await?;
            if self.should_restart_after_answer.take() {
                // The candidates were gathered in another network.
                self.send_signal(SignalingMessage::RestartIce);
            }
            return Ok(());
        }
        let sdp = match prepared {
            Some(sdp) => sdp,
            None => self.create_answer().await?,
        };
        self.add_pending_candidates();
        self.set_local_description(RtcSdpType::Answer, &sdp).await?;
        self.send_local_description();
        Ok(())
    }

    async fn create_answer(&self) -> Result<String, JsValue> {
        let answer = JsFuture::from(self.connection.create_answer()).await?;
        Ok(answer.unchecked_into::<RtcSessionDescription>().sdp())
    }

    /// Applies an answer. A duplicate, sent for a repeated offer, is ignored.
    async fn apply_answer(&self, sdp: &str) -> Result<(), JsValue> {
        if self.is_awaiting_answer() {
            self.set_remote_description(RtcSdpType::Answer, sdp).await?;
            if self.should_restart_after_answer.take() {
                return self.send_offer(true).await;
            }
        }
        Ok(())
    }

    /// Whether an offer is unanswered.
    fn is_awaiting_answer(&self) -> bool {
        matches!(
            self.connection.signaling_state(),
            RtcSignalingState::HaveLocalOffer | RtcSignalingState::HaveRemotePranswer
        )
    }

    async fn set_local_description(&self, kind: RtcSdpType, sdp: &str) -> Result<(), JsValue> {
        let description = session_description_init(kind, sdp);
        JsFuture::from(self.connection.set_local_description(&description)).await?;
        Ok(())
    }

    async fn set_remote_description(&self, kind: RtcSdpType, sdp: &str) -> Result<(), JsValue> {
        let description = session_description_init(kind, sdp);
        if let Err(error) =
            JsFuture::from(self.connection.set_remote_description(&description)).await
        {
            (self.on_event)(PeerEvent::Error(
                "The two browsers could not agree on a connection. Try another browser.",
            ));
            return Err(error);
        }
        if self.can_exchange_candidates() {
            self.add_pending_candidates();
        }
        Ok(())
    }

    /// Whether candidates may be sent and used. False on a ringing page.
    pub(super) fn can_exchange_candidates(&self) -> bool {
        self.side == Side::Caller || self.is_answered.get()
    }

    fn add_pending_candidates(&self) {
        for candidate in self.pending_candidates.take() {
            self.add_candidate(&candidate);
        }
    }

    /// Adds a candidate without waiting, because the browser queues operations itself (WebRTC 1.0 section 4.4.1.2).
    /// Errors are ignored: the candidate may belong to a dropped description, and ICE fails by itself without
    /// candidates.
    fn add_candidate(&self, candidate: &RtcIceCandidateInit) {
        let added = self
            .connection
            .add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(candidate));
        spawn_local(async move {
            let _ = JsFuture::from(added).await;
        });
    }

    fn send_local_description(&self) {
        if let Some(description) = self.connection.local_description() {
            let sdp = description.sdp();
            self.send_signal(match self.side {
                Side::Caller => SignalingMessage::Offer { sdp },
                Side::Callee => SignalingMessage::Answer { sdp },
            });
        }
    }

    /// Recovers the path, and schedules a check of the result.
    async fn recover_path(self: &Rc<Self>, reason: RecoveryReason) -> Result<(), JsValue> {
        if !self.is_answered.get() {
            if reason == RecoveryReason::SignalingRestored {
                self.should_restart_after_answer.set(true);
            }
            // A ringing page may have missed the offer.
            if self.side == Side::Caller {
                self.send_local_description();
            }
            return Ok(());
        }
        let is_alive = self.is_path_alive();
        if is_alive && reason == RecoveryReason::Disconnected {
            return Ok(());
        }
        if is_alive && reason == RecoveryReason::SignalingRestored {
            // Signals may have been lost meanwhile, and the path may be dead without notice.
            if self.is_awaiting_answer() {
                self.send_local_description();
            }
            self.probe_path();
            return Ok(());
        }
        if !is_alive && self.recovery.borrow_mut().mark_lost() {
            (self.on_event)(PeerEvent::Lost);
            if reason != RecoveryReason::SignalingRestored {
                self.recover_with_fresh_credentials();
                return Ok(());
            }
        }
        let is_offer_pending = self.is_awaiting_answer();
        let has_network_changed = reason == RecoveryReason::SignalingRestored;
        let (step, retry_delay) = self.recovery.borrow_mut().next_step(
            self.side,
            is_offer_pending,
            has_network_changed,
            browser::now(),
        );
        self.schedule_recovery(retry_delay);
        match step {
            RecoveryStep::RequestRestart => {
                self.send_signal(SignalingMessage::RestartIce);
                Ok(())
            }
            RecoveryStep::ResendOffer => {
                self.send_local_description();
                Ok(())
            }
            // Before the first answer, a second offer is unsafe: an answer could be matched to the wrong offer, and a
            // provisional answer rules out a new one. The offer is repeated instead, and the restart follows the
            // answer.
            RecoveryStep::RestartIce
                if self.is_awaiting_answer()
                    && self.connection.current_remote_description().is_none() =>
            {
                let has_pranswer =
                    self.connection.signaling_state() == RtcSignalingState::HaveRemotePranswer;
                if reason == RecoveryReason::SignalingRestored
                    || (reason == RecoveryReason::RemoteRequest && has_pranswer)
                {
                    self.should_restart_after_answer.set(true);
                }
                self.send_local_description();
                Ok(())
            }
            RecoveryStep::RestartIce => self.send_offer(true).await,
            RecoveryStep::Wait => Ok(()),
        }
    }

    /// The transceivers, one for each [`TrackSlot`], in their order.
    pub(super) fn transceivers(&self) -> Vec<RtcRtpTransceiver> {
        self.connection
            .get_transceivers()
            .iter()
            .map(JsCast::unchecked_into)
            .collect()
    }

    async fn attach_tracks(&self) -> Result<(), JsValue> {
        for slot in TrackSlot::ALL {
            self.replace_track(slot).await?;
        }
        Ok(())
    }

    /// Attaches the local track of a slot. Before the call is answered, nothing is attached, because a ringing page
    /// may already be connected.
    async fn replace_track(&self, slot: TrackSlot) -> Result<(), JsValue> {
        let track = self.local_tracks.borrow()[slot.index()].clone();
        let track = track.filter(|_| self.is_answered.get());
        // An older page may offer fewer tracks.
        if let Some(transceiver) = self.transceivers().get(slot.index())
            && transceiver.sender().track() != track
        {
            // The new camera may have larger frames, so the encoder is configured together with the replacement; the
            // browser queues both.
            let fitted = async {
                if slot == TrackSlot::Camera {
                    self.configure_video_encoder(track.as_ref()).await;
                }
            };
            let replaced =
                async { JsFuture::from(transceiver.sender().replace_track(track.as_ref())).await };
            future::join(fitted, replaced).await.1?;
        }
        Ok(())
    }
}

fn session_description_init(kind: RtcSdpType, sdp: &str) -> RtcSessionDescriptionInit {
    let description = RtcSessionDescriptionInit::new(kind);
    description.set_sdp(sdp);
    description
}
