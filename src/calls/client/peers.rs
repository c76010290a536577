//! The others of a call: what is known of each, and the connection to each. A call between two has one of them.

use super::{
    peer::{MediaState, Peer},
    stats::ConnectionQuality,
};
use crate::model::{
    CallId,
    call::{Seat, Side},
};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// The place of the other one in a call between two.
pub const SOLE_PEER: Seat = Seat(0);

/// The state of the media path to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PathState {
    /// ICE has found none yet.
    #[default]
    Connecting,
    /// Media flows.
    Connected,
    /// It was lost; ICE restarts until it recovers.
    Lost,
}

/// What this page knows of one of the others.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PeerStatus {
    /// How the path to them stands.
    pub path_state: PathState,
    /// What they say that they send; none before they said so.
    pub media_state: Option<MediaState>,
    /// How good the connection is; none while there is none.
    pub connection_quality: Option<ConnectionQuality>,
    /// Changes when there is something new to see or hear of them.
    pub tracks_version: u32,
    /// This page's picture is not sent to them for now, to keep the sound.
    pub is_video_paused: bool,
}

/// What is known of all of them.
pub type PeerStatuses = BTreeMap<Seat, PeerStatus>;

/// The connections of a call.
#[derive(Default)]
struct PeerTable {
    call_id: Option<CallId>,
    by_seat: BTreeMap<Seat, Rc<Peer>>,
}

thread_local! {
    /// Lives outside the reactive graph, because it holds handles of the browser, and is never touched on the server.
    static PEERS: RefCell<PeerTable> = RefCell::default();
}

/// With whom there has to be a connection: at which place, and which side of it is this page's.
pub(super) type WantedPeers = BTreeMap<Seat, Side>;

/// Which connections are to be made so that there is one to everybody who is wanted. Those that are not are closed.
pub(super) fn reconcile(
    call: Option<CallId>,
    wanted: &WantedPeers,
) -> (Vec<Seat>, Vec<(Seat, Side)>) {
    // What is closed may have a last word: it must not find this locked.
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

/// A connection was made.
pub(super) fn insert(seat: Seat, peer: Peer) {
    PEERS.with_borrow_mut(|peers| peers.by_seat.insert(seat, Rc::new(peer)));
}

/// The connection to somebody, in whichever call there is.
pub(super) fn find(seat: Seat) -> Option<Rc<Peer>> {
    PEERS.with_borrow(|peers| peers.by_seat.get(&seat).cloned())
}

/// The connection to somebody in this call.
pub(super) fn find_in_call(call: CallId, seat: Seat) -> Option<Rc<Peer>> {
    PEERS.with_borrow(|peers| {
        let peers = Some(peers).filter(|peers| peers.call_id == Some(call))?;
        peers.by_seat.get(&seat).cloned()
    })
}

/// All connections, each with the place of who is at its other end.
pub(super) fn all() -> Vec<(Seat, Rc<Peer>)> {
    PEERS.with_borrow(|peers| {
        let all = peers.by_seat.iter();
        all.map(|(seat, peer)| (*seat, peer.clone())).collect()
    })
}

/// The call that there are connections for.
pub(super) fn call_id() -> Option<CallId> {
    PEERS.with_borrow(|peers| peers.call_id)
}
