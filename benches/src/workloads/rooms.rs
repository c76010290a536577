//! Ten rooms beside one room with as many people (Rialto).

use std::time::Duration;

use anyhow::Result;

use super::{MetricSink, PUBLISHERS, RunSize, Testbed};
use crate::{load::LoadGenerator, report::results::Metric, servers::Launcher};

/// How many rooms.
const ROOMS: usize = 10;

/// 20 messages a second to one room of 5,000, then 200 to ten rooms of 500: as many deliveries to as many people.
pub(super) fn run(peers: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let count = size.scaled(5_000);
    let mut costs = [0.0; 2];
    for (cost, (rooms, rate)) in costs.iter_mut().zip([(1, 20), (ROOMS, 200)]) {
        let server = peers.rialto.start_rooms(count, rooms)?;
        let mut scene = Testbed {
            load: LoadGenerator::new()?,
            pids: server.process.pids(),
            server,
        };
        let openings = std::mem::take(&mut scene.server.handshakes);
        scene
            .load
            .subscribe(scene.server.address, openings, rooms)?;
        scene.wait_until_quiet()?;
        if let Some(publishing) = scene.server.publish_method.take() {
            let publishers = PUBLISHERS.next_multiple_of(rooms);
            scene.load.add_publishers(publishing, publishers, rooms)?;
        }
        scene
            .load
            .publish_paced(rate, Duration::from_secs(1), |_| Ok(()))?;
        let window = scene.begin_window();
        scene
            .load
            .publish_paced(rate, size.steady_duration, |_| Ok(()))?;
        scene.load.drain(Duration::from_secs(3))?;
        window.warn_if_noisy(&scene);
        *cost = window.cpu_micros_per_delivery(&scene);
    }
    println!(
        "    CPU per delivery, µs: {:.2} in one room, {:.2} in ten",
        costs[0], costs[1]
    );
    sink.add(Metric::TenRooms, costs[1] / costs[0]);
    Ok(())
}
