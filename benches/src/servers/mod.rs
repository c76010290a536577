//! The servers that are measured, each behind the same few questions: start it, subscribe to it, publish to it.
//!
//! | file | server |
//! |---|---|
//! | `rialto` | Rialto, over SSE and WebSocket |
//! | `nchan` | nginx with Nchan, over SSE and WebSocket |
//! | `pushpin` | Pushpin, over SSE |
//! | `socketio` | Socket.IO 4 on Node.js, over WebSocket |
//! | `axum` | a broadcast as anybody would write it first, over SSE and WebSocket |
//! | `floor` | the least that can be done: one thread that writes ready bytes |
//! | `process` | starting and ending a server |

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

/// Which server.
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
    /// The floor.
    Floor,
}

/// Over which transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Server-sent events.
    Sse,
    /// WebSocket.
    Ws,
}

/// A server over a transport: what a column of the table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeasuredServer {
    /// Over which transport.
    pub transport: Transport,
    /// Which server.
    pub kind: ServerKind,
}

impl ServerKind {
    /// All of them, as they are ordered in the table.
    pub const ALL: [Self; 6] = [
        Self::Rialto,
        Self::Nchan,
        Self::Pushpin,
        Self::SocketIo,
        Self::Axum,
        Self::Floor,
    ];

    /// The name that `BENCH_ONLY` takes.
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

    /// The name that is shown.
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
    /// All of them, as they are ordered in the table.
    pub fn all() -> Vec<Self> {
        [Transport::Sse, Transport::Ws]
            .into_iter()
            .flat_map(|transport| {
                ServerKind::ALL
                    .into_iter()
                    .filter(move |peer| peer.transports().contains(&transport))
                    .map(move |peer| Self {
                        transport,
                        kind: peer,
                    })
            })
            .collect()
    }

    /// The name that `BENCH_ONLY` takes: `rialto-sse`, for example.
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

/// A server that runs, and how to use it.
#[derive(Debug)]
pub struct Server {
    /// Its processes.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    /// How each subscriber subscribes, at least as many as were asked for.
    pub handshakes: Vec<SubscribeHandshake>,
    /// How it is published to.
    pub publish_method: Option<PublishMethod>,
    /// Its folder, removed with it.
    pub folder: TempDir,
}

/// What is known of the installed servers, and what was prepared once for all runs.
#[derive(Debug)]
pub struct Launcher {
    /// Rialto, once it was prepared.
    pub rialto: rialto::RialtoLauncher,
    config_dir: PathBuf,
}

impl Launcher {
    /// `rialto` is the program; `people` is how many subscribers need a name.
    pub fn new(rialto: PathBuf, people: usize) -> Self {
        Self {
            rialto: rialto::RialtoLauncher::new(rialto, people),
            config_dir: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers"),
        }
    }

    /// The version of a peer, or why it cannot be measured.
    pub fn version(&self, peer: ServerKind) -> Result<String> {
        match peer {
            ServerKind::Rialto => self.rialto.version(),
            ServerKind::Nchan => nchan::version(),
            ServerKind::Pushpin => pushpin::version(),
            ServerKind::SocketIo => socketio::version(&self.config_dir),
            ServerKind::Axum | ServerKind::Floor => Ok(env!("CARGO_PKG_VERSION").to_owned()),
        }
    }

    /// Starts a server for so many subscribers.
    pub fn start(&mut self, subject: MeasuredServer, subscribers: usize) -> Result<Server> {
        let MeasuredServer {
            transport,
            kind: peer,
        } = subject;
        if !peer.transports().contains(&transport) {
            bail!("{} is not measured over this transport", peer.name());
        }
        match peer {
            ServerKind::Rialto => self.rialto.start(transport, subscribers),
            ServerKind::Nchan => nchan::start(&self.config_dir, transport, subscribers),
            ServerKind::Pushpin => pushpin::start(&self.config_dir, subscribers),
            ServerKind::SocketIo => socketio::start(&self.config_dir, subscribers),
            ServerKind::Axum => axum::start(transport, subscribers),
            ServerKind::Floor => floor::start(transport, subscribers),
        }
    }
}

/// The program of this package with that name, which lies beside the running one.
pub fn sibling_program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.with_file_name(name))
}

/// The version of an installed package of Debian.
fn debian_version(package: &str) -> String {
    let output = std::process::Command::new("dpkg-query")
        .args(["-W", "-f", "${Version}", package])
        .output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}
