//! Delivery latencies, with and without load beside them.

use super::{WsClient, message_id, ws_client};
use std::time::{Duration, Instant};

/// By load elsewhere.
const MAX_ADDED_LATENCY: Duration = Duration::from_millis(100);

/// Sorted.
pub(crate) struct Latencies(Vec<Duration>);

impl From<Vec<Duration>> for Latencies {
    fn from(mut delays: Vec<Duration>) -> Self {
        delays.sort();
        Self(delays)
    }
}

impl Latencies {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn longest(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    /// The longest delivery exceeds that of `baseline` by less than [`MAX_ADDED_LATENCY`]. Prints both.
    pub(crate) fn is_within_budget(&self, baseline: &Self, what: &str) -> bool {
        let added = self.longest().saturating_sub(baseline.longest());
        println!(
            "{what}: longest delivery {:?} (median {:?}), {:?} (median {:?}) without",
            self.longest(),
            self.median(),
            baseline.longest(),
            baseline.median()
        );
        added < MAX_ADDED_LATENCY
    }
}

/// In the general room, from each send to its event at the reader.
pub(crate) async fn measure_latencies(
    writer: &mut WsClient,
    reader: &mut WsClient,
    rounds: usize,
    text: impl Fn(usize) -> String,
) -> Latencies {
    let room = writer.general();
    let mut delays = Vec::new();
    for n in 0..rounds {
        let id = message_id();
        let began = Instant::now();
        writer
            .send(&ws_client::message_frame(id, room, &text(n)))
            .await;
        let seq = reader
            .wait_for(|frame| {
                let message = ws_client::as_message(frame).filter(|message| message.id == id);
                message.map(|message| message.seq)
            })
            .await;
        delays.push(began.elapsed());
        assert_eq!(writer.wait_for_ack(id).await.0, seq);
    }
    delays.into()
}
