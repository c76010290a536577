//! Publish methods, and publishing at different paces.

use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{LoadGenerator, marker::Marker};
use crate::clock;

/// Encodes a payload for a channel.
pub type PayloadEncoder = Box<dyn Fn(&str, usize) -> Vec<u8>>;

/// How messages are published.
pub enum PublishMethod {
    /// Requests on separate connections, each with one in flight.
    Http {
        /// Where requests are sent.
        address: SocketAddr,
        /// Encodes the request.
        request: PayloadEncoder,
    },
    /// Frames of the first subscribers, as many as the window allows.
    Subscribers {
        /// Encodes the frame.
        frame: PayloadEncoder,
    },
}

impl fmt::Debug for PublishMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http { .. } => "Http",
            Self::Subscribers { .. } => "Subscribers",
        })
    }
}

/// An index in [`LoadGenerator`].
#[derive(Debug, Clone, Copy)]
pub(super) enum PublisherConnection {
    Requester(usize),
    Subscriber(usize),
}

#[derive(Debug, Clone)]
pub(super) struct Publisher {
    pub(super) connection: PublisherConnection,
    pub(super) channel: usize,
    /// In messages.
    pub(super) published: u64,
}

/// Beyond it, the generator's own queue would be measured.
const MAX_BACKLOG_REQUESTS: usize = 1000;

impl LoadGenerator {
    /// Publishes a message due at `due` (`CLOCK_MONOTONIC`, in nanoseconds).
    pub fn publish(&mut self, publisher: usize, due: u64) {
        let Some(publish_method) = &self.publish_method else {
            return;
        };
        let one = &mut self.publishers[publisher];
        let marker = Marker {
            publisher: u8::try_from(publisher).unwrap_or(u8::MAX),
            sequence: one.published,
            due_nanos: due,
        };
        let payload = marker.payload(self.payload_bytes);
        match (publish_method, one.connection) {
            (PublishMethod::Http { request, .. }, PublisherConnection::Requester(index)) => {
                self.requesters[index].enqueue(request(&payload, one.channel));
            }
            (PublishMethod::Subscribers { frame }, PublisherConnection::Subscriber(index)) => {
                let subscriber = &mut self.subscribers[index];
                subscriber.conn.send(&frame(&payload, one.channel));
                if let Some(acks) = &mut subscriber.acks {
                    acks.pending_due_nanos.push_back(due);
                }
            }
            (PublishMethod::Http { .. }, PublisherConnection::Subscriber(_))
            | (PublishMethod::Subscribers { .. }, PublisherConnection::Requester(_)) => {}
        }
        one.published += 1;
        let channel = one.channel;
        self.expected += self
            .subscribers
            .iter()
            .filter(|one| one.channel == channel && !one.is_stuck && !one.is_ended())
            .count() as u64;
    }

    /// Publishes `rate` messages per second for `time`, over all publishers in turn. Calls `each` at least
    /// every 20 ms.
    pub fn publish_paced(
        &mut self,
        rate: u32,
        time: Duration,
        mut each: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let start = clock::monotonic_nanos();
        let count = u64::try_from(time.as_millis())? * u64::from(rate) / 1000;
        let mut sent = 0;
        while sent < count {
            let due = start + sent * 1_000_000_000 / u64::from(rate);
            let Some(wait) = due.checked_sub(clock::monotonic_nanos()) else {
                let publisher = usize::try_from(sent)? % self.publishers.len();
                self.publish(publisher, due);
                sent += 1;
                continue;
            };
            // epoll has a resolution of a millisecond, so the last two are spent polling.
            let wait = Duration::from_nanos(wait).saturating_sub(Duration::from_millis(2));
            self.poll_once(wait.min(Duration::from_millis(20)))?;
            each(self)?;
            if let Some(requester) = self
                .requesters
                .iter()
                .find(|one| one.backlog() > MAX_BACKLOG_REQUESTS)
            {
                bail!(
                    "the server cannot keep up: {} requests are queued",
                    requester.backlog()
                );
            }
        }
        Ok(())
    }

    /// Publishes with at most `window` messages in flight, which count as lost after 500 ms of silence.
    pub fn publish_flat_out(&mut self, window: u64, time: Duration) -> Result<()> {
        let per_message = (self.subscribers.len() / self.channel_count()).max(1) as u64;
        let end = Instant::now() + time;
        let (mut progress, mut last, mut written_off) = (Instant::now(), self.delivered, 0);
        let mut next_publisher = 0;
        while Instant::now() < end {
            let mut published = false;
            for _ in 0..self.publishers.len() {
                let index = next_publisher % self.publishers.len();
                if self.outstanding().saturating_sub(written_off) > (window - 1) * per_message {
                    break;
                }
                next_publisher += 1;
                let idle = match self.publishers[index].connection {
                    PublisherConnection::Requester(requester) => {
                        self.requesters[requester].is_idle()
                    }
                    PublisherConnection::Subscriber(_) => true,
                };
                if idle {
                    self.publish(index, clock::monotonic_nanos());
                    published = true;
                }
            }
            self.poll_once(Duration::from_millis(u64::from(!published)))?;
            if self.delivered > last {
                (last, progress) = (self.delivered, Instant::now());
            } else if progress.elapsed() > Duration::from_millis(500) {
                (written_off, progress) = (self.outstanding(), Instant::now());
            }
        }
        Ok(())
    }

    /// Publishes `count` messages at once, round robin over all publishers.
    pub fn publish_burst(&mut self, count: usize) {
        for index in 0..count {
            self.publish(index % self.publishers.len(), clock::monotonic_nanos());
        }
    }

    /// Each publisher sends its next message once the last is acknowledged.
    pub fn publish_after_each_ack(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            for index in 0..self.publishers.len() {
                let acks = self.subscribers[index].acks.as_ref();
                if acks.is_some_and(|acks| acks.pending_due_nanos.is_empty()) {
                    self.publish(index, clock::monotonic_nanos());
                }
            }
            self.poll_once(Duration::from_millis(1))?;
        }
        self.drain(Duration::from_secs(3))
    }

    /// Expects the messages of another generator's publishers.
    pub fn adopt_publishers(&mut self, other: &Self) {
        self.publishers.clone_from(&other.publishers);
    }

    fn channel_count(&self) -> usize {
        let last = self.publishers.iter().map(|one| one.channel).max();
        last.unwrap_or(0) + 1
    }

    /// Number of messages published.
    pub fn published(&self) -> u64 {
        self.publishers.iter().map(|one| one.published).sum()
    }
}
