//! Numbers of messages, by which a receiver notices a loss.

use super::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Receivers of a message. Each channel has its own numbers, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    AllNodes,
    ThisNode,
}

/// How many messages a node has sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SentCounts {
    #[serde(default)]
    all: u64,
    #[serde(default)]
    nodes: BTreeMap<NodeId, u64>,
    /// The highest count of a forgotten node. A node that comes back is counted on from here, so that it still notices a loss.
    #[serde(default)]
    forgotten: u64,
}

/// Numbers of the last messages from one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceivedCounts {
    /// None before the first message.
    all: Option<u64>,
    own: Option<u64>,
    /// Sent to this node, as of the last heartbeat.
    announced: u64,
}

impl SentCounts {
    pub(super) fn next_to_all(&mut self) -> u64 {
        self.all += 1;
        self.all
    }

    pub(super) fn next_to(&mut self, node: NodeId) -> u64 {
        let number = self.nodes.entry(node).or_insert(self.forgotten);
        *number += 1;
        *number
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        let count = self.nodes.remove(&node).unwrap_or_default();
        self.forgotten = self.forgotten.max(count);
    }
}

impl ReceivedCounts {
    /// Returns whether messages before this one were lost or are late.
    pub fn receive(&mut self, channel: Channel, number: u64) -> bool {
        let last = match channel {
            Channel::AllNodes => &mut self.all,
            Channel::ThisNode => &mut self.own,
        };
        // The first exchange of lists covers what was sent before the first message.
        let expected = last.map_or(number, |last| last + 1);
        *last = Some(number.max(expected - 1));
        number > expected
    }

    /// Returns whether messages before the previous heartbeat were lost: later ones may be on their way.
    pub fn compare(&mut self, sent: &SentCounts, this: NodeId) -> bool {
        let announced = sent.nodes.get(&this).copied();
        // A forgotten node may have missed any of them.
        let announced = announced.or(self.own.map(|_| sent.forgotten));
        let before = std::mem::replace(&mut self.announced, announced.unwrap_or_default());
        let is_behind = self.own.unwrap_or_default() < before;
        if is_behind {
            self.own = Some(before);
        }
        is_behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_gap_is_noticed_once_and_a_late_or_doubled_message_is_none() {
        let mut received = ReceivedCounts::default();
        let noticed = [5, 6, 8, 7, 8, 9].map(|number| received.receive(Channel::AllNodes, number));
        assert_eq!(noticed, [false, false, true, false, false, false]);
        assert!(!received.receive(Channel::ThisNode, 1), "another channel");
    }

    #[test]
    fn the_loss_of_the_last_message_shows_with_the_second_heartbeat_after_it() {
        let this = NodeId(Uuid::from_u128(1));
        let (mut sent, mut received) = (SentCounts::default(), ReceivedCounts::default());
        assert!(!received.compare(&sent, this));
        let first = sent.next_to(this);
        assert!(!received.receive(Channel::ThisNode, first));
        sent.next_to(this);
        let noticed = [(); 3].map(|()| received.compare(&sent, this));
        assert_eq!(noticed, [false, true, false]);
    }

    #[test]
    fn a_node_that_was_forgotten_and_comes_back_notices_a_loss() {
        let this = NodeId(Uuid::from_u128(1));
        let mut sent = SentCounts::default();
        let mut received = ReceivedCounts::default();
        received.receive(Channel::ThisNode, sent.next_to(this));
        let lost_before = sent.next_to(this);
        sent.forget(this);
        let noticed = [(); 3].map(|()| received.compare(&sent, this));
        assert_eq!(noticed, [false, true, false]);
        let lost_after = sent.next_to(this);
        assert_eq!(lost_after, lost_before + 1);
        assert!(received.receive(Channel::ThisNode, sent.next_to(this)));
    }

    #[test]
    fn a_forgotten_node_takes_no_space_and_a_new_one_misses_nothing_of_it() {
        let (gone, new) = (NodeId(Uuid::from_u128(1)), NodeId(Uuid::from_u128(2)));
        let mut sent = SentCounts::default();
        sent.next_to(gone);
        sent.forget(gone);
        assert!(sent.nodes.is_empty());
        let mut received = ReceivedCounts::default();
        assert_eq!([(); 2].map(|()| received.compare(&sent, new)), [false; 2]);
        assert!(!received.receive(Channel::ThisNode, sent.next_to(new)));
        assert_eq!([(); 2].map(|()| received.compare(&sent, new)), [false; 2]);
        sent.next_to(new);
        assert_eq!(
            [(); 2].map(|()| received.compare(&sent, new)),
            [false, true]
        );
    }
}
