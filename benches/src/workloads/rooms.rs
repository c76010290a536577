//! Ten rooms compared with one room of as many users (Rialto).

use std::time::Duration;

use anyhow::Result;

use super::{MetricSink, PUBLISHERS, RunSize, Testbed};
use crate::{load::LoadGenerator, report::results::Metric, servers::Launcher};

const ROOMS: usize = 10;

/// 20 messages per second to one room of 5,000, then 200 to ten of 500: as many deliveries.
pub(super) fn run(launcher: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let count = size.scaled(5_000);
    let mut costs = [0.0; 2];
    for (cost, (rooms, rate)) in costs.iter_mut().zip([(1, 20), (ROOMS, 200)]) {
        let server = launcher.rialto.start_rooms(count, rooms)?;
        let mut testbed = Testbed {
            load: LoadGenerator::new()?,
            pids: server.process.pids(),
            server,
        };
        let handshakes = std::mem::take(&mut testbed.server.handshakes);
        testbed
            .load
            .subscribe(testbed.server.address, handshakes, rooms)?;
        testbed.wait_until_quiet()?;
        if let Some(publish_method) = testbed.server.publish_method.take() {
            let publishers = PUBLISHERS.next_multiple_of(rooms);
            testbed
                .load
                .add_publishers(publish_method, publishers, rooms)?;
        }
        testbed
            .load
            .publish_paced(rate, Duration::from_secs(1), |_| Ok(()))?;
        let window = testbed.begin_window();
        testbed
            .load
            .publish_paced(rate, size.steady_duration, |_| Ok(()))?;
        testbed.load.drain(Duration::from_secs(3))?;
        window.warn_if_noisy(&testbed);
        *cost = window.cpu_micros_per_delivery(&testbed);
    }
    println!(
        "    CPU per delivery, µs: {:.2} in one room, {:.2} in ten",
        costs[0], costs[1]
    );
    sink.add(Metric::TenRooms, costs[1] / costs[0]);
    Ok(())
}
