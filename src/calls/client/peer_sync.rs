//! Synchronizes the peer connections with the call state, and handles their events.

use super::{
    CallsClient,
    peer::{Peer, event::PeerEvent},
    peers::{PathState, PeerStatus, SOLE_PEER, WantedPeers},
    safety_code::SafetyCode,
    state::{
        ActiveGroupCall, ClientCallState,
        active_speaker::{self, ActiveSpeaker},
        video_adaptation::VideoQuality,
    },
    transfer::{self, state::TransferDirection},
};
use crate::{
    model::{
        CallId,
        call::{ClientAction, IceServer, Seat, Side, group::Participation},
    },
    ui::browser,
};
use leptos::prelude::*;
use std::rc::Rc;
use wasm_bindgen_futures::spawn_local;
use web_sys::{File, RtcIceTransportPolicy};

impl CallsClient {
    pub(super) fn peer(self, seat: Seat) -> Option<Rc<Peer>> {
        self.peers.with_or_default(|peers| peers.find(seat))
    }

    pub(super) fn peer_in_call(self, call: CallId, seat: Seat) -> Option<Rc<Peer>> {
        self.peers
            .with_or_default(|peers| peers.find_in_call(call, seat))
    }

    pub(super) fn all_peers(self) -> Vec<(Seat, Rc<Peer>)> {
        self.peers.with_or_default(|peers| peers.all())
    }

    /// Offers a file to the peer. Browser only.
    pub fn offer_file(self, file: File) {
        if let Some(peer) = self.peer(SOLE_PEER) {
            peer.file_transfers().offer_file(file);
        }
    }

    /// Accepts an offered file. Browser only.
    pub fn accept_file(self, id: u32) {
        if let Some(peer) = self.peer(SOLE_PEER) {
            peer.file_transfers().accept(id);
        }
    }

    /// Declines or withdraws a file, or removes a finished one. Browser only.
    pub fn cancel_or_dismiss_file(self, direction: TransferDirection, id: u32) {
        let is_over = self.transfers.with_untracked(|files| {
            let file = files
                .iter()
                .find(|file| (file.direction, file.id) == (direction, id));
            file.is_none_or(|file| file.phase.is_finished())
        });
        match self.peer(SOLE_PEER) {
            Some(peer) if is_over => peer.file_transfers().dismiss(direction, id),
            Some(peer) => peer.file_transfers().cancel(direction, id),
            None => self.transfers.update(|files| {
                for file in
                    files.extract_if(.., |file| (file.direction, file.id) == (direction, id))
                {
                    transfer::revoke_object_url(&file);
                }
            }),
        }
    }

    pub(super) fn discard_transfers(self) {
        for file in self.transfers.get_untracked() {
            transfer::revoke_object_url(&file);
        }
        self.transfers.set(Vec::new());
    }

    pub(super) fn sync_peers(self, state: &ClientCallState) {
        let (call, wanted, servers) = wanted_peers(state);
        let is_new = self.peers.with_or_default(|peers| peers.call_id()) != call;
        // Dropped after the borrow: a removed peer's events may access the table.
        let (removed, missing) = self
            .peers
            .with_or_default(|peers| peers.reconcile(call, &wanted));
        let removed: Vec<Seat> = removed.into_keys().collect();
        if is_new {
            self.safety_code.set(None);
            self.active_speaker.set(None);
            if call.is_some() {
                self.discard_transfers();
            }
        }
        if !removed.is_empty() || !missing.is_empty() {
            self.peer_statuses.update(|statuses| {
                statuses.retain(|seat, _| wanted.contains_key(seat) && !removed.contains(seat));
                statuses.extend(
                    missing
                        .iter()
                        .map(|(seat, _)| (*seat, PeerStatus::default())),
                );
            });
        }
        if let Some(call) = call {
            for (seat, side) in &missing {
                self.create_peer(call, *seat, *side, &servers);
            }
        }
        if !removed.is_empty() || !missing.is_empty() {
            self.peers_version
                .update(|version| *version = version.wrapping_add(1));
        }
        if state.answered_call().is_some() || state.active_group_call().is_some() {
            // In a group call, every page encodes its video once per peer.
            let max_quality = VideoQuality::for_peer_count(wanted.len());
            for (_, peer) in self.all_peers() {
                peer.start_connecting(&servers);
                peer.set_max_video_quality(max_quality);
            }
        }
        if is_new && state.active_group_call().is_some() {
            self.poll_active_speaker(call, ActiveSpeaker::default());
        }
    }

    fn create_peer(self, call: CallId, seat: Seat, side: Side, servers: &[IceServer]) {
        let relay_only = self.settings.with_untracked(|settings| settings.relay_only);
        let policy = if relay_only {
            RtcIceTransportPolicy::Relay
        } else {
            RtcIceTransportPolicy::All
        };
        match Peer::new(side, servers, policy, move |event| {
            self.on_peer_event(call, seat, event);
        }) {
            Ok(peer) => drop(self.peers.with_or_default(|peers| peers.insert(seat, peer))),
            Err(error) => {
                browser::warn(&format!("call: {error:?}"));
                let reason = "This browser cannot make calls. Use a current browser, or ask the administrator of this site to check the \
                              ICE servers.";
                self.error_message.set(Some(reason.to_owned()));
            }
        }
    }

    fn poll_active_speaker(self, call: Option<CallId>, mut speaker: ActiveSpeaker) {
        if self.peers.with_or_default(|peers| peers.call_id()) != call
            || self
                .state
                .with_untracked(|state| state.active_group_call().is_none())
        {
            return;
        }
        let blocked = self.blocked_seats.get_untracked();
        let levels: Vec<_> = self
            .all_peers()
            .into_iter()
            .filter(|(seat, _)| !blocked.contains(seat))
            .map(|(seat, peer)| (seat, peer.audio_level().unwrap_or(0.0)))
            .collect();
        speaker.update(&levels, browser::monotonic_now());
        if speaker.seat() != self.active_speaker.get_untracked() {
            self.active_speaker.set(speaker.seat());
        }
        browser::run_after(active_speaker::SPEAKER_POLL_INTERVAL, move || {
            self.poll_active_speaker(call, speaker);
        });
    }

    fn on_peer_event(self, call: CallId, seat: Seat, event: PeerEvent) {
        let is_two_party = seat == SOLE_PEER;
        match event {
            PeerEvent::SendSignal(signal) => {
                let to = Some(seat).filter(|_| !is_two_party);
                self.send_action(call, ClientAction::Signal { signal, to });
            }
            PeerEvent::Disconnected => self.socket.retry_on_hint(),
            PeerEvent::Connected => {
                self.socket.retry_on_hint();
                self.update_peer_status(seat, |status| status.path_state = PathState::Connected);
                self.error_message.set(None);
                if is_two_party {
                    self.compute_safety_code(call);
                    self.report_connected(call);
                }
            }
            PeerEvent::Lost => {
                self.update_peer_status(seat, |status| status.path_state = PathState::Lost);
                self.socket.probe();
                // In a group call, this requests fresh ICE credentials.
                if !is_two_party || self.answered_call_id() == Some(call) {
                    self.send_action(call, ClientAction::Disconnected);
                }
            }
            PeerEvent::TrackAdded => self.update_peer_status(seat, |status| {
                status.tracks_version = status.tracks_version.wrapping_add(1);
            }),
            PeerEvent::RemoteMediaState(media_state) => {
                self.update_peer_status(seat, |status| status.media_state = Some(media_state));
            }
            PeerEvent::ConnectionQuality(quality) => {
                self.update_peer_status(seat, |status| status.connection_quality = Some(quality));
            }
            PeerEvent::VideoQuality(video_quality) => {
                self.update_peer_status(seat, |status| {
                    status.is_video_paused = video_quality == VideoQuality::Paused;
                });
            }
            PeerEvent::TransfersChanged(files) => {
                if is_two_party {
                    self.transfers.set(files);
                }
            }
            // While the acceptance is unconfirmed, the cause is the missing server, not the path.
            PeerEvent::Error(_) if is_two_party && self.is_answering(call) => {}
            // In a group call, the others continue without an unreachable peer.
            PeerEvent::Error(reason) if is_two_party => {
                self.error_message.set(Some(reason.to_owned()));
            }
            PeerEvent::Error(_) => {
                self.update_peer_status(seat, |status| status.path_state = PathState::Lost);
            }
        }
    }

    fn update_peer_status(self, seat: Seat, change: impl FnOnce(&mut PeerStatus)) {
        self.peer_statuses.update(|statuses| {
            if let Some(status) = statuses.get_mut(&seat) {
                change(status);
            }
        });
    }

    /// `None` until the server confirms who answered.
    pub(super) fn answered_call_id(self) -> Option<CallId> {
        self.state
            .with_untracked(|state| state.answered_call().map(|view| view.id))
    }

    pub(super) fn is_answering(self, call: CallId) -> bool {
        self.state.with_untracked(
            |state| matches!(state, ClientCallState::Answering(view) if view.id == call),
        )
    }

    /// A path found before the server confirms the answer is reported afterwards.
    pub(super) fn report_connected(self, call: CallId) {
        if self.answered_call_id() == Some(call)
            && self.path_action(call) == ClientAction::Connected
        {
            self.send_action(call, ClientAction::Connected);
            self.schedule_retransmit();
        }
    }

    fn compute_safety_code(self, call: CallId) {
        let peer = self.peer_in_call(call, SOLE_PEER);
        let Some((local, remote)) = peer.and_then(|peer| peer.session_descriptions()) else {
            return;
        };
        spawn_local(async move {
            let code = SafetyCode::from_descriptions(&local, &remote).await;
            if self.peer_in_call(call, SOLE_PEER).is_some() {
                self.safety_code.set(code);
            }
        });
    }
}

fn wanted_peers(state: &ClientCallState) -> (Option<CallId>, WantedPeers, Vec<IceServer>) {
    if let Some(ActiveGroupCall { view, seat, .. }) = state.active_group_call() {
        let seats = view.participants.iter().map(|member| member.seat);
        let others = seats.filter(|other| other != seat).map(|other| {
            // The later participant is the caller.
            let side = if *seat > other {
                Side::Caller
            } else {
                Side::Callee
            };
            (other, side)
        });
        let servers = match &view.participation {
            Some(Participation::In { ice_servers, .. }) => ice_servers.clone(),
            Some(Participation::Out) | None => Vec::new(),
        };
        return (Some(view.id), others.collect(), servers);
    }
    match state.call_to_connect() {
        Some(view) => {
            let side_servers = view.rtc_config.as_ref().map(|config| &config.ice_servers);
            let servers = side_servers.or(view.ice_servers.as_ref());
            let sole_peer = WantedPeers::from([(SOLE_PEER, view.side)]);
            (
                Some(view.id),
                sole_peer,
                servers.cloned().unwrap_or_default(),
            )
        }
        None => (None, WantedPeers::new(), Vec::new()),
    }
}
