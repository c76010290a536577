//! Front pages per second, compared with the page of a new Leptos project.

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

/// Clients, each with one request at a time.
const READERS: usize = 16;

const STORIES: usize = 30;

pub(super) fn run(launcher: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let address = free_address()?;
    let mut command = Command::new(sibling_program("bench-leptos")?);
    command.arg(address.to_string());
    let mut hello = Process::start(&mut command, &folder.path().join("log"))?;
    hello.wait_until_listening(address)?;
    let hello_world = pages_per_second(address, "", size).context("the hello world")?;
    drop(hello);

    let mut testbed = Testbed::start(launcher, sink.measured_server, 0)?;
    testbed.add_publishers(1)?;
    testbed.load.publish_burst(STORIES);
    while !testbed.load.requesters.iter().all(Requester::is_idle) {
        testbed.load.run_for(Duration::from_millis(20))?;
    }
    let anonymous = pages_per_second(testbed.server.address, "", size)?;
    let cookie = format!("Cookie: {}\r\n", launcher.rialto.cookie()?);
    let signed_in = pages_per_second(testbed.server.address, &cookie, size)?;
    sink.add(Metric::HelloPages, hello_world);
    sink.add(Metric::Pages, anonymous);
    sink.add(Metric::SignedInPages, signed_in);
    sink.add(Metric::PagesRatio, anonymous / hello_world);
    sink.add(Metric::SignedInPagesRatio, signed_in / hello_world);
    Ok(())
}

/// With these request headers.
fn pages_per_second(address: SocketAddr, headers: &str, size: RunSize) -> Result<f64> {
    let mut load = LoadGenerator::new()?;
    for _ in 0..READERS {
        let headers = headers.to_owned();
        load.add_probe(address, Box::new(move || http::get_request("/", &headers)))?;
    }
    load.run_for(size.steady_duration / 4)?;
    let response_count = |load: &LoadGenerator| -> u64 {
        let requesters = load.requesters.iter();
        requesters
            .map(|requester| requester.latencies.count())
            .sum()
    };
    let before = response_count(&load);
    load.run_for(size.steady_duration)?;
    if let Some(why) = load.first_refusal() {
        bail!("a request was refused: {why}");
    }
    Ok((response_count(&load) - before) as f64 / size.steady_duration.as_secs_f64())
}
