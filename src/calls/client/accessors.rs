//! Read access to the calls of this page.

use super::{
    CallsClient,
    devices::Devices,
    peer::event::MediaState,
    peers::{PathState, PeerStatus, PeerStatuses, SOLE_PEER},
    ringer::Ringer,
    safety_code::SafetyCode,
    state::{ClientCallState, connection_quality::ConnectionQuality},
    transfer::state::FileTransfer,
};
use crate::model::call::{CallView, Seat, known_group_calls::KnownGroupCalls};
use leptos::prelude::*;
use web_sys::MediaStream;

impl CallsClient {
    /// The current state.
    #[must_use]
    pub fn state(&self) -> Signal<ClientCallState> {
        self.state.into()
    }

    /// Whether this browser can make calls. Known once the client is active.
    #[must_use]
    pub fn can_connect(&self) -> bool {
        self.machine
            .with_untracked(|machine| !machine.is_webrtc_missing)
    }

    /// A second call that rings.
    #[must_use]
    pub fn waiting_call(&self) -> Signal<Option<CallView>> {
        self.waiting_call.into()
    }

    /// Status of the peer at a seat; `None` if the seat has no peer.
    #[must_use]
    pub fn peer_status(&self, seat: Seat) -> Memo<Option<PeerStatus>> {
        let statuses = self.peer_statuses;
        Memo::new(move |_| statuses.with(|statuses| statuses.get(&seat).cloned()))
    }

    /// State of a two-party call's media path.
    #[must_use]
    pub fn path_state(&self) -> Signal<PathState> {
        let statuses = self.peer_statuses;
        let sole_path_state =
            move |statuses: &PeerStatuses| statuses.get(&SOLE_PEER).map(|status| status.path_state);
        Signal::derive(move || statuses.with(sole_path_state).unwrap_or_default())
    }

    /// The peer's media state in a two-party call, once reported.
    #[must_use]
    pub fn remote_media_state(&self) -> Signal<Option<MediaState>> {
        let statuses = self.peer_statuses;
        Signal::derive(move || statuses.with(|statuses| statuses.get(&SOLE_PEER)?.media_state))
    }

    /// Whether a participant of the group call is blocked: nothing of theirs is played, and nothing is sent to them. Tracked.
    #[must_use]
    pub fn is_blocked(&self, seat: Seat) -> bool {
        self.blocked_seats.with(|seats| seats.contains(&seat))
    }

    /// Connection quality of a two-party call, once measured.
    #[must_use]
    pub fn connection_quality(&self) -> Signal<Option<ConnectionQuality>> {
        let statuses = self.peer_statuses;
        Signal::derive(move || {
            statuses.with(|statuses| statuses.get(&SOLE_PEER)?.connection_quality.clone())
        })
    }

    /// Group calls in progress.
    #[must_use]
    pub fn group_calls(&self) -> Signal<KnownGroupCalls> {
        self.group_calls.into()
    }

    /// The active speaker, or the last one if still in the call.
    #[must_use]
    pub fn active_speaker(&self) -> Signal<Option<Seat>> {
        self.active_speaker.into()
    }

    /// Whether the video to any peer is paused.
    #[must_use]
    pub fn is_video_paused(&self) -> Signal<bool> {
        let statuses = self.peer_statuses;
        Signal::derive(move || {
            statuses.with(|statuses| statuses.values().any(|status| status.is_video_paused))
        })
    }

    /// The safety code of a two-party call, once connected.
    #[must_use]
    pub fn safety_code(&self) -> Signal<Option<SafetyCode>> {
        self.safety_code.into()
    }

    /// File transfers of the current or just ended call.
    #[must_use]
    pub fn transfers(&self) -> Signal<Vec<FileTransfer>> {
        self.transfers.into()
    }

    /// The latest error of the current call.
    #[must_use]
    pub fn error_message(&self) -> Signal<Option<String>> {
        self.error_message.into()
    }

    /// Incremented when a call of this person ends.
    #[must_use]
    pub fn ended_count(&self) -> Signal<u32> {
        self.ended_count.into()
    }

    /// The devices of this page.
    #[must_use]
    pub fn devices(&self) -> Devices {
        self.devices
    }

    /// The ringer of this page.
    #[must_use]
    pub fn ringer(&self) -> Ringer {
        self.ringer
    }

    /// Whether the server is reachable.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.socket.is_connected()
    }

    // Not `.clone()`: JavaScript's `MediaStream.clone` clones the tracks too.

    /// The peer's audio. Browser only.
    #[must_use]
    pub fn remote_audio(&self, seat: Seat) -> Option<MediaStream> {
        let peer = self.peer(seat).filter(|_| !self.is_blocked(seat));
        peer.map(|peer| Clone::clone(peer.remote_audio()))
    }

    /// The peer's camera video. Browser only.
    #[must_use]
    pub fn remote_video(&self, seat: Seat) -> Option<MediaStream> {
        let peer = self.peer(seat).filter(|_| !self.is_blocked(seat));
        peer.map(|peer| Clone::clone(peer.remote_video()))
    }

    /// The peer's screen video. Browser only.
    #[must_use]
    pub fn remote_screen(&self, seat: Seat) -> Option<MediaStream> {
        let peer = self.peer(seat).filter(|_| !self.is_blocked(seat));
        peer.map(|peer| Clone::clone(peer.remote_screen()))
    }
}
