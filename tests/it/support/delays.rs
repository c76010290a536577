//! How long deliveries take, with something beside them and without.

use super::{Page, message_id, page};
use std::time::{Duration, Instant};

/// By how much anything beside a delivery may delay it.
const MOST_ADDED: Duration = Duration::from_millis(100);

/// How long each of some deliveries took.
pub(crate) struct Delays(Vec<Duration>);

impl From<Vec<Duration>> for Delays {
    fn from(mut delays: Vec<Duration>) -> Self {
        delays.sort();
        Self(delays)
    }
}

impl Delays {
    /// How many there were.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn longest(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    /// Whether what was beside these caused no more delay than it may: the longest delivery against the longest without it.
    pub(crate) fn is_fine(&self, without: &Self, what: &str) -> bool {
        let added = self.longest().saturating_sub(without.longest());
        println!(
            "{what}: longest delivery {:?} (median {:?}), {:?} (median {:?}) without",
            self.longest(),
            self.median(),
            without.longest(),
            without.median()
        );
        added < MOST_ADDED
    }
}

/// One writes so many messages into the general room, another reads them. How long each took from the one to the other.
pub(crate) async fn exchange(
    writer: &mut Page,
    reader: &mut Page,
    rounds: usize,
    text: impl Fn(usize) -> String,
) -> Delays {
    let room = writer.general();
    let mut delays = Vec::new();
    for n in 0..rounds {
        let id = message_id();
        let began = Instant::now();
        writer.send(&page::send(id, room, &text(n))).await;
        let seq = reader
            .until(|frame| {
                let message = page::message(frame).filter(|message| message.id == id);
                message.map(|message| message.seq)
            })
            .await;
        delays.push(began.elapsed());
        assert_eq!(writer.sent(id).await.0, seq);
    }
    delays.into()
}
