//! Publishing to all subscribers: at a steady pace, and as fast as possible.

use std::time::Duration;

use anyhow::Result;

use super::{MetricSink, PUBLISHERS, RunSize, Testbed};
use crate::{report::results::Metric, servers::Launcher};

const MAX_IN_FLIGHT: usize = 64;

/// For another delivery at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// 100 messages per second to 1,000 subscribers.
pub(super) fn paced(
    launcher: &mut Launcher,
    sink: &mut MetricSink<'_>,
    size: RunSize,
) -> Result<()> {
    let mut testbed =
        Testbed::start_subscribed(launcher, sink.measured_server, size.scaled(1_000))?;
    testbed.add_publishers(PUBLISHERS)?;
    testbed
        .load
        .publish_paced(100, Duration::from_secs(1), |_| Ok(()))?;
    let window = testbed.begin_window();
    testbed
        .load
        .publish_paced(100, size.steady_duration, |_| Ok(()))?;
    testbed.load.drain(DRAIN_TIMEOUT)?;
    sink.add(Metric::PacedCpu, window.cpu_micros_per_delivery(&testbed));
    sink.add(Metric::WireBytes, window.bytes_per_delivery(&testbed));
    window.warn_if_noisy(&testbed);
    let latencies = testbed.load.take_latencies();
    for (metric, share) in [
        (Metric::PacedP50, 0.5),
        (Metric::PacedP99, 0.99),
        (Metric::PacedP999, 0.999),
    ] {
        if let Some(latency) = latencies.quantile(share) {
            sink.add(metric, latency);
        }
    }
    add_delivery_errors(sink, &testbed);
    Ok(())
}

/// To 1,000 and to 5,000 subscribers.
pub(super) fn flat(
    launcher: &mut Launcher,
    sink: &mut MetricSink<'_>,
    size: RunSize,
) -> Result<()> {
    for (subscribers, rate, cpu) in [
        (1_000, Metric::Flat1000, Some(Metric::Flat1000Cpu)),
        (5_000, Metric::Flat5000, None),
    ] {
        let mut testbed =
            Testbed::start_subscribed(launcher, sink.measured_server, size.scaled(subscribers))?;
        testbed.add_publishers(MAX_IN_FLIGHT)?;
        testbed
            .load
            .publish_flat_out(MAX_IN_FLIGHT as u64, Duration::from_secs(1))?;
        let window = testbed.begin_window();
        testbed
            .load
            .publish_flat_out(MAX_IN_FLIGHT as u64, size.steady_duration)?;
        sink.add(rate, window.deliveries_per_second(&testbed));
        if let Some(cpu) = cpu {
            sink.add(cpu, window.cpu_micros_per_delivery(&testbed));
        }
        sink.add(Metric::GeneratorBusy, window.generator_busy());
        window.warn_if_noisy(&testbed);
        testbed.load.drain(DRAIN_TIMEOUT)?;
        add_delivery_errors(sink, &testbed);
    }
    Ok(())
}

/// 10 messages per second to 10,000 subscribers, relative to 100 to 1,000: as many deliveries.
pub(super) fn scaling(
    launcher: &mut Launcher,
    sink: &mut MetricSink<'_>,
    size: RunSize,
) -> Result<()> {
    let mut costs = [0.0; 2];
    for (cost, (subscribers, rate)) in costs.iter_mut().zip([(1_000, 100), (10_000, 10)]) {
        let mut testbed =
            Testbed::start_subscribed(launcher, sink.measured_server, size.scaled(subscribers))?;
        testbed.add_publishers(PUBLISHERS)?;
        testbed
            .load
            .publish_paced(rate, Duration::from_secs(1), |_| Ok(()))?;
        let window = testbed.begin_window();
        testbed
            .load
            .publish_paced(rate, size.steady_duration, |_| Ok(()))?;
        testbed.load.drain(DRAIN_TIMEOUT)?;
        window.warn_if_noisy(&testbed);
        *cost = window.cpu_micros_per_delivery(&testbed);
    }
    println!(
        "    CPU per delivery, µs: {:.2} at 1,000, {:.2} at 10,000",
        costs[0], costs[1]
    );
    sink.add(Metric::Scaling, costs[1] / costs[0]);
    Ok(())
}

fn add_delivery_errors(sink: &mut MetricSink<'_>, testbed: &Testbed) {
    let errors = testbed.load.delivery_errors();
    sink.add(Metric::Lost, errors.lost as f64);
    sink.add(Metric::Doubled, errors.doubled as f64);
    sink.add(Metric::OutOfOrder, errors.out_of_order as f64);
    let (ended, refused) = (testbed.load.ended_count(), testbed.load.refused_count());
    if ended > 0 {
        println!(
            "    {ended} subscribers were disconnected by the server; what they missed counts as lost"
        );
    }
    if let Some(why) = testbed.load.first_refusal() {
        println!(
            "    {refused} publish requests were refused; their messages count as lost: {why}"
        );
    }
}
