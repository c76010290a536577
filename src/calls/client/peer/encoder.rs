//! Bit rate and resolution of camera and screen, and the priority of audio.

use super::connection::Connection;
use crate::calls::client::track_slot::TrackSlot;
use js_sys::Reflect;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{MediaStreamTrack, RtcPriorityType, RtcRtpEncodingParameters, RtcRtpSender};

impl Connection {
    /// `next_track` defaults to the current one. If the browser refuses, the next call tries again.
    pub(super) async fn configure_camera_encoder(&self, next_track: Option<&MediaStreamTrack>) {
        let Some(sender) = self.sender(TrackSlot::Camera) else {
            return;
        };
        let parameters = sender.get_parameters();
        let Some(encoding) = first_encoding(&parameters) else {
            return;
        };
        let frame_height = frame_height(next_track.or(sender.track().as_ref()));
        let settings = self.state().camera_settings(frame_height);
        // Setting parameters restarts the encoder.
        if self.applied_camera_settings.get() == Some(settings) {
            return;
        }
        encoding.set_active(settings.active);
        encoding.set_max_bitrate(settings.max_bitrate);
        encoding.set_scale_resolution_down_by(settings.scale_down_by);
        match JsFuture::from(sender.set_parameters_with_parameters(&parameters)).await {
            Ok(_) => self.applied_camera_settings.set(Some(settings)),
            Err(error) => self.warn(&error),
        }
    }

    pub(super) async fn configure_screen_encoder(&self) {
        let is_active = self.state().is_screen_active();
        if self.is_screen_active.get() == is_active {
            return;
        }
        let Some(sender) = self.sender(TrackSlot::Screen) else {
            return;
        };
        let parameters = sender.get_parameters();
        let Some(encoding) = first_encoding(&parameters) else {
            return;
        };
        encoding.set_active(is_active);
        match JsFuture::from(sender.set_parameters_with_parameters(&parameters)).await {
            Ok(_) => self.is_screen_active.set(is_active),
            Err(error) => self.warn(&error),
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

/// Without a track, the height requested of a camera.
fn frame_height(video_track: Option<&MediaStreamTrack>) -> f32 {
    const DEFAULT_FRAME_HEIGHT: f32 = 720.0;
    let height = video_track.and_then(|track| track.get_settings().get_height());
    #[expect(clippy::cast_precision_loss, reason = "no picture has so many")]
    let height = height.map(|height| height as f32);
    height.unwrap_or(DEFAULT_FRAME_HEIGHT)
}

/// `None` before negotiation.
fn first_encoding(parameters: &web_sys::RtcRtpParameters) -> Option<RtcRtpEncodingParameters> {
    let encoding = parameters.get_encodings()?.get(0);
    encoding.is_object().then(|| encoding.unchecked_into())
}
