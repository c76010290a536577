//! How a peer is published to, and at what pace.

use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{Load, marker::Marker};
use crate::clock;

/// Makes what is sent of a payload and the publisher's group.
pub type Wrap = Box<dyn Fn(&str, usize) -> Vec<u8>>;

/// How a peer is published to.
pub enum Publishing {
    /// By HTTP requests on connections of their own. Each connection has one request on its way.
    Http {
        /// Where to.
        address: SocketAddr,
        /// Makes the request.
        request: Wrap,
    },
    /// By frames that the first subscribers send, as many as the window allows.
    Subscribers {
        /// Makes the frame.
        frame: Wrap,
    },
}

impl fmt::Debug for Publishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http { .. } => "Http",
            Self::Subscribers { .. } => "Subscribers",
        })
    }
}

/// The connection a publisher uses, by its place in [`Load`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Via {
    Caller(usize),
    Subscriber(usize),
}

/// One who publishes.
#[derive(Debug, Clone)]
pub(super) struct Publisher {
    pub(super) via: Via,
    pub(super) group: usize,
    /// How many messages so far.
    pub(super) published: u64,
}

/// More requests than this waiting for one connection: the server cannot keep the pace, and nothing is gained by
/// measuring how the queue of the generator grows.
const BACKLOG: usize = 1000;

impl Load {
    /// Publishes one message that was due at `due` (`CLOCK_MONOTONIC` nanoseconds).
    pub fn publish(&mut self, publisher: usize, due: u64) {
        let Some(publishing) = &self.publishing else {
            return;
        };
        let one = &mut self.publishers[publisher];
        let marker = Marker {
            publisher: u8::try_from(publisher).unwrap_or(u8::MAX),
            sequence: one.published,
            sent: due,
        };
        let payload = marker.payload(self.payload_bytes);
        match (publishing, one.via) {
            (Publishing::Http { request, .. }, Via::Caller(index)) => {
                self.callers[index].ask(request(&payload, one.group));
            }
            (Publishing::Subscribers { frame }, Via::Subscriber(index)) => {
                let subscriber = &mut self.subscribers[index];
                subscriber.conn.send(&frame(&payload, one.group));
                if let Some(acks) = &mut subscriber.acks {
                    acks.waiting.push_back(due);
                }
            }
            (Publishing::Http { .. }, Via::Subscriber(_))
            | (Publishing::Subscribers { .. }, Via::Caller(_)) => {}
        }
        one.published += 1;
        let group = one.group;
        self.expected += self
            .subscribers
            .iter()
            .filter(|one| one.group == group && !one.stuck && !one.is_ended())
            .count() as u64;
    }

    /// Publishes `rate` messages a second for `time`, each when it is due, in turn over all publishers. `each` is called
    /// between events, at least every 20 ms.
    pub fn paced(
        &mut self,
        rate: u32,
        time: Duration,
        mut each: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let start = clock::monotonic();
        let count = u64::try_from(time.as_millis())? * u64::from(rate) / 1000;
        let mut sent = 0;
        while sent < count {
            let due = start + sent * 1_000_000_000 / u64::from(rate);
            let Some(wait) = due.checked_sub(clock::monotonic()) else {
                let publisher = usize::try_from(sent)? % self.publishers.len();
                self.publish(publisher, due);
                sent += 1;
                continue;
            };
            // epoll counts in milliseconds, so the last two are spent asking.
            let wait = Duration::from_nanos(wait).saturating_sub(Duration::from_millis(2));
            self.turn(wait.min(Duration::from_millis(20)))?;
            each(self)?;
            if let Some(caller) = self.callers.iter().find(|one| one.backlog() > BACKLOG) {
                bail!("cannot keep up: {} requests wait", caller.backlog());
            }
        }
        Ok(())
    }

    /// Publishes for `time` as fast as at most `window` messages on their way allow.
    ///
    /// When nothing arrives for half a second, what is on its way counts as lost and publishing goes on.
    pub fn flat_out(&mut self, window: u64, time: Duration) -> Result<()> {
        let per_message = (self.subscribers.len() / self.groups()).max(1) as u64;
        let end = Instant::now() + time;
        let (mut progress, mut last, mut written_off) = (Instant::now(), self.delivered, 0);
        let mut turn = 0;
        while Instant::now() < end {
            let mut published = false;
            for _ in 0..self.publishers.len() {
                let index = turn % self.publishers.len();
                if self.outstanding().saturating_sub(written_off) > (window - 1) * per_message {
                    break;
                }
                turn += 1;
                let idle = match self.publishers[index].via {
                    Via::Caller(caller) => self.callers[caller].is_idle(),
                    Via::Subscriber(_) => true,
                };
                if idle {
                    self.publish(index, clock::monotonic());
                    published = true;
                }
            }
            self.turn(Duration::from_millis(u64::from(!published)))?;
            if self.delivered > last {
                (last, progress) = (self.delivered, Instant::now());
            } else if progress.elapsed() > Duration::from_millis(500) {
                (written_off, progress) = (self.outstanding(), Instant::now());
            }
        }
        Ok(())
    }

    /// Publishes so many messages at once, in turn over all publishers.
    pub fn burst(&mut self, count: usize) {
        for index in 0..count {
            self.publish(index % self.publishers.len(), clock::monotonic());
        }
    }

    /// For `time`, everybody who sends sends the next message as soon as the last one is acknowledged.
    pub fn answer_by_answer(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            for index in 0..self.publishers.len() {
                let acks = self.subscribers[index].acks.as_ref();
                if acks.is_some_and(|acks| acks.waiting.is_empty()) {
                    self.publish(index, clock::monotonic());
                }
            }
            self.turn(Duration::from_millis(1))?;
        }
        self.drain(Duration::from_secs(3))
    }

    /// Expects what another generator published, from now on.
    pub fn expect_again(&mut self, other: &Self) {
        self.publishers.clone_from(&other.publishers);
    }

    /// How many groups the publishers are spread over.
    fn groups(&self) -> usize {
        let last = self.publishers.iter().map(|one| one.group).max();
        last.unwrap_or(0) + 1
    }

    /// How many messages were published.
    pub fn published(&self) -> u64 {
        self.publishers.iter().map(|one| one.published).sum()
    }
}
