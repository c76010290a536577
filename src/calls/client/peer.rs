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
//! | module | contents |
//! |---|---|
//! | [`configuration`] | ICE servers of a connection |
//! | `connection` | the shell: translates browser events and executes effects |
//! | `encoder` | encoders of camera and screen, priority of audio |
//! | [`event`] | what a peer reports to the client |
//! | `operations` | asynchronous operations of the browser: descriptions and tracks |
//! | [`state`] | decides everything: takes events, returns effects |

pub(super) mod configuration;
mod connection;
mod encoder;
pub(super) mod event;
mod operations;
pub(super) mod state;

use super::{
    state::video_adaptation::VideoQuality, track_slot::TrackSlot, transfer::FileTransfers,
};
use crate::model::call::{IceServer, Side, SignalingMessage};
use connection::Connection;
use event::{MediaState, PeerEvent};
use js_sys::{Array, Reflect};
use state::interface::ConnectionEvent;
use std::rc::Rc;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MediaStream, MediaStreamTrack};

/// The connection to another page. Closed on drop.
pub(super) struct Peer {
    connection: Rc<Connection>,
}

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
        let connection = Connection::open(side, ice_servers, Box::new(on_event))?;
        Ok(Self { connection })
    }

    /// Queues a signaling message of the other page.
    pub(super) fn receive_signal(&self, signal: SignalingMessage) {
        self.connection
            .dispatch(ConnectionEvent::SignalReceived(signal));
    }

    /// Sets or clears the local track of a slot.
    pub(super) fn set_track(&self, slot: TrackSlot, track: Option<MediaStreamTrack>) {
        self.connection.set_local_track(slot, track);
    }

    /// Limits the quality of the camera's video.
    pub(super) fn set_max_video_quality(&self, max_quality: VideoQuality) {
        self.connection
            .dispatch(ConnectionEvent::MaxVideoQualityChanged(max_quality));
    }

    /// Sends the local media state to the peer.
    pub(super) fn send_media_state(&self, media_state: MediaState) {
        self.connection
            .dispatch(ConnectionEvent::LocalMediaStateChanged(media_state));
    }

    /// Replaces the ICE servers, whose credentials may have expired. They take effect at the next ICE restart.
    pub(super) fn renew_ice_servers(&self, servers: &[IceServer]) {
        self.connection
            .dispatch(ConnectionEvent::IceServersReceived(servers.to_vec()));
    }

    /// Marks the call as answered and starts connecting with these servers. Idempotent.
    pub(super) fn start_connecting(&self, servers: &[IceServer]) {
        self.connection
            .dispatch(ConnectionEvent::Answered(servers.to_vec()));
    }

    /// Sends the provisional answer, because the ringing page is visible.
    pub(super) fn send_pranswer(&self) {
        self.connection.dispatch(ConnectionEvent::PageShown);
    }

    /// Handles a restored server connection: signals may be lost, and the network may have changed.
    pub(super) fn on_signaling_restored(&self) {
        self.connection.dispatch(ConnectionEvent::SignalingRestored);
    }

    /// Whether the path is connected and heartbeats arrive.
    pub(super) fn is_path_alive(&self) -> bool {
        self.connection.state().is_path_alive()
    }

    /// Audio received from the peer.
    pub(super) fn remote_audio(&self) -> &MediaStream {
        &self.connection.remote_audio
    }

    /// Camera video received from the peer.
    pub(super) fn remote_video(&self) -> &MediaStream {
        &self.connection.remote_video
    }

    /// Screen video received from the peer.
    pub(super) fn remote_screen(&self) -> &MediaStream {
        &self.connection.remote_screen
    }

    /// Audio level of the peer, from 0 to 1; `None` without audio or browser support (WebRTC 1.0 section 5.3).
    pub(super) fn audio_level(&self) -> Option<f64> {
        let transceivers = self.connection.transceivers();
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
        &self.connection.file_transfers
    }

    /// The SDP of the local and the remote description; `None` before both are set.
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
        // Before the state is closed, so that the client is told of the transfers that stop.
        self.connection.file_transfers.close();
        self.connection.dispatch(ConnectionEvent::Closed);
    }
}
