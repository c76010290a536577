//! What is measured. Every workload of every run starts a server of its own.
//!
//! | file | workload |
//! |---|---|
//! | `idle` | memory of connections that wait |
//! | `steady` | paced, flat out, scaling: publishing to everybody |
//! | `rooms` | ten rooms beside one (Rialto) |
//! | `stuck` | a fifth of the subscribers stops reading |
//! | `acks` | acknowledged sending (Rialto) |
//! | `storm` | everybody comes back after a restart (Rialto) |
//! | `pages` | front pages a second (Rialto, and a hello world of Leptos) |
//! | `nodes` | what a node does for the pages of another (Rialto) |
//! | `soak` | does memory stay what it is (Rialto) |

mod acks;
mod fan_out;
mod idle;
mod nodes;
mod pages;
mod reconnect_storm;
mod rooms;
mod soak;
mod stuck;

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Pid;

use crate::{
    clock,
    load::LoadGenerator,
    options::{Options, Workload},
    proc,
    report::results::{Metric, Results},
    servers::{
        Launcher, MeasuredServer, Server, ServerKind, Transport,
        process::{GENERATOR_CORE, SERVER_CORE},
    },
};

/// How many publish at the same time, at a steady pace.
const PUBLISHERS: usize = 16;

/// From which share of a core, in percent, others disturb a run. Less than that is what the kernel does for the connections
/// without counting it to either side.
const NOISY_CORE_PERCENT: f64 = 12.5;

/// The sizes and lengths of a run.
#[derive(Debug, Clone, Copy)]
struct RunSize {
    /// Divides every number of subscribers.
    scale: usize,
    /// How long a steady pace is measured.
    steady_duration: Duration,
    /// How long the soak takes.
    soak: Duration,
}

impl RunSize {
    fn of(options: &Options) -> Self {
        Self {
            scale: options.scale(),
            steady_duration: Duration::from_secs(if options.scale() == 1 { 6 } else { 2 }),
            soak: Duration::from_mins(options.soak_minutes),
        }
    }

    /// So many subscribers, or a tenth of them for a quick look.
    fn scaled(self, count: usize) -> usize {
        count / self.scale
    }
}

/// A running server and its subscribers.
#[derive(Debug)]
struct Testbed {
    load: LoadGenerator,
    server: Server,
    pids: Vec<Pid>,
}

impl Testbed {
    /// Starts a server and subscribes.
    fn start_subscribed(
        peers: &mut Launcher,
        subject: MeasuredServer,
        subscribers: usize,
    ) -> Result<Self> {
        let mut scene = Self::start(peers, subject, subscribers)?;
        scene.subscribe(subscribers)?;
        Ok(scene)
    }

    fn start(peers: &mut Launcher, subject: MeasuredServer, subscribers: usize) -> Result<Self> {
        Self::of(peers.start(subject, subscribers)?)
    }

    /// A server that runs, and nobody who subscribes yet.
    fn of(server: Server) -> Result<Self> {
        Ok(Self {
            load: LoadGenerator::new()?,
            pids: server.process.pids(),
            server,
        })
    }

    /// Subscribes the next so many.
    fn subscribe(&mut self, count: usize) -> Result<()> {
        let openings = self.server.handshakes.drain(..count).collect();
        self.load.subscribe(self.server.address, openings, 1)?;
        self.wait_until_quiet()
    }

    /// Lets the server finish what connecting made it do: until it uses less than a tenth of its core, or 20 s.
    fn wait_until_quiet(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        // A server may start others after it listens.
        self.load.run_for(Duration::from_millis(200))?;
        self.pids = self.server.process.pids();
        loop {
            let before = proc::cpu_micros(&self.pids);
            self.load.run_for(Duration::from_millis(500))?;
            let used = proc::cpu_micros(&self.pids) - before;
            if used < 50_000.0 || Instant::now() > deadline {
                return Ok(());
            }
        }
    }

    /// Makes the publishers.
    fn add_publishers(&mut self, publishers: usize) -> Result<()> {
        if let Some(publishing) = self.server.publish_method.take() {
            self.load.add_publishers(publishing, publishers, 1)?;
            self.load.run_for(Duration::from_millis(200))?;
        }
        Ok(())
    }

    /// Begins to measure.
    fn begin_window(&mut self) -> MeasurementWindow {
        self.load.take_latencies();
        MeasurementWindow {
            started: Instant::now(),
            delivered: self.load.delivered(),
            received: self.load.received_bytes(),
            server_cpu_micros: proc::cpu_micros(&self.pids),
            generator_cpu_nanos: clock::process_cpu_nanos(),
            core_busy_micros: [SERVER_CORE, GENERATOR_CORE].map(proc::core_busy_micros),
        }
    }
}

/// What stood on the clocks when measuring began.
#[derive(Debug, Clone, Copy)]
struct MeasurementWindow {
    started: Instant,
    delivered: u64,
    /// What everybody has been sent.
    received: u64,
    server_cpu_micros: f64,
    generator_cpu_nanos: u64,
    /// How long the server's and the generator's core have been busy, in microseconds.
    core_busy_micros: [f64; 2],
}

impl MeasurementWindow {
    /// Deliveries since then.
    fn deliveries(self, scene: &Testbed) -> f64 {
        (scene.load.delivered() - self.delivered) as f64
    }

    /// Bytes per delivery since then, as they came out of TCP.
    fn bytes_per_delivery(self, scene: &Testbed) -> f64 {
        (scene.load.received_bytes() - self.received) as f64 / self.deliveries(scene).max(1.0)
    }

    /// Server CPU per delivery since then, in microseconds.
    fn cpu_micros_per_delivery(self, scene: &Testbed) -> f64 {
        (proc::cpu_micros(&scene.pids) - self.server_cpu_micros) / self.deliveries(scene).max(1.0)
    }

    /// Says so when something else has used more than an eighth of one of the two cores since then: such a run says
    /// little.
    fn warn_if_noisy(self, scene: &Testbed) {
        let elapsed = self.started.elapsed().as_secs_f64() * 1e6;
        let own = [
            proc::cpu_micros(&scene.pids) - self.server_cpu_micros,
            (clock::process_cpu_nanos() - self.generator_cpu_nanos) as f64 / 1e3,
        ];
        let others = [SERVER_CORE, GENERATOR_CORE].map(|core| {
            let busy = proc::core_busy_micros(core)
                - self.core_busy_micros[usize::from(core == GENERATOR_CORE)];
            let own = own[usize::from(core == GENERATOR_CORE)];
            100.0 * (busy - own).max(0.0) / elapsed
        });
        if others.iter().any(|share| *share > NOISY_CORE_PERCENT) {
            println!(
                "    noisy: something else used {:.0} % of the server's core and {:.0} % of the generator's",
                others[0], others[1]
            );
        }
    }

    /// Deliveries per second since then.
    fn deliveries_per_second(self, scene: &Testbed) -> f64 {
        self.deliveries(scene) / self.started.elapsed().as_secs_f64()
    }

    /// How much of its core the generator has used since then, in percent.
    fn generator_busy(self) -> f64 {
        let used = (clock::process_cpu_nanos() - self.generator_cpu_nanos) as f64 / 1e9;
        100.0 * used / self.started.elapsed().as_secs_f64()
    }
}

/// Where a run puts what it found.
struct MetricSink<'a> {
    results: &'a mut Results,
    measured_server: MeasuredServer,
}

impl MetricSink<'_> {
    fn add(&mut self, measure: Metric, value: f64) {
        println!(
            "    {:<44} {}",
            measure.title(),
            crate::report::table::format_number(value)
        );
        self.results.add(measure, self.measured_server, value);
    }
}

/// Measures what the options ask for.
pub fn run(options: &Options) -> Result<Results> {
    proc::pin_to_core(GENERATOR_CORE)?;
    let open_files = proc::raise_open_file_limit()?;
    let size = RunSize::of(options);
    let mut results = Results::default();
    let subjects = options.measured_servers();
    let mut peers = Launcher::new(
        options.rialto.clone(),
        required_users(options, &subjects, size),
    );
    for peer in ServerKind::ALL {
        if subjects.iter().any(|subject| subject.kind == peer) {
            let version = peers.version(peer).map_err(|error| format!("{error:#}"));
            match &version {
                Ok(version) => println!("{}: {version}", peer.name()),
                Err(why) => println!("{}: not installed ({why})", peer.name()),
            }
            results.versions.insert(peer, version);
        }
    }
    if open_files < 12_000 {
        println!("only {open_files} open files are allowed: the larger workloads will fail");
    }
    for run in 1..=options.runs {
        for workload in WORKLOADS {
            if !options.wants(workload) {
                continue;
            }
            // Long, and of little use a second time: once, when everything else is measured.
            if workload == Workload::Soak && run < options.runs {
                continue;
            }
            for subject in &subjects {
                if !matches!(results.versions.get(&subject.kind), Some(Ok(_)))
                    || !applies(workload, *subject)
                {
                    continue;
                }
                println!("run {run} of {}, {workload:?}, {subject}", options.runs);
                let sink = MetricSink {
                    results: &mut results,
                    measured_server: *subject,
                };
                if let Err(error) = run_workload(workload, &mut peers, sink, size) {
                    let failure = format!("{subject}, {workload:?}, run {run}: {error:#}");
                    println!("    failed: {error:#}");
                    results.failures.push(failure);
                }
            }
        }
    }
    Ok(results)
}

const WORKLOADS: [Workload; 10] = [
    Workload::Idle,
    Workload::Paced,
    Workload::Flat,
    Workload::Stuck,
    Workload::Scaling,
    Workload::Acks,
    Workload::Storm,
    Workload::Pages,
    Workload::Nodes,
    Workload::Soak,
];

fn applies(workload: Workload, subject: MeasuredServer) -> bool {
    match workload {
        Workload::Idle | Workload::Paced | Workload::Flat | Workload::Stuck | Workload::Scaling => {
            true
        }
        Workload::Acks | Workload::Nodes | Workload::Soak => {
            subject.kind == ServerKind::Rialto && subject.transport == Transport::Ws
        }
        Workload::Pages => {
            subject.kind == ServerKind::Rialto && subject.transport == Transport::Sse
        }
        Workload::Storm => subject.kind == ServerKind::Rialto,
    }
}

/// How many names Rialto needs.
fn required_users(options: &Options, subjects: &[MeasuredServer], size: RunSize) -> usize {
    let rialto = |transport| {
        let mut subjects = subjects.iter();
        subjects.any(|subject| subject.kind == ServerKind::Rialto && subject.transport == transport)
    };
    if !rialto(Transport::Ws) {
        return usize::from(rialto(Transport::Sse) && options.wants(Workload::Pages));
    }
    WORKLOADS
        .into_iter()
        .filter(|workload| options.wants(*workload))
        .map(|workload| match workload {
            Workload::Idle | Workload::Flat | Workload::Storm => size.scaled(5_000),
            Workload::Paced => size.scaled(1_000),
            Workload::Stuck => size.scaled(500),
            Workload::Scaling => size.scaled(10_000),
            Workload::Acks => acks::SENDERS,
            Workload::Pages => 1,
            Workload::Nodes => size.scaled(nodes::REMOTE_CLIENTS),
            Workload::Soak => size.scaled(soak::WAVE_CLIENTS),
        })
        .max()
        .unwrap_or(0)
        .max(acks::SENDERS)
}

fn run_workload(
    workload: Workload,
    peers: &mut Launcher,
    mut sink: MetricSink<'_>,
    size: RunSize,
) -> Result<()> {
    match workload {
        Workload::Idle => idle::run(peers, &mut sink, size),
        Workload::Paced => fan_out::paced(peers, &mut sink, size),
        Workload::Flat => fan_out::flat(peers, &mut sink, size),
        Workload::Stuck => stuck::run(peers, &mut sink, size),
        Workload::Scaling => {
            fan_out::scaling(peers, &mut sink, size)?;
            if sink.measured_server.kind == ServerKind::Rialto
                && sink.measured_server.transport == Transport::Ws
            {
                rooms::run(peers, &mut sink, size)?;
            }
            Ok(())
        }
        Workload::Acks => acks::run(peers, &mut sink, size),
        Workload::Storm => reconnect_storm::run(peers, &mut sink, size),
        Workload::Pages => pages::run(peers, &mut sink, size),
        Workload::Nodes => nodes::run(peers, &mut sink, size),
        Workload::Soak => soak::run(peers, &mut sink, size),
    }
}
