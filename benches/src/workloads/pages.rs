//! How many front pages a second, beside the page that a new Leptos project begins with.

use std::{net::SocketAddr, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::{MetricSink, RunSize, Testbed};
use crate::{
    load::{LoadGenerator, http, requester::Requester},
    report::results::Metric,
    servers::{
        Launcher,
        process::{Process, free_address},
        sibling_program,
    },
};

/// How many ask at the same time, each as soon as they are answered.
const READERS: usize = 16;

/// How many stories there are to be listed.
const STORIES: usize = 30;

/// Measures the one, then the other.
pub(super) fn run(peers: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let address = free_address()?;
    let mut command = Command::new(sibling_program("bench-leptos")?);
    command.arg(address.to_string());
    let mut hello = Process::start(&mut command, &folder.path().join("log"))?;
    hello.wait_until_listening(address)?;
    let hello_world = pages_per_second(address, "", size).context("the hello world")?;
    drop(hello);

    let mut scene = Testbed::start(peers, sink.measured_server, 0)?;
    scene.add_publishers(1)?;
    scene.load.publish_burst(STORIES);
    while !scene.load.requesters.iter().all(Requester::is_idle) {
        scene.load.run_for(Duration::from_millis(20))?;
    }
    let anybody = pages_per_second(scene.server.address, "", size)?;
    let cookie = format!("Cookie: {}\r\n", peers.rialto.cookie()?);
    let known = pages_per_second(scene.server.address, &cookie, size)?;
    sink.add(Metric::HelloPages, hello_world);
    sink.add(Metric::Pages, anybody);
    sink.add(Metric::SignedInPages, known);
    sink.add(Metric::PagesRatio, anybody / hello_world);
    sink.add(Metric::SignedInPagesRatio, known / hello_world);
    Ok(())
}

/// Answers a second, to requests with these headers.
fn pages_per_second(address: SocketAddr, headers: &str, size: RunSize) -> Result<f64> {
    let mut load = LoadGenerator::new()?;
    for _ in 0..READERS {
        let headers = headers.to_owned();
        load.add_probe(address, Box::new(move || http::get_request("/", &headers)))?;
    }
    load.run_for(size.steady_duration / 4)?;
    let answered = |load: &LoadGenerator| -> u64 {
        let callers = load.requesters.iter();
        callers.map(|caller| caller.latencies.count()).sum()
    };
    let before = answered(&load);
    load.run_for(size.steady_duration)?;
    if let Some(why) = load.first_refusal() {
        bail!("a page was refused: {why}");
    }
    Ok((answered(&load) - before) as f64 / size.steady_duration.as_secs_f64())
}
