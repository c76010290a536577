//! The table of peers of a call: status and connection by seat. A two-party call has one peer, at [`SOLE_PEER`].

use super::{
    peer::{Peer, event::MediaState},
    state::connection_quality::ConnectionQuality,
};
use crate::model::{
    CallId,
    call::{Seat, Side},
};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// The seat of the peer in a two-party call.
pub const SOLE_PEER: Seat = Seat(0);

pub use super::state::recovery::PathState;

/// The status of one peer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PeerStatus {
    /// State of the media path.
    pub path_state: PathState,
    /// What the peer reports to send; `None` before its first report.
    pub media_state: Option<MediaState>,
    /// Measured connection quality; `None` without a connection.
    pub connection_quality: Option<ConnectionQuality>,
    /// Incremented when a track of the peer is added.
    pub tracks_version: u32,
    /// Whether video to this peer is paused to protect the audio.
    pub is_video_paused: bool,
}

/// The status of all peers, by seat.
pub type PeerStatuses = BTreeMap<Seat, PeerStatus>;

/// The peer connections of one call.
#[derive(Default)]
struct PeerTable {
    call_id: Option<CallId>,
    by_seat: BTreeMap<Seat, Rc<Peer>>,
}

thread_local! {
    /// Outside the reactive graph, because it holds browser handles. Unused on the server.
    static PEERS: RefCell<PeerTable> = RefCell::default();
}

/// The peers that the state requires: by seat, the side that this page takes.
pub(super) type WantedPeers = BTreeMap<Seat, Side>;

/// Removes the peers that are not wanted. Returns the removed seats and the missing peers to create.
pub(super) fn reconcile(
    call: Option<CallId>,
    wanted: &WantedPeers,
) -> (Vec<Seat>, Vec<(Seat, Side)>) {
    // Removed peers are dropped after the borrow ends, because their events may access the table.
    let (removed, missing) = PEERS.with_borrow_mut(|peers| {
        let same = peers.call_id == call;
        let mut gone = BTreeMap::new();
        let mut kept_peers = BTreeMap::new();
        for (seat, peer) in std::mem::take(&mut peers.by_seat) {
            if same && wanted.contains_key(&seat) {
                kept_peers.insert(seat, peer);
            } else {
                gone.insert(seat, peer);
            }
        }
        let missing = wanted
            .iter()
            .filter(|(seat, _)| !kept_peers.contains_key(*seat))
            .map(|(seat, side)| (*seat, *side))
            .collect();
        peers.call_id = call;
        peers.by_seat = kept_peers;
        (gone, missing)
    });
    (removed.into_keys().collect(), missing)
}

/// Adds a connection.
pub(super) fn insert(seat: Seat, peer: Peer) {
    PEERS.with_borrow_mut(|peers| peers.by_seat.insert(seat, Rc::new(peer)));
}

/// The connection at a seat of the current call.
pub(super) fn find(seat: Seat) -> Option<Rc<Peer>> {
    PEERS.with_borrow(|peers| peers.by_seat.get(&seat).cloned())
}

/// The connection at a seat, if this is the current call.
pub(super) fn find_in_call(call: CallId, seat: Seat) -> Option<Rc<Peer>> {
    PEERS.with_borrow(|peers| {
        let peers = Some(peers).filter(|peers| peers.call_id == Some(call))?;
        peers.by_seat.get(&seat).cloned()
    })
}

/// All connections, by seat.
pub(super) fn all() -> Vec<(Seat, Rc<Peer>)> {
    PEERS.with_borrow(|peers| {
        let all = peers.by_seat.iter();
        all.map(|(seat, peer)| (*seat, peer.clone())).collect()
    })
}

/// The call that the connections belong to.
pub(super) fn call_id() -> Option<CallId> {
    PEERS.with_borrow(|peers| peers.call_id)
}
