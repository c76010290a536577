//! Periodic work of a connection: heartbeats, statistics and encoder settings.

use super::{Job, PeerEvent, RecoveryReason, Shared};
use crate::{
    calls::client::{
        state::video_adaptation::VideoAdaptation,
        stats::{self, Counters},
        track_slot::TrackSlot,
    },
    model::Millis,
    ui::browser,
};
use js_sys::Reflect;
use std::rc::Rc;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    MediaStreamTrack, RtcDataChannelState, RtcPriorityType, RtcRtpEncodingParameters, RtcRtpSender,
};

/// Interval of heartbeats, in milliseconds.
const HEARTBEAT_INTERVAL: i32 = 1_000;
/// Interval while the peer is unresponsive, in milliseconds: the first heartbeat to get through shows that the path
/// recovered.
const UNRESPONSIVE_HEARTBEAT_INTERVAL: i32 = 250;
/// The path counts as lost this long after the last heartbeat, in milliseconds.
const HEARTBEAT_TIMEOUT: Millis = 3_000;
/// Maximum age of the last packet on a working path, in milliseconds. Heartbeats are also late if a page is busy, but
/// the browser still receives packets.
const PACKET_TIMEOUT: f64 = 1_500.0;
/// How long a path has to show activity after the server connection was restored, in milliseconds.
const PATH_PROBE_TIMEOUT: i32 = 1_300;

/// Duration of the ramp-up after connecting, in milliseconds.
const RAMP_UP_DELAY: i32 = 2_000;
/// Maximum frame height during the ramp-up, in lines.
const MAX_RAMP_UP_HEIGHT: f32 = 360.0;

/// Settings applied to an encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct EncoderSettings {
    active: bool,
    max_bitrate: u32,
    scale_down_by: f32,
}

impl Shared {
    /// Sends a heartbeat, checks for overdue ones, and reschedules itself.
    pub(super) fn run_heartbeat(self: &Rc<Self>) {
        if self.heartbeat_channel.ready_state() == RtcDataChannelState::Open {
            // Sending fails if the channel has closed meanwhile.
            let _ = self.heartbeat_channel.send_with_str("");
        }
        if self.is_heartbeat_overdue() && !self.is_checking_path.replace(true) {
            spawn_local(self.clone().check_path());
        }
        let next = if self.is_unresponsive.get() {
            UNRESPONSIVE_HEARTBEAT_INTERVAL
        } else {
            HEARTBEAT_INTERVAL
        };
        let shared = Rc::downgrade(self);
        browser::run_after(next, move || {
            if let Some(shared) = shared.upgrade().filter(|shared| !shared.is_closed.get()) {
                shared.run_heartbeat();
            }
        });
    }

    /// Whether the peer's heartbeat is overdue.
    fn is_heartbeat_overdue(&self) -> bool {
        let late = |at: Millis| browser::now() - at > HEARTBEAT_TIMEOUT;
        self.last_heartbeat_at.get().is_some_and(late)
    }

    /// Checks whether an overdue heartbeat means a lost path or a busy page. Restarting ICE would load a busy page
    /// even more.
    async fn check_path(self: Rc<Self>) {
        let packet_age = stats::millis_since_last_packet(&self.connection).await;
        self.is_checking_path.set(false);
        // A heartbeat may have arrived meanwhile.
        if !self.is_heartbeat_overdue() || self.is_closed.get() {
            return;
        }
        if packet_age.is_none_or(|silence| silence > PACKET_TIMEOUT) {
            if self.mark_unresponsive(packet_age) {
                self.enqueue(Job::Recover(RecoveryReason::HeartbeatTimeout));
            }
        } else {
            self.mark_responsive();
        }
    }

    /// Marks the peer as unresponsive. `packet_age` is the browser's silence in milliseconds, if known. True if newly marked.
    ///
    /// If the browser confirms the silence, video is suspended: nobody would see it, and its losses would count against the
    /// next path. A restarted encoder begins with a key frame, so none has to be requested.
    fn mark_unresponsive(&self, packet_age: Option<f64>) -> bool {
        let is_new = !self.is_unresponsive.replace(true);
        if is_new && packet_age.is_some() {
            self.is_video_suspended.set(true);
            self.enqueue(Job::ConfigureEncoders);
        }
        is_new
    }

    /// Marks the peer as responsive again.
    fn mark_responsive(self: &Rc<Self>) {
        if self.is_unresponsive.get() && self.is_connected() {
            self.start_ramp_up();
            self.report_connected();
        }
    }

    /// Probes the path after the server connection was restored, because the network may have changed.
    pub(super) fn probe_path(self: &Rc<Self>) {
        let since = browser::now();
        let shared = Rc::downgrade(self);
        browser::run_after(PATH_PROBE_TIMEOUT, move || {
            spawn_local(async move {
                let Some(shared) = shared.upgrade().filter(|shared| !shared.is_closed.get()) else {
                    return;
                };
                let has_heartbeat =
                    |shared: &Self| shared.last_heartbeat_at.get().is_some_and(|at| at >= since);
                if has_heartbeat(&shared) {
                    return;
                }
                let packet_age = stats::millis_since_last_packet(&shared.connection).await;
                if packet_age.is_none_or(|silence| silence > f64::from(PATH_PROBE_TIMEOUT))
                    && !has_heartbeat(&shared)
                    && !shared.is_closed.get()
                    && shared.mark_unresponsive(packet_age)
                {
                    shared.enqueue(Job::Recover(RecoveryReason::SignalingRestored));
                }
            });
        });
    }

    pub(super) fn on_heartbeat(self: &Rc<Self>) {
        self.last_heartbeat_at.set(Some(browser::now()));
        self.mark_responsive();
    }

    /// Polls the connection statistics, and reschedules itself.
    pub(super) fn poll_stats(self: &Rc<Self>, before: Counters) {
        let shared = Rc::downgrade(self);
        browser::run_after(stats::STATS_POLL_INTERVAL, move || {
            spawn_local(async move {
                let Some(shared) = shared.upgrade().filter(|shared| !shared.is_closed.get()) else {
                    return;
                };
                let mut counters = before;
                if shared.is_connected()
                    && let Some(sample) =
                        stats::sample_stats(&shared.connection, before, browser::now()).await
                    && !shared.is_closed.get()
                {
                    counters = sample.counters;
                    // Without a sent camera, or without a response, the sample does not describe the uplink.
                    if shared.media_state.get().camera && !shared.is_unresponsive.get() {
                        shared.adapt_video(|adaptation| adaptation.update(sample.uplink));
                    }
                    (shared.on_event)(PeerEvent::ConnectionQuality(sample.quality));
                }
                shared.poll_stats(counters);
            });
        });
    }

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
