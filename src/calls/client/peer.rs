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
//! [`super::state::recovery`], how much of the picture is sent in [`super::adaptation`].
//!
//! | module | what it holds |
//! |---|---|
//! | `candidates` | addresses out of a description |
//! | `negotiation` | offers, answers, candidates, and looking for another path |
//! | `pulse` | what is done again and again: beats, measuring, adapting |

mod candidates;
mod heartbeat;
mod negotiation;

use super::{
    state::{
        path_diagnosis::PathDiagnosis,
        recovery::Recovery,
        video_adaptation::{VideoAdaptation, VideoQuality},
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
use heartbeat::EncoderSettings;
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
pub(super) enum PeerEvent {
    /// For the other page.
    SendSignal(SignalingMessage),
    /// There is a path to the other page.
    Connected,
    /// The path is lost; another one is being looked for.
    Lost,
    /// The browser thinks otherwise of the path: the network may be there again.
    Disconnected,
    /// Something of the other one can be seen or heard from now on.
    TrackAdded,
    /// What the other one sends.
    RemoteMediaState(MediaState),
    /// How good the connection is.
    ConnectionQuality(ConnectionQuality),
    /// So much of the camera's picture is sent from now on.
    VideoQuality(VideoQuality),
    /// What has become of all files.
    TransfersChanged(Vec<FileTransfer>),
    /// It will not work, in words.
    Error(&'static str),
}

/// What a page sends, told to the other one over the data channel: nothing in the media says so as quickly and as surely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what is on and what is not, each by itself"
)]
pub struct MediaState {
    /// The microphone is on and not muted.
    pub microphone: bool,
    /// The camera is on.
    pub camera: bool,
    /// A screen is shared.
    #[serde(default)]
    pub screen: bool,
    /// The camera is on, and its picture is not sent for now, to keep the sound.
    #[serde(default)]
    #[serde(rename = "held")]
    pub is_video_paused: bool,
}

type Handler = Closure<dyn FnMut(Event)>;

/// What waits in the queue.
enum Job {
    SendOffer {
        restart: bool,
    },
    /// Somebody has answered here, or there.
    StartConnecting,
    /// Somebody looks at a page that rings.
    SendPranswer,
    ApplySignal(SignalingMessage),
    ReplaceTrack(TrackSlot),
    ConfigureEncoders,
    PrioritizeAudio,
    Recover(RecoveryReason),
}

/// Why a path is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecoveryReason {
    /// The browser says that it has none, or said so a while ago.
    Disconnected,
    /// Nothing came of the other page for a while, whatever the browser says.
    HeartbeatTimeout,
    /// The other page asks for it.
    RemoteRequest,
    /// The server can be reached again: the network may be another one, also where the browser still thinks that it has a path.
    SignalingRestored,
}

/// The connection to the other page. Closed when dropped.
pub(super) struct Peer {
    shared: Rc<Shared>,
}

struct Shared {
    connection: RtcPeerConnection,
    media_state_channel: RtcDataChannel,
    /// Carries beats, each sent once: a path that is dead is noticed sooner than the browser would, which takes seven seconds.
    heartbeat_channel: RtcDataChannel,
    /// When the last beat came; none before the first.
    last_heartbeat_at: Cell<Option<Millis>>,
    /// None came for too long,
    is_unresponsive: Cell<bool>,
    /// and no pictures are sent until something comes.
    is_video_suspended: Cell<bool>,
    /// Whether that is so is being looked at.
    is_checking_path: Cell<bool>,
    side: Side,
    on_event: Box<dyn Fn(PeerEvent)>,
    jobs: mpsc::UnboundedSender<Job>,
    /// Carries files.
    file_transfers: FileTransfers,
    /// What is sent from here, by its place, kept for transceivers that do not exist yet.
    local_tracks: RefCell<[Option<MediaStreamTrack>; 4]>,
    /// How much of the camera's picture is sent.
    adaptation: Cell<VideoAdaptation>,
    /// Whether the first pictures since there is a path were sent, which are small so that they come soon.
    has_ramped_up: Cell<bool>,
    /// Counts paths that were found: only the latest has first pictures.
    ramp_up_generation: Cell<u32>,
    /// What the encoder of the camera's picture was told last.
    applied_settings: Cell<Option<EncoderSettings>>,
    /// Nothing of a shared screen is sent, as nothing comes of the other page.
    is_screen_suspended: Cell<bool>,
    /// The answer, made while it rings.
    prepared_answer: RefCell<Option<String>>,
    /// What the other one is told of it.
    media_state: Cell<MediaState>,
    /// Candidates that came before the description they belong to, or before anybody answered.
    pending_candidates: RefCell<Vec<RtcIceCandidateInit>>,
    remote_audio: MediaStream,
    remote_video: MediaStream,
    remote_screen: MediaStream,
    recovery: RefCell<Recovery>,
    /// Why there may be no path.
    diagnosis: Cell<PathDiagnosis>,
    /// When the servers were told anew.
    credentials_renewed_at: Cell<Millis>,
    /// A path is looked for as soon as they are.
    is_awaiting_credentials: Cell<bool>,
    /// The network may be another one than when this browser found its addresses, while it rang.
    should_restart_after_answer: Cell<bool>,
    /// Somebody has answered. Before, nothing is sent of what devices give, whatever the other page does; a callee's page says nothing but
    /// what its answer will be; and nobody looks for a lost path.
    is_answered: Cell<bool>,
    is_closed: Cell<bool>,
    closures: RefCell<Vec<Handler>>,
}

/// How long a path may take before it is said why there may be none, in milliseconds. A browser calls it failed after 15 s or more, and
/// the server gives up after 30.
const DIAGNOSIS_DELAY: i32 = 10_000;
/// How long credentials count as fresh, in milliseconds: half of what they last.
const CREDENTIALS_TTL: Millis = 5 * 60 * 1_000;
/// How long the server is given to tell new ones, in milliseconds.
const CREDENTIALS_TIMEOUT: i32 = 700;
/// The data channel: agreed on beforehand, so both sides have it from the start (RFC 8832 is not needed).
const MEDIA_STATE_CHANNEL_LABEL: &str = "rialto";
/// The channel of the beats, agreed on beforehand as well,
const HEARTBEAT_CHANNEL_LABEL: &str = "beats";
/// and that of files.
const FILE_CHANNEL_LABEL: &str = "files";

impl Peer {
    /// Begins to connect. `tell` hears what there is to say, from now on and until it is dropped.
    ///
    /// # Errors
    /// When the browser has no WebRTC or refuses the configuration.
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
            // Nobody offers files to somebody who has not answered, or is not answered by anybody.
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

    /// The other page said something.
    pub(super) fn receive_signal(&self, signal: SignalingMessage) {
        self.shared
            .update_diagnosis(|diagnosis| diagnosis.record_received_signal(&signal));
        self.shared.enqueue(Job::ApplySignal(signal));
    }

    /// Sends this from now on, or nothing.
    pub(super) fn set_track(&self, slot: TrackSlot, track: Option<MediaStreamTrack>) {
        let before = std::mem::replace(
            &mut self.shared.local_tracks.borrow_mut()[slot.index()],
            track.clone(),
        );
        if before != track {
            self.shared.enqueue(Job::ReplaceTrack(slot));
        }
    }

    /// No more of the camera's picture is sent from now on.
    pub(super) fn set_max_video_quality(&self, max_quality: VideoQuality) {
        self.shared
            .adapt_video(|adaptation| adaptation.set_max_quality(max_quality));
    }

    /// Tells the other one what is sent.
    pub(super) fn send_media_state(&self, media_state: MediaState) {
        self.shared.media_state.set(media_state);
        self.shared.send_media_state();
    }

    /// What to find a path with from now on: the credentials of before may have expired (WebRTC 1.0 section 4.4.1.6). Heard of by the
    /// next restart.
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

    /// Somebody has answered; from now on a path is looked for, with these servers. More than once does no harm.
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

    /// Somebody looks at this page, which rings.
    pub(super) fn send_pranswer(&self) {
        self.shared.enqueue(Job::SendPranswer);
    }

    /// The server can be reached again: what was said meanwhile is lost, and the network may be another one.
    pub(super) fn on_signaling_restored(&self) {
        self.shared.recover_with_fresh_credentials();
    }

    /// Whether there is a path, and the other page is heard over it.
    pub(super) fn is_path_alive(&self) -> bool {
        self.shared.is_path_alive()
    }

    /// What is heard of the other one.
    pub(super) fn remote_audio(&self) -> &MediaStream {
        &self.shared.remote_audio
    }

    /// What is seen of the other one.
    pub(super) fn remote_video(&self) -> &MediaStream {
        &self.shared.remote_video
    }

    /// The screen that the other one shares.
    pub(super) fn remote_screen(&self) -> &MediaStream {
        &self.shared.remote_screen
    }

    /// How loud the other one is, from 0 to 1; none where nothing of them is heard, or the browser does not say (WebRTC 1.0 section 5.3).
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

    /// Files to the other one, and from them.
    pub(super) fn file_transfers(&self) -> &FileTransfers {
        &self.shared.file_transfers
    }

    /// What both sides agreed on, mine first; none before they did.
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
        // The queue is gone when the call is over, and then nothing is left to do.
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

    /// An event handler that lives as long as the peer. It holds no claim on it, so that dropping the peer ends it.
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
        // What a page that rings finds stands in the answer that it says when somebody does.
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
            // A newer page may send more than this one knows of.
            None => {}
        }
        (self.on_event)(PeerEvent::TrackAdded);
    }

    fn on_media_state_message(self: &Rc<Self>, event: &Event) {
        let text = event.unchecked_ref::<MessageEvent>().data().as_string();
        // A newer page may say more than this one understands.
        if let Some(media_state) = text.and_then(|text| serde_json::from_str(&text).ok()) {
            (self.on_event)(PeerEvent::RemoteMediaState(media_state));
        }
    }

    fn send_media_state(&self) {
        if self.media_state_channel.ready_state() == RtcDataChannelState::Open
            && let Ok(text) = serde_json::to_string(&self.advertised_media_state())
        {
            // A channel that closes between the question and this is told nothing any more.
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

    /// Whether there is a path, and the other page is heard over it.
    fn is_path_alive(&self) -> bool {
        self.is_connected() && !self.is_unresponsive.get()
    }

    /// `connectionState`, not `iceConnectionState`: the latter was seen to stay `disconnected` for ever.
    fn on_connection_state_change(self: &Rc<Self>) {
        match self.connection.connection_state() {
            RtcPeerConnectionState::Connected => {
                // Of beats, the first decides again.
                self.last_heartbeat_at.set(None);
                self.start_ramp_up();
                self.report_connected();
            }
            RtcPeerConnectionState::Disconnected => {
                // So is one called that had failed, once something comes by it.
                (self.on_event)(PeerEvent::Disconnected);
                self.schedule_recovery(Recovery::DISCONNECTED_DELAY);
            }
            RtcPeerConnectionState::Failed => {
                self.report_diagnosis();
                self.enqueue(Job::Recover(RecoveryReason::Disconnected));
            }
            // Beginning, under way, and closed by ourselves: nothing to do about any of them.
            _ => {}
        }
    }

    /// Looks for a path with servers whose credentials are fresh: at once, or when the server has told them anew, as it does whenever a
    /// page connects again and whenever a call changes. If it does not, with what there is.
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

    /// Says why there is no path, if there never was one.
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

/// A data channel that both sides make.
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
    // Both ends are ours, so one transport for everything from the start: a third of the candidates to find and to send
    // (RFC 8843). Setting a field of a plain object cannot fail.
    let _ = Reflect::set(&configuration, &"bundlePolicy".into(), &"max-bundle".into());
    configuration
}
