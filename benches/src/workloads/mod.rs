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
mod idle;
mod nodes;
mod pages;
mod rooms;
mod soak;
mod steady;
mod storm;
mod stuck;

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Pid;

use crate::{
    clock,
    load::Load,
    options::{Options, Workload},
    peers::{
        Peer, Peers, Server, Subject, Transport,
        process::{GENERATOR_CORE, SERVER_CORE},
    },
    proc,
    report::results::{Measure, Results},
};

/// How many publish at the same time, at a steady pace.
const PUBLISHERS: usize = 16;

/// From which share of a core, in percent, others disturb a run. Less than that is what the kernel does for the connections
/// without counting it to either side.
const NOISY: f64 = 12.5;

/// The sizes and lengths of a run.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Divides every number of subscribers.
    scale: usize,
    /// How long a steady pace is measured.
    window: Duration,
    /// How long the soak takes.
    soak: Duration,
}

impl Size {
    fn of(options: &Options) -> Self {
        Self {
            scale: options.scale(),
            window: Duration::from_secs(if options.scale() == 1 { 6 } else { 2 }),
            soak: Duration::from_mins(options.soak_minutes),
        }
    }

    /// So many subscribers, or a tenth of them for a quick look.
    fn people(self, count: usize) -> usize {
        count / self.scale
    }
}

/// A running server and its subscribers.
#[derive(Debug)]
struct Scene {
    load: Load,
    server: Server,
    pids: Vec<Pid>,
}

impl Scene {
    /// Starts a server and subscribes.
    fn open(peers: &mut Peers, subject: Subject, subscribers: usize) -> Result<Self> {
        let mut scene = Self::start(peers, subject, subscribers)?;
        scene.subscribe(subscribers)?;
        Ok(scene)
    }

    fn start(peers: &mut Peers, subject: Subject, subscribers: usize) -> Result<Self> {
        Self::of(peers.start(subject, subscribers)?)
    }

    /// A server that runs, and nobody who subscribes yet.
    fn of(server: Server) -> Result<Self> {
        Ok(Self {
            load: Load::new()?,
            pids: server.process.pids(),
            server,
        })
    }

    /// Subscribes the next so many.
    fn subscribe(&mut self, count: usize) -> Result<()> {
        let openings = self.server.openings.drain(..count).collect();
        self.load.subscribe(self.server.address, openings, 1)?;
        self.settle()
    }

    /// Lets the server finish what connecting made it do: until it uses less than a tenth of its core, or 20 s.
    fn settle(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        // A server may start others after it listens.
        self.load.idle(Duration::from_millis(200))?;
        self.pids = self.server.process.pids();
        loop {
            let before = proc::cpu_micros(&self.pids);
            self.load.idle(Duration::from_millis(500))?;
            let used = proc::cpu_micros(&self.pids) - before;
            if used < 50_000.0 || Instant::now() > deadline {
                return Ok(());
            }
        }
    }

    /// Makes the publishers.
    fn publish(&mut self, publishers: usize) -> Result<()> {
        if let Some(publishing) = self.server.publishing.take() {
            self.load.publish_with(publishing, publishers, 1)?;
            self.load.idle(Duration::from_millis(200))?;
        }
        Ok(())
    }

    /// Begins to measure.
    fn begin(&mut self) -> Window {
        self.load.take_latencies();
        Window {
            started: Instant::now(),
            delivered: self.load.delivered(),
            received: self.load.received(),
            server: proc::cpu_micros(&self.pids),
            generator: clock::own_cpu(),
            cores: [SERVER_CORE, GENERATOR_CORE].map(proc::core_busy_micros),
        }
    }
}

/// What stood on the clocks when measuring began.
#[derive(Debug, Clone, Copy)]
struct Window {
    started: Instant,
    delivered: u64,
    /// What everybody has been sent.
    received: u64,
    server: f64,
    generator: u64,
    /// How long the server's and the generator's core have been busy, in microseconds.
    cores: [f64; 2],
}

impl Window {
    /// Deliveries since then.
    fn deliveries(self, scene: &Scene) -> f64 {
        (scene.load.delivered() - self.delivered) as f64
    }

    /// Bytes per delivery since then, as they came out of TCP.
    fn bytes(self, scene: &Scene) -> f64 {
        (scene.load.received() - self.received) as f64 / self.deliveries(scene).max(1.0)
    }

    /// Server CPU per delivery since then, in microseconds.
    fn cpu(self, scene: &Scene) -> f64 {
        (proc::cpu_micros(&scene.pids) - self.server) / self.deliveries(scene).max(1.0)
    }

    /// Says so when something else has used more than an eighth of one of the two cores since then: such a run says
    /// little.
    fn warn_of_others(self, scene: &Scene) {
        let elapsed = self.started.elapsed().as_secs_f64() * 1e6;
        let own = [
            proc::cpu_micros(&scene.pids) - self.server,
            (clock::own_cpu() - self.generator) as f64 / 1e3,
        ];
        let others = [SERVER_CORE, GENERATOR_CORE].map(|core| {
            let busy =
                proc::core_busy_micros(core) - self.cores[usize::from(core == GENERATOR_CORE)];
            let own = own[usize::from(core == GENERATOR_CORE)];
            100.0 * (busy - own).max(0.0) / elapsed
        });
        if others.iter().any(|share| *share > NOISY) {
            println!(
                "    noisy: something else used {:.0} % of the server's core and {:.0} % of the generator's",
                others[0], others[1]
            );
        }
    }

    /// Deliveries per second since then.
    fn rate(self, scene: &Scene) -> f64 {
        self.deliveries(scene) / self.started.elapsed().as_secs_f64()
    }

    /// How much of its core the generator has used since then, in percent.
    fn generator_busy(self) -> f64 {
        let used = (clock::own_cpu() - self.generator) as f64 / 1e9;
        100.0 * used / self.started.elapsed().as_secs_f64()
    }
}

/// Where a run puts what it found.
struct Sink<'a> {
    results: &'a mut Results,
    subject: Subject,
}

impl Sink<'_> {
    fn add(&mut self, measure: Measure, value: f64) {
        println!(
            "    {:<44} {}",
            measure.title(),
            crate::report::table::number(value)
        );
        self.results.add(measure, self.subject, value);
    }
}

/// Measures what the options ask for.
pub fn run(options: &Options) -> Result<Results> {
    proc::pin(GENERATOR_CORE)?;
    let open_files = proc::raise_open_files()?;
    let size = Size::of(options);
    let mut results = Results::default();
    let subjects = options.subjects();
    let mut peers = Peers::new(options.rialto.clone(), people(options, &subjects, size));
    for peer in Peer::ALL {
        if subjects.iter().any(|subject| subject.peer == peer) {
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
                if !matches!(results.versions.get(&subject.peer), Some(Ok(_)))
                    || !applies(workload, *subject)
                {
                    continue;
                }
                println!("run {run} of {}, {workload:?}, {subject}", options.runs);
                let sink = Sink {
                    results: &mut results,
                    subject: *subject,
                };
                if let Err(error) = measure(workload, &mut peers, sink, size) {
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

fn applies(workload: Workload, subject: Subject) -> bool {
    match workload {
        Workload::Idle | Workload::Paced | Workload::Flat | Workload::Stuck | Workload::Scaling => {
            true
        }
        Workload::Acks | Workload::Nodes | Workload::Soak => {
            subject.peer == Peer::Rialto && subject.transport == Transport::Ws
        }
        Workload::Pages => subject.peer == Peer::Rialto && subject.transport == Transport::Sse,
        Workload::Storm => subject.peer == Peer::Rialto,
    }
}

/// How many names Rialto needs.
fn people(options: &Options, subjects: &[Subject], size: Size) -> usize {
    let rialto = |transport| {
        let mut subjects = subjects.iter();
        subjects.any(|subject| subject.peer == Peer::Rialto && subject.transport == transport)
    };
    if !rialto(Transport::Ws) {
        return usize::from(rialto(Transport::Sse) && options.wants(Workload::Pages));
    }
    WORKLOADS
        .into_iter()
        .filter(|workload| options.wants(*workload))
        .map(|workload| match workload {
            Workload::Idle | Workload::Flat | Workload::Storm => size.people(5_000),
            Workload::Paced => size.people(1_000),
            Workload::Stuck => size.people(500),
            Workload::Scaling => size.people(10_000),
            Workload::Acks => acks::SENDERS,
            Workload::Pages => 1,
            Workload::Nodes => size.people(nodes::PAGES),
            Workload::Soak => size.people(soak::PEOPLE),
        })
        .max()
        .unwrap_or(0)
        .max(acks::SENDERS)
}

fn measure(workload: Workload, peers: &mut Peers, mut sink: Sink<'_>, size: Size) -> Result<()> {
    match workload {
        Workload::Idle => idle::run(peers, &mut sink, size),
        Workload::Paced => steady::paced(peers, &mut sink, size),
        Workload::Flat => steady::flat(peers, &mut sink, size),
        Workload::Stuck => stuck::run(peers, &mut sink, size),
        Workload::Scaling => {
            steady::scaling(peers, &mut sink, size)?;
            if sink.subject.peer == Peer::Rialto && sink.subject.transport == Transport::Ws {
                rooms::run(peers, &mut sink, size)?;
            }
            Ok(())
        }
        Workload::Acks => acks::run(peers, &mut sink, size),
        Workload::Storm => storm::run(peers, &mut sink, size),
        Workload::Pages => pages::run(peers, &mut sink, size),
        Workload::Nodes => nodes::run(peers, &mut sink, size),
        Workload::Soak => soak::run(peers, &mut sink, size),
    }
}
