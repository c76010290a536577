//! The measured servers behind one interface: start, subscribe, publish.
//!
//! | file | server |
//! |---|---|
//! | `rialto` | Rialto, over SSE and WebSocket |
//! | `nchan` | nginx with Nchan, over SSE and WebSocket |
//! | `pushpin` | Pushpin, over SSE |
//! | `socketio` | Socket.IO 4 on Node.js, over WebSocket |
//! | `axum` | a naive broadcast with Axum, over SSE and WebSocket |
//! | `floor` | the minimum: one thread that writes prepared bytes |
//! | `process` | starting and stopping a server process |

pub mod axum;
pub mod floor;
pub mod nchan;
pub mod process;
pub mod pushpin;
pub mod rialto;
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
    /// The naive broadcast with Axum.
    Axum,
    /// The floor: one thread that writes prepared bytes.
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

/// A server over a transport: a column of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeasuredServer {
    /// The transport.
    pub transport: Transport,
    /// The server.
    pub kind: ServerKind,
}

impl ServerKind {
    /// All servers, in the order of the tables.
    pub const ALL: [Self; 6] = [
        Self::Rialto,
        Self::Nchan,
        Self::Pushpin,
        Self::SocketIo,
        Self::Axum,
        Self::Floor,
    ];

    /// The name in `BENCH_ONLY`.
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

    /// The name in the report.
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
    /// All servers over each of their transports, in the order of the tables.
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

    /// The name in `BENCH_ONLY`, such as `rialto-sse`.
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
    /// The process.
    pub process: Process,
    /// The address that it listens on.
    pub address: SocketAddr,
    /// A handshake for each subscriber, at least as many as requested.
    pub handshakes: Vec<SubscribeHandshake>,
    /// How messages are published; none once the load generator has taken it.
    pub publish_method: Option<PublishMethod>,
    /// The temporary folder, removed on drop.
    pub folder: TempDir,
}

/// Starts servers, and holds what is prepared once for all runs.
#[derive(Debug)]
pub struct Launcher {
    /// Starts Rialto.
    pub rialto: rialto::RialtoLauncher,
    config_dir: PathBuf,
}

impl Launcher {
    /// `rialto` is the program; `user_count` is the number of users to create.
    pub fn new(rialto: PathBuf, user_count: usize) -> Self {
        Self {
            rialto: rialto::RialtoLauncher::new(rialto, user_count),
            config_dir: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers"),
        }
    }

    /// The version of a server, or why it cannot be measured.
    pub fn version(&self, kind: ServerKind) -> Result<String> {
        match kind {
            ServerKind::Rialto => self.rialto.version(),
            ServerKind::Nchan => nchan::version(),
            ServerKind::Pushpin => pushpin::version(),
            ServerKind::SocketIo => socketio::version(&self.config_dir),
            ServerKind::Axum | ServerKind::Floor => Ok(env!("CARGO_PKG_VERSION").to_owned()),
        }
    }

    /// Starts a server for this number of subscribers.
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

/// The path of a program of this package, next to the running one.
pub fn sibling_program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.with_file_name(name))
}

/// The version of an installed Debian package.
fn debian_version(package: &str) -> String {
    let output = std::process::Command::new("dpkg-query")
        .args(["-W", "-f", "${Version}", package])
        .output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}
