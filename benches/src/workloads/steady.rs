//! Publishing to everybody: at a steady pace, and as fast as it goes.

use std::time::Duration;

use anyhow::Result;

use super::{PUBLISHERS, Scene, Sink, Size};
use crate::{peers::Peers, report::results::Measure};

/// How many messages may be on their way, flat out.
const IN_FLIGHT: usize = 64;

/// How long to wait for what is still missing after the last delivery.
const PATIENCE: Duration = Duration::from_secs(3);

/// 100 messages a second to 1,000 subscribers.
pub(super) fn paced(peers: &mut Peers, sink: &mut Sink<'_>, size: Size) -> Result<()> {
    let mut scene = Scene::open(peers, sink.subject, size.people(1_000))?;
    scene.publish(PUBLISHERS)?;
    scene.load.paced(100, Duration::from_secs(1), |_| Ok(()))?;
    let window = scene.begin();
    scene.load.paced(100, size.window, |_| Ok(()))?;
    scene.load.drain(PATIENCE)?;
    sink.add(Measure::PacedCpu, window.cpu(&scene));
    sink.add(Measure::WireBytes, window.bytes(&scene));
    window.warn_of_others(&scene);
    let latencies = scene.load.take_latencies();
    for (measure, share) in [
        (Measure::PacedP50, 0.5),
        (Measure::PacedP99, 0.99),
        (Measure::PacedP999, 0.999),
    ] {
        if let Some(latency) = latencies.quantile(share) {
            sink.add(measure, latency);
        }
    }
    wrong(sink, &scene);
    Ok(())
}

/// As fast as it goes, to 1,000 and to 5,000 subscribers.
pub(super) fn flat(peers: &mut Peers, sink: &mut Sink<'_>, size: Size) -> Result<()> {
    for (subscribers, rate, cpu) in [
        (1_000, Measure::Flat1000, Some(Measure::Flat1000Cpu)),
        (5_000, Measure::Flat5000, None),
    ] {
        let mut scene = Scene::open(peers, sink.subject, size.people(subscribers))?;
        scene.publish(IN_FLIGHT)?;
        scene
            .load
            .flat_out(IN_FLIGHT as u64, Duration::from_secs(1))?;
        let window = scene.begin();
        scene.load.flat_out(IN_FLIGHT as u64, size.window)?;
        sink.add(rate, window.rate(&scene));
        if let Some(cpu) = cpu {
            sink.add(cpu, window.cpu(&scene));
        }
        sink.add(Measure::GeneratorBusy, window.generator_busy());
        window.warn_of_others(&scene);
        scene.load.drain(PATIENCE)?;
        wrong(sink, &scene);
    }
    Ok(())
}

/// 10 messages a second to 10,000 subscribers beside 100 to 1,000: as many deliveries, ten times the connections.
pub(super) fn scaling(peers: &mut Peers, sink: &mut Sink<'_>, size: Size) -> Result<()> {
    let mut costs = [0.0; 2];
    for (cost, (subscribers, rate)) in costs.iter_mut().zip([(1_000, 100), (10_000, 10)]) {
        let mut scene = Scene::open(peers, sink.subject, size.people(subscribers))?;
        scene.publish(PUBLISHERS)?;
        scene.load.paced(rate, Duration::from_secs(1), |_| Ok(()))?;
        let window = scene.begin();
        scene.load.paced(rate, size.window, |_| Ok(()))?;
        scene.load.drain(PATIENCE)?;
        window.warn_of_others(&scene);
        *cost = window.cpu(&scene);
    }
    println!(
        "    CPU per delivery, µs: {:.2} at 1,000, {:.2} at 10,000",
        costs[0], costs[1]
    );
    sink.add(Measure::Scaling, costs[1] / costs[0]);
    Ok(())
}

fn wrong(sink: &mut Sink<'_>, scene: &Scene) {
    let wrong = scene.load.wrong();
    sink.add(Measure::Lost, wrong.lost as f64);
    sink.add(Measure::Doubled, wrong.doubled as f64);
    sink.add(Measure::OutOfOrder, wrong.out_of_order as f64);
    let (ended, refused) = (scene.load.ended(), scene.load.refused());
    if ended > 0 {
        println!(
            "    {ended} subscribers were ended by the server; what they missed counts as lost"
        );
    }
    if let Some(why) = scene.load.refusal() {
        println!(
            "    {refused} requests to publish were refused, and what they carried counts as lost: {why}"
        );
    }
}
