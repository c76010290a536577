//! The connection to the other page: an `RTCPeerConnection` and everything that hangs on it (WebRTC 1.0, RFC 8829).
//!
//! The caller offers as soon as the call exists, and a page that rings takes the offer in and says what its answer will be; but where it
//! is, it tells nobody before somebody answers on it.
//!
//! The roles of perfect negotiation are fixed further than usual: only the caller (the impolite peer) makes offers, the first one
//! and those that restart ICE; the callee (the polite peer) answers, and asks for a restart with [`Signal::Restart`]. So two
//! offers never cross. When both restarted by themselves, some calls came back on one side only.
//!
//! Every [`Feed`] has a transceiver from the first offer on, sending and receiving on both sides, with or without a device behind it. So
//! a camera or a screen that is added later is one `replaceTrack`, and nothing is negotiated anew.
//!
//! Everything that changes the session goes through one queue, one thing after another. When to restart is decided in
//! [`super::recovery`], how much of the picture is sent in [`super::adaptation`].
//!
//! | module | what it holds |
//! |---|---|
//! | `candidates` | addresses out of a description |
//! | `negotiation` | offers, answers, candidates, and looking for another path |
//! | `pulse` | what is done again and again: beats, measuring, adapting |

mod candidates;
mod negotiation;
mod pulse;

use super::{
    adaptation::{Adaptation, Picture},
    diagnosis::Clues,
    feed::Feed,
    recovery::Recovery,
    stats::{Counters, Quality},
    transfer::{Courier, ledger::Transfer},
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
use pulse::Fit;
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
    /// The browser thinks otherwise of the path: the network may be there again.
    Stirs,
    /// Something of the other one can be seen or heard from now on.
    Arrived,
    /// What the other one sends.
    Sends(Sends),
    /// How good the connection is.
    Quality(Quality),
    /// So much of the camera's picture is sent from now on.
    Sending(Picture),
    /// What has become of all files.
    Files(Vec<Transfer>),
    /// It will not work, in words.
    Trouble(&'static str),
}

/// What a page sends, told to the other one over the data channel: nothing in the media says so as quickly and as surely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what is on and what is not, each by itself"
)]
pub struct Sends {
    /// The microphone is on and not muted.
    pub microphone: bool,
    /// The camera is on.
    pub camera: bool,
    /// A screen is shared.
    #[serde(default)]
    pub screen: bool,
    /// The camera is on, and its picture is not sent for now, to keep the sound.
    #[serde(default)]
    pub held: bool,
}

type Handler = Closure<dyn FnMut(Event)>;

/// What waits in the queue.
enum Job {
    Offer {
        restart: bool,
    },
    /// Somebody has answered here, or there.
    Answered,
    /// Somebody looks at a page that rings.
    Foretell,
    Heard(Signal),
    Send(Feed),
    Fit,
    PutSoundFirst,
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
    /// Carries beats, each sent once: a path that is dead is noticed sooner than the browser would, which takes seven seconds.
    beats: RtcDataChannel,
    /// When the last beat came; none before the first.
    beat_at: Cell<Option<Millis>>,
    /// None came for too long,
    silent: Cell<bool>,
    /// and no pictures are sent until something comes.
    rests: Cell<bool>,
    /// Whether that is so is being looked at.
    doubts: Cell<bool>,
    side: Side,
    tell: Box<dyn Fn(News)>,
    jobs: mpsc::UnboundedSender<Job>,
    /// Carries files.
    courier: Courier,
    /// What is sent from here, by its place, kept for transceivers that do not exist yet.
    tracks: RefCell<[Option<MediaStreamTrack>; 4]>,
    /// How much of the camera's picture is sent.
    adaptation: Cell<Adaptation>,
    /// Whether the first pictures since there is a path were sent, which are small so that they come soon.
    begun: Cell<bool>,
    /// Counts paths that were found: only the latest has first pictures.
    began: Cell<u32>,
    /// What the encoder of the camera's picture was told last.
    fitted: Cell<Option<Fit>>,
    /// Nothing of a shared screen is sent, as nothing comes of the other page.
    screen_rests: Cell<bool>,
    /// The answer, made while it rings.
    prepared: RefCell<Option<String>>,
    /// What the other one is told of it.
    sends: Cell<Sends>,
    /// Candidates that came before the description they belong to, or before anybody answered.
    early: RefCell<Vec<RtcIceCandidateInit>>,
    sound: MediaStream,
    picture: MediaStream,
    screen: MediaStream,
    recovery: RefCell<Recovery>,
    /// Why there may be no path.
    clues: Cell<Clues>,
    /// When the servers were told anew.
    renewed_at: Cell<Millis>,
    /// A path is looked for as soon as they are.
    waits: Cell<bool>,
    /// The network may be another one than when this browser found its addresses, while it rang.
    moved: Cell<bool>,
    /// Somebody has answered. Before, nothing is sent of what devices give, whatever the other page does; a callee's page says nothing but
    /// what its answer will be; and nobody looks for a lost path.
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
/// The channel of the beats, agreed on beforehand as well,
const BEATS: &str = "beats";
/// and that of files.
const FILES: &str = "files";

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
        let open = |name: &str, agreed: &RtcDataChannelInit| {
            connection.create_data_channel_with_data_channel_dict(name, agreed)
        };
        let channel = open(CHANNEL, &agreed(0));
        let once = agreed(1);
        once.set_ordered(false);
        once.set_max_retransmits(0);
        let beats = open(BEATS, &once);
        let files = open(FILES, &agreed(2));
        let (jobs, mut queue) = mpsc::unbounded();
        let mut clues = Clues::default();
        clues.told(servers);
        let shared = Rc::new(Shared {
            connection,
            channel,
            beats,
            beat_at: Cell::default(),
            silent: Cell::default(),
            rests: Cell::default(),
            doubts: Cell::default(),
            side,
            tell: Box::new(tell),
            jobs,
            courier: Courier::new(files),
            tracks: RefCell::default(),
            adaptation: Cell::new(Adaptation::new(Picture::Full)),
            begun: Cell::new(false),
            began: Cell::new(0),
            fitted: Cell::default(),
            screen_rests: Cell::new(false),
            prepared: RefCell::default(),
            sends: Cell::default(),
            early: RefCell::default(),
            sound: MediaStream::new()?,
            picture: MediaStream::new()?,
            screen: MediaStream::new()?,
            recovery: RefCell::default(),
            clues: Cell::new(clues),
            renewed_at: Cell::new(browser::now()),
            waits: Cell::new(false),
            moved: Cell::new(false),
            answered: Cell::new(false),
            closed: Cell::new(false),
            closures: RefCell::default(),
        });
        shared.listen();
        let teller = Rc::downgrade(&shared);
        shared.courier.tell(move |news| {
            // Nobody offers files to somebody who has not answered, or is not answered by anybody.
            if let Some(shared) = teller.upgrade().filter(|shared| shared.answered.get()) {
                (shared.tell)(news);
            }
        });
        shared.beat();
        shared.measure(Counters::default());
        if side == Side::Caller {
            let both = RtcRtpTransceiverInit::new();
            both.set_direction(RtcRtpTransceiverDirection::Sendrecv);
            for feed in Feed::ALL {
                shared
                    .connection
                    .add_transceiver_with_str_and_init(feed.kind(), &both);
            }
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
    pub(super) fn send(&self, feed: Feed, track: Option<MediaStreamTrack>) {
        let before = std::mem::replace(
            &mut self.shared.tracks.borrow_mut()[feed.place()],
            track.clone(),
        );
        if before != track {
            self.shared.queue(Job::Send(feed));
        }
    }

    /// No more of the camera's picture is sent from now on.
    pub(super) fn at_most(&self, most: Picture) {
        self.shared.adapt(|adaptation| adaptation.at_most(most));
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

    /// Somebody looks at this page, which rings.
    pub(super) fn look_at(&self) {
        self.shared.queue(Job::Foretell);
    }

    /// The server can be reached again: what was said meanwhile is lost, and the network may be another one.
    pub(super) fn resume(&self) {
        self.shared.look_with_fresh();
    }

    /// Whether there is a path, and the other page is heard over it.
    pub(super) fn has_path(&self) -> bool {
        self.shared.has_path()
    }

    /// What is heard of the other one.
    pub(super) fn sound(&self) -> &MediaStream {
        &self.shared.sound
    }

    /// What is seen of the other one.
    pub(super) fn picture(&self) -> &MediaStream {
        &self.shared.picture
    }

    /// The screen that the other one shares.
    pub(super) fn screen(&self) -> &MediaStream {
        &self.shared.screen
    }

    /// How loud the other one is, from 0 to 1; none where nothing of them is heard, or the browser does not say (WebRTC 1.0 section 5.3).
    pub(super) fn level(&self) -> Option<f64> {
        let transceivers = self.shared.transceivers();
        let receiver = transceivers.get(Feed::Microphone.place())?.receiver();
        let sources = Reflect::get(&receiver, &"getSynchronizationSources".into()).ok()?;
        let sources: js_sys::Function = sources.dyn_into().ok()?;
        let sources: Array = sources.call0(&receiver).ok()?.dyn_into().ok()?;
        Reflect::get(&sources.get(0), &"audioLevel".into())
            .ok()?
            .as_f64()
    }

    /// Files to the other one, and from them.
    pub(super) fn courier(&self) -> &Courier {
        &self.shared.courier
    }

    /// What both sides agreed on, mine first; none before they did.
    pub(super) fn descriptions(&self) -> Option<(String, String)> {
        let connection = &self.shared.connection;
        Some((
            connection.local_description()?.sdp(),
            connection.remote_description()?.sdp(),
        ))
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
        shared.courier.close();
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
        // What a page that rings finds stands in the answer that it says when somebody does.
        if let Some(candidate) = event.candidate().filter(|_| self.may_look()) {
            self.say(Signal::Candidate {
                candidate: candidate.candidate(),
                sdp_mid: candidate.sdp_mid(),
                sdp_m_line_index: candidate.sdp_m_line_index(),
            });
        }
    }

    fn arrived(self: &Rc<Self>, event: &Event) {
        let event: &RtcTrackEvent = event.unchecked_ref();
        let (track, transceiver) = (event.track(), event.transceiver());
        let place = self
            .transceivers()
            .iter()
            .position(|known| *known == transceiver);
        match Feed::ALL
            .into_iter()
            .find(|feed| Some(feed.place()) == place)
        {
            Some(Feed::Microphone | Feed::ScreenSound) => self.sound.add_track(&track),
            Some(Feed::Camera) => self.picture.add_track(&track),
            Some(Feed::Screen) => self.screen.add_track(&track),
            // A newer page may send more than this one knows of.
            None => {}
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
            && let Ok(text) = serde_json::to_string(&self.said_to_send())
        {
            // A channel that closes between the question and this is told nothing any more.
            let _ = self.channel.send_with_str(&text);
        }
    }

    fn said_to_send(&self) -> Sends {
        let sends = self.sends.get();
        let held = sends.camera && self.adaptation.get().picture() == Picture::Held;
        Sends { held, ..sends }
    }

    fn found(&self) {
        self.recovery.borrow_mut().found();
        (self.tell)(News::Connected);
    }

    fn is_connected(&self) -> bool {
        self.connection.connection_state() == RtcPeerConnectionState::Connected
    }

    /// Whether there is a path, and the other page is heard over it.
    fn has_path(&self) -> bool {
        self.is_connected() && !self.silent.get()
    }

    /// `connectionState`, not `iceConnectionState`: the latter was seen to stay `disconnected` for ever.
    fn changed(self: &Rc<Self>) {
        match self.connection.connection_state() {
            RtcPeerConnectionState::Connected => {
                // Of beats, the first decides again.
                self.beat_at.set(None);
                self.begin();
                self.found();
            }
            RtcPeerConnectionState::Disconnected => {
                // So is one called that had failed, once something comes by it.
                (self.tell)(News::Stirs);
                self.look_again_in(Recovery::HESITATION);
            }
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
}

/// A data channel that both sides make.
fn agreed(id: u16) -> RtcDataChannelInit {
    let agreed = RtcDataChannelInit::new();
    agreed.set_negotiated(true);
    agreed.set_id(id);
    agreed
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
