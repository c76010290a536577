//! A long time of coming, writing and going (Rialto): does its memory stay what it is?

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{MetricSink, PUBLISHERS, RunSize, Testbed};
use crate::{
    load::LoadGenerator,
    proc,
    report::results::Metric,
    servers::{Launcher, Transport},
};

/// How many come in each wave.
pub(super) const WAVE_CLIENTS: usize = 300;

/// How many messages a wave has.
const WAVE_MESSAGES: usize = 20;

/// When to give up on a wave.
const WAVE_TIMEOUT: Duration = Duration::from_secs(20);

/// One of so many parts of the time is not looked at: what the server keeps, up to a bound, has to be there first.
const WARM_UP_DIVISOR: usize = 4;

/// Wave after wave of people who connect, hear each other, and leave.
pub(super) fn run(peers: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let people = size.scaled(WAVE_CLIENTS);
    let scene = Testbed::start(peers, sink.measured_server, people)?;
    let started = Instant::now();
    let (mut memory, mut wrong, mut connections) = (Vec::new(), 0, 0);
    while started.elapsed() < size.soak {
        let mut load = LoadGenerator::new()?;
        let pages = peers.rialto.ws_handshakes(people, None)?;
        load.subscribe(scene.server.address, pages, 1)?;
        let rooms = peers
            .rialto
            .publish_method(Transport::Ws, scene.server.address, &[])?;
        load.add_publishers(rooms, PUBLISHERS, 1)?;
        load.publish_burst(WAVE_MESSAGES);
        load.drain(WAVE_TIMEOUT)?;
        wrong += load.delivery_errors().total();
        connections += people;
        drop(load);
        let elapsed = started.elapsed().as_secs_f64();
        memory.push((elapsed / 60.0, proc::memory_bytes(&scene.pids)? / 1e3));
    }
    let counted = &memory[memory.len() / WARM_UP_DIVISOR..];
    let (Some(first), Some(last)) = (counted.first(), counted.last()) else {
        bail!("no wave came to its end");
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
    sink.add(Metric::SoakErrors, wrong as f64);
    Ok(())
}

/// How steeply a line rises that fits these points best (least squares).
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
