//! The workloads, each with its own server.

mod acks;
mod crowd;
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

/// At a steady pace.
const PUBLISHERS: usize = 16;

/// By other processes. Less is kernel work that counts for neither side.
const NOISY_CORE_PERCENT: f64 = 12.5;

#[derive(Debug, Clone, Copy)]
struct RunSize {
    /// Divides every number of subscribers.
    scale: usize,
    /// Of a measurement at a steady pace.
    steady_duration: Duration,
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
    fn start_subscribed(
        launcher: &mut Launcher,
        measured_server: MeasuredServer,
        subscribers: usize,
    ) -> Result<Self> {
        let mut testbed = Self::start(launcher, measured_server, subscribers)?;
        testbed.subscribe(subscribers)?;
        Ok(testbed)
    }

    fn start(
        launcher: &mut Launcher,
        measured_server: MeasuredServer,
        subscribers: usize,
    ) -> Result<Self> {
        Self::of(launcher.start(measured_server, subscribers)?)
    }

    /// Without subscribers.
    fn of(server: Server) -> Result<Self> {
        Ok(Self {
            load: LoadGenerator::new()?,
            pids: server.process.pids(),
            server,
        })
    }

    /// Connects the next `count` subscribers.
    fn subscribe(&mut self, count: usize) -> Result<()> {
        let handshakes = self.server.handshakes.drain(..count).collect();
        self.load.subscribe(self.server.address, handshakes, 1)?;
        self.wait_until_quiet()
    }

    /// Until the server uses less than a tenth of its core, for at most 20 s.
    fn wait_until_quiet(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        // A server may start child processes after it listens.
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

    fn add_publishers(&mut self, publishers: usize) -> Result<()> {
        if let Some(publish_method) = self.server.publish_method.take() {
            self.load.add_publishers(publish_method, publishers, 1)?;
            self.load.run_for(Duration::from_millis(200))?;
        }
        Ok(())
    }

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

/// Counters at the start of a measurement.
#[derive(Debug, Clone, Copy)]
struct MeasurementWindow {
    started: Instant,
    delivered: u64,
    /// In bytes, by all subscribers.
    received: u64,
    server_cpu_micros: f64,
    generator_cpu_nanos: u64,
    /// Of the server's and the generator's core.
    core_busy_micros: [f64; 2],
}

impl MeasurementWindow {
    fn deliveries(self, testbed: &Testbed) -> f64 {
        (testbed.load.delivered() - self.delivered) as f64
    }

    /// As received over TCP.
    fn bytes_per_delivery(self, testbed: &Testbed) -> f64 {
        (testbed.load.received_bytes() - self.received) as f64 / self.deliveries(testbed).max(1.0)
    }

    fn cpu_micros_per_delivery(self, testbed: &Testbed) -> f64 {
        (proc::cpu_micros(&testbed.pids) - self.server_cpu_micros)
            / self.deliveries(testbed).max(1.0)
    }

    /// Other processes have used more than an eighth of a core.
    fn warn_if_noisy(self, testbed: &Testbed) {
        let elapsed = self.started.elapsed().as_secs_f64() * 1e6;
        let own = [
            proc::cpu_micros(&testbed.pids) - self.server_cpu_micros,
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
                "    noisy: other processes used {:.0} % of the server's core and {:.0} % of the generator's",
                others[0], others[1]
            );
        }
    }

    fn deliveries_per_second(self, testbed: &Testbed) -> f64 {
        self.deliveries(testbed) / self.started.elapsed().as_secs_f64()
    }

    /// In percent of its core.
    fn generator_busy(self) -> f64 {
        let used = (clock::process_cpu_nanos() - self.generator_cpu_nanos) as f64 / 1e9;
        100.0 * used / self.started.elapsed().as_secs_f64()
    }
}

/// Collects the values of a run.
struct MetricSink<'a> {
    results: &'a mut Results,
    measured_server: MeasuredServer,
}

impl MetricSink<'_> {
    fn add(&mut self, metric: Metric, value: f64) {
        println!(
            "    {:<44} {}",
            metric.title(),
            crate::report::table::format_number(value)
        );
        self.results.add(metric, self.measured_server, value);
    }
}

/// Runs what the options select.
pub fn run(options: &Options) -> Result<Results> {
    proc::pin_to_core(GENERATOR_CORE)?;
    let open_files = proc::raise_open_file_limit()?;
    let size = RunSize::of(options);
    let mut results = Results::default();
    let measured_servers = options.measured_servers();
    let mut launcher = Launcher::new(
        options.rialto.clone(),
        required_users(options, &measured_servers, size),
    );
    for kind in ServerKind::ALL {
        if measured_servers
            .iter()
            .any(|measured_server| measured_server.kind == kind)
        {
            let version = launcher.version(kind).map_err(|error| format!("{error:#}"));
            match &version {
                Ok(version) => println!("{}: {version}", kind.name()),
                Err(why) => println!("{}: not installed ({why})", kind.name()),
            }
            results.versions.insert(kind, version);
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
            // In the last run only: they are long and gain little from repetition.
            if matches!(workload, Workload::Crowd | Workload::Soak) && run < options.runs {
                continue;
            }
            for measured_server in &measured_servers {
                if !matches!(results.versions.get(&measured_server.kind), Some(Ok(_)))
                    || !applies(workload, *measured_server)
                {
                    continue;
                }
                println!(
                    "run {run} of {}, {workload:?}, {measured_server}",
                    options.runs
                );
                let sink = MetricSink {
                    results: &mut results,
                    measured_server: *measured_server,
                };
                if let Err(error) = run_workload(workload, &mut launcher, sink, size) {
                    let failure = format!("{measured_server}, {workload:?}, run {run}: {error:#}");
                    println!("    failed: {error:#}");
                    results.failures.push(failure);
                }
            }
        }
    }
    Ok(results)
}

const WORKLOADS: [Workload; 11] = [
    Workload::Idle,
    Workload::Paced,
    Workload::Flat,
    Workload::Stuck,
    Workload::Scaling,
    Workload::Acks,
    Workload::Storm,
    Workload::Pages,
    Workload::Nodes,
    Workload::Crowd,
    Workload::Soak,
];

fn applies(workload: Workload, measured_server: MeasuredServer) -> bool {
    match workload {
        Workload::Idle | Workload::Paced | Workload::Flat | Workload::Stuck | Workload::Scaling => {
            true
        }
        Workload::Acks | Workload::Nodes | Workload::Soak => {
            measured_server.kind == ServerKind::Rialto && measured_server.transport == Transport::Ws
        }
        Workload::Pages | Workload::Crowd => {
            measured_server.kind == ServerKind::Rialto
                && measured_server.transport == Transport::Sse
        }
        Workload::Storm => measured_server.kind == ServerKind::Rialto,
    }
}

/// Users of Rialto, for the workload that needs most.
fn required_users(options: &Options, measured_servers: &[MeasuredServer], size: RunSize) -> usize {
    let users = |workload, transport| match (workload, transport) {
        (Workload::Crowd, _) => crowd::people(size),
        (Workload::Pages, _) => 1,
        (_, Transport::Sse) => 0,
        (Workload::Idle | Workload::Flat | Workload::Storm, _) => size.scaled(5_000),
        (Workload::Paced, _) => size.scaled(1_000),
        (Workload::Stuck, _) => size.scaled(500),
        (Workload::Scaling, _) => size.scaled(10_000),
        (Workload::Acks, _) => acks::SENDERS,
        (Workload::Nodes, _) => size.scaled(nodes::REMOTE_CLIENTS).max(acks::SENDERS),
        (Workload::Soak, _) => size.scaled(soak::WAVE_CLIENTS),
    };
    let rialto = measured_servers
        .iter()
        .filter(|server| server.kind == ServerKind::Rialto);
    rialto
        .flat_map(|server| {
            let wanted = WORKLOADS
                .into_iter()
                .filter(|workload| options.wants(*workload));
            wanted
                .filter(|workload| applies(*workload, *server))
                .map(|workload| users(workload, server.transport))
        })
        .max()
        .unwrap_or(0)
}

fn run_workload(
    workload: Workload,
    launcher: &mut Launcher,
    mut sink: MetricSink<'_>,
    size: RunSize,
) -> Result<()> {
    match workload {
        Workload::Idle => idle::run(launcher, &mut sink, size),
        Workload::Paced => fan_out::paced(launcher, &mut sink, size),
        Workload::Flat => fan_out::flat(launcher, &mut sink, size),
        Workload::Stuck => stuck::run(launcher, &mut sink, size),
        Workload::Scaling => {
            fan_out::scaling(launcher, &mut sink, size)?;
            if sink.measured_server.kind == ServerKind::Rialto
                && sink.measured_server.transport == Transport::Ws
            {
                rooms::run(launcher, &mut sink, size)?;
            }
            Ok(())
        }
        Workload::Acks => acks::run(launcher, &mut sink, size),
        Workload::Storm => reconnect_storm::run(launcher, &mut sink, size),
        Workload::Pages => pages::run(launcher, &mut sink, size),
        Workload::Nodes => nodes::run(launcher, &mut sink, size),
        Workload::Crowd => crowd::run(launcher, &mut sink, size),
        Workload::Soak => soak::run(launcher, &mut sink, size),
    }
}
