//! The measured servers: start, subscribe, publish.

pub mod axum;
pub mod floor;
pub mod nchan;
pub mod process;
pub mod pushpin;
pub mod rialto;
pub mod shared_services;
pub mod socketio;

use std::{fmt, net::SocketAddr, path::PathBuf};

use anyhow::{Result, bail};
use tempfile::TempDir;

use self::process::Process;
use crate::load::{publish::PublishMethod, subscriber::SubscribeHandshake};

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerKind {
    /// Rialto.
    Rialto,
    /// nginx with Nchan.
    Nchan,
    /// Pushpin.
    Pushpin,
    /// Socket.IO.
    SocketIo,
    /// A naive broadcast with Axum.
    Axum,
    /// One thread that writes prepared bytes.
    Floor,
}

/// A transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Server-sent events.
    Sse,
    /// WebSocket.
    Ws,
}

/// A column of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeasuredServer {
    /// Transport.
    pub transport: Transport,
    /// Server.
    pub kind: ServerKind,
}

impl ServerKind {
    /// In the order of the tables.
    pub const ALL: [Self; 6] = [
        Self::Rialto,
        Self::Nchan,
        Self::Pushpin,
        Self::SocketIo,
        Self::Axum,
        Self::Floor,
    ];

    /// Name in `BENCH_ONLY`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Rialto => "rialto",
            Self::Nchan => "nchan",
            Self::Pushpin => "pushpin",
            Self::SocketIo => "socketio",
            Self::Axum => "axum",
            Self::Floor => "floor",
        }
    }

    /// Name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rialto => "Rialto",
            Self::Nchan => "Nchan",
            Self::Pushpin => "Pushpin",
            Self::SocketIo => "Socket.IO",
            Self::Axum => "naive Axum",
            Self::Floor => "floor",
        }
    }

    fn transports(self) -> &'static [Transport] {
        match self {
            Self::Pushpin => &[Transport::Sse],
            Self::SocketIo => &[Transport::Ws],
            Self::Rialto | Self::Nchan | Self::Axum | Self::Floor => {
                &[Transport::Sse, Transport::Ws]
            }
        }
    }
}

impl MeasuredServer {
    /// In the order of the tables.
    pub fn all() -> Vec<Self> {
        [Transport::Sse, Transport::Ws]
            .into_iter()
            .flat_map(|transport| {
                ServerKind::ALL
                    .into_iter()
                    .filter(move |kind| kind.transports().contains(&transport))
                    .map(move |kind| Self { transport, kind })
            })
            .collect()
    }

    /// Name in `BENCH_ONLY`, such as `rialto-sse`.
    pub fn key(self) -> String {
        let transport = match self.transport {
            Transport::Sse => "sse",
            Transport::Ws => "ws",
        };
        format!("{}-{transport}", self.kind.key())
    }
}

impl fmt::Display for MeasuredServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())
    }
}

/// A running server, and how to use it.
#[derive(Debug)]
pub struct Server {
    /// Process.
    pub process: Process,
    /// Listens here.
    pub address: SocketAddr,
    /// At least one for each requested subscriber.
    pub handshakes: Vec<SubscribeHandshake>,
    /// `None` once the load generator has taken it.
    pub publish_method: Option<PublishMethod>,
    /// Removed on drop.
    pub folder: TempDir,
}

/// Starts servers; holds what is prepared once for all runs.
#[derive(Debug)]
pub struct Launcher {
    /// Starts Rialto.
    pub rialto: rialto::RialtoLauncher,
    config_dir: PathBuf,
}

impl Launcher {
    /// `rialto` is the program.
    pub fn new(rialto: PathBuf, user_count: usize) -> Self {
        Self {
            rialto: rialto::RialtoLauncher::new(rialto, user_count),
            config_dir: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers"),
        }
    }

    /// The version, or why the server cannot be measured.
    pub fn version(&self, kind: ServerKind) -> Result<String> {
        match kind {
            ServerKind::Rialto => self.rialto.version(),
            ServerKind::Nchan => nchan::version(),
            ServerKind::Pushpin => pushpin::version(),
            ServerKind::SocketIo => socketio::version(&self.config_dir),
            ServerKind::Axum | ServerKind::Floor => Ok(env!("CARGO_PKG_VERSION").to_owned()),
        }
    }

    /// Starts a server.
    pub fn start(&mut self, measured_server: MeasuredServer, subscribers: usize) -> Result<Server> {
        let MeasuredServer { transport, kind } = measured_server;
        if !kind.transports().contains(&transport) {
            bail!("{} does not support this transport", kind.name());
        }
        match kind {
            ServerKind::Rialto => self.rialto.start(transport, subscribers),
            ServerKind::Nchan => nchan::start(&self.config_dir, transport, subscribers),
            ServerKind::Pushpin => pushpin::start(&self.config_dir, subscribers),
            ServerKind::SocketIo => socketio::start(&self.config_dir, subscribers),
            ServerKind::Axum => axum::start(transport, subscribers),
            ServerKind::Floor => floor::start(transport, subscribers),
        }
    }
}

/// A program of this package, next to the running one.
pub fn sibling_program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.with_file_name(name))
}

/// Of an installed Debian package.
fn debian_version(package: &str) -> String {
    let output = std::process::Command::new("dpkg-query")
        .args(["-W", "-f", "${Version}", package])
        .output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}
