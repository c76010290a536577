//! Memory of idle connections.

use anyhow::Result;

use super::{MetricSink, RunSize, Testbed};
use crate::{proc, report::results::Metric, servers::Launcher};

/// The first tenth of the connections does not count: a server allocates some memory only once.
pub(super) fn run(launcher: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let count = size.scaled(5_000);
    let mut testbed = Testbed::start(launcher, sink.measured_server, count)?;
    testbed.subscribe(count / 10)?;
    let before = proc::memory_bytes(&testbed.pids)?;
    testbed.subscribe(count - count / 10)?;
    let after = proc::memory_bytes(&testbed.pids)?;
    sink.add(
        Metric::IdleBytes,
        (after - before) / (count - count / 10) as f64,
    );
    Ok(())
}
