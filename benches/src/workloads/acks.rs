//! Acknowledged sends per second, and the latency of acknowledgements (Rialto).

use anyhow::Result;

use super::{MetricSink, RunSize, Testbed};
use crate::{
    load::{latencies::Latencies, subscriber::AckTracker},
    report::results::Metric,
    servers::{Launcher, rialto},
};

pub(super) const SENDERS: usize = 50;

/// While the latency is measured.
const MESSAGES_PER_SECOND: u32 = 500;

/// Each sender as soon as its last message is acknowledged, then all at a steady pace.
pub(super) fn run(launcher: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let mut testbed = Testbed::start_subscribed(launcher, sink.measured_server, SENDERS)?;
    run_on(&mut testbed, sink, size, [Metric::Acks, Metric::AckP99])
}

/// On a testbed whose senders are connected.
pub(super) fn run_on(
    testbed: &mut Testbed,
    sink: &mut MetricSink<'_>,
    size: RunSize,
    [acks_metric, p99_metric]: [Metric; 2],
) -> Result<()> {
    if let Some(publish_method) = testbed.server.publish_method.take() {
        testbed.load.add_publishers(publish_method, SENDERS, 1)?;
    }
    for sender in &mut testbed.load.subscribers {
        sender.acks = Some(AckTracker::new(rialto::SENT_PATTERN));
    }
    testbed
        .load
        .publish_after_each_ack(size.steady_duration / 4)?;
    take_ack_stats(testbed);
    testbed.load.publish_after_each_ack(size.steady_duration)?;
    let acks = take_ack_stats(testbed);
    sink.add(
        acks_metric,
        acks.0 as f64 / size.steady_duration.as_secs_f64(),
    );
    testbed
        .load
        .publish_paced(MESSAGES_PER_SECOND, size.steady_duration / 4, |_| Ok(()))?;
    take_ack_stats(testbed);
    testbed
        .load
        .publish_paced(MESSAGES_PER_SECOND, size.steady_duration, |_| Ok(()))?;
    let (_, p99) = take_ack_stats(testbed);
    sink.add(p99_metric, p99);
    Ok(())
}

/// The number since the last call, and the 99th percentile in milliseconds.
fn take_ack_stats(testbed: &mut Testbed) -> (u64, f64) {
    let (mut count, mut all) = (0, Latencies::default());
    for acks in testbed
        .load
        .subscribers
        .iter_mut()
        .filter_map(|one| one.acks.as_mut())
    {
        let latencies = std::mem::take(&mut acks.latencies);
        count += latencies.count();
        all.add(&latencies);
    }
    (count, all.quantile(0.99).unwrap_or(f64::NAN))
}
