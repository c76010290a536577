//! How many messages Rialto takes, and how soon it says that it has them.

use anyhow::Result;

use super::{MetricSink, RunSize, Testbed};
use crate::{
    load::{latencies::Latencies, subscriber::AckTracker},
    report::results::Metric,
    servers::{Launcher, rialto},
};

/// How many people send.
pub(super) const SENDERS: usize = 50;

/// Messages per second when the acknowledgement is timed.
const MESSAGES_PER_SECOND: u32 = 500;

/// First everybody sends the next message as soon as the last one is acknowledged; then all together 500 a second.
pub(super) fn run(peers: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let mut scene = Testbed::start_subscribed(peers, sink.measured_server, SENDERS)?;
    run_on(&mut scene, sink, size, [Metric::Acks, Metric::AckP99])
}

/// The same with senders who are connected already, noting it as these two.
pub(super) fn run_on(
    scene: &mut Testbed,
    sink: &mut MetricSink<'_>,
    size: RunSize,
    [acks_measure, p99_measure]: [Metric; 2],
) -> Result<()> {
    if let Some(publishing) = scene.server.publish_method.take() {
        scene.load.add_publishers(publishing, SENDERS, 1)?;
    }
    for sender in &mut scene.load.subscribers {
        sender.acks = Some(AckTracker::new(rialto::SENT_PATTERN));
    }
    scene
        .load
        .publish_after_each_ack(size.steady_duration / 4)?;
    take_ack_stats(scene);
    scene.load.publish_after_each_ack(size.steady_duration)?;
    let acks = take_ack_stats(scene);
    sink.add(
        acks_measure,
        acks.0 as f64 / size.steady_duration.as_secs_f64(),
    );
    scene
        .load
        .publish_paced(MESSAGES_PER_SECOND, size.steady_duration / 4, |_| Ok(()))?;
    take_ack_stats(scene);
    scene
        .load
        .publish_paced(MESSAGES_PER_SECOND, size.steady_duration, |_| Ok(()))?;
    let (_, p99) = take_ack_stats(scene);
    sink.add(p99_measure, p99);
    Ok(())
}

/// How many acknowledgements came since the last time, and the 99th percentile of them all in milliseconds.
fn take_ack_stats(scene: &mut Testbed) -> (u64, f64) {
    let (mut count, mut all) = (0, Latencies::default());
    for acks in scene
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
