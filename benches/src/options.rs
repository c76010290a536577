//! The command line and the environment.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::servers::MeasuredServer;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Memory of connections that wait.
    Idle,
    /// 100 messages a second.
    Paced,
    /// As many messages as go through.
    Flat,
    /// A fifth of the subscribers stops reading.
    Stuck,
    /// More subscribers, and more rooms.
    Scaling,
    /// Acknowledged sending (Rialto).
    Acks,
    /// Everybody comes back after a restart (Rialto).
    Storm,
    /// Front pages a second, beside a hello world (Rialto).
    Pages,
    /// What a node does for the pages of another (Rialto).
    Nodes,
    /// A long time of coming and going (Rialto).
    Soak,
}

/// Measures Rialto's live connections beside those of other servers doing the same work.
#[derive(Debug, Parser)]
#[command(name = "rialto-bench", version)]
pub struct Options {
    /// Only these servers: rialto, nchan, pushpin, socketio, axum, floor, or one over one transport, such as rialto-ws.
    #[arg(long, env = "BENCH_ONLY", value_delimiter = ',', value_name = "PEERS")]
    pub only: Vec<String>,

    /// Only these workloads.
    #[arg(
        long,
        env = "BENCH_WORKLOADS",
        value_delimiter = ',',
        value_name = "WORKLOADS"
    )]
    pub workloads: Vec<Workload>,

    /// How often each is measured; what is shown is the median.
    #[arg(long, env = "BENCH_RUNS", default_value_t = 3, value_name = "N",
        value_parser = clap::value_parser!(u8).range(1..))]
    pub runs: u8,

    /// `1`: short, with a tenth of the subscribers, to see that it works. Its figures say little.
    #[arg(long, env = "BENCH_QUICK", default_value = "0", value_name = "0|1",
        value_parser = ["0", "1"])]
    pub quick: String,

    /// How long the soak takes, in minutes.
    #[arg(long, env = "BENCH_SOAK", default_value_t = 20, value_name = "MINUTES",
        value_parser = clap::value_parser!(u64).range(1..))]
    pub soak_minutes: u64,

    /// Rialto's program. Its site is looked for beside it and in the folder above.
    #[arg(
        long,
        env = "RIALTO_BIN",
        default_value = "target/release/rialto",
        value_name = "FILE"
    )]
    pub rialto: PathBuf,

    /// The folder for performance.md and performance.svg. Empty: nothing is written.
    #[arg(long, env = "BENCH_OUT", default_value = "", value_name = "FOLDER")]
    pub out: String,
}

impl Options {
    /// The servers to measure, in the order of the table.
    pub fn measured_servers(&self) -> Vec<MeasuredServer> {
        MeasuredServer::all()
            .into_iter()
            .filter(|subject| {
                self.only.is_empty()
                    || self
                        .only
                        .iter()
                        .any(|only| only == subject.kind.key() || *only == subject.key())
            })
            .collect()
    }

    /// Whether a workload is to be measured.
    pub fn wants(&self, workload: Workload) -> bool {
        self.workloads.is_empty() || self.workloads.contains(&workload)
    }

    /// How much smaller and shorter everything is: 10 for a quick look, otherwise 1.
    pub fn scale(&self) -> usize {
        if self.quick == "1" { 10 } else { 1 }
    }
}
