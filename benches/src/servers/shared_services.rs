//! PostgreSQL and NATS, for several nodes of Rialto.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::process::{Process, find_program, free_address};
use crate::load::http::{self, Client};

const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);

/// PostgreSQL and NATS of one run, stopped on drop.
#[derive(Debug)]
pub struct SharedServices {
    _postgres: Process,
    _nats: Process,
    /// URL of the database.
    pub database: String,
    /// URL of NATS.
    pub bus: String,
    /// The monitoring endpoint of NATS.
    monitor: SocketAddr,
}

impl SharedServices {
    /// Starts both, with their files in `folder`.
    pub fn start(folder: &Path) -> Result<Self> {
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
            .arg(address.port().to_string())
            // A node opens up to sixteen.
            .args(["-c", "max_connections=300"]);
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
        while self.bus_bytes().is_err() {
            if Instant::now() > deadline {
                bail!("NATS does not answer on {}", self.monitor);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(self)
    }

    /// Bytes published to NATS so far.
    pub fn bus_bytes(&self) -> Result<f64> {
        let state = Client::connect(self.monitor)?
            .expect_success(&http::get_request("/varz", ""))?
            .json()?;
        state["in_bytes"].as_f64().context("no in_bytes")
    }
}
