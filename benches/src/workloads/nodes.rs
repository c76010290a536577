//! The clients and events of another node (Rialto): memory, CPU, bus bytes, and acknowledged sends on
//! PostgreSQL.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{MetricSink, RunSize, Testbed, acks};
use crate::{
    load::http::{self, Client},
    proc::{self, PreciseCpuTime},
    report::results::Metric,
    servers::{
        Launcher,
        process::{Process, find_program, free_address},
    },
};

pub(super) const REMOTE_CLIENTS: usize = 5_000;

const MESSAGES_PER_SECOND: u32 = 100;
const WRITERS: usize = 16;

/// For PostgreSQL and NATS to start, and deliveries to arrive.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);

/// PostgreSQL and NATS of this run.
struct SharedServices {
    _postgres: Process,
    _nats: Process,
    database: String,
    bus: String,
    /// The monitoring endpoint of NATS.
    monitor: SocketAddr,
}

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
    let [own_node, other_node] =
        launcher
            .rialto
            .start_nodes(&shared.database, &shared.bus, count)?;
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
    testbed.load.drain(STARTUP_TIMEOUT)?;
    // Use without events does not count.
    let idle = cpu_micros_during(&other_pids, &mut testbed, size.steady_duration, None)?;
    let bytes_before = nats_bytes_in(shared.monitor)?;
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
        (nats_bytes_in(shared.monitor)? - bytes_before) / events,
    );

    drop(testbed);
    drop(other_node);
    let [own_node, other_node] =
        launcher
            .rialto
            .start_nodes(&shared.database, &shared.bus, acks::SENDERS)?;
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
            testbed.load.drain(STARTUP_TIMEOUT)?;
        }
        None => testbed.load.run_for(time)?,
    }
    Ok(PreciseCpuTime::of(pids).micros_since(&before))
}

/// Published to NATS.
fn nats_bytes_in(monitor: SocketAddr) -> Result<f64> {
    let state = Client::connect(monitor)?
        .expect_success(&http::get_request("/varz", ""))?
        .json()?;
    state["in_bytes"].as_f64().context("no in_bytes")
}

impl SharedServices {
    fn start(folder: &Path) -> Result<Self> {
        // PostgreSQL may run as another user, who must be able to enter the folder.
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o711))?;
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scripts/postgres.sh");
        let data = folder.join("postgres");
        let made = Command::new(&script).arg("init").arg(&data).output()?;
        if !made.status.success() {
            bail!("{}", String::from_utf8_lossy(&made.stderr).trim());
        }
        let password = String::from_utf8(made.stdout)?.trim().to_owned();
        let address = free_address()?;
        let mut command = Command::new(&script);
        command
            .arg("run")
            .arg(&data)
            .arg(address.port().to_string());
        let mut postgres = Process::start(&mut command, &folder.join("postgres.log"))?;
        postgres.wait_until_listening(address)?;
        let nats = find_program("nats-server").context("nats-server is not installed")?;
        let (bus, monitor) = (free_address()?, free_address()?);
        let mut command = Command::new(nats);
        command
            .args(["--addr", "127.0.0.1", "--port", &bus.port().to_string()])
            .args(["--http_port", &monitor.port().to_string()]);
        let mut nats = Process::start(&mut command, &folder.join("nats.log"))?;
        nats.wait_until_listening(bus)?;
        let shared = Self {
            _postgres: postgres,
            _nats: nats,
            database: format!("postgres://rialto:{password}@{address}/postgres"),
            bus: format!("nats://{bus}"),
            monitor,
        };
        shared.wait_until_ready()
    }

    /// The monitoring endpoint answers a little later than NATS listens.
    fn wait_until_ready(self) -> Result<Self> {
        let deadline = Instant::now() + STARTUP_TIMEOUT;
        while nats_bytes_in(self.monitor).is_err() {
            if Instant::now() > deadline {
                bail!("NATS does not answer on {}", self.monitor);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(self)
    }
}
