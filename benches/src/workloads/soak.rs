//! Memory while clients connect, send and disconnect for a long time (Rialto).

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{MetricSink, PUBLISHERS, RunSize, Testbed};
use crate::{
    load::LoadGenerator,
    proc,
    report::results::Metric,
    servers::{Launcher, Transport},
};

pub(super) const WAVE_CLIENTS: usize = 300;

const WAVE_MESSAGES: usize = 20;

const WAVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The first fraction (1/n) does not count: bounded caches and pools fill up first.
const WARM_UP_DIVISOR: usize = 4;

/// Waves of clients connect, receive each other's messages and disconnect.
pub(super) fn run(launcher: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let clients = size.scaled(WAVE_CLIENTS);
    let testbed = Testbed::start(launcher, sink.measured_server, clients)?;
    let started = Instant::now();
    let (mut memory, mut errors, mut connections) = (Vec::new(), 0, 0);
    while started.elapsed() < size.soak {
        let mut load = LoadGenerator::new()?;
        let handshakes = launcher.rialto.ws_handshakes(clients, None)?;
        load.subscribe(testbed.server.address, handshakes, 1)?;
        let publish_method =
            launcher
                .rialto
                .publish_method(Transport::Ws, testbed.server.address, &[])?;
        load.add_publishers(publish_method, PUBLISHERS, 1)?;
        load.publish_burst(WAVE_MESSAGES);
        load.drain(WAVE_TIMEOUT)?;
        errors += load.delivery_errors().total();
        connections += clients;
        drop(load);
        let elapsed = started.elapsed().as_secs_f64();
        memory.push((elapsed / 60.0, proc::memory_bytes(&testbed.pids)? / 1e3));
    }
    let counted = &memory[memory.len() / WARM_UP_DIVISOR..];
    let (Some(first), Some(last)) = (counted.first(), counted.last()) else {
        bail!("no wave was completed");
    };
    println!(
        "    {connections} connections in {} waves; {:.0} kB after {:.1} minutes, {:.0} kB after {:.1}",
        memory.len(),
        first.1,
        first.0,
        last.1,
        last.0
    );
    sink.add(Metric::SoakSlope, slope(counted));
    sink.add(Metric::SoakErrors, errors as f64);
    Ok(())
}

/// Least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let rise: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let run: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    rise / run
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn the_line_that_fits_best() {
        let rising = [(1.0, 11.0), (2.0, 9.0), (3.0, 15.0)];
        assert!((slope(&rising) - 2.0).abs() < 1e-9);
        assert!(slope(&[(1.0, 5.0), (2.0, 5.0)]).abs() < 1e-9);
    }
}
