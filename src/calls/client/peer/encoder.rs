//! The encoders of a peer connection: bitrate and resolution of camera and screen, priority of audio.

use super::{Job, PeerEvent, Shared};
use crate::{
    calls::client::{
        state::video_adaptation::{EncoderSettings, VideoAdaptation},
        track_slot::TrackSlot,
    },
    ui::browser,
};
use js_sys::Reflect;
use std::rc::Rc;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{MediaStreamTrack, RtcPriorityType, RtcRtpEncodingParameters, RtcRtpSender};

/// Duration of the ramp-up after connecting, in milliseconds.
const RAMP_UP_DELAY: i32 = 2_000;
/// Maximum frame height during the ramp-up, in lines.
const MAX_RAMP_UP_HEIGHT: f32 = 360.0;

impl Shared {
    /// Changes the video adaptation, and applies and reports a new quality.
    pub(super) fn adapt_video(&self, change: impl FnOnce(&mut VideoAdaptation) -> bool) {
        let mut adaptation = self.adaptation.get();
        let changed = change(&mut adaptation);
        self.adaptation.set(adaptation);
        if changed {
            self.enqueue(Job::ConfigureEncoders);
            self.send_media_state();
            (self.on_event)(PeerEvent::VideoQuality(adaptation.quality()));
        }
    }

    /// Resumes video on a new path with small frames. The bandwidth estimate starts low, and large frames would not
    /// get through at first.
    pub(super) fn start_ramp_up(self: &Rc<Self>) {
        self.is_unresponsive.set(false);
        self.is_video_suspended.set(false);
        self.has_ramped_up.set(false);
        self.enqueue(Job::ConfigureEncoders);
        let generation = self.ramp_up_generation.get().wrapping_add(1);
        self.ramp_up_generation.set(generation);
        let shared = Rc::downgrade(self);
        browser::run_after(RAMP_UP_DELAY, move || {
            if let Some(shared) = shared.upgrade().filter(|shared| !shared.is_closed.get())
                && shared.ramp_up_generation.get() == generation
            {
                shared.has_ramped_up.set(true);
                shared.enqueue(Job::PrioritizeAudio);
                shared.enqueue(Job::ConfigureEncoders);
            }
        });
    }

    /// Configures the camera's encoder for `next_track`, or for the current track. If the browser refuses, it keeps
    /// its settings and the next call tries again.
    pub(super) async fn configure_video_encoder(&self, next_track: Option<&MediaStreamTrack>) {
        let Some(sender) = self.sender(TrackSlot::Camera) else {
            return;
        };
        let parameters = sender.get_parameters();
        let Some(encoding) = first_encoding(&parameters) else {
            return;
        };
        let limits = self.adaptation.get().quality().encoding_limits();
        let ramp_up_height = (!self.has_ramped_up.get()).then_some(MAX_RAMP_UP_HEIGHT);
        let settings = EncoderSettings {
            active: limits.active && !self.is_video_suspended.get(),
            max_bitrate: limits.max_bitrate,
            scale_down_by: limits.scale_down_by(
                frame_height(next_track.or(sender.track().as_ref())),
                ramp_up_height,
            ),
        };
        // Setting parameters restarts the encoder.
        if self.applied_settings.get() == Some(settings) {
            return;
        }
        encoding.set_active(settings.active);
        encoding.set_max_bitrate(settings.max_bitrate);
        encoding.set_scale_resolution_down_by(settings.scale_down_by);
        match JsFuture::from(sender.set_parameters_with_parameters(&parameters)).await {
            Ok(_) => self.applied_settings.set(Some(settings)),
            Err(error) if !self.is_closed.get() => browser::warn(&format!("call: {error:?}")),
            Err(_) => {}
        }
    }

    /// Resumes or suspends the shared screen, as for the camera.
    pub(super) async fn configure_screen_encoder(&self) {
        let is_suspended = self.is_video_suspended.get();
        if self.is_screen_suspended.get() == is_suspended {
            return;
        }
        let Some(sender) = self.sender(TrackSlot::Screen) else {
            return;
        };
        let parameters = sender.get_parameters();
        let Some(encoding) = first_encoding(&parameters) else {
            return;
        };
        encoding.set_active(!is_suspended);
        match JsFuture::from(sender.set_parameters_with_parameters(&parameters)).await {
            Ok(_) => self.is_screen_suspended.set(is_suspended),
            Err(error) if !self.is_closed.get() => browser::warn(&format!("call: {error:?}")),
            Err(_) => {}
        }
    }

    /// Gives audio priority over video (W3C WebRTC Priority Control).
    pub(super) async fn prioritize_audio(&self) {
        let Some(sender) = self.sender(TrackSlot::Microphone) else {
            return;
        };
        let parameters = sender.get_parameters();
        if let Some(encoding) = first_encoding(&parameters) {
            encoding.set_priority(RtcPriorityType::High);
            let _ = Reflect::set(&encoding, &"networkPriority".into(), &"high".into());
            // A browser without priorities treats both alike.
            let _ = JsFuture::from(sender.set_parameters_with_parameters(&parameters)).await;
        }
    }

    fn sender(&self, slot: TrackSlot) -> Option<RtcRtpSender> {
        let transceivers = self.transceivers();
        transceivers
            .get(slot.index())
            .map(web_sys::RtcRtpTransceiver::sender)
    }
}

/// Height of the track's frames; without a track, the height requested of a camera.
fn frame_height(video_track: Option<&MediaStreamTrack>) -> f32 {
    const DEFAULT_FRAME_HEIGHT: f32 = 720.0;
    let lines = video_track.and_then(|track| track.get_settings().get_height());
    #[expect(clippy::cast_precision_loss, reason = "no picture has so many")]
    let lines = lines.map(|lines| lines as f32);
    lines.unwrap_or(DEFAULT_FRAME_HEIGHT)
}

/// The first encoding; `None` before negotiation.
fn first_encoding(parameters: &web_sys::RtcRtpParameters) -> Option<RtcRtpEncodingParameters> {
    let encoding = parameters.get_encodings()?.get(0);
    encoding.is_object().then(|| encoding.unchecked_into())
}
