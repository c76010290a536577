//! Everybody comes back at once after a crash (Rialto): 5,000 clients within a second, each 100 messages behind.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{PUBLISHERS, Scene, Sink, Size};
use crate::{
    load::{Load, http, subscriber::Opening},
    peers::{Peers, Transport, rialto},
    report::results::Measure,
};

/// How many messages everybody is behind.
const BEHIND: usize = 100;

/// Within which time everybody connects again.
const RUSH: Duration = Duration::from_secs(1);

/// When to give up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Measures the same messages live first, then kills the server, starts it again and lets everybody resume.
pub(super) fn run(peers: &mut Peers, sink: &mut Sink<'_>, size: Size) -> Result<()> {
    let count = size.people(5_000);
    let paced = paced(peers, sink, count)?;
    let mut scene = Scene::start(peers, sink.subject, count)?;
    let (idle, refused_idle) = probed(&mut scene, size)?;
    scene.subscribe(count)?;
    let openings: Vec<Opening> = match sink.subject.transport {
        Transport::Sse => {
            let cursor = peers.rialto.news_cursor(&scene.server)?;
            vec![rialto::stories(&cursor); count]
        }
        Transport::Ws => {
            let general = peers.rialto.general(&scene.server)?;
            peers.rialto.pages(count, Some(&general))?
        }
    };
    scene.publish(PUBLISHERS)?;
    let started = Instant::now();
    scene.load.burst(BEHIND);
    scene.load.drain(PATIENCE)?;
    let live = started.elapsed().as_secs_f64();
    if scene.load.outstanding() > 0 {
        bail!("{} deliveries never came live", scene.load.outstanding());
    }
    sink.add(Measure::Live, live);

    scene.load.hang_up();
    scene.server.process.kill_at_once();
    let before = std::mem::replace(&mut scene.load, Load::new()?);
    peers.rialto.restart(&mut scene.server)?;
    scene.pids = scene.server.process.pids();
    let wanted = (count * BEHIND) as u64;
    scene.load.expect_again(&before);
    drop(before);
    let probes = probe(&mut scene)?;
    let started = Instant::now();
    rush(&mut scene, openings)?;
    while scene.load.delivered() < wanted && started.elapsed() < PATIENCE {
        scene.load.turn(Duration::from_millis(5))?;
    }
    let storm = started.elapsed().as_secs_f64();
    sink.add(Measure::Storm, storm);
    sink.add(Measure::StormRatio, storm / live);
    sink.add(Measure::StormPaced, storm / paced);
    sink.add(Measure::StormWrong, scene.load.wrong().total() as f64);
    for ((measure, probe), idle) in [Measure::StormPage, Measure::StormName]
        .into_iter()
        .zip(probes)
        .zip(idle)
    {
        let p99 = scene.load.callers[probe].latencies.quantile(0.99);
        // Not answered at all while everybody caught up: as long as that took, at least.
        let p99 = p99.unwrap_or(storm * 1e3);
        println!(
            "    {}: {idle:.1} ms idle, {p99:.1} ms in the storm",
            measure.title()
        );
        sink.add(measure, p99 / idle);
    }
    let refused = refused_idle + refused(&scene);
    sink.add(Measure::StormRefused, refused as f64);
    Ok(())
}

/// How long as many messages take live at 100 a second, in seconds.
fn paced(peers: &mut Peers, sink: &Sink<'_>, count: usize) -> Result<f64> {
    let mut scene = Scene::open(peers, sink.subject, count)?;
    scene.publish(PUBLISHERS)?;
    let started = Instant::now();
    scene.load.paced(100, Duration::from_secs(1), |_| Ok(()))?;
    scene.load.drain(PATIENCE)?;
    Ok(started.elapsed().as_secs_f64())
}

/// Connects everybody, evenly over the rush.
fn rush(scene: &mut Scene, openings: Vec<Opening>) -> Result<()> {
    let started = Instant::now();
    let count = openings.len();
    for (index, opening) in openings.into_iter().enumerate() {
        let due = RUSH.mul_f64(index as f64 / count as f64);
        while started.elapsed() < due {
            scene.load.turn(Duration::ZERO)?;
        }
        scene.load.connect(scene.server.address, opening, 1)?;
        if index % 64 == 0 {
            scene.load.turn(Duration::ZERO)?;
        }
    }
    Ok(())
}

/// One asks for the front page again and again, and one picks names.
fn probe(scene: &mut Scene) -> Result<[usize; 2]> {
    let address = scene.server.address;
    let page = scene.load.probe(address, Box::new(|| http::get("/", "")))?;
    let name = scene.load.probe(
        address,
        // Ids never come twice, so neither do names.
        Box::new(|| rialto::name_request(&format!("probe {}", &rialto::uuid()[24..]))),
    )?;
    Ok([page, name])
}

/// How many requests of the probes were refused so far; the first reason is printed.
fn refused(scene: &Scene) -> u64 {
    if let Some(why) = scene.load.refusal() {
        println!("    a request was refused: {why}");
    }
    scene.load.refused()
}

/// The 99th percentile of each probe while nothing else happens, in milliseconds, and how many requests were refused.
fn probed(scene: &mut Scene, size: Size) -> Result<([f64; 2], u64)> {
    let probes = probe(scene)?;
    scene.load.idle(size.window)?;
    let [page, name] = probes.map(|index| &scene.load.callers[index]);
    let idle = [page, name].map(|caller| caller.latencies.quantile(0.99).unwrap_or(f64::NAN));
    let refused = refused(scene);
    scene.load.hang_up();
    Ok((idle, refused))
}
