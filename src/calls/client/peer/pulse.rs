//! What is done once a second or two for as long as there is a connection: beats, measuring, and fitting the picture to the way.

use super::{Job, News, Shared, Why};
use crate::{
    calls::client::{
        adaptation::{Adaptation, Picture},
        feed::Feed,
        stats::{self, Counters},
    },
    model::Millis,
    ui::browser,
};
use js_sys::Reflect;
use std::rc::Rc;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{RtcDataChannelState, RtcPriorityType, RtcRtpEncodingParameters, RtcRtpSender};

/// How often a beat is sent, in milliseconds,
const BEAT: i32 = 1_000;
/// and how long none may come before the path counts as lost, in milliseconds.
const SILENCE: Millis = 3_000;

impl Shared {
    /// Sends a beat, looks whether any came, and comes back in a second.
    pub(super) fn beat(self: &Rc<Self>) {
        if self.beats.ready_state() == RtcDataChannelState::Open {
            // A channel that closes between the question and this sends nothing any more.
            let _ = self.beats.send_with_str("");
        }
        let late = |at: Millis| browser::now() - at > SILENCE;
        if self.beat_at.get().is_some_and(late) && !self.silent.replace(true) {
            self.queue(Job::Recover(Why::Silence));
        }
        let shared = Rc::downgrade(self);
        browser::after(BEAT, move || {
            if let Some(shared) = shared.upgrade().filter(|shared| !shared.closed.get()) {
                shared.beat();
            }
        });
    }

    pub(super) fn heard_beat(&self) {
        self.beat_at.set(Some(browser::now()));
        if self.silent.replace(false) && self.is_connected() {
            self.found();
        }
    }

    /// Looks how good the connection is, and comes back.
    pub(super) fn measure(self: &Rc<Self>, before: Counters) {
        let shared = Rc::downgrade(self);
        browser::after(stats::EVERY, move || {
            spawn_local(async move {
                let Some(shared) = shared.upgrade().filter(|shared| !shared.closed.get()) else {
                    return;
                };
                let mut counters = before;
                if shared.is_connected()
                    && let Some(look) =
                        stats::look(&shared.connection, before, browser::now()).await
                    && !shared.closed.get()
                {
                    counters = look.counters;
                    // What nobody sends can not be too much.
                    if shared.sends.get().camera {
                        shared.adapt(|adaptation| adaptation.look(look.strain));
                    }
                    (shared.tell)(News::Quality(look.quality));
                }
                shared.measure(counters);
            });
        });
    }

    /// Sends more or less of the picture, if that is what comes of it.
    pub(super) fn adapt(&self, change: impl FnOnce(&mut Adaptation) -> bool) {
        let mut adaptation = self.adaptation.get();
        let changed = change(&mut adaptation);
        self.adaptation.set(adaptation);
        if changed {
            self.queue(Job::Fit(adaptation.picture()));
            self.tell_sends();
            (self.tell)(News::Sending(adaptation.picture()));
        }
    }

    /// Tells the encoders what to make. Sound goes first where the browser has to choose (W3C WebRTC Priority Control).
    pub(super) async fn fit(&self, picture: Picture) -> Result<(), JsValue> {
        let transceivers = self.transceivers();
        let sender = |feed: Feed| {
            transceivers
                .get(feed.place())
                .map(web_sys::RtcRtpTransceiver::sender)
        };
        if let Some(sender) = sender(Feed::Microphone) {
            let parameters = sender.get_parameters();
            if let Some(encoding) = first(&parameters) {
                encoding.set_priority(RtcPriorityType::High);
                let _ = Reflect::set(&encoding, &"networkPriority".into(), &"high".into());
                // A browser that cannot tell them apart sends both alike.
                let _ = JsFuture::from(sender.set_parameters_with_parameters(&parameters)).await;
            }
        }
        if let Some(sender) = sender(Feed::Camera) {
            let parameters = sender.get_parameters();
            if let Some(encoding) = first(&parameters) {
                let limits = picture.limits();
                encoding.set_active(limits.active);
                encoding.set_max_bitrate(limits.bits);
                encoding.set_scale_resolution_down_by(limits.scale(lines(&sender)));
                JsFuture::from(sender.set_parameters_with_parameters(&parameters)).await?;
            }
        }
        Ok(())
    }
}

/// How many lines the pictures have that are to be sent.
fn lines(sender: &RtcRtpSender) -> f32 {
    let lines = sender
        .track()
        .and_then(|track| track.get_settings().get_height());
    #[expect(clippy::cast_precision_loss, reason = "no picture has so many")]
    let lines = lines.map(|lines| lines as f32);
    lines.unwrap_or(0.0)
}

/// None before anything was agreed on.
fn first(parameters: &web_sys::RtcRtpParameters) -> Option<RtcRtpEncodingParameters> {
    let encoding = parameters.get_encodings()?.get(0);
    encoding.is_object().then(|| encoding.unchecked_into())
}
