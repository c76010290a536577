//! The clients and events of another node (Rialto): memory, CPU, bus bytes, and acknowledged sends on
//! PostgreSQL.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{MetricSink, RunSize, Testbed, acks};
use crate::{
    proc::{self, PreciseCpuTime},
    report::results::Metric,
    servers::{Launcher, Server, shared_services::SharedServices},
};

pub(super) const REMOTE_CLIENTS: usize = 5_000;

const MESSAGES_PER_SECOND: u32 = 100;
const WRITERS: usize = 16;

/// For deliveries to arrive.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// A node without clients while another node has many.
pub(super) fn run(launcher: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let shared = match SharedServices::start(folder.path()) {
        Ok(shared) => shared,
        Err(why) => {
            println!("    skipped: {why:#}");
            return Ok(());
        }
    };
    let count = size.scaled(REMOTE_CLIENTS);
    let [own_node, other_node] = start_two_nodes(launcher, &shared, count)?;
    let other_pids = other_node.process.pids();
    let mut testbed = Testbed::of(own_node)?;
    testbed.subscribe(count / 10)?;
    let before = proc::memory_bytes(&other_pids)?;
    testbed.subscribe(count - count / 10)?;
    let after = proc::memory_bytes(&other_pids)?;
    let counted = (count - count / 10) as f64;
    sink.add(Metric::RemoteClientBytes, (after - before) / counted);

    testbed.add_publishers(WRITERS)?;
    testbed
        .load
        .publish_paced(MESSAGES_PER_SECOND, size.steady_duration / 4, |_| Ok(()))?;
    testbed.load.drain(DELIVERY_TIMEOUT)?;
    // Use without events does not count.
    let idle = cpu_micros_during(&other_pids, &mut testbed, size.steady_duration, None)?;
    let bytes_before = shared.bus_bytes()?;
    let busy = cpu_micros_during(
        &other_pids,
        &mut testbed,
        size.steady_duration,
        Some(MESSAGES_PER_SECOND),
    )?;
    let events = f64::from(MESSAGES_PER_SECOND) * size.steady_duration.as_secs_f64();
    sink.add(Metric::RemoteEventCpu, (busy - idle).max(0.0) / events);
    sink.add(
        Metric::BusEventBytes,
        (shared.bus_bytes()? - bytes_before) / events,
    );

    drop(testbed);
    drop(other_node);
    let [own_node, other_node] = start_two_nodes(launcher, &shared, acks::SENDERS)?;
    let mut testbed = Testbed::of(own_node)?;
    testbed.subscribe(acks::SENDERS)?;
    acks::run_on(
        &mut testbed,
        sink,
        size,
        [Metric::PostgresAcks, Metric::PostgresAckP99],
    )?;
    drop(other_node);
    Ok(())
}

/// With `rate` messages per second or without any.
fn cpu_micros_during(
    pids: &[rustix::process::Pid],
    testbed: &mut Testbed,
    time: Duration,
    rate: Option<u32>,
) -> Result<f64> {
    let before = PreciseCpuTime::of(pids);
    match rate {
        Some(rate) => {
            testbed.load.publish_paced(rate, time, |_| Ok(()))?;
            testbed.load.drain(DELIVERY_TIMEOUT)?;
        }
        None => testbed.load.run_for(time)?,
    }
    Ok(PreciseCpuTime::of(pids).micros_since(&before))
}

/// Of which only the first has clients.
fn start_two_nodes(
    launcher: &mut Launcher,
    shared: &SharedServices,
    clients: usize,
) -> Result<[Server; 2]> {
    let nodes = launcher.rialto.start_nodes(shared, &[clients, 0])?;
    <[Server; 2]>::try_from(nodes).ok().context("not two nodes")
}
