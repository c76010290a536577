//! How many front pages a second, beside the page that a new Leptos project begins with.

use std::{net::SocketAddr, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::{Scene, Sink, Size};
use crate::{
    load::{Load, caller::Caller, http},
    peers::{
        Peers,
        process::{Process, free_address},
        sibling,
    },
    report::results::Measure,
};

/// How many ask at the same time, each as soon as they are answered.
const READERS: usize = 16;

/// How many stories there are to be listed.
const STORIES: usize = 30;

/// Measures the one, then the other.
pub(super) fn run(peers: &mut Peers, sink: &mut Sink<'_>, size: Size) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let address = free_address()?;
    let mut command = Command::new(sibling("bench-leptos")?);
    command.arg(address.to_string());
    let mut hello = Process::start(&mut command, &folder.path().join("log"))?;
    hello.wait_for(address)?;
    let least = rate(address, "", size).context("the hello world")?;
    drop(hello);

    let mut scene = Scene::start(peers, sink.subject, 0)?;
    scene.publish(1)?;
    scene.load.burst(STORIES);
    while !scene.load.callers.iter().all(Caller::is_idle) {
        scene.load.idle(Duration::from_millis(20))?;
    }
    let anybody = rate(scene.server.address, "", size)?;
    let cookie = format!("Cookie: {}\r\n", peers.rialto.cookie()?);
    let known = rate(scene.server.address, &cookie, size)?;
    sink.add(Measure::HelloPages, least);
    sink.add(Measure::Pages, anybody);
    sink.add(Measure::KnownPages, known);
    sink.add(Measure::PagesRatio, anybody / least);
    sink.add(Measure::KnownRatio, known / least);
    Ok(())
}

/// Answers a second, to requests with these headers.
fn rate(address: SocketAddr, headers: &str, size: Size) -> Result<f64> {
    let mut load = Load::new()?;
    for _ in 0..READERS {
        let headers = headers.to_owned();
        load.probe(address, Box::new(move || http::get("/", &headers)))?;
    }
    load.idle(size.window / 4)?;
    let answered = |load: &Load| -> u64 {
        let callers = load.callers.iter();
        callers.map(|caller| caller.latencies.count()).sum()
    };
    let before = answered(&load);
    load.idle(size.window)?;
    if let Some(why) = load.refusal() {
        bail!("a page was refused: {why}");
    }
    Ok((answered(&load) - before) as f64 / size.window.as_secs_f64())
}
