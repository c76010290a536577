//! What one node of several has to do for the pages of another (Rialto): what it keeps of them, what an event costs that nobody of its
//! own hears, and how fast both commit to one PostgreSQL.

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
    proc,
    report::results::Metric,
    servers::{
        Launcher,
        process::{Process, find_program, free_address},
    },
};

/// How many pages the other node has.
pub(super) const REMOTE_CLIENTS: usize = 5_000;

/// Messages per second, and how many publish them.
const MESSAGES_PER_SECOND: u32 = 100;
const WRITERS: usize = 16;

/// How long what both share may take to start.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);

/// A PostgreSQL and a NATS of this run's own.
struct SharedServices {
    _postgres: Process,
    _nats: Process,
    database: String,
    bus: String,
    /// Where NATS says what it has done.
    monitor: SocketAddr,
}

/// Pages at one node, and a second node that has none.
pub(super) fn run(peers: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let shared = match SharedServices::start(folder.path()) {
        Ok(shared) => shared,
        Err(why) => {
            println!("    left out: {why:#}");
            return Ok(());
        }
    };
    let count = size.scaled(REMOTE_CLIENTS);
    let [own, other] = peers
        .rialto
        .start_nodes(&shared.database, &shared.bus, count)?;
    let others = other.process.pids();
    let mut scene = Testbed::of(own)?;
    scene.subscribe(count / 10)?;
    let before = proc::memory_bytes(&others)?;
    scene.subscribe(count - count / 10)?;
    let after = proc::memory_bytes(&others)?;
    let counted = (count - count / 10) as f64;
    sink.add(Metric::RemoteClientBytes, (after - before) / counted);

    scene.add_publishers(WRITERS)?;
    scene
        .load
        .publish_paced(MESSAGES_PER_SECOND, size.steady_duration / 4, |_| Ok(()))?;
    scene.load.drain(STARTUP_TIMEOUT)?;
    // What a node does without events is not counted.
    let idle = cpu_micros_during(&others, &mut scene, size.steady_duration, None)?;
    let said = nats_bytes_in(shared.monitor)?;
    let busy = cpu_micros_during(
        &others,
        &mut scene,
        size.steady_duration,
        Some(MESSAGES_PER_SECOND),
    )?;
    let events = f64::from(MESSAGES_PER_SECOND) * size.steady_duration.as_secs_f64();
    sink.add(Metric::RemoteEventCpu, (busy - idle).max(0.0) / events);
    sink.add(
        Metric::BusEventBytes,
        (nats_bytes_in(shared.monitor)? - said) / events,
    );

    drop(scene);
    drop(other);
    let [own, other] = peers
        .rialto
        .start_nodes(&shared.database, &shared.bus, acks::SENDERS)?;
    let mut scene = Testbed::of(own)?;
    scene.subscribe(acks::SENDERS)?;
    acks::run_on(
        &mut scene,
        sink,
        size,
        [Metric::PostgresAcks, Metric::PostgresAckP99],
    )?;
    drop(other);
    Ok(())
}

/// CPU that these processes use in a time, in microseconds, with so many messages a second or none.
fn cpu_micros_during(
    pids: &[rustix::process::Pid],
    scene: &mut Testbed,
    time: Duration,
    rate: Option<u32>,
) -> Result<f64> {
    let before = proc::cpu_micros(pids);
    match rate {
        Some(rate) => {
            scene.load.publish_paced(rate, time, |_| Ok(()))?;
            scene.load.drain(STARTUP_TIMEOUT)?;
        }
        None => scene.load.run_for(time)?,
    }
    Ok(proc::cpu_micros(pids) - before)
}

/// How many bytes were published to NATS so far.
fn nats_bytes_in(monitor: SocketAddr) -> Result<f64> {
    let state = Client::connect(monitor)?
        .expect_success(&http::get_request("/varz", ""))?
        .json()?;
    state["in_bytes"].as_f64().context("no in_bytes")
}

impl SharedServices {
    fn start(folder: &Path) -> Result<Self> {
        // PostgreSQL runs as a user of its own, who has to get at its files.
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

    /// Waits until NATS says how it is: a little later than it listens.
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
