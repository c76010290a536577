//! All clients reconnect after a crash (Rialto): 5,000 within a second, each 100 messages behind.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{MetricSink, PUBLISHERS, RunSize, Testbed};
use crate::{
    load::{LoadGenerator, http, subscriber::SubscribeHandshake},
    report::results::Metric,
    servers::{Launcher, Transport, rialto},
};

const MISSED_MESSAGES: usize = 100;

/// All clients reconnect within this time.
const RECONNECT_WINDOW: Duration = Duration::from_secs(1);

const CATCH_UP_TIMEOUT: Duration = Duration::from_mins(1);

/// Measures the messages live first, then after a crash.
pub(super) fn run(launcher: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let count = size.scaled(5_000);
    let paced = paced_live_seconds(launcher, sink, count)?;
    let mut testbed = Testbed::start(launcher, sink.measured_server, count)?;
    let (idle, refused_idle) = idle_probe_p99(&mut testbed, size)?;
    testbed.subscribe(count)?;
    let handshakes: Vec<SubscribeHandshake> = match sink.measured_server.transport {
        Transport::Sse => {
            let cursor = launcher.rialto.news_cursor(&testbed.server)?;
            vec![rialto::news_handshake(&cursor); count]
        }
        Transport::Ws => {
            let general = launcher.rialto.general(&testbed.server)?;
            launcher.rialto.ws_handshakes(count, Some(&general))?
        }
    };
    testbed.add_publishers(PUBLISHERS)?;
    let started = Instant::now();
    testbed.load.publish_burst(MISSED_MESSAGES);
    testbed.load.drain(CATCH_UP_TIMEOUT)?;
    let live = started.elapsed().as_secs_f64();
    if testbed.load.outstanding() > 0 {
        bail!("{} live deliveries are missing", testbed.load.outstanding());
    }
    sink.add(Metric::LiveSeconds, live);

    testbed.load.close_requesters();
    testbed.server.process.kill();
    let before = std::mem::replace(&mut testbed.load, LoadGenerator::new()?);
    launcher.rialto.restart(&mut testbed.server)?;
    testbed.pids = testbed.server.process.pids();
    let wanted = (count * MISSED_MESSAGES) as u64;
    testbed.load.adopt_publishers(&before);
    drop(before);
    let probes = probe(&mut testbed)?;
    let started = Instant::now();
    reconnect_all(&mut testbed, handshakes)?;
    while testbed.load.delivered() < wanted && started.elapsed() < CATCH_UP_TIMEOUT {
        testbed.load.poll_once(Duration::from_millis(5))?;
    }
    let storm = started.elapsed().as_secs_f64();
    sink.add(Metric::Storm, storm);
    sink.add(Metric::StormRatio, storm / live);
    sink.add(Metric::StormPaced, storm / paced);
    sink.add(
        Metric::StormErrors,
        testbed.load.delivery_errors().total() as f64,
    );
    for ((metric, probe), idle) in [Metric::StormPage, Metric::StormName]
        .into_iter()
        .zip(probes)
        .zip(idle)
    {
        let p99 = testbed.load.requesters[probe].latencies.quantile(0.99);
        // Without a single response, the latency is at least the storm's duration.
        let p99 = p99.unwrap_or(storm * 1e3);
        println!(
            "    {}: {idle:.1} ms idle, {p99:.1} ms in the storm",
            metric.title()
        );
        sink.add(metric, p99 / idle);
    }
    let refused = refused_idle + refused(&testbed);
    sink.add(Metric::StormRefused, refused as f64);
    Ok(())
}

/// As many messages at 100 per second.
fn paced_live_seconds(launcher: &mut Launcher, sink: &MetricSink<'_>, count: usize) -> Result<f64> {
    let mut testbed = Testbed::start_subscribed(launcher, sink.measured_server, count)?;
    testbed.add_publishers(PUBLISHERS)?;
    let started = Instant::now();
    testbed
        .load
        .publish_paced(100, Duration::from_secs(1), |_| Ok(()))?;
    testbed.load.drain(CATCH_UP_TIMEOUT)?;
    Ok(started.elapsed().as_secs_f64())
}

/// Spread evenly over [`RECONNECT_WINDOW`].
fn reconnect_all(testbed: &mut Testbed, handshakes: Vec<SubscribeHandshake>) -> Result<()> {
    let started = Instant::now();
    let count = handshakes.len();
    for (index, handshake) in handshakes.into_iter().enumerate() {
        let due = RECONNECT_WINDOW.mul_f64(index as f64 / count as f64);
        while started.elapsed() < due {
            testbed.load.poll_once(Duration::ZERO)?;
        }
        testbed.load.connect(testbed.server.address, handshake, 1)?;
        if index % 64 == 0 {
            testbed.load.poll_once(Duration::ZERO)?;
        }
    }
    Ok(())
}

/// Probes of the front page and of picking names.
fn probe(testbed: &mut Testbed) -> Result<[usize; 2]> {
    let address = testbed.server.address;
    let page = testbed
        .load
        .add_probe(address, Box::new(|| http::get_request("/", "")))?;
    let name = testbed.load.add_probe(
        address,
        // Ids are unique, and so are the names.
        Box::new(|| rialto::pick_name_request(&format!("probe {}", &rialto::uuid()[24..]))),
    )?;
    Ok([page, name])
}

/// Prints the first reason.
fn refused(testbed: &Testbed) -> u64 {
    if let Some(why) = testbed.load.first_refusal() {
        println!("    a request was refused: {why}");
    }
    testbed.load.refused_count()
}

/// In milliseconds, with the number of refused requests.
fn idle_probe_p99(testbed: &mut Testbed, size: RunSize) -> Result<([f64; 2], u64)> {
    let probes = probe(testbed)?;
    testbed.load.run_for(size.steady_duration)?;
    let [page, name] = probes.map(|index| &testbed.load.requesters[index]);
    let idle = [page, name].map(|requester| requester.latencies.quantile(0.99).unwrap_or(f64::NAN));
    let refused = refused(testbed);
    testbed.load.close_requesters();
    Ok((idle, refused))
}
