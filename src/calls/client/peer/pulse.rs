//! What is done again and again for as long as there is a connection: beats, measuring, and fitting the picture to the way.

use super::{Job, News, Shared, Why};
use crate::{
    calls::client::{
        adaptation::Adaptation,
        feed::Feed,
        stats::{self, Counters},
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
const BEAT: i32 = 1_000;
/// and how often while nothing comes: the next to get through says that there is a path again;
const BEAT_IN_SILENCE: i32 = 250;
/// and how long none may come before the path counts as lost, in milliseconds.
const SILENCE: Millis = 3_000;
/// A beat is late where a page is short of time, too. What the browser itself received of the other one is newer than this, in
/// milliseconds, where the path is there.
const HEARD: f64 = 1_500.0;
/// The server can be reached again: so long a path that seems to be there has for anything to come, in milliseconds.
const PROOF: i32 = 1_300;

/// For so long after there is a path, in milliseconds, pictures have at most
const FIRST: i32 = 2_000;
/// so many lines.
const FIRST_LINES: f32 = 360.0;

/// What an encoder was told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fit {
    active: bool,
    bits: u32,
    scale: f32,
}

impl Shared {
    /// Sends a beat, looks whether any came, and comes back.
    pub(super) fn beat(self: &Rc<Self>) {
        if self.beats.ready_state() == RtcDataChannelState::Open {
            // A channel that closes between the question and this sends nothing any more.
            let _ = self.beats.send_with_str("");
        }
        if self.is_late() && !self.doubts.replace(true) {
            spawn_local(self.clone().doubt());
        }
        let next = if self.silent.get() {
            BEAT_IN_SILENCE
        } else {
            BEAT
        };
        let shared = Rc::downgrade(self);
        browser::after(next, move || {
            if let Some(shared) = shared.upgrade().filter(|shared| !shared.closed.get()) {
                shared.beat();
            }
        });
    }

    /// Whether no beat came for too long.
    fn is_late(&self) -> bool {
        let late = |at: Millis| browser::now() - at > SILENCE;
        self.beat_at.get().is_some_and(late)
    }

    /// No beat came for a while: is it the path, or is one of the two pages short of time? Looking for another path would take more of it.
    async fn doubt(self: Rc<Self>) {
        let silence = stats::silence(&self.connection).await;
        self.doubts.set(false);
        // A beat may have come meanwhile.
        if !self.is_late() || self.closed.get() {
            return;
        }
        if silence.is_none_or(|silence| silence > HEARD) {
            if self.falls_silent(silence) {
                self.queue(Job::Recover(Why::Silence));
            }
        } else {
            self.hears_again();
        }
    }

    /// Nothing came for so long as the browser says, in milliseconds, if it does. True if that is news.
    ///
    /// Where the browser is sure, no pictures are sent either: nobody would see them, and what is lost of them is held against the path that
    /// is found next. Where pictures begin anew, the first one is whole, and nobody has to ask for one.
    fn falls_silent(&self, silence: Option<f64>) -> bool {
        let is_news = !self.silent.replace(true);
        if is_news && silence.is_some() {
            self.rests.set(true);
            self.queue(Job::Fit);
        }
        is_news
    }

    /// Something comes again, or for the first time.
    fn hears_again(self: &Rc<Self>) {
        if self.silent.get() && self.is_connected() {
            self.begin();
            self.found();
        }
    }

    /// The server can be reached again, perhaps by another network: a path that is there has something to show for it.
    pub(super) fn prove(self: &Rc<Self>) {
        let since = browser::now();
        let shared = Rc::downgrade(self);
        browser::after(PROOF, move || {
            spawn_local(async move {
                let Some(shared) = shared.upgrade().filter(|shared| !shared.closed.get()) else {
                    return;
                };
                let beats = |shared: &Self| shared.beat_at.get().is_some_and(|at| at >= since);
                if beats(&shared) {
                    return;
                }
                let silence = stats::silence(&shared.connection).await;
                if silence.is_none_or(|silence| silence > f64::from(PROOF))
                    && !beats(&shared)
                    && !shared.closed.get()
                    && shared.falls_silent(silence)
                {
                    shared.queue(Job::Recover(Why::Back));
                }
            });
        });
    }

    pub(super) fn heard_beat(self: &Rc<Self>) {
        self.beat_at.set(Some(browser::now()));
        self.hears_again();
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
                    // What nobody sends can not be too much, and what does not arrive anywhere says nothing of how much would.
                    if shared.sends.get().camera && !shared.silent.get() {
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
            self.queue(Job::Fit);
            self.tell_sends();
            (self.tell)(News::Sending(adaptation.picture()));
        }
    }

    /// There is a path, or one again, and pictures are sent. A browser that knows nothing of it yet sends little, and of large pictures none at
    /// first: the first ones are small.
    pub(super) fn begin(self: &Rc<Self>) {
        self.silent.set(false);
        self.rests.set(false);
        self.begun.set(false);
        self.queue(Job::Fit);
        let began = self.began.get().wrapping_add(1);
        self.began.set(began);
        let shared = Rc::downgrade(self);
        browser::after(FIRST, move || {
            if let Some(shared) = shared.upgrade().filter(|shared| !shared.closed.get())
                && shared.began.get() == began
            {
                shared.begun.set(true);
                shared.queue(Job::PutSoundFirst);
                shared.queue(Job::Fit);
            }
        });
    }

    /// Tells the camera's encoder what to make: of these pictures, or of those that are sent now. A browser that refuses sends what it
    /// would have sent, and is told again the next time.
    pub(super) async fn fit(&self, next: Option<&MediaStreamTrack>) {
        let Some(sender) = self.sender(Feed::Camera) else {
            return;
        };
        let parameters = sender.get_parameters();
        let Some(encoding) = first(&parameters) else {
            return;
        };
        let limits = self.adaptation.get().picture().limits();
        let for_now = (!self.begun.get()).then_some(FIRST_LINES);
        let fit = Fit {
            active: limits.active && !self.rests.get(),
            bits: limits.bits,
            scale: limits.scale(lines(next.or(sender.track().as_ref())), for_now),
        };
        // An encoder that is told anything begins anew.
        if self.fitted.get() == Some(fit) {
            return;
        }
        encoding.set_active(fit.active);
        encoding.set_max_bitrate(fit.bits);
        encoding.set_scale_resolution_down_by(fit.scale);
        match JsFuture::from(sender.set_parameters_with_parameters(&parameters)).await {
            Ok(_) => self.fitted.set(Some(fit)),
            Err(error) if !self.closed.get() => browser::warn(&format!("call: {error:?}")),
            Err(_) => {}
        }
    }

    /// Sends a shared screen, or nothing of it while nothing comes of the other one.
    pub(super) async fn fit_screen(&self) {
        let rests = self.rests.get();
        if self.screen_rests.get() == rests {
            return;
        }
        let Some(sender) = self.sender(Feed::Screen) else {
            return;
        };
        let parameters = sender.get_parameters();
        let Some(encoding) = first(&parameters) else {
            return;
        };
        encoding.set_active(!rests);
        match JsFuture::from(sender.set_parameters_with_parameters(&parameters)).await {
            Ok(_) => self.screen_rests.set(rests),
            Err(error) if !self.closed.get() => browser::warn(&format!("call: {error:?}")),
            Err(_) => {}
        }
    }

    /// Sound goes first where the browser has to choose (W3C WebRTC Priority Control).
    pub(super) async fn put_sound_first(&self) {
        let Some(sender) = self.sender(Feed::Microphone) else {
            return;
        };
        let parameters = sender.get_parameters();
        if let Some(encoding) = first(&parameters) {
            encoding.set_priority(RtcPriorityType::High);
            let _ = Reflect::set(&encoding, &"networkPriority".into(), &"high".into());
            // A browser that cannot tell them apart sends both alike.
            let _ = JsFuture::from(sender.set_parameters_with_parameters(&parameters)).await;
        }
    }

    fn sender(&self, feed: Feed) -> Option<RtcRtpSender> {
        let transceivers = self.transceivers();
        transceivers
            .get(feed.place())
            .map(web_sys::RtcRtpTransceiver::sender)
    }
}

/// How many lines these pictures have. Before there are any: as many as are asked of a camera.
fn lines(pictures: Option<&MediaStreamTrack>) -> f32 {
    const ASKED: f32 = 720.0;
    let lines = pictures.and_then(|track| track.get_settings().get_height());
    #[expect(clippy::cast_precision_loss, reason = "no picture has so many")]
    let lines = lines.map(|lines| lines as f32);
    lines.unwrap_or(ASKED)
}

/// None before anything was agreed on.
fn first(parameters: &web_sys::RtcRtpParameters) -> Option<RtcRtpEncodingParameters> {
    let encoding = parameters.get_encodings()?.get(0);
    encoding.is_object().then(|| encoding.unchecked_into())
}
