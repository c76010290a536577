//! What a connection costs that only waits.

use anyhow::Result;

use super::{MetricSink, RunSize, Testbed};
use crate::{proc, report::results::Metric, servers::Launcher};

/// Memory of nine tenths of 5,000 connections. The first tenth is there before, so that what a server sets up once, at
/// its first connections, is not counted.
pub(super) fn run(peers: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let count = size.scaled(5_000);
    let mut scene = Testbed::start(peers, sink.measured_server, count)?;
    scene.subscribe(count / 10)?;
    let before = proc::memory_bytes(&scene.pids)?;
    scene.subscribe(count - count / 10)?;
    let after = proc::memory_bytes(&scene.pids)?;
    sink.add(
        Metric::IdleBytes,
        (after - before) / (count - count / 10) as f64,
    );
    Ok(())
}
