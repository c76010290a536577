//! The peers of a call by seat.

pub use super::state::recovery::PathState;

use super::{
    peer::{Peer, event::MediaState},
    state::connection_quality::ConnectionQuality,
};
use crate::model::{
    CallId,
    call::{Seat, Side},
};
use std::{collections::BTreeMap, rc::Rc};

/// The seat of the peer in a two-party call.
pub const SOLE_PEER: Seat = Seat(0);

/// Status of one peer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PeerStatus {
    pub path_state: PathState,
    /// `None` before its first report.
    pub media_state: Option<MediaState>,
    pub connection_quality: Option<ConnectionQuality>,
    /// Incremented when the peer adds a track.
    pub tracks_version: u32,
    /// Video to this peer is paused.
    pub is_video_paused: bool,
}

/// All peers, by seat.
pub type PeerStatuses = BTreeMap<Seat, PeerStatus>;

/// By seat, the side of this page.
pub(super) type WantedPeers = BTreeMap<Seat, Side>;

pub(super) struct PeerTable<P = Peer> {
    call_id: Option<CallId>,
    by_seat: BTreeMap<Seat, Rc<P>>,
}

impl<P> Default for PeerTable<P> {
    fn default() -> Self {
        Self {
            call_id: None,
            by_seat: BTreeMap::new(),
        }
    }
}

impl<P> PeerTable<P> {
    /// Returns the removed peers, and the missing ones.
    pub(super) fn reconcile(
        &mut self,
        call: Option<CallId>,
        wanted: &WantedPeers,
    ) -> (BTreeMap<Seat, Rc<P>>, Vec<(Seat, Side)>) {
        let is_same_call = self.call_id == call;
        let (remaining, removed) = std::mem::take(&mut self.by_seat)
            .into_iter()
            .partition(|(seat, _)| is_same_call && wanted.contains_key(seat));
        self.call_id = call;
        self.by_seat = remaining;
        let missing = wanted
            .iter()
            .filter(|(seat, _)| !self.by_seat.contains_key(*seat))
            .map(|(seat, side)| (*seat, *side))
            .collect();
        (removed, missing)
    }

    /// Returns the former peer, to be dropped outside the table.
    pub(super) fn insert(&mut self, seat: Seat, peer: P) -> Option<Rc<P>> {
        self.by_seat.insert(seat, Rc::new(peer))
    }

    pub(super) fn find(&self, seat: Seat) -> Option<Rc<P>> {
        self.by_seat.get(&seat).cloned()
    }

    pub(super) fn find_in_call(&self, call: CallId, seat: Seat) -> Option<Rc<P>> {
        self.find(seat).filter(|_| self.call_id == Some(call))
    }

    pub(super) fn all(&self) -> Vec<(Seat, Rc<P>)> {
        let all = self.by_seat.iter();
        all.map(|(seat, peer)| (*seat, peer.clone())).collect()
    }

    pub(super) fn call_id(&self) -> Option<CallId> {
        self.call_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn call(n: u128) -> CallId {
        CallId(Uuid::from_u128(n))
    }

    fn wanted(seats: &[u32]) -> WantedPeers {
        let seats = seats.iter();
        seats.map(|seat| (Seat(*seat), Side::Caller)).collect()
    }

    fn create_missing(table: &mut PeerTable<u32>, call: CallId, seats: &[u32]) -> Vec<u32> {
        let (removed, missing) = table.reconcile(Some(call), &wanted(seats));
        for (seat, _) in missing {
            assert!(table.insert(seat, seat.0).is_none());
        }
        removed.into_keys().map(|seat| seat.0).collect()
    }

    #[test]
    fn peers_come_and_go_with_the_participants_and_all_with_the_call() {
        let mut table = PeerTable::default();
        assert!(create_missing(&mut table, call(1), &[1, 2]).is_empty());
        let former = table.find(Seat(2)).unwrap();
        assert_eq!(create_missing(&mut table, call(1), &[2, 3]), [1]);
        assert!(Rc::ptr_eq(&table.find(Seat(2)).unwrap(), &former));
        assert_eq!(create_missing(&mut table, call(2), &[2]), [2, 3]);
        assert!(!Rc::ptr_eq(&table.find(Seat(2)).unwrap(), &former));
        assert_eq!(table.reconcile(None, &wanted(&[])).0.len(), 1);
        assert!(table.all().is_empty() && table.call_id().is_none());
    }

    #[test]
    fn a_signal_for_a_former_call_finds_no_connection() {
        let mut table = PeerTable::default();
        create_missing(&mut table, call(1), &[0]);
        create_missing(&mut table, call(2), &[0]);
        assert!(table.find_in_call(call(1), SOLE_PEER).is_none());
        assert!(table.find_in_call(call(2), SOLE_PEER).is_some());
        assert!(table.find_in_call(call(2), Seat(5)).is_none());
    }
}
