//! Ten rooms beside one room with as many people (Rialto).

use std::time::Duration;

use anyhow::Result;

use super::{PUBLISHERS, Scene, Sink, Size};
use crate::{load::Load, peers::Peers, report::results::Measure};

/// How many rooms.
const ROOMS: usize = 10;

/// 20 messages a second to one room of 5,000, then 200 to ten rooms of 500: as many deliveries to as many people.
pub(super) fn run(peers: &mut Peers, sink: &mut Sink<'_>, size: Size) -> Result<()> {
    let count = size.people(5_000);
    let mut costs = [0.0; 2];
    for (cost, (rooms, rate)) in costs.iter_mut().zip([(1, 20), (ROOMS, 200)]) {
        let server = peers.rialto.start_rooms(count, rooms)?;
        let mut scene = Scene {
            load: Load::new()?,
            pids: server.process.pids(),
            server,
        };
        let openings = std::mem::take(&mut scene.server.openings);
        scene
            .load
            .subscribe(scene.server.address, openings, rooms)?;
        scene.settle()?;
        if let Some(publishing) = scene.server.publishing.take() {
            let publishers = PUBLISHERS.next_multiple_of(rooms);
            scene.load.publish_with(publishing, publishers, rooms)?;
        }
        scene.load.paced(rate, Duration::from_secs(1), |_| Ok(()))?;
        let window = scene.begin();
        scene.load.paced(rate, size.window, |_| Ok(()))?;
        scene.load.drain(Duration::from_secs(3))?;
        window.warn_of_others(&scene);
        *cost = window.cpu(&scene);
    }
    println!(
        "    CPU per delivery, µs: {:.2} in one room, {:.2} in ten",
        costs[0], costs[1]
    );
    sink.add(Measure::TenRooms, costs[1] / costs[0]);
    Ok(())
}
