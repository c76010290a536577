//! Translates browser events to [`ConnectionEvent`], and executes [`PeerEffect`].

use super::{
    configuration::rtc_configuration,
    event::{MediaState, PeerEvent},
    state::{
        PeerConnectionState,
        candidates::IceCandidate,
        interface::{ConnectionEvent, ConnectionState, Moment, Operation, PathCheck, PeerEffect},
    },
};
use crate::{
    calls::client::{
        state::video_adaptation::EncoderSettings,
        stats::{self, Counters},
        track_slot::TrackSlot,
        transfer::FileTransfers,
    },
    model::call::{IceServer, Side, SignalingMessage},
    ui::{browser, reconnect::page_now},
};
use std::{
    cell::{Cell, Ref, RefCell},
    rc::Rc,
};
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Event, MediaStream, MediaStreamTrack, MessageEvent, RtcDataChannel, RtcDataChannelInit,
    RtcDataChannelState, RtcIceCandidateInit, RtcIceTransportPolicy, RtcPeerConnection,
    RtcPeerConnectionIceEvent, RtcPeerConnectionState, RtcRtpTransceiver,
    RtcRtpTransceiverDirection, RtcRtpTransceiverInit, RtcTrackEvent,
};

type Handler = Closure<dyn FnMut(Event)>;

pub(super) struct Connection {
    pub(super) rtc: RtcPeerConnection,
    policy: RtcIceTransportPolicy,
    media_state_channel: RtcDataChannel,
    /// Unreliable. Heartbeats detect a dead path sooner than the browser.
    heartbeat_channel: RtcDataChannel,
    state: RefCell<PeerConnectionState>,
    on_event: Box<dyn Fn(PeerEvent)>,
    pub(super) file_transfers: FileTransfers,
    /// Kept for transceivers that do not exist yet.
    local_tracks: RefCell<[Option<MediaStreamTrack>; 4]>,
    pub(super) applied_camera_settings: Cell<Option<EncoderSettings>>,
    /// As last applied to the encoder.
    pub(super) is_screen_active: Cell<bool>,
    counters: Cell<Counters>,
    pub(super) remote_audio: MediaStream,
    pub(super) remote_video: MediaStream,
    pub(super) remote_screen: MediaStream,
    closures: RefCell<Vec<Handler>>,
}

/// Pre-negotiated channels exist on both sides from the start, without RFC 8832.
const MEDIA_STATE_CHANNEL_LABEL: &str = "rialto";
const HEARTBEAT_CHANNEL_LABEL: &str = "beats";
const FILE_CHANNEL_LABEL: &str = "files";

impl Connection {
    pub(super) fn open(
        side: Side,
        ice_servers: &[IceServer],
        policy: RtcIceTransportPolicy,
        on_event: Box<dyn Fn(PeerEvent)>,
    ) -> Result<Rc<Self>, JsValue> {
        let configuration = rtc_configuration(ice_servers, policy);
        let rtc = RtcPeerConnection::new_with_configuration(&configuration)?;
        let open = |name: &str, init: &RtcDataChannelInit| {
            rtc.create_data_channel_with_data_channel_dict(name, init)
        };
        let media_state_channel = open(MEDIA_STATE_CHANNEL_LABEL, &negotiated_channel_init(0));
        let unreliable = negotiated_channel_init(1);
        unreliable.set_ordered(false);
        unreliable.set_max_retransmits(0);
        let heartbeat_channel = open(HEARTBEAT_CHANNEL_LABEL, &unreliable);
        let file_channel = open(FILE_CHANNEL_LABEL, &negotiated_channel_init(2));
        let state = PeerConnectionState::new(side, ice_servers, page_now());
        let connection = Rc::new(Self {
            rtc,
            policy,
            media_state_channel,
            heartbeat_channel,
            state: RefCell::new(state),
            on_event,
            file_transfers: FileTransfers::new(file_channel),
            local_tracks: RefCell::default(),
            applied_camera_settings: Cell::default(),
            is_screen_active: Cell::new(true),
            counters: Cell::default(),
            remote_audio: MediaStream::new()?,
            remote_video: MediaStream::new()?,
            remote_screen: MediaStream::new()?,
            closures: RefCell::default(),
        });
        connection.attach_handlers();
        let weak = Rc::downgrade(&connection);
        connection.file_transfers.set_on_change(move |transfers| {
            // No files are offered before the call is answered.
            if let Some(connection) = weak.upgrade()
                && connection.state().is_answered()
            {
                (connection.on_event)(PeerEvent::TransfersChanged(transfers));
            }
        });
        connection.dispatch(ConnectionEvent::Opened);
        Ok(connection)
    }

    pub(super) fn state(&self) -> Ref<'_, PeerConnectionState> {
        self.state.borrow()
    }

    pub(super) fn dispatch(self: &Rc<Self>, event: ConnectionEvent) {
        let moment = Moment {
            now: page_now(),
            is_page_visible: browser::is_visible(),
        };
        // The borrow ends first: executing may dispatch further events.
        let effects = self.state.borrow_mut().on_event(event, moment);
        for effect in effects {
            self.execute(effect);
        }
    }

    fn execute(self: &Rc<Self>, effect: PeerEffect) {
        match effect {
            PeerEffect::Start(operation) => spawn_local(self.clone().run(operation)),
            PeerEffect::StartTimer(timer, millis) => {
                let weak = Rc::downgrade(self);
                browser::run_after(millis, move || {
                    if let Some(connection) = weak.upgrade() {
                        connection.dispatch(ConnectionEvent::TimerFired(timer));
                    }
                });
            }
            PeerEffect::AddTransceivers => {
                let sendrecv = RtcRtpTransceiverInit::new();
                sendrecv.set_direction(RtcRtpTransceiverDirection::Sendrecv);
                for slot in TrackSlot::ALL {
                    self.rtc
                        .add_transceiver_with_str_and_init(slot.kind(), &sendrecv);
                }
            }
            PeerEffect::ActivateTransceivers => {
                for transceiver in self.transceivers() {
                    transceiver.set_direction(RtcRtpTransceiverDirection::Sendrecv);
                }
            }
            PeerEffect::AddCandidate(candidate) => self.add_candidate(&candidate),
            PeerEffect::SetIceServers(servers) => {
                let configuration = rtc_configuration(&servers, self.policy);
                if let Err(error) = self
                    .rtc
                    .set_configuration_with_configuration(&configuration)
                {
                    browser::warn(&format!("call: {error:?}"));
                }
            }
            PeerEffect::SendLocalDescription => self.send_local_description(),
            PeerEffect::SendHeartbeat => send_if_open(&self.heartbeat_channel, ""),
            PeerEffect::SendMediaState(media_state) => self.send_media_state(media_state),
            PeerEffect::ReadPacketAge(check) => spawn_local(self.clone().read_packet_age(check)),
            PeerEffect::SampleStats => spawn_local(self.clone().sample_stats()),
            PeerEffect::Emit(event) => (self.on_event)(event),
            PeerEffect::Close => self.close(),
        }
    }

    async fn run(self: Rc<Self>, operation: Operation) {
        let is_failure_expected = operation.is_provisional();
        let event = match self.run_operation(operation).await {
            Ok(description) => ConnectionEvent::OperationDone(description),
            Err(error) => {
                if !is_failure_expected {
                    self.warn(&error);
                }
                ConnectionEvent::OperationFailed
            }
        };
        self.dispatch(event);
    }

    /// Errors of closing are not logged.
    pub(super) fn warn(&self, error: &JsValue) {
        if !self.state().is_closed() {
            browser::warn(&format!("call: {error:?}"));
        }
    }

    async fn read_packet_age(self: Rc<Self>, check: PathCheck) {
        let age = stats::millis_since_last_packet(&self.rtc).await;
        self.dispatch(ConnectionEvent::PacketAgeRead(check, age));
    }

    async fn sample_stats(self: Rc<Self>) {
        let sample =
            stats::sample_stats(&self.rtc, self.counters.get(), browser::monotonic_now()).await;
        let uplink = sample.as_ref().map(|sample| sample.uplink);
        self.dispatch(ConnectionEvent::UplinkMeasured(uplink));
        if let Some(sample) = sample.filter(|_| !self.state().is_closed()) {
            self.counters.set(sample.counters);
            (self.on_event)(PeerEvent::ConnectionQuality(sample.quality));
        }
    }

    pub(super) fn set_local_track(
        self: &Rc<Self>,
        slot: TrackSlot,
        track: Option<MediaStreamTrack>,
    ) {
        let mut tracks = self.local_tracks.borrow_mut();
        let former = std::mem::replace(&mut tracks[slot.index()], track);
        let is_changed = former != tracks[slot.index()];
        drop(tracks);
        if is_changed {
            self.dispatch(ConnectionEvent::LocalTrackChanged(slot));
        }
    }

    pub(super) fn local_track(&self, slot: TrackSlot) -> Option<MediaStreamTrack> {
        self.local_tracks.borrow()[slot.index()].clone()
    }

    /// Ordered as [`TrackSlot::ALL`].
    pub(super) fn transceivers(&self) -> Vec<RtcRtpTransceiver> {
        self.rtc
            .get_transceivers()
            .iter()
            .map(JsCast::unchecked_into)
            .collect()
    }

    fn attach_handlers(self: &Rc<Self>) {
        self.rtc
            .set_onicecandidate(Some(&self.event_handler(Self::on_ice_candidate)));
        self.rtc
            .set_onconnectionstatechange(Some(&self.event_handler(|connection, _| {
                let state = connection.rtc.connection_state();
                connection.dispatch(ConnectionEvent::ConnectionStateChanged(state.into()));
            })));
        self.rtc
            .set_ontrack(Some(&self.event_handler(Self::on_track)));
        self.media_state_channel
            .set_onopen(Some(&self.event_handler(|connection, _| {
                connection.dispatch(ConnectionEvent::MediaStateChannelOpened);
            })));
        self.media_state_channel
            .set_onmessage(Some(&self.event_handler(Self::on_media_state_message)));
        self.heartbeat_channel
            .set_onmessage(Some(&self.event_handler(|connection, _| {
                connection.dispatch(ConnectionEvent::HeartbeatReceived);
            })));
    }

    /// A strong reference would keep the connection alive.
    fn event_handler(
        self: &Rc<Self>,
        then: impl Fn(&Rc<Self>, &Event) + 'static,
    ) -> js_sys::Function {
        let weak = Rc::downgrade(self);
        let closure = Handler::new(move |event: Event| {
            if let Some(connection) = weak.upgrade()
                && !connection.state().is_closed()
            {
                then(&connection, &event);
            }
        });
        let function = closure.as_ref().unchecked_ref::<js_sys::Function>().clone();
        self.closures.borrow_mut().push(closure);
        function
    }

    fn on_ice_candidate(self: &Rc<Self>, event: &Event) {
        let event: &RtcPeerConnectionIceEvent = event.unchecked_ref();
        if let Some(candidate) = event.candidate() {
            self.dispatch(ConnectionEvent::CandidateGathered(IceCandidate {
                candidate: candidate.candidate(),
                sdp_mid: candidate.sdp_mid(),
                sdp_m_line_index: candidate.sdp_m_line_index(),
            }));
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

    fn send_media_state(&self, media_state: MediaState) {
        if let Ok(text) = serde_json::to_string(&media_state) {
            send_if_open(&self.media_state_channel, &text);
        }
    }

    fn send_local_description(&self) {
        if let Some(description) = self.rtc.local_description() {
            let sdp = description.sdp();
            let side = self.state().side();
            let signal = match side {
                Side::Caller => SignalingMessage::Offer { sdp },
                Side::Callee => SignalingMessage::Answer { sdp },
            };
            self.state.borrow_mut().record_sent_signal(&signal);
            (self.on_event)(PeerEvent::SendSignal(signal));
        }
    }

    /// Not awaited: the browser queues operations (WebRTC 1.0 section 4.4.1.2). Errors are ignored: without candidates,
    /// ICE fails by itself.
    fn add_candidate(&self, candidate: &IceCandidate) {
        let init = RtcIceCandidateInit::new(&candidate.candidate);
        init.set_sdp_mid(candidate.sdp_mid.as_deref());
        init.set_sdp_m_line_index(candidate.sdp_m_line_index);
        let added = self
            .rtc
            .add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&init));
        spawn_local(async move {
            let _ = JsFuture::from(added).await;
        });
    }

    fn close(&self) {
        self.rtc.set_onicecandidate(None);
        self.rtc.set_onconnectionstatechange(None);
        self.rtc.set_ontrack(None);
        self.media_state_channel.set_onopen(None);
        self.media_state_channel.set_onmessage(None);
        self.heartbeat_channel.set_onmessage(None);
        self.rtc.close();
        self.closures.borrow_mut().clear();
    }
}

impl From<RtcPeerConnectionState> for ConnectionState {
    fn from(state: RtcPeerConnectionState) -> Self {
        match state {
            RtcPeerConnectionState::Connected => Self::Connected,
            RtcPeerConnectionState::Disconnected => Self::Disconnected,
            RtcPeerConnectionState::Failed => Self::Failed,
            _ => Self::Inactive,
        }
    }
}

fn send_if_open(channel: &RtcDataChannel, text: &str) {
    if channel.ready_state() == RtcDataChannelState::Open {
        // The channel may have closed meanwhile.
        let _ = channel.send_with_str(text);
    }
}

fn negotiated_channel_init(id: u16) -> RtcDataChannelInit {
    let init = RtcDataChannelInit::new();
    init.set_negotiated(true);
    init.set_id(id);
    init
}
