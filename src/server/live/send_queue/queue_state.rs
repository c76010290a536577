//! Policy of a send queue, without I/O.

use super::{ConnectionEnd, EncodedFrame};
use crate::{model::Seq, protocol::close::CloseCode, server::store::Stream};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct QueueState {
    pub(super) queue: VecDeque<Bytes>,
    /// The first frame must be completed before any other.
    pub(super) is_first_partial: bool,
    pub(super) corked: Option<Vec<EncodedFrame>>,
    /// Last replayed sequences, each until a newer event of its stream is pushed.
    pub(super) replayed_up_to: Vec<(Stream, Seq)>,
    /// Total of `queue` and `corked`.
    pub(super) queued_bytes: usize,
    /// On the shard, or in a task that waits for the socket.
    pub(super) is_scheduled: bool,
    /// The connection's own task waits for `queue` to drain.
    pub(super) is_task_waiting: bool,
    pub(super) end: Option<ConnectionEnd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WakeTarget {
    Nobody,
    Shard,
    ConnectionTask,
}

impl QueueState {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            is_first_partial: false,
            corked: Some(Vec::new()),
            replayed_up_to: Vec::new(),
            queued_bytes: 0,
            is_scheduled: false,
            is_task_waiting: false,
            end: None,
        }
    }

    pub(super) fn push(&mut self, frame: EncodedFrame, max_bytes: usize) -> WakeTarget {
        if self.end.is_some() {
            return WakeTarget::Nobody;
        }
        let bytes_before = self.queued_bytes;
        if let Some(corked) = &mut self.corked {
            self.queued_bytes += frame.bytes.len();
            corked.push(frame);
        } else if !self.enqueue(frame) {
            return WakeTarget::Nobody;
        }
        // One frame may exceed an empty queue's bound: such a client is not slow.
        if self.queued_bytes > max_bytes && bytes_before > 0 {
            self.close(ConnectionEnd::Closed(CloseCode::TooSlow))
        } else if self.corked.is_some() {
            WakeTarget::Nobody
        } else {
            self.schedule()
        }
    }

    /// Returns false for an event that was replayed.
    fn enqueue(&mut self, frame: EncodedFrame) -> bool {
        let is_new = !frame.position.is_some_and(|event| self.was_replayed(event));
        if is_new {
            self.queued_bytes += frame.bytes.len();
            self.queue.push_back(frame.bytes);
        }
        is_new
    }

    fn was_replayed(&mut self, (stream, seq): (Stream, Seq)) -> bool {
        let mut replayed = self.replayed_up_to.iter();
        let Some(at) = replayed.position(|(replayed, _)| *replayed == stream) else {
            return false;
        };
        let was_replayed = seq <= self.replayed_up_to[at].1;
        if !was_replayed {
            self.replayed_up_to.swap_remove(at);
        }
        was_replayed
    }

    pub(super) fn schedule(&mut self) -> WakeTarget {
        if self.is_scheduled || self.queue.is_empty() {
            return WakeTarget::Nobody;
        }
        self.is_scheduled = true;
        WakeTarget::Shard
    }

    /// Keeps queued frames; of a client that is too slow, only a partly written one. The first reason wins.
    pub(super) fn close(&mut self, end: ConnectionEnd) -> WakeTarget {
        if self.end.is_some() {
            return WakeTarget::Nobody;
        }
        self.end = Some(end);
        match end {
            ConnectionEnd::Disconnected => self.queue.clear(),
            ConnectionEnd::Closed(CloseCode::TooSlow) => {
                self.queue.truncate(usize::from(self.is_first_partial));
            }
            ConnectionEnd::Closed(_) => {}
        }
        self.corked = None;
        self.queued_bytes = self.queue.iter().map(Bytes::len).sum();
        WakeTarget::ConnectionTask
    }

    /// Corked frames are within the bound; what [`SendQueue::send`](super::SendQueue::send) queued meanwhile may exceed it.
    pub(super) fn uncork(&mut self, replayed: &[(Stream, Seq)]) -> WakeTarget {
        let corked = self.corked.take().unwrap_or_default();
        for (stream, seq) in replayed {
            self.replayed_up_to.retain(|(earlier, _)| earlier != stream);
            self.replayed_up_to.push((*stream, *seq));
        }
        for frame in corked {
            self.queued_bytes -= frame.bytes.len();
            self.enqueue(frame);
        }
        self.schedule()
    }

    pub(super) fn advance(&mut self, mut count: usize) -> u64 {
        self.queued_bytes -= count;
        let mut frames = 0;
        while let Some(first) = self.queue.front_mut() {
            if count < first.len() {
                first.advance(count);
                self.is_first_partial |= count > 0;
                break;
            }
            count -= first.len();
            self.queue.pop_front();
            self.is_first_partial = false;
            frames += 1;
        }
        frames
    }
}
