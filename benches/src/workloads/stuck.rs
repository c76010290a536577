//! A fifth of the subscribers stops reading: what that costs the server, and the others.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{MetricSink, PUBLISHERS, RunSize, Testbed};
use crate::{
    proc,
    report::results::Metric,
    servers::{Launcher, MeasuredServer},
};

/// Messages per second.
const MESSAGES_PER_SECOND: u32 = 200;

/// The payload in bytes: large, so that what may wait for a reader is soon exceeded.
const LARGE_PAYLOAD_BYTES: usize = 1024;

/// How often the kernel is asked.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
struct Observation {
    /// The most memory beyond what there was at the start, in bytes.
    growth: f64,
    /// The most kernel memory of all stuck connections, in bytes.
    kernel: f64,
    /// Until the last stuck connection was ended, in seconds.
    ended: Option<f64>,
    /// 99th percentile of the others, in milliseconds.
    p99: f64,
}

/// Measures with nobody stuck, then with a fifth.
pub(super) fn run(peers: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let count = size.scaled(500);
    let stuck = count / 5;
    let free = observe(peers, sink.measured_server, count, 0, size)?;
    let held = observe(peers, sink.measured_server, count, stuck, size)?;
    let own = (held.growth - free.growth).max(0.0);
    println!(
        "    per stuck reader, bytes: {:.0} of the server's own, {:.0} of the kernel's",
        own / stuck as f64,
        held.kernel / stuck as f64
    );
    sink.add(Metric::StuckBytes, (own + held.kernel) / stuck as f64);
    sink.add(Metric::StuckEnded, held.ended.unwrap_or(f64::INFINITY));
    sink.add(Metric::StuckOthersP99Ratio, held.p99 / free.p99);
    Ok(())
}

fn observe(
    peers: &mut Launcher,
    subject: MeasuredServer,
    count: usize,
    stuck: usize,
    size: RunSize,
) -> Result<Observation> {
    let mut scene = Testbed::start_subscribed(peers, subject, count)?;
    scene.load.set_payload_bytes(LARGE_PAYLOAD_BYTES);
    scene.add_publishers(PUBLISHERS)?;
    scene
        .load
        .publish_paced(MESSAGES_PER_SECOND, Duration::from_secs(1), |_| Ok(()))?;
    scene.load.stop_reading(stuck)?;
    let ports: BTreeSet<u16> = scene.load.subscribers[count - stuck..]
        .iter()
        .filter_map(|one| one.conn.port())
        .collect();
    let (port, pids) = (scene.server.address.port(), scene.pids.clone());
    let before = proc::memory_bytes(&pids)?;
    let mut seen = Observation::default();
    let window = scene.begin_window();
    let mut next = Instant::now();
    scene
        .load
        .publish_paced(MESSAGES_PER_SECOND, size.steady_duration * 3, |_| {
            if Instant::now() < next {
                return Ok(());
            }
            next = Instant::now() + SAMPLE_INTERVAL;
            seen.growth = seen.growth.max(proc::memory_bytes(&pids)? - before);
            let sockets = proc::established_sockets(port)?;
            let held = sockets.iter().filter(|one| ports.contains(&one.peer_port));
            let (mut open, mut kernel) = (0, 0);
            for socket in held {
                open += 1;
                kernel += socket.memory;
            }
            seen.kernel = seen.kernel.max(kernel as f64);
            if open == 0 && seen.ended.is_none() {
                seen.ended = Some(window.started.elapsed().as_secs_f64());
            }
            Ok(())
        })?;
    window.warn_if_noisy(&scene);
    seen.p99 = scene
        .load
        .take_latencies()
        .quantile(0.99)
        .unwrap_or(f64::NAN);
    Ok(seen)
}
