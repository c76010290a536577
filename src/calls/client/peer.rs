//! The connection to another page: an `RTCPeerConnection` and its channels, tracks and timers (WebRTC 1.0, RFC 8829).
//!
//! The caller sends its offer as soon as the call exists. A ringing page applies the offer and may send a provisional
//! answer, but it exchanges no candidates, and so reveals no address, before the call is answered on it.
//!
//! The roles are stricter than in perfect negotiation: only the caller (the impolite peer) makes offers, the first one and
//! those that restart ICE. The callee (the polite peer) answers, and requests a restart with
//! [`SignalingMessage::RestartIce`], so offers never collide. When both sides restarted independently, some calls recovered
//! on one side only.
//!
//! Every [`TrackSlot`] has a `sendrecv` transceiver from the first offer on, with or without a device. Adding a camera or a
//! screen later is one `replaceTrack`, without renegotiation.
//!
//! All session changes run through one job queue, in order. [`super::state::recovery`] decides when to restart,
//! [`super::state::video_adaptation`] how much video is sent.
//!
//! | module | contents |
//! |---|---|
//! | `candidates` | separating a description from its candidates |
//! | `heartbeat` | periodic work: heartbeats, statistics, video adaptation |
//! | `negotiation` | offers, answers, candidates and ICE restarts |

mod candidates;
mod encoder;
mod heartbeat;
mod negotiation;

use super::{
    state::{
        path_diagnosis::PathDiagnosis,
        recovery::Recovery,
        video_adaptation::{EncoderSettings, VideoAdaptation, VideoQuality},
    },
    stats::{ConnectionQuality, Counters},
    track_slot::TrackSlot,
    transfer::{FileTransfers, state::FileTransfer},
};
use crate::{
    model::{
        Millis,
        call::{IceServer, Side, SignalingMessage},
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

/// An event of a peer connection.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PeerEvent {
    /// A signaling message to send to the other page.
    SendSignal(SignalingMessage),
    /// The media path is connected.
    Connected,
    /// The media path is lost; recovery is under way.
    Lost,
    /// The browser changed to `disconnected`, which hints at a network change.
    Disconnected,
    /// A remote track was added.
    TrackAdded,
    /// The other page reported its media state.
    RemoteMediaState(MediaState),
    /// A new measurement of the connection quality.
    ConnectionQuality(ConnectionQuality),
    /// The quality of the sent camera video changed.
    VideoQuality(VideoQuality),
    /// The state of all file transfers.
    TransfersChanged(Vec<FileTransfer>),
    /// The connection cannot be made, with the reason as text.
    Error(&'static str),
}

/// What a page sends, reported to the peer over a data channel, which is faster and more reliable than inference from
/// the media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what is on and what is not, each by itself"
)]
pub struct MediaState {
    /// The microphone is open and not muted.
    pub microphone: bool,
    /// The camera is on.
    pub camera: bool,
    /// A screen is shared.
    #[serde(default)]
    pub screen: bool,
    /// The camera is on, but its video is paused to protect the audio.
    #[serde(default)]
    #[serde(rename = "held")]
    pub is_video_paused: bool,
}

type Handler = Closure<dyn FnMut(Event)>;

/// A job of the session queue.
enum Job {
    SendOffer {
        restart: bool,
    },
    /// The call was answered, on either side.
    StartConnecting,
    /// The ringing page became visible.
    SendPranswer,
    ApplySignal(SignalingMessage),
    ReplaceTrack(TrackSlot),
    ConfigureEncoders,
    PrioritizeAudio,
    Recover(RecoveryReason),
}

/// Why recovery of the path starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecoveryReason {
    /// The browser reports `failed`, or reported `disconnected` a while ago.
    Disconnected,
    /// No heartbeat arrived for a while, whatever the browser reports.
    HeartbeatTimeout,
    /// The other page requested a restart.
    RemoteRequest,
    /// The server is reachable again: the network may have changed, even if the browser still reports a path.
    SignalingRestored,
}

/// The connection to another page. Closed on drop.
pub(super) struct Peer {
    shared: Rc<Shared>,
}

struct Shared {
    connection: RtcPeerConnection,
    media_state_channel: RtcDataChannel,
    /// Unreliable channel for heartbeats. They detect a dead path sooner than the browser, which takes seven seconds.
    heartbeat_channel: RtcDataChannel,
    /// When the last heartbeat arrived; `None` before the first.
    last_heartbeat_at: Cell<Option<Millis>>,
    /// Whether no heartbeat has arrived for too long.
    is_unresponsive: Cell<bool>,
    /// Whether video is suspended because nothing arrives from the peer.
    is_video_suspended: Cell<bool>,
    /// Whether a check of the path after a heartbeat timeout is running.
    is_checking_path: Cell<bool>,
    side: Side,
    on_event: Box<dyn Fn(PeerEvent)>,
    jobs: mpsc::UnboundedSender<Job>,
    /// File transfers over their own channel.
    file_transfers: FileTransfers,
    /// Local tracks by slot, kept for transceivers that do not exist yet.
    local_tracks: RefCell<[Option<MediaStreamTrack>; 4]>,
    /// The controller of the camera's video quality.
    adaptation: Cell<VideoAdaptation>,
    /// Whether the ramp-up since the last connect is over; during it, frames are small so that they arrive soon.
    has_ramped_up: Cell<bool>,
    /// Incremented on every connect, so that only the latest ramp-up ends itself.
    ramp_up_generation: Cell<u32>,
    /// The settings last applied to the camera's encoder.
    applied_settings: Cell<Option<EncoderSettings>>,
    /// Whether the shared screen is suspended because nothing arrives from the peer.
    is_screen_suspended: Cell<bool>,
    /// The answer prepared while the call rings.
    prepared_answer: RefCell<Option<String>>,
    /// The local media state, as reported to the peer.
    media_state: Cell<MediaState>,
    /// Candidates held back until their description is applied and the call is answered.
    pending_candidates: RefCell<Vec<RtcIceCandidateInit>>,
    remote_audio: MediaStream,
    remote_video: MediaStream,
    remote_screen: MediaStream,
    recovery: RefCell<Recovery>,
    /// Observations that explain a missing path.
    diagnosis: Cell<PathDiagnosis>,
    /// When ICE servers with new credentials last arrived.
    credentials_renewed_at: Cell<Millis>,
    /// Whether recovery starts as soon as new credentials arrive.
    is_awaiting_credentials: Cell<bool>,
    /// Whether the network may have changed since the prepared answer's candidates were gathered.
    should_restart_after_answer: Cell<bool>,
    /// Whether the call is answered. Before that, no media is sent, a callee sends nothing but its provisional answer,
    /// and no recovery runs.
    is_answered: Cell<bool>,
    is_closed: Cell<bool>,
    closures: RefCell<Vec<Handler>>,
}

/// Delay before a missing path is explained, in milliseconds. Browsers report `failed` after 15 s or more, and the
/// server gives up after 30 s.
const DIAGNOSIS_DELAY: i32 = 10_000;
/// How long credentials count as fresh, in milliseconds: half of their lifetime.
const CREDENTIALS_TTL: Millis = 5 * 60 * 1_000;
/// How long recovery waits for new credentials, in milliseconds.
const CREDENTIALS_TIMEOUT: i32 = 700;
/// Label of the media state channel. All channels are pre-negotiated, so both sides have them from the start without
/// RFC 8832.
const MEDIA_STATE_CHANNEL_LABEL: &str = "rialto";
/// Label of the heartbeat channel.
const HEARTBEAT_CHANNEL_LABEL: &str = "beats";
/// Label of the file channel.
const FILE_CHANNEL_LABEL: &str = "files";

impl Peer {
    /// Creates a connection; the caller's side sends an offer. `on_event` is called until the peer is dropped.
    ///
    /// # Errors
    /// Fails if the browser has no WebRTC or rejects the configuration.
    pub(super) fn new(
        side: Side,
        ice_servers: &[IceServer],
        on_event: impl Fn(PeerEvent) + 'static,
    ) -> Result<Self, JsValue> {
        let connection =
            RtcPeerConnection::new_with_configuration(&rtc_configuration(ice_servers))?;
        let open = |name: &str, init: &RtcDataChannelInit| {
            connection.create_data_channel_with_data_channel_dict(name, init)
        };
        let media_state_channel = open(MEDIA_STATE_CHANNEL_LABEL, &negotiated_channel_init(0));
        let unreliable = negotiated_channel_init(1);
        unreliable.set_ordered(false);
        unreliable.set_max_retransmits(0);
        let heartbeat_channel = open(HEARTBEAT_CHANNEL_LABEL, &unreliable);
        let file_channel = open(FILE_CHANNEL_LABEL, &negotiated_channel_init(2));
        let (jobs, mut queue) = mpsc::unbounded();
        let mut diagnosis = PathDiagnosis::default();
        diagnosis.record_ice_servers(ice_servers);
        let shared = Rc::new(Shared {
            connection,
            media_state_channel,
            heartbeat_channel,
            last_heartbeat_at: Cell::default(),
            is_unresponsive: Cell::default(),
            is_video_suspended: Cell::default(),
            is_checking_path: Cell::default(),
            side,
            on_event: Box::new(on_event),
            jobs,
            file_transfers: FileTransfers::new(file_channel),
            local_tracks: RefCell::default(),
            adaptation: Cell::new(VideoAdaptation::new(VideoQuality::Full)),
            has_ramped_up: Cell::new(false),
            ramp_up_generation: Cell::new(0),
            applied_settings: Cell::default(),
            is_screen_suspended: Cell::new(false),
            prepared_answer: RefCell::default(),
            media_state: Cell::default(),
            pending_candidates: RefCell::default(),
            remote_audio: MediaStream::new()?,
            remote_video: MediaStream::new()?,
            remote_screen: MediaStream::new()?,
            recovery: RefCell::default(),
            diagnosis: Cell::new(diagnosis),
            credentials_renewed_at: Cell::new(browser::now()),
            is_awaiting_credentials: Cell::new(false),
            should_restart_after_answer: Cell::new(false),
            is_answered: Cell::new(false),
            is_closed: Cell::new(false),
            closures: RefCell::default(),
        });
        shared.attach_handlers();
        let weak = Rc::downgrade(&shared);
        shared.file_transfers.set_on_change(move |transfers| {
            // No files are offered before the call is answered.
            if let Some(shared) = weak.upgrade().filter(|shared| shared.is_answered.get()) {
                (shared.on_event)(PeerEvent::TransfersChanged(transfers));
            }
        });
        shared.run_heartbeat();
        shared.poll_stats(Counters::default());
        if side == Side::Caller {
            let both = RtcRtpTransceiverInit::new();
            both.set_direction(RtcRtpTransceiverDirection::Sendrecv);
            for slot in TrackSlot::ALL {
                shared
                    .connection
                    .add_transceiver_with_str_and_init(slot.kind(), &both);
            }
            shared.enqueue(Job::SendOffer { restart: false });
        }
        let worker = shared.clone();
        spawn_local(async move {
            while let Some(job) = queue.next().await {
                if worker.is_closed.get() {
                    return;
                }
                if let Err(error) = worker.run_job(job).await
                    && !worker.is_closed.get()
                {
                    browser::warn(&format!("call: {error:?}"));
                }
            }
        });
        Ok(Self { shared })
    }

    /// Queues a signaling message of the other page.
    pub(super) fn receive_signal(&self, signal: SignalingMessage) {
        self.shared
            .update_diagnosis(|diagnosis| diagnosis.record_received_signal(&signal));
        self.shared.enqueue(Job::ApplySignal(signal));
    }

    /// Sets or clears the local track of a slot.
    pub(super) fn set_track(&self, slot: TrackSlot, track: Option<MediaStreamTrack>) {
        let before = std::mem::replace(
            &mut self.shared.local_tracks.borrow_mut()[slot.index()],
            track.clone(),
        );
        if before != track {
            self.shared.enqueue(Job::ReplaceTrack(slot));
        }
    }

    /// Limits the quality of the camera's video.
    pub(super) fn set_max_video_quality(&self, max_quality: VideoQuality) {
        self.shared
            .adapt_video(|adaptation| adaptation.set_max_quality(max_quality));
    }

    /// Sends the local media state to the peer.
    pub(super) fn send_media_state(&self, media_state: MediaState) {
        self.shared.media_state.set(media_state);
        self.shared.send_media_state();
    }

    /// Replaces the ICE servers, whose credentials may have expired (WebRTC 1.0 section 4.4.1.6). They take effect at
    /// the next ICE restart.
    pub(super) fn renew_ice_servers(&self, servers: &[IceServer]) {
        self.shared
            .update_diagnosis(|diagnosis| diagnosis.record_ice_servers(servers));
        let connection = &self.shared.connection;
        if let Err(error) =
            connection.set_configuration_with_configuration(&rtc_configuration(servers))
        {
            browser::warn(&format!("call: {error:?}"));
        }
        self.shared.credentials_renewed_at.set(browser::now());
        if self.shared.is_awaiting_credentials.take() {
            self.shared
                .enqueue(Job::Recover(RecoveryReason::SignalingRestored));
        }
    }

    /// Marks the call as answered and starts connecting with these servers. Idempotent.
    pub(super) fn start_connecting(&self, servers: &[IceServer]) {
        if !self.shared.is_answered.replace(true) {
            self.renew_ice_servers(servers);
            self.shared.enqueue(Job::StartConnecting);
            let shared = Rc::downgrade(&self.shared);
            browser::run_after(DIAGNOSIS_DELAY, move || {
                if let Some(shared) = shared.upgrade().filter(|shared| !shared.is_closed.get()) {
                    shared.report_diagnosis();
                }
            });
        }
    }

    /// Sends the provisional answer, because the ringing page is visible.
    pub(super) fn send_pranswer(&self) {
        self.shared.enqueue(Job::SendPranswer);
    }

    /// Handles a restored server connection: signals may be lost, and the network may have changed.
    pub(super) fn on_signaling_restored(&self) {
        self.shared.recover_with_fresh_credentials();
    }

    /// Whether the path is connected and heartbeats arrive.
    pub(super) fn is_path_alive(&self) -> bool {
        self.shared.is_path_alive()
    }

    /// Audio received from the peer.
    pub(super) fn remote_audio(&self) -> &MediaStream {
        &self.shared.remote_audio
    }

    /// Camera video received from the peer.
    pub(super) fn remote_video(&self) -> &MediaStream {
        &self.shared.remote_video
    }

    /// Screen video received from the peer.
    pub(super) fn remote_screen(&self) -> &MediaStream {
        &self.shared.remote_screen
    }

    /// Audio level of the peer, from 0 to 1; `None` without audio or browser support (WebRTC 1.0 section 5.3).
    pub(super) fn audio_level(&self) -> Option<f64> {
        let transceivers = self.shared.transceivers();
        let receiver = transceivers.get(TrackSlot::Microphone.index())?.receiver();
        let sources = Reflect::get(&receiver, &"getSynchronizationSources".into()).ok()?;
        let sources: js_sys::Function = sources.dyn_into().ok()?;
        let sources: Array = sources.call0(&receiver).ok()?.dyn_into().ok()?;
        Reflect::get(&sources.get(0), &"audioLevel".into())
            .ok()?
            .as_f64()
    }

    /// The file transfers with this peer.
    pub(super) fn file_transfers(&self) -> &FileTransfers {
        &self.shared.file_transfers
    }

    /// The SDP of the local and the remote description; `None` before both are set.
    pub(super) fn session_descriptions(&self) -> Option<(String, String)> {
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
        shared.is_closed.set(true);
        shared.jobs.close_channel();
        let connection = &shared.connection;
        connection.set_onicecandidate(None);
        connection.set_onconnectionstatechange(None);
        connection.set_ontrack(None);
        shared.media_state_channel.set_onopen(None);
        shared.media_state_channel.set_onmessage(None);
        shared.heartbeat_channel.set_onmessage(None);
        shared.file_transfers.close();
        connection.close();
        shared.closures.borrow_mut().clear();
    }
}

impl Shared {
    fn enqueue(&self, job: Job) {
        // The queue is closed once the peer is dropped.
        let _ = self.jobs.unbounded_send(job);
    }

    fn attach_handlers(self: &Rc<Self>) {
        let connection = &self.connection;
        connection.set_onicecandidate(Some(&self.event_handler(Self::on_ice_candidate)));
        connection.set_onconnectionstatechange(Some(
            &self.event_handler(|shared, _| shared.on_connection_state_change()),
        ));
        connection.set_ontrack(Some(&self.event_handler(Self::on_track)));
        self.media_state_channel.set_onopen(Some(
            &self.event_handler(|shared, _| shared.send_media_state()),
        ));
        self.media_state_channel
            .set_onmessage(Some(&self.event_handler(Self::on_media_state_message)));
        self.heartbeat_channel
            .set_onmessage(Some(&self.event_handler(|shared, _| shared.on_heartbeat())));
    }

    /// Creates an event handler owned by the peer. It holds a weak reference, so it does not keep the peer alive.
    fn event_handler(
        self: &Rc<Self>,
        then: impl Fn(&Rc<Self>, &Event) + 'static,
    ) -> js_sys::Function {
        let shared = Rc::downgrade(self);
        let closure = Handler::new(move |event: Event| {
            if let Some(shared) = shared.upgrade().filter(|shared| !shared.is_closed.get()) {
                then(&shared, &event);
            }
        });
        let function = closure.as_ref().unchecked_ref::<js_sys::Function>().clone();
        self.closures.borrow_mut().push(closure);
        function
    }

    fn update_diagnosis(&self, what: impl FnOnce(&mut PathDiagnosis)) {
        let mut diagnosis = self.diagnosis.get();
        what(&mut diagnosis);
        self.diagnosis.set(diagnosis);
    }

    fn send_signal(&self, signal: SignalingMessage) {
        self.update_diagnosis(|diagnosis| diagnosis.record_sent_signal(&signal));
        (self.on_event)(PeerEvent::SendSignal(signal));
    }

    fn on_ice_candidate(self: &Rc<Self>, event: &Event) {
        let event: &RtcPeerConnectionIceEvent = event.unchecked_ref();
        // No trickle while ringing: candidates go out inside the answer.
        if let Some(candidate) = event.candidate().filter(|_| self.can_exchange_candidates()) {
            self.send_signal(SignalingMessage::Candidate {
                candidate: candidate.candidate(),
                sdp_mid: candidate.sdp_mid(),
                sdp_m_line_index: candidate.sdp_m_line_index(),
            });
        }
    }

    fn on_track(self: &Rc<Self>, event: &Event) {
        let event: &RtcTrackEvent = event.unchecked_ref();
        let (track, transceiver) = (event.track(), event.transceiver());
        let index = self
            .transceivers()
            .iter()
            .position(|known| *known == transceiver);
        match TrackSlot::ALL
            .into_iter()
            .find(|slot| Some(slot.index()) == index)
        {
            Some(TrackSlot::Microphone | TrackSlot::ScreenAudio) => {
                self.remote_audio.add_track(&track);
            }
            Some(TrackSlot::Camera) => self.remote_video.add_track(&track),
            Some(TrackSlot::Screen) => self.remote_screen.add_track(&track),
            // A newer page may offer more tracks.
            None => {}
        }
        (self.on_event)(PeerEvent::TrackAdded);
    }

    fn on_media_state_message(self: &Rc<Self>, event: &Event) {
        let text = event.unchecked_ref::<MessageEvent>().data().as_string();
        // Messages of a newer page may not parse.
        if let Some(media_state) = text.and_then(|text| serde_json::from_str(&text).ok()) {
            (self.on_event)(PeerEvent::RemoteMediaState(media_state));
        }
    }

    fn send_media_state(&self) {
        if self.media_state_channel.ready_state() == RtcDataChannelState::Open
            && let Ok(text) = serde_json::to_string(&self.advertised_media_state())
        {
            // Sending fails if the channel has closed meanwhile.
            let _ = self.media_state_channel.send_with_str(&text);
        }
    }

    fn advertised_media_state(&self) -> MediaState {
        let media_state = self.media_state.get();
        let is_video_paused =
            media_state.camera && self.adaptation.get().quality() == VideoQuality::Paused;
        MediaState {
            is_video_paused,
            ..media_state
        }
    }

    fn report_connected(&self) {
        self.recovery.borrow_mut().mark_connected();
        (self.on_event)(PeerEvent::Connected);
    }

    fn is_connected(&self) -> bool {
        self.connection.connection_state() == RtcPeerConnectionState::Connected
    }

    /// Whether the path is connected and heartbeats arrive.
    fn is_path_alive(&self) -> bool {
        self.is_connected() && !self.is_unresponsive.get()
    }

    /// Uses `connectionState`, because `iceConnectionState` was observed to stay `disconnected` for ever.
    fn on_connection_state_change(self: &Rc<Self>) {
        match self.connection.connection_state() {
            RtcPeerConnectionState::Connected => {
                // Heartbeat monitoring restarts with the first heartbeat on the new path.
                self.last_heartbeat_at.set(None);
                self.start_ramp_up();
                self.report_connected();
            }
            RtcPeerConnectionState::Disconnected => {
                // The browser also moves from `failed` to `disconnected` when something arrives again.
                (self.on_event)(PeerEvent::Disconnected);
                self.schedule_recovery(Recovery::DISCONNECTED_DELAY);
            }
            RtcPeerConnectionState::Failed => {
                self.report_diagnosis();
                self.enqueue(Job::Recover(RecoveryReason::Disconnected));
            }
            // `new`, `connecting` and `closed` need no action.
            _ => {}
        }
    }

    /// Starts recovery with fresh credentials: at once, or when the server sends new ones, as it does on every
    /// reconnect and call change. After [`CREDENTIALS_TIMEOUT`], recovery uses the current ones.
    fn recover_with_fresh_credentials(self: &Rc<Self>) {
        if browser::now() - self.credentials_renewed_at.get() < CREDENTIALS_TTL {
            return self.enqueue(Job::Recover(RecoveryReason::SignalingRestored));
        }
        self.is_awaiting_credentials.set(true);
        let shared = Rc::downgrade(self);
        browser::run_after(CREDENTIALS_TIMEOUT, move || {
            if let Some(shared) = shared
                .upgrade()
                .filter(|shared| shared.is_awaiting_credentials.take())
            {
                shared.enqueue(Job::Recover(RecoveryReason::SignalingRestored));
            }
        });
    }

    /// Reports why there is no path, if there never was one.
    fn report_diagnosis(&self) {
        if !self.recovery.borrow().has_ever_connected() {
            (self.on_event)(PeerEvent::Error(self.diagnosis.get().explanation()));
        }
    }

    fn schedule_recovery(self: &Rc<Self>, millis: i32) {
        let generation = self.recovery.borrow_mut().schedule_check();
        let shared = Rc::downgrade(self);
        browser::run_after(millis, move || {
            if let Some(shared) = shared.upgrade()
                && shared.recovery.borrow().is_check_current(generation)
            {
                shared.enqueue(Job::Recover(RecoveryReason::Disconnected));
            }
        });
    }
}

/// Options of a pre-negotiated data channel.
fn negotiated_channel_init(id: u16) -> RtcDataChannelInit {
    let agreed = RtcDataChannelInit::new();
    agreed.set_negotiated(true);
    agreed.set_id(id);
    agreed
}

pub(super) fn rtc_configuration(servers: &[IceServer]) -> RtcConfiguration {
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
    // Both ends are Rialto pages, so everything shares one transport from the start (RFC 8843), with a third of the
    // candidates. Setting a field of a plain object cannot fail.
    let _ = Reflect::set(&configuration, &"bundlePolicy".into(), &"max-bundle".into());
    configuration
}
