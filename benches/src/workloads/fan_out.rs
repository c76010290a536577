//! Publishing to everybody: at a steady pace, and as fast as it goes.

use std::time::Duration;

use anyhow::Result;

use super::{MetricSink, PUBLISHERS, RunSize, Testbed};
use crate::{report::results::Metric, servers::Launcher};

/// How many messages may be on their way, flat out.
const MAX_IN_FLIGHT: usize = 64;

/// How long to wait for what is still missing after the last delivery.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// 100 messages a second to 1,000 subscribers.
pub(super) fn paced(peers: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let mut scene = Testbed::start_subscribed(peers, sink.measured_server, size.scaled(1_000))?;
    scene.add_publishers(PUBLISHERS)?;
    scene
        .load
        .publish_paced(100, Duration::from_secs(1), |_| Ok(()))?;
    let window = scene.begin_window();
    scene
        .load
        .publish_paced(100, size.steady_duration, |_| Ok(()))?;
    scene.load.drain(DRAIN_TIMEOUT)?;
    sink.add(Metric::PacedCpu, window.cpu_micros_per_delivery(&scene));
    sink.add(Metric::WireBytes, window.bytes_per_delivery(&scene));
    window.warn_if_noisy(&scene);
    let latencies = scene.load.take_latencies();
    for (measure, share) in [
        (Metric::PacedP50, 0.5),
        (Metric::PacedP99, 0.99),
        (Metric::PacedP999, 0.999),
    ] {
        if let Some(latency) = latencies.quantile(share) {
            sink.add(measure, latency);
        }
    }
    add_delivery_errors(sink, &scene);
    Ok(())
}

/// As fast as it goes, to 1,000 and to 5,000 subscribers.
pub(super) fn flat(peers: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    for (subscribers, rate, cpu) in [
        (1_000, Metric::Flat1000, Some(Metric::Flat1000Cpu)),
        (5_000, Metric::Flat5000, None),
    ] {
        let mut scene =
            Testbed::start_subscribed(peers, sink.measured_server, size.scaled(subscribers))?;
        scene.add_publishers(MAX_IN_FLIGHT)?;
        scene
            .load
            .publish_flat_out(MAX_IN_FLIGHT as u64, Duration::from_secs(1))?;
        let window = scene.begin_window();
        scene
            .load
            .publish_flat_out(MAX_IN_FLIGHT as u64, size.steady_duration)?;
        sink.add(rate, window.deliveries_per_second(&scene));
        if let Some(cpu) = cpu {
            sink.add(cpu, window.cpu_micros_per_delivery(&scene));
        }
        sink.add(Metric::GeneratorBusy, window.generator_busy());
        window.warn_if_noisy(&scene);
        scene.load.drain(DRAIN_TIMEOUT)?;
        add_delivery_errors(sink, &scene);
    }
    Ok(())
}

/// 10 messages a second to 10,000 subscribers beside 100 to 1,000: as many deliveries, ten times the connections.
pub(super) fn scaling(
    peers: &mut Launcher,
    sink: &mut MetricSink<'_>,
    size: RunSize,
) -> Result<()> {
    let mut costs = [0.0; 2];
    for (cost, (subscribers, rate)) in costs.iter_mut().zip([(1_000, 100), (10_000, 10)]) {
        let mut scene =
            Testbed::start_subscribed(peers, sink.measured_server, size.scaled(subscribers))?;
        scene.add_publishers(PUBLISHERS)?;
        scene
            .load
            .publish_paced(rate, Duration::from_secs(1), |_| Ok(()))?;
        let window = scene.begin_window();
        scene
            .load
            .publish_paced(rate, size.steady_duration, |_| Ok(()))?;
        scene.load.drain(DRAIN_TIMEOUT)?;
        window.warn_if_noisy(&scene);
        *cost = window.cpu_micros_per_delivery(&scene);
    }
    println!(
        "    CPU per delivery, µs: {:.2} at 1,000, {:.2} at 10,000",
        costs[0], costs[1]
    );
    sink.add(Metric::Scaling, costs[1] / costs[0]);
    Ok(())
}

fn add_delivery_errors(sink: &mut MetricSink<'_>, scene: &Testbed) {
    let wrong = scene.load.delivery_errors();
    sink.add(Metric::Lost, wrong.lost as f64);
    sink.add(Metric::Doubled, wrong.doubled as f64);
    sink.add(Metric::OutOfOrder, wrong.out_of_order as f64);
    let (ended, refused) = (scene.load.ended_count(), scene.load.refused_count());
    if ended > 0 {
        println!(
            "    {ended} subscribers were ended by the server; what they missed counts as lost"
        );
    }
    if let Some(why) = scene.load.first_refusal() {
        println!(
            "    {refused} requests to publish were refused, and what they carried counts as lost: {why}"
        );
    }
}
