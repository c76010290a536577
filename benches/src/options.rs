//! The command line and the environment.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::servers::MeasuredServer;

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Memory of idle connections.
    Idle,
    /// 100 messages per second.
    Paced,
    /// As many messages as possible.
    Flat,
    /// A fifth of the subscribers stops reading.
    Stuck,
    /// More subscribers, and more rooms.
    Scaling,
    /// Acknowledged sends (Rialto).
    Acks,
    /// All clients reconnect after a restart (Rialto).
    Storm,
    /// Front pages per second, compared with a hello world (Rialto).
    Pages,
    /// Cost of the clients and events of another node (Rialto).
    Nodes,
    /// As many readers and WebSocket connections as the machine carries (Rialto).
    Crowd,
    /// Memory over a long time of connects and disconnects (Rialto).
    Soak,
}

/// Measures Rialto's live connections and compares them with other servers doing the same work.
#[derive(Debug, Parser)]
#[command(name = "rialto-bench", version)]
pub struct Options {
    /// Only these servers: rialto, nchan, pushpin, socketio, axum, floor, or one over one transport, such as rialto-ws.
    #[arg(
        long,
        env = "BENCH_ONLY",
        value_delimiter = ',',
        value_name = "SERVERS"
    )]
    pub only: Vec<String>,

    /// Only these workloads.
    #[arg(
        long,
        env = "BENCH_WORKLOADS",
        value_delimiter = ',',
        value_name = "WORKLOADS"
    )]
    pub workloads: Vec<Workload>,

    /// How often each workload is measured; the report shows the median.
    #[arg(long, env = "BENCH_RUNS", default_value_t = 3, value_name = "N",
        value_parser = clap::value_parser!(u8).range(1..))]
    pub runs: u8,

    /// `1`: a quick run with a tenth of the subscribers, to check that everything works. Its figures mean little.
    #[arg(long, env = "BENCH_QUICK", default_value = "0", value_name = "0|1",
        value_parser = ["0", "1"])]
    pub quick: String,

    /// Duration of the soak, in minutes.
    #[arg(long, env = "BENCH_SOAK", default_value_t = 20, value_name = "MINUTES",
        value_parser = clap::value_parser!(u64).range(1..))]
    pub soak_minutes: u64,

    /// The program of Rialto. Its `site` folder is looked up next to it and one level up.
    #[arg(
        long,
        env = "RIALTO_BIN",
        default_value = "target/release/rialto",
        value_name = "FILE"
    )]
    pub rialto: PathBuf,

    /// The folder for performance.md and performance.svg; empty writes nothing.
    #[arg(long, env = "BENCH_OUT", default_value = "", value_name = "FOLDER")]
    pub out: String,
}

impl Options {
    /// In the order of the tables.
    pub fn measured_servers(&self) -> Vec<MeasuredServer> {
        MeasuredServer::all()
            .into_iter()
            .filter(|measured_server| {
                self.only.is_empty()
                    || self.only.iter().any(|only| {
                        only == measured_server.kind.key() || *only == measured_server.key()
                    })
            })
            .collect()
    }

    /// Whether a workload is selected.
    pub fn wants(&self, workload: Workload) -> bool {
        self.workloads.is_empty() || self.workloads.contains(&workload)
    }

    /// Divides subscribers and durations: 10 for a quick run, otherwise 1.
    pub fn scale(&self) -> usize {
        if self.quick == "1" { 10 } else { 1 }
    }
}
