//! What a connection costs that only waits.

use anyhow::Result;

use super::{Scene, Sink, Size};
use crate::{peers::Peers, proc, report::results::Measure};

/// Memory of nine tenths of 5,000 connections. The first tenth is there before, so that what a server sets up once, at
/// its first connections, is not counted.
pub(super) fn run(peers: &mut Peers, sink: &mut Sink<'_>, size: Size) -> Result<()> {
    let count = size.people(5_000);
    let mut scene = Scene::start(peers, sink.subject, count)?;
    scene.subscribe(count / 10)?;
    let before = proc::memory_bytes(&scene.pids)?;
    scene.subscribe(count - count / 10)?;
    let after = proc::memory_bytes(&scene.pids)?;
    sink.add(
        Measure::IdleBytes,
        (after - before) / (count - count / 10) as f64,
    );
    Ok(())
}
