//! What can be seen of the calls of this page.

use super::{
    CallsClient,
    devices::Devices,
    peer::MediaState,
    peers::{self, PathState, PeerStatus, PeerStatuses, SOLE_PEER},
    safety_code::SafetyCode,
    state::ClientCallState,
    stats::ConnectionQuality,
    transfer::state::FileTransfer,
};
use crate::model::call::{CallView, Seat, known_group_calls::KnownGroupCalls};
use leptos::prelude::*;
use web_sys::MediaStream;

impl CallsClient {
    /// What is shown.
    #[must_use]
    pub fn state(&self) -> Signal<ClientCallState> {
        self.state.into()
    }

    /// Somebody who calls beside what is shown.
    #[must_use]
    pub fn waiting_call(&self) -> Signal<Option<CallView>> {
        self.waiting_call.into()
    }

    /// What is known of one of the others; nothing while they are not there.
    #[must_use]
    pub fn peer_status(&self, seat: Seat) -> Memo<Option<PeerStatus>> {
        let statuses = self.peer_statuses;
        Memo::new(move |_| statuses.with(|others| others.get(&seat).cloned()))
    }

    /// How the path to the other page of a call between two stands.
    #[must_use]
    pub fn path_state(&self) -> Signal<PathState> {
        let statuses = self.peer_statuses;
        let sole_path_state =
            move |others: &PeerStatuses| others.get(&SOLE_PEER).map(|status| status.path_state);
        Signal::derive(move || statuses.with(sole_path_state).unwrap_or_default())
    }

    /// What the other page of a call between two says that it sends; none before it said so.
    #[must_use]
    pub fn remote_media_state(&self) -> Signal<Option<MediaState>> {
        let statuses = self.peer_statuses;
        Signal::derive(move || statuses.with(|others| others.get(&SOLE_PEER)?.media_state))
    }

    /// How good the connection of a call between two is; none while there is none.
    #[must_use]
    pub fn connection_quality(&self) -> Signal<Option<ConnectionQuality>> {
        let statuses = self.peer_statuses;
        Signal::derive(move || {
            statuses.with(|others| others.get(&SOLE_PEER)?.connection_quality.clone())
        })
    }

    /// Calls that go on in rooms.
    #[must_use]
    pub fn group_calls(&self) -> Signal<KnownGroupCalls> {
        self.group_calls.into()
    }

    /// Who speaks, or spoke last, in a group call; nobody before anybody did.
    #[must_use]
    pub fn active_speaker(&self) -> Signal<Option<Seat>> {
        self.active_speaker.into()
    }

    /// Whether the camera's picture is not sent to somebody for now, to keep the sound.
    #[must_use]
    pub fn is_video_paused(&self) -> Signal<bool> {
        let statuses = self.peer_statuses;
        Signal::derive(move || {
            statuses.with(|others| others.values().any(|status| status.is_video_paused))
        })
    }

    /// What both can compare to know that nobody is between them; none before they are connected.
    #[must_use]
    pub fn safety_code(&self) -> Signal<Option<SafetyCode>> {
        self.safety_code.into()
    }

    /// Files of this call, or of the one that just ended.
    #[must_use]
    pub fn transfers(&self) -> Signal<Vec<FileTransfer>> {
        self.transfers.into()
    }

    /// What went wrong last in the call that is shown, in words.
    #[must_use]
    pub fn error_message(&self) -> Signal<Option<String>> {
        self.error_message.into()
    }

    /// Changes when a call of this person has ended.
    #[must_use]
    pub fn ended_count(&self) -> Signal<u32> {
        self.ended_count.into()
    }

    /// Microphone and camera.
    #[must_use]
    pub fn devices(&self) -> Devices {
        self.devices
    }

    /// Whether the server can be reached.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.socket.is_connected()
    }

    // Not `.clone()`, which JavaScript has as well: it makes a second stream of second tracks.

    /// What is heard of one of the others. Browser only.
    #[must_use]
    pub fn remote_audio(&self, seat: Seat) -> Option<MediaStream> {
        peers::find(seat).map(|peer| Clone::clone(peer.remote_audio()))
    }

    /// What is seen of one of the others. Browser only.
    #[must_use]
    pub fn remote_video(&self, seat: Seat) -> Option<MediaStream> {
        peers::find(seat).map(|peer| Clone::clone(peer.remote_video()))
    }

    /// The screen that one of the others shares. Browser only.
    #[must_use]
    pub fn remote_screen(&self, seat: Seat) -> Option<MediaStream> {
        peers::find(seat).map(|peer| Clone::clone(peer.remote_screen()))
    }
}
