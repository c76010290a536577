//! A fifth of the subscribers stops reading: the cost for the server and the others.

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

const MESSAGES_PER_SECOND: u32 = 200;

/// Large, so that a send queue's limit is soon exceeded.
const LARGE_PAYLOAD_BYTES: usize = 1024;

const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
struct Observation {
    /// Largest growth of the server's memory, in bytes.
    growth: f64,
    /// Largest kernel memory of all stuck connections, in bytes.
    kernel: f64,
    /// Seconds until the last stuck connection was closed; `None` if one stayed open.
    ended: Option<f64>,
    /// Of the other subscribers' latencies, in milliseconds.
    p99: f64,
}

/// Without stuck subscribers, then with a fifth of them stuck.
pub(super) fn run(launcher: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let count = size.scaled(500);
    let stuck = count / 5;
    let free = observe(launcher, sink.measured_server, count, 0, size)?;
    let held = observe(launcher, sink.measured_server, count, stuck, size)?;
    let own = (held.growth - free.growth).max(0.0);
    println!(
        "    bytes per stuck reader: {:.0} in the server, {:.0} in the kernel",
        own / stuck as f64,
        held.kernel / stuck as f64
    );
    sink.add(Metric::StuckBytes, (own + held.kernel) / stuck as f64);
    sink.add(Metric::StuckEnded, held.ended.unwrap_or(f64::INFINITY));
    println!(
        "    p99 of the others: {:.2} ms, {:.2} ms without stuck readers",
        held.p99, free.p99
    );
    sink.add(Metric::StuckOthersP99Ratio, held.p99 / free.p99);
    Ok(())
}

fn observe(
    launcher: &mut Launcher,
    measured_server: MeasuredServer,
    count: usize,
    stuck: usize,
    size: RunSize,
) -> Result<Observation> {
    let mut testbed = Testbed::start_subscribed(launcher, measured_server, count)?;
    testbed.load.set_payload_bytes(LARGE_PAYLOAD_BYTES);
    testbed.add_publishers(PUBLISHERS)?;
    testbed
        .load
        .publish_paced(MESSAGES_PER_SECOND, Duration::from_secs(1), |_| Ok(()))?;
    testbed.load.stop_reading(stuck)?;
    let ports: BTreeSet<u16> = testbed.load.subscribers[count - stuck..]
        .iter()
        .filter_map(|one| one.conn.port())
        .collect();
    let (port, pids) = (testbed.server.address.port(), testbed.pids.clone());
    let before = proc::memory_bytes(&pids)?;
    let mut seen = Observation::default();
    let window = testbed.begin_window();
    let mut next = Instant::now();
    testbed
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
    window.warn_if_noisy(&testbed);
    seen.p99 = testbed
        .load
        .take_latencies()
        .quantile(0.99)
        .unwrap_or(f64::NAN);
    Ok(seen)
}
