//! Everybody comes back at once after a crash (Rialto): 5,000 clients within a second, each 100 messages behind.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{MetricSink, PUBLISHERS, RunSize, Testbed};
use crate::{
    load::{LoadGenerator, http, subscriber::SubscribeHandshake},
    report::results::Metric,
    servers::{Launcher, Transport, rialto},
};

/// How many messages everybody is behind.
const MISSED_MESSAGES: usize = 100;

/// Within which time everybody connects again.
const RECONNECT_WINDOW: Duration = Duration::from_secs(1);

/// When to give up.
const CATCH_UP_TIMEOUT: Duration = Duration::from_mins(1);

/// Measures the same messages live first, then kills the server, starts it again and lets everybody resume.
pub(super) fn run(peers: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let count = size.scaled(5_000);
    let paced = paced_live_seconds(peers, sink, count)?;
    let mut scene = Testbed::start(peers, sink.measured_server, count)?;
    let (idle, refused_idle) = idle_probe_p99(&mut scene, size)?;
    scene.subscribe(count)?;
    let openings: Vec<SubscribeHandshake> = match sink.measured_server.transport {
        Transport::Sse => {
            let cursor = peers.rialto.news_cursor(&scene.server)?;
            vec![rialto::news_handshake(&cursor); count]
        }
        Transport::Ws => {
            let general = peers.rialto.general(&scene.server)?;
            peers.rialto.ws_handshakes(count, Some(&general))?
        }
    };
    scene.add_publishers(PUBLISHERS)?;
    let started = Instant::now();
    scene.load.publish_burst(MISSED_MESSAGES);
    scene.load.drain(CATCH_UP_TIMEOUT)?;
    let live = started.elapsed().as_secs_f64();
    if scene.load.outstanding() > 0 {
        bail!("{} deliveries never came live", scene.load.outstanding());
    }
    sink.add(Metric::LiveSeconds, live);

    scene.load.close_requesters();
    scene.server.process.kill();
    let before = std::mem::replace(&mut scene.load, LoadGenerator::new()?);
    peers.rialto.restart(&mut scene.server)?;
    scene.pids = scene.server.process.pids();
    let wanted = (count * MISSED_MESSAGES) as u64;
    scene.load.adopt_publishers(&before);
    drop(before);
    let probes = probe(&mut scene)?;
    let started = Instant::now();
    reconnect_all(&mut scene, openings)?;
    while scene.load.delivered() < wanted && started.elapsed() < CATCH_UP_TIMEOUT {
        scene.load.poll_once(Duration::from_millis(5))?;
    }
    let storm = started.elapsed().as_secs_f64();
    sink.add(Metric::Storm, storm);
    sink.add(Metric::StormRatio, storm / live);
    sink.add(Metric::StormPaced, storm / paced);
    sink.add(
        Metric::StormErrors,
        scene.load.delivery_errors().total() as f64,
    );
    for ((measure, probe), idle) in [Metric::StormPage, Metric::StormName]
        .into_iter()
        .zip(probes)
        .zip(idle)
    {
        let p99 = scene.load.requesters[probe].latencies.quantile(0.99);
        // Not answered at all while everybody caught up: as long as that took, at least.
        let p99 = p99.unwrap_or(storm * 1e3);
        println!(
            "    {}: {idle:.1} ms idle, {p99:.1} ms in the storm",
            measure.title()
        );
        sink.add(measure, p99 / idle);
    }
    let refused = refused_idle + refused(&scene);
    sink.add(Metric::StormRefused, refused as f64);
    Ok(())
}

/// How long as many messages take live at 100 a second, in seconds.
fn paced_live_seconds(peers: &mut Launcher, sink: &MetricSink<'_>, count: usize) -> Result<f64> {
    let mut scene = Testbed::start_subscribed(peers, sink.measured_server, count)?;
    scene.add_publishers(PUBLISHERS)?;
    let started = Instant::now();
    scene
        .load
        .publish_paced(100, Duration::from_secs(1), |_| Ok(()))?;
    scene.load.drain(CATCH_UP_TIMEOUT)?;
    Ok(started.elapsed().as_secs_f64())
}

/// Connects everybody, evenly over the rush.
fn reconnect_all(scene: &mut Testbed, openings: Vec<SubscribeHandshake>) -> Result<()> {
    let started = Instant::now();
    let count = openings.len();
    for (index, opening) in openings.into_iter().enumerate() {
        let due = RECONNECT_WINDOW.mul_f64(index as f64 / count as f64);
        while started.elapsed() < due {
            scene.load.poll_once(Duration::ZERO)?;
        }
        scene.load.connect(scene.server.address, opening, 1)?;
        if index % 64 == 0 {
            scene.load.poll_once(Duration::ZERO)?;
        }
    }
    Ok(())
}

/// One asks for the front page again and again, and one picks names.
fn probe(scene: &mut Testbed) -> Result<[usize; 2]> {
    let address = scene.server.address;
    let page = scene
        .load
        .add_probe(address, Box::new(|| http::get_request("/", "")))?;
    let name = scene.load.add_probe(
        address,
        // Ids never come twice, so neither do names.
        Box::new(|| rialto::pick_name_request(&format!("probe {}", &rialto::uuid()[24..]))),
    )?;
    Ok([page, name])
}

/// How many requests of the probes were refused so far; the first reason is printed.
fn refused(scene: &Testbed) -> u64 {
    if let Some(why) = scene.load.first_refusal() {
        println!("    a request was refused: {why}");
    }
    scene.load.refused_count()
}

/// The 99th percentile of each probe while nothing else happens, in milliseconds, and how many requests were refused.
fn idle_probe_p99(scene: &mut Testbed, size: RunSize) -> Result<([f64; 2], u64)> {
    let probes = probe(scene)?;
    scene.load.run_for(size.steady_duration)?;
    let [page, name] = probes.map(|index| &scene.load.requesters[index]);
    let idle = [page, name].map(|caller| caller.latencies.quantile(0.99).unwrap_or(f64::NAN));
    let refused = refused(scene);
    scene.load.close_requesters();
    Ok((idle, refused))
}
