//! Server processes: starting on their core, and stopping.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::proc;

/// Core of servers.
pub const SERVER_CORE: usize = 0;
/// Core of the generator.
pub const GENERATOR_CORE: usize = 1;

/// A running server, stopped on drop, or by the kernel when the benchmark dies.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    address: Option<SocketAddr>,
}

impl Process {
    /// Starts a program on the server's core, with its output in `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::create(log)?;
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "TERM", "--"]);
        wrapped.arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            if let Some(value) = value {
                wrapped.env(key, value);
            }
        }
        if let Some(folder) = command.get_current_dir() {
            wrapped.current_dir(folder);
        }
        wrapped
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        proc::pin_to_core(SERVER_CORE)?;
        let child = wrapped.spawn();
        proc::pin_to_core(GENERATOR_CORE)?;
        let child =
            child.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self {
            child,
            log: log.to_owned(),
            address: None,
        })
    }

    /// Waits until the server accepts connections.
    pub fn wait_until_listening(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("exited with {status}: {}", self.last_output());
            }
            if Instant::now() > deadline {
                bail!("does not listen on {address}: {}", self.last_output());
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.address = Some(address);
        Ok(())
    }

    /// The address; an error before [`Self::wait_until_listening`].
    pub fn address(&self) -> Result<SocketAddr> {
        self.address.context("the server is not listening yet")
    }

    /// The last eight lines of output.
    pub fn last_output(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// The process and its descendants.
    pub fn pids(&self) -> Vec<Pid> {
        proc::process_tree(Pid::from_child(&self.child))
    }

    /// Sends SIGTERM, and SIGKILL after `timeout`.
    pub fn stop(&mut self, timeout: Duration) {
        let pids = self.pids();
        let deadline = Instant::now() + timeout;
        // Fails only if the process is gone.
        let _gone = kill_process(pids[0], Signal::TERM);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(5));
        }
        self.kill_processes(&pids);
    }

    /// Sends SIGKILL to the process and its descendants.
    pub fn kill(&mut self) {
        let pids = self.pids();
        self.kill_processes(&pids);
    }

    fn kill_processes(&mut self, pids: &[Pid]) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _gone = self.child.kill();
            let _status = self.child.wait();
        }
        for pid in &pids[1..] {
            let _gone = kill_process(*pid, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.stop(Duration::from_secs(2));
        }
    }
}

/// A loopback address with a free port.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// In `PATH` or `/usr/sbin`, where Debian installs servers.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
