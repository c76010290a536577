//! The connection to the other page: an `RTCPeerConnection` and everything that hangs on it (WebRTC 1.0, RFC 8829).
//!
//! The caller offers as soon as the call exists, and a page that rings takes the offer in; but nothing of a page that rings is told to
//! anybody before somebody answers on it, not even where it is.
//!
//! The roles of perfect negotiation are fixed further than usual: only the caller (the impolite peer) makes offers, the first one
//! and those that restart ICE; the callee (the polite peer) answers, and asks for a restart with [`Signal::Restart`]. So two
//! offers never cross. When both restarted by themselves, some calls came back on one side only.
//!
//! Sound and picture have a transceiver each from the first offer on, sending and receiving on both sides, with or without a
//! device behind it. So a camera that is turned on later is one `replaceTrack`, and nothing is negotiated anew.
//!
//! Everything that changes the session goes through one queue, one thing after another. When to restart is decided in
//! [`super::recovery`].

mod negotiation;

use super::{
    diagnosis::Clues,
    problem::Device,
    recovery::Recovery,
    stats::{self, Counters, Quality},
};
use crate::{
    model::{
        Millis,
        call::{IceServer, Side, Signal},
    },
    ui::browser,
};
use futures::{StreamExt, channel::mpsc};
use js_sys::{Array, Reflect};
use serde::{Deserialize, Serialize};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{
    Event, MediaStream, MediaStreamTrack, MessageEvent, RtcConfiguration, RtcDataChannel,
    RtcDataChannelInit, RtcDataChannelState, RtcIceCandidateInit, RtcIceServer, RtcPeerConnection,
    RtcPeerConnectionIceEvent, RtcPeerConnectionState, RtcRtpTransceiverDirection,
    RtcRtpTransceiverInit, RtcTrackEvent,
};

/// What the peer connection has to say.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum News {
    /// For the other page.
    Say(Signal),
    /// There is a path to the other page.
    Connected,
    /// The path is lost; another one is being looked for.
    Lost,
    /// Something of the other one can be seen or heard from now on.
    Arrived,
    /// What the other one sends.
    Sends(Sends),
    /// How good the connection is.
    Quality(Quality),
    /// It will not work, in words.
    Trouble(&'static str),
}

/// What a page sends, told to the other one over the data channel: nothing in the media says so as quickly and as surely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sends {
    /// The microphone is on and not muted.
    pub microphone: bool,
    /// The camera is on.
    pub camera: bool,
}

type Handler = Closure<dyn FnMut(Event)>;

/// What waits in the queue.
enum Job {
    Offer {
        restart: bool,
    },
    /// Somebody has answered here, or there.
    Answered,
    Heard(Signal),
    Send(Device),
    Recover(Why),
}

/// Why a path is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The browser says that it has none, or said so a while ago.
    Gone,
    /// Nothing came of the other page for a while, whatever the browser says.
    Silence,
    /// The other page asks for it.
    Asked,
    /// The server can be reached again: the network may be another one, also where the browser still thinks that it has a path.
    Back,
}

/// The connection to the other page. Closed when dropped.
pub(super) struct Peer {
    shared: Rc<Shared>,
}

struct Shared {
    connection: RtcPeerConnection,
    channel: RtcDataChannel,
    /// Carries a beat a second, each sent once: a path that is dead is noticed sooner than the browser would, which takes seven seconds.
    beats: RtcDataChannel,
    /// When the last beat came; none before the first.
    beat_at: Cell<Option<Millis>>,
    /// None came for too long.
    silent: Cell<bool>,
    side: Side,
    tell: Box<dyn Fn(News)>,
    jobs: mpsc::UnboundedSender<Job>,
    /// What is sent from here, kept for transceivers that do not exist yet.
    microphone: RefCell<Option<MediaStreamTrack>>,
    camera: RefCell<Option<MediaStreamTrack>>,
    /// What the other one is told of it.
    sends: Cell<Sends>,
    /// Candidates that came before the description they belong to.
    early: RefCell<Vec<RtcIceCandidateInit>>,
    sound: MediaStream,
    picture: MediaStream,
    recovery: RefCell<Recovery>,
    /// Why there may be no path.
    clues: Cell<Clues>,
    /// When the servers were told anew.
    renewed_at: Cell<Millis>,
    /// A path is looked for as soon as they are.
    waits: Cell<bool>,
    /// Somebody has answered: before, a callee's page says nothing, and nobody looks for a lost path.
    answered: Cell<bool>,
    closed: Cell<bool>,
    closures: RefCell<Vec<Handler>>,
}

/// How long a path may take before it is said why there may be none, in milliseconds. A browser calls it failed after 15 s or more, and
/// the server gives up after 30.
const WORDS: i32 = 10_000;
/// How long credentials count as fresh, in milliseconds: half of what they last.
const FRESH: Millis = 5 * 60 * 1_000;
/// How long the server is given to tell new ones, in milliseconds.
const TOLD: i32 = 700;
/// The data channel: agreed on beforehand, so both sides have it from the start (RFC 8832 is not needed).
const CHANNEL: &str = "rialto";
/// The channel of the beats, agreed on beforehand as well.
const BEATS: &str = "beats";
/// How often one is sent, in milliseconds,
const BEAT: i32 = 1_000;
/// and how long none may come before the path counts as lost, in milliseconds.
const SILENCE: Millis = 3_000;

impl Peer {
    /// Begins to connect. `tell` hears what there is to say, from now on and until it is dropped.
    ///
    /// # Errors
    /// When the browser has no WebRTC or refuses the configuration.
    pub(super) fn new(
        side: Side,
        servers: &[IceServer],
        tell: impl Fn(News) + 'static,
    ) -> Result<Self, JsValue> {
        let connection = RtcPeerConnection::new_with_configuration(&configuration(servers))?;
        let agreed = RtcDataChannelInit::new();
        agreed.set_negotiated(true);
        agreed.set_id(0);
        let channel = connection.create_data_channel_with_data_channel_dict(CHANNEL, &agreed);
        let once = RtcDataChannelInit::new();
        once.set_negotiated(true);
        once.set_id(1);
        once.set_ordered(false);
        once.set_max_retransmits(0);
        let beats = connection.create_data_channel_with_data_channel_dict(BEATS, &once);
        let (jobs, mut queue) = mpsc::unbounded();
        let mut clues = Clues::default();
        clues.told(servers);
        let shared = Rc::new(Shared {
            connection,
            channel,
            beats,
            beat_at: Cell::default(),
            silent: Cell::default(),
            side,
            tell: Box::new(tell),
            jobs,
            microphone: RefCell::default(),
            camera: RefCell::default(),
            sends: Cell::default(),
            early: RefCell::default(),
            sound: MediaStream::new()?,
            picture: MediaStream::new()?,
            recovery: RefCell::default(),
            clues: Cell::new(clues),
            renewed_at: Cell::new(browser::now()),
            waits: Cell::new(false),
            answered: Cell::new(false),
            closed: Cell::new(false),
            closures: RefCell::default(),
        });
        shared.listen();
        shared.beat();
        shared.measure(Counters::default());
        if side == Side::Caller {
            let both = RtcRtpTransceiverInit::new();
            both.set_direction(RtcRtpTransceiverDirection::Sendrecv);
            shared
                .connection
                .add_transceiver_with_str_and_init("audio", &both);
            shared
                .connection
                .add_transceiver_with_str_and_init("video", &both);
            shared.queue(Job::Offer { restart: false });
        }
        let worker = shared.clone();
        spawn_local(async move {
            while let Some(job) = queue.next().await {
                if worker.closed.get() {
                    return;
                }
                if let Err(error) = worker.work(job).await
                    && !worker.closed.get()
                {
                    browser::warn(&format!("call: {error:?}"));
                }
            }
        });
        Ok(Self { shared })
    }

    /// The other page said something.
    pub(super) fn hear(&self, signal: Signal) {
        self.shared.learn(|clues| clues.hear(&signal));
        self.shared.queue(Job::Heard(signal));
    }

    /// Sends this from now on, or nothing.
    pub(super) fn send(&self, device: Device, track: Option<MediaStreamTrack>) {
        *self.shared.track(device).borrow_mut() = track;
        self.shared.queue(Job::Send(device));
    }

    /// Tells the other one what is sent.
    pub(super) fn tell_sends(&self, sends: Sends) {
        self.shared.sends.set(sends);
        self.shared.tell_sends();
    }

    /// What to find a path with from now on: the credentials of before may have expired (WebRTC 1.0 section 4.4.1.6). Heard of by the
    /// next restart.
    pub(super) fn renew(&self, servers: &[IceServer]) {
        self.shared.learn(|clues| clues.told(servers));
        let connection = &self.shared.connection;
        if let Err(error) = connection.set_configuration_with_configuration(&configuration(servers))
        {
            browser::warn(&format!("call: {error:?}"));
        }
        self.shared.renewed_at.set(browser::now());
        if self.shared.waits.take() {
            self.shared.queue(Job::Recover(Why::Back));
        }
    }

    /// Somebody has answered; from now on a path is looked for, with these servers. More than once does no harm.
    pub(super) fn answered(&self, servers: &[IceServer]) {
        if !self.shared.answered.replace(true) {
            self.renew(servers);
            self.shared.queue(Job::Answered);
            let shared = Rc::downgrade(&self.shared);
            browser::after(WORDS, move || {
                if let Some(shared) = shared.upgrade().filter(|shared| !shared.closed.get()) {
                    shared.say_why();
                }
            });
        }
    }

    /// The server can be reached again: what was said meanwhile is lost, and the network may be another one.
    pub(super) fn resume(&self) {
        self.shared.look_with_fresh();
    }

    /// Whether there is a path.
    pub(super) fn is_connected(&self) -> bool {
        self.shared.is_connected()
    }

    /// What is heard of the other one.
    pub(super) fn sound(&self) -> &MediaStream {
        &self.shared.sound
    }

    /// What is seen of the other one.
    pub(super) fn picture(&self) -> &MediaStream {
        &self.shared.picture
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.closed.set(true);
        shared.jobs.close_channel();
        let connection = &shared.connection;
        connection.set_onicecandidate(None);
        connection.set_onconnectionstatechange(None);
        connection.set_ontrack(None);
        shared.channel.set_onopen(None);
        shared.channel.set_onmessage(None);
        shared.beats.set_onmessage(None);
        connection.close();
        shared.closures.borrow_mut().clear();
    }
}

impl Shared {
    fn queue(&self, job: Job) {
        // The queue is gone when the call is over, and then nothing is left to do.
        let _ = self.jobs.unbounded_send(job);
    }

    fn listen(self: &Rc<Self>) {
        let connection = &self.connection;
        connection.set_onicecandidate(Some(&self.on(Self::found_candidate)));
        connection.set_onconnectionstatechange(Some(&self.on(|shared, _| shared.changed())));
        connection.set_ontrack(Some(&self.on(Self::arrived)));
        self.channel
            .set_onopen(Some(&self.on(|shared, _| shared.tell_sends())));
        self.channel.set_onmessage(Some(&self.on(Self::was_told)));
        self.beats
            .set_onmessage(Some(&self.on(|shared, _| shared.heard_beat())));
    }

    /// An event handler that lives as long as the peer. It holds no claim on it, so that dropping the peer ends it.
    fn on(self: &Rc<Self>, then: impl Fn(&Rc<Self>, &Event) + 'static) -> js_sys::Function {
        let shared = Rc::downgrade(self);
        let closure = Handler::new(move |event: Event| {
            if let Some(shared) = shared.upgrade().filter(|shared| !shared.closed.get()) {
                then(&shared, &event);
            }
        });
        let function = closure.as_ref().unchecked_ref::<js_sys::Function>().clone();
        self.closures.borrow_mut().push(closure);
        function
    }

    fn learn(&self, what: impl FnOnce(&mut Clues)) {
        let mut clues = self.clues.get();
        what(&mut clues);
        self.clues.set(clues);
    }

    fn say(&self, signal: Signal) {
        self.learn(|clues| clues.say(&signal));
        (self.tell)(News::Say(signal));
    }

    fn found_candidate(self: &Rc<Self>, event: &Event) {
        let event: &RtcPeerConnectionIceEvent = event.unchecked_ref();
        if let Some(candidate) = event.candidate() {
            self.say(Signal::Candidate {
                candidate: candidate.candidate(),
                sdp_mid: candidate.sdp_mid(),
                sdp_m_line_index: candidate.sdp_m_line_index(),
            });
        }
    }

    fn arrived(self: &Rc<Self>, event: &Event) {
        let track = event.unchecked_ref::<RtcTrackEvent>().track();
        match kind(&track) {
            Device::Microphone => self.sound.add_track(&track),
            Device::Camera => self.picture.add_track(&track),
        }
        (self.tell)(News::Arrived);
    }

    fn was_told(self: &Rc<Self>, event: &Event) {
        let text = event.unchecked_ref::<MessageEvent>().data().as_string();
        // A newer page may say more than this one understands.
        if let Some(sends) = text.and_then(|text| serde_json::from_str(&text).ok()) {
            (self.tell)(News::Sends(sends));
        }
    }

    fn tell_sends(&self) {
        if self.channel.ready_state() == RtcDataChannelState::Open
            && let Ok(text) = serde_json::to_string(&self.sends.get())
        {
            // A channel that closes between the question and this is told nothing any more.
            let _ = self.channel.send_with_str(&text);
        }
    }

    /// Sends a beat, looks whether any came, and comes back in a second.
    fn beat(self: &Rc<Self>) {
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

    /// Looks how good the connection is, and comes back.
    fn measure(self: &Rc<Self>, before: Counters) {
        let shared = Rc::downgrade(self);
        browser::after(stats::EVERY, move || {
            spawn_local(async move {
                let Some(shared) = shared.upgrade().filter(|shared| !shared.closed.get()) else {
                    return;
                };
                let mut counters = before;
                if shared.is_connected()
                    && let Some((quality, now)) =
                        stats::look(&shared.connection, before, browser::now()).await
                    && !shared.closed.get()
                {
                    counters = now;
                    (shared.tell)(News::Quality(quality));
                }
                shared.measure(counters);
            });
        });
    }

    fn heard_beat(&self) {
        self.beat_at.set(Some(browser::now()));
        if self.silent.replace(false) && self.is_connected() {
            self.found();
        }
    }

    fn found(&self) {
        self.recovery.borrow_mut().found();
        (self.tell)(News::Connected);
    }

    fn is_connected(&self) -> bool {
        self.connection.connection_state() == RtcPeerConnectionState::Connected
    }

    /// `connectionState`, not `iceConnectionState`: the latter was seen to stay `disconnected` for ever.
    fn changed(self: &Rc<Self>) {
        match self.connection.connection_state() {
            RtcPeerConnectionState::Connected => {
                // Of beats, the first decides again.
                self.silent.set(false);
                self.beat_at.set(None);
                self.found();
            }
            RtcPeerConnectionState::Disconnected => self.look_again_in(Recovery::HESITATION),
            RtcPeerConnectionState::Failed => {
                self.say_why();
                self.queue(Job::Recover(Why::Gone));
            }
            // Beginning, under way, and closed by ourselves: nothing to do about any of them.
            _ => {}
        }
    }

    /// Looks for a path with servers whose credentials are fresh: at once, or when the server has told them anew, as it does whenever a
    /// page connects again and whenever a call changes. If it does not, with what there is.
    fn look_with_fresh(self: &Rc<Self>) {
        if browser::now() - self.renewed_at.get() < FRESH {
            return self.queue(Job::Recover(Why::Back));
        }
        self.waits.set(true);
        let shared = Rc::downgrade(self);
        browser::after(TOLD, move || {
            if let Some(shared) = shared.upgrade().filter(|shared| shared.waits.take()) {
                shared.queue(Job::Recover(Why::Back));
            }
        });
    }

    /// Says why there is no path, if there never was one.
    fn say_why(&self) {
        if !self.recovery.borrow().has_had_path() {
            (self.tell)(News::Trouble(self.clues.get().why()));
        }
    }

    fn look_again_in(self: &Rc<Self>, millis: i32) {
        let plan = self.recovery.borrow_mut().plan();
        let shared = Rc::downgrade(self);
        browser::after(millis, move || {
            if let Some(shared) = shared.upgrade()
                && shared.recovery.borrow().is_planned(plan)
            {
                shared.queue(Job::Recover(Why::Gone));
            }
        });
    }

    fn track(&self, device: Device) -> &RefCell<Option<MediaStreamTrack>> {
        match device {
            Device::Microphone => &self.microphone,
            Device::Camera => &self.camera,
        }
    }
}

fn kind(track: &MediaStreamTrack) -> Device {
    if track.kind() == "audio" {
        Device::Microphone
    } else {
        Device::Camera
    }
}

pub(super) fn configuration(servers: &[IceServer]) -> RtcConfiguration {
    let list: Array = servers
        .iter()
        .map(|server| {
            let init = RtcIceServer::new();
            init.set_urls(&server.urls.iter().map(JsValue::from).collect::<Array>());
            if let Some(username) = &server.username {
                init.set_username(username);
            }
            if let Some(credential) = &server.credential {
                init.set_credential(credential);
            }
            init
        })
        .collect();
    let configuration = RtcConfiguration::new();
    configuration.set_ice_servers(&list);
    // Both ends are ours, so one transport for everything from the start: a third of the candidates to find and to send
    // (RFC 8843). Setting a field of a plain object cannot fail.
    let _ = Reflect::set(&configuration, &"bundlePolicy".into(), &"max-bundle".into());
    configuration
}
