//! An `RTCPeerConnection` to another page, with its channels, tracks and timers (WebRTC 1.0, RFC 8829).
//!
//! Only the caller, the impolite peer of perfect negotiation, makes offers; the callee requests an ICE restart with
//! [`SignalingMessage::RestartIce`]. When both sides restarted independently, some calls recovered on one side only.
//!
//! Every [`TrackSlot`] has a `sendrecv` transceiver from the first offer on, so adding a camera or screen needs no
//! renegotiation.

pub(super) mod configuration;
mod connection;
mod encoder;
pub(super) mod event;
mod operations;
pub(super) mod state;

use super::{
    state::video_adaptation::VideoQuality, track_slot::TrackSlot, transfer::FileTransfers,
};
use crate::{
    model::call::{IceServer, Side, SignalingMessage},
    ui::browser_apis,
};
use connection::Connection;
use event::{MediaState, PeerEvent};
use js_sys::{Array, Reflect};
use state::interface::ConnectionEvent;
use std::rc::Rc;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MediaStream, MediaStreamTrack, RtcIceTransportPolicy};

pub(super) struct Peer {
    connection: Rc<Connection>,
}

impl Peer {
    /// Fails if the browser has no WebRTC or rejects the configuration.
    pub(super) fn new(
        side: Side,
        ice_servers: &[IceServer],
        policy: RtcIceTransportPolicy,
        on_event: impl Fn(PeerEvent) + 'static,
    ) -> Result<Self, JsValue> {
        let connection = Connection::open(side, ice_servers, policy, Box::new(on_event))?;
        Ok(Self { connection })
    }

    pub(super) fn receive_signal(&self, signal: SignalingMessage) {
        self.connection
            .dispatch(ConnectionEvent::SignalReceived(signal));
    }

    pub(super) fn set_track(&self, slot: TrackSlot, track: Option<MediaStreamTrack>) {
        self.connection.set_local_track(slot, track);
    }

    pub(super) fn set_max_video_quality(&self, max_quality: VideoQuality) {
        self.connection
            .dispatch(ConnectionEvent::MaxVideoQualityChanged(max_quality));
    }

    pub(super) fn send_media_state(&self, media_state: MediaState) {
        self.connection
            .dispatch(ConnectionEvent::LocalMediaStateChanged(media_state));
    }

    pub(super) fn renew_ice_servers(&self, servers: &[IceServer]) {
        self.connection
            .dispatch(ConnectionEvent::IceServersReceived(servers.to_vec()));
    }

    pub(super) fn start_connecting(&self, servers: &[IceServer]) {
        self.connection
            .dispatch(ConnectionEvent::Answered(servers.to_vec()));
    }

    pub(super) fn send_pranswer(&self) {
        self.connection.dispatch(ConnectionEvent::PageShown);
    }

    pub(super) fn on_signaling_restored(&self) {
        self.connection.dispatch(ConnectionEvent::SignalingRestored);
    }

    pub(super) fn is_path_alive(&self) -> bool {
        self.connection.state().is_path_alive()
    }

    pub(super) fn remote_audio(&self) -> &MediaStream {
        &self.connection.remote_audio
    }

    pub(super) fn remote_video(&self) -> &MediaStream {
        &self.connection.remote_video
    }

    pub(super) fn remote_screen(&self) -> &MediaStream {
        &self.connection.remote_screen
    }

    /// From 0 to 1; `None` without audio or browser support (WebRTC 1.0 section 5.3).
    pub(super) fn audio_level(&self) -> Option<f64> {
        let transceivers = self.connection.transceivers();
        let receiver = transceivers.get(TrackSlot::Microphone.index())?.receiver();
        let sources = browser_apis::call(&receiver, "getSynchronizationSources", &[])?;
        let sources: Array = sources.dyn_into().ok()?;
        Reflect::get(&sources.get(0), &"audioLevel".into())
            .ok()?
            .as_f64()
    }

    pub(super) fn file_transfers(&self) -> &FileTransfers {
        &self.connection.file_transfers
    }

    /// `None` before both descriptions are set.
    pub(super) fn session_descriptions(&self) -> Option<(String, String)> {
        let rtc = &self.connection.rtc;
        Some((
            rtc.local_description()?.sdp(),
            rtc.remote_description()?.sdp(),
        ))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // First, so that the client is told of stopped transfers.
        self.connection.file_transfers.close();
        self.connection.dispatch(ConnectionEvent::Closed);
    }
}
