//! The connection to the other page: an `RTCPeerConnection` and everything that hangs on it (WebRTC 1.0, RFC 8829).
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

use super::{problem::Device, recovery::Recovery};
use crate::{
    model::call::{IceServer, Side, Signal},
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    Offer { restart: bool },
    Heard(Signal),
    Send(Device),
    Recover { asked: bool },
}

/// The connection to the other page. Closed when dropped.
pub(super) struct Peer {
    shared: Rc<Shared>,
}

struct Shared {
    connection: RtcPeerConnection,
    channel: RtcDataChannel,
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
    closed: Cell<bool>,
    closures: RefCell<Vec<Handler>>,
}

/// The data channel: agreed on beforehand, so both sides have it from the start (RFC 8832 is not needed).
const CHANNEL: &str = "rialto";

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
        let (jobs, mut queue) = mpsc::unbounded();
        let shared = Rc::new(Shared {
            connection,
            channel,
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
            closed: Cell::new(false),
            closures: RefCell::default(),
        });
        shared.listen();
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

    /// The server can be reached again: what was said meanwhile is lost, so ask anew unless the path holds.
    pub(super) fn resume(&self) {
        self.shared.queue(Job::Recover { asked: false });
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

    fn found_candidate(self: &Rc<Self>, event: &Event) {
        let event: &RtcPeerConnectionIceEvent = event.unchecked_ref();
        if let Some(candidate) = event.candidate() {
            (self.tell)(News::Say(Signal::Candidate {
                candidate: candidate.candidate(),
                sdp_mid: candidate.sdp_mid(),
                sdp_m_line_index: candidate.sdp_m_line_index(),
            }));
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

    fn is_connected(&self) -> bool {
        self.connection.connection_state() == RtcPeerConnectionState::Connected
    }

    /// `connectionState`, not `iceConnectionState`: the latter was seen to stay `disconnected` for ever.
    fn changed(self: &Rc<Self>) {
        match self.connection.connection_state() {
            RtcPeerConnectionState::Connected => {
                self.recovery.borrow_mut().found();
                (self.tell)(News::Connected);
            }
            RtcPeerConnectionState::Disconnected => self.look_again_in(Recovery::HESITATION),
            RtcPeerConnectionState::Failed => self.queue(Job::Recover { asked: false }),
            // Beginning, under way, and closed by ourselves: nothing to do about any of them.
            _ => {}
        }
    }

    fn look_again_in(self: &Rc<Self>, millis: i32) {
        let plan = self.recovery.borrow_mut().plan();
        let shared = Rc::downgrade(self);
        browser::after(millis, move || {
            if let Some(shared) = shared.upgrade()
                && shared.recovery.borrow().is_planned(plan)
            {
                shared.queue(Job::Recover { asked: false });
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

fn configuration(servers: &[IceServer]) -> RtcConfiguration {
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
