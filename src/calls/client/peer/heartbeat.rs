//! What is done again and again for as long as there is a connection: beats, measuring, and fitting the picture to the way.

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

/// How often a beat is sent, in milliseconds,
const HEARTBEAT_INTERVAL: i32 = 1_000;
/// and how often while nothing comes: the next to get through says that there is a path again;
const UNRESPONSIVE_HEARTBEAT_INTERVAL: i32 = 250;
/// and how long none may come before the path counts as lost, in milliseconds.
const HEARTBEAT_TIMEOUT: Millis = 3_000;
/// A beat is late where a page is short of time, too. What the browser itself received of the other one is newer than this, in
/// milliseconds, where the path is there.
const PACKET_TIMEOUT: f64 = 1_500.0;
/// The server can be reached again: so long a path that seems to be there has for anything to come, in milliseconds.
const PATH_PROBE_TIMEOUT: i32 = 1_300;

/// For so long after there is a path, in milliseconds, pictures have at most
const RAMP_UP_DELAY: i32 = 2_000;
/// so many lines.
const MAX_RAMP_UP_HEIGHT: f32 = 360.0;

/// What an encoder was told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct EncoderSettings {
    active: bool,
    max_bitrate: u32,
    scale_down_by: f32,
}

impl Shared {
    /// Sends a beat, looks whether any came, and comes back.
    pub(super) fn run_heartbeat(self: &Rc<Self>) {
        if self.heartbeat_channel.ready_state() == RtcDataChannelState::Open {
            // A channel that closes between the question and this sends nothing any more.
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

    /// Whether no beat came for too long.
    fn is_heartbeat_overdue(&self) -> bool {
        let late = |at: Millis| browser::now() - at > HEARTBEAT_TIMEOUT;
        self.last_heartbeat_at.get().is_some_and(late)
    }

    /// No beat came for a while: is it the path, or is one of the two pages short of time? Looking for another path would take more of it.
    async fn check_path(self: Rc<Self>) {
        let packet_age = stats::millis_since_last_packet(&self.connection).await;
        self.is_checking_path.set(false);
        // A beat may have come meanwhile.
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

    /// Nothing came for so long as the browser says, in milliseconds, if it does. True if that is news.
    ///
    /// Where the browser is sure, no pictures are sent either: nobody would see them, and what is lost of them is held against the path that
    /// is found next. Where pictures begin anew, the first one is whole, and nobody has to ask for one.
    fn mark_unresponsive(&self, packet_age: Option<f64>) -> bool {
        let is_new = !self.is_unresponsive.replace(true);
        if is_new && packet_age.is_some() {
            self.is_video_suspended.set(true);
            self.enqueue(Job::ConfigureEncoders);
        }
        is_new
    }

    /// Something comes again, or for the first time.
    fn mark_responsive(self: &Rc<Self>) {
        if self.is_unresponsive.get() && self.is_connected() {
            self.start_ramp_up();
            self.report_connected();
        }
    }

    /// The server can be reached again, perhaps by another network: a path that is there has something to show for it.
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

    /// Looks how good the connection is, and comes back.
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
                    // What nobody sends can not be too much, and what does not arrive anywhere says nothing of how much would.
                    if shared.media_state.get().camera && !shared.is_unresponsive.get() {
                        shared.adapt_video(|adaptation| adaptation.update(sample.uplink));
                    }
                    (shared.on_event)(PeerEvent::ConnectionQuality(sample.quality));
                }
                shared.poll_stats(counters);
            });
        });
    }

    /// Sends more or less of the picture, if that is what comes of it.
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

    /// There is a path, or one again, and pictures are sent. A browser that knows nothing of it yet sends little, and of large pictures none at
    /// first: the first ones are small.
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

    /// Tells the camera's encoder what to make: of these pictures, or of those that are sent now. A browser that refuses sends what it
    /// would have sent, and is told again the next time.
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
        // An encoder that is told anything begins anew.
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

    /// Sends a shared screen, or nothing of it while nothing comes of the other one.
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

    /// Sound goes first where the browser has to choose (W3C WebRTC Priority Control).
    pub(super) async fn prioritize_audio(&self) {
        let Some(sender) = self.sender(TrackSlot::Microphone) else {
            return;
        };
        let parameters = sender.get_parameters();
        if let Some(encoding) = first_encoding(&parameters) {
            encoding.set_priority(RtcPriorityType::High);
            let _ = Reflect::set(&encoding, &"networkPriority".into(), &"high".into());
            // A browser that cannot tell them apart sends both alike.
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

/// How many lines these pictures have. Before there are any: as many as are asked of a camera.
fn frame_height(video_track: Option<&MediaStreamTrack>) -> f32 {
    const DEFAULT_FRAME_HEIGHT: f32 = 720.0;
    let lines = video_track.and_then(|track| track.get_settings().get_height());
    #[expect(clippy::cast_precision_loss, reason = "no picture has so many")]
    let lines = lines.map(|lines| lines as f32);
    lines.unwrap_or(DEFAULT_FRAME_HEIGHT)
}

/// None before anything was agreed on.
fn first_encoding(parameters: &web_sys::RtcRtpParameters) -> Option<RtcRtpEncodingParameters> {
    let encoding = parameters.get_encodings()?.get(0);
    encoding.is_object().then(|| encoding.unchecked_into())
}
