//! As many readers and signed-in pages as the machine carries (Rialto): the time until the last reader has a story, and
//! what somebody who writes and reads notices of it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{MetricSink, RunSize, Testbed};
use crate::{
    load::{
        LoadGenerator,
        crowd::{CrowdReport, CrowdRequest},
        http,
        latencies::Latencies,
        requester::Requester,
        subscriber::AckTracker,
    },
    proc,
    report::results::Metric,
    servers::{
        Launcher, Server, Transport, rialto, shared_services::SharedServices, sibling_program,
    },
};

/// Readers of the news over SSE.
const READERS: usize = 100_000;
/// WebSocket connections, each of another person.
const WEBSOCKETS: usize = 10_000;
/// One after another.
const STORIES: usize = 3;

/// To the room of everybody.
const MESSAGES_PER_SECOND: u32 = 5;
/// For the front page.
const REQUESTS_PER_SECOND: f64 = 20.0;

/// Open files of a node or a generator that are no connection of the crowd.
const RESERVED_FILES: usize = 512;

const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// People who are needed: one for each WebSocket, and the one who is measured.
pub(super) fn people(size: RunSize) -> usize {
    size.scaled(WEBSOCKETS) + 1
}

/// On as many nodes as the limit of open files asks for.
pub(super) fn run(launcher: &mut Launcher, sink: &mut MetricSink<'_>, size: RunSize) -> Result<()> {
    let (readers, websockets) = (size.scaled(READERS), size.scaled(WEBSOCKETS));
    let folder = tempfile::tempdir()?;
    let count = nodes_for(readers + websockets, proc::raise_open_file_limit()?);
    let shared = match count {
        1 => None,
        _ => match SharedServices::start(folder.path()) {
            Ok(shared) => Some(shared),
            Err(why) => {
                println!("    skipped, {count} nodes needed: {why:#}");
                return Ok(());
            }
        },
    };
    let mut nodes = match &shared {
        None => vec![launcher.start(sink.measured_server, 0)?],
        Some(shared) => launcher.rialto.start_nodes(shared, &vec![0; count])?,
    };
    let pids: Vec<_> = nodes.iter().flat_map(|node| node.process.pids()).collect();
    let before = proc::memory_bytes(&pids)?;
    let cookies = launcher.rialto.cookies()?[1..=websockets].to_vec();
    let mut crowd = Crowd::connect(&nodes, readers, &cookies)?;
    let connected = crowd.ask_all()?.open;
    let grown = proc::memory_bytes(&pids)? - before;
    println!("    {connected} connections to {count} nodes");
    sink.add(Metric::CrowdConnections, connected as f64);
    sink.add(Metric::CrowdBytes, grown / connected as f64);

    let mut person = Person::open(nodes.swap_remove(0), launcher)?;
    person.use_for(size.steady_duration)?;
    let [ack, page] = person.take_p99();
    println!("    without stories: acknowledgement p99 {ack:.1} ms, page p99 {page:.1} ms");
    crowd.ask_all()?;
    let (mut slowest, mut delivered) = (Vec::new(), 0);
    for _ in 0..STORIES {
        person.stories.publish_burst(1);
        person.use_for(size.steady_duration)?;
        let story = crowd.ask_readers()?;
        slowest.push(story.slowest_ms / 1e3);
        delivered += story.delivered;
    }
    slowest.sort_by(f64::total_cmp);
    let [ack, page] = person.take_p99();
    sink.add(Metric::CrowdStory, slowest[STORIES / 2]);
    sink.add(Metric::CrowdAckP99, ack);
    sink.add(Metric::CrowdPageP99, page);
    let missed = (readers * STORIES) as f64 - delivered as f64;
    let ended = (connected - crowd.ask_all()?.open) as f64;
    sink.add(Metric::CrowdErrors, missed.abs() + ended);
    if let Some(why) = person.refusal() {
        bail!("a request was refused: {why}");
    }
    Ok(())
}

/// A node keeps up to a quarter of its files for relays.
fn nodes_for(connections: usize, open_files: u64) -> usize {
    let open_files = usize::try_from(open_files).unwrap_or(usize::MAX);
    let per_node = (open_files - open_files / 4).saturating_sub(RESERVED_FILES);
    connections.div_ceil(per_node.max(1))
}

/// Readers and WebSocket connections at all nodes.
#[derive(Debug, Default)]
struct Crowd {
    readers: Vec<Generator>,
    websockets: Vec<Generator>,
}

impl Crowd {
    fn connect(nodes: &[Server], readers: usize, cookies: &[String]) -> Result<Self> {
        let mut crowd = Self::default();
        let mut source = Ipv4Addr::new(127, 1, 0, 1);
        let mut connect = |address, readers: usize, cookies: &[String]| -> Result<Generator> {
            let request = CrowdRequest {
                address,
                first_source: source,
                readers,
                cookies: cookies.to_vec(),
            };
            let used = u32::try_from(request.sources().len())?;
            source = Ipv4Addr::from(u32::from(source) + used);
            let mut generator = Generator::start(&request)?;
            // One after another: the machine would be busy with handshakes for minutes. The report follows the last one.
            generator.read_report()?;
            Ok(generator)
        };
        for (index, node) in nodes.iter().enumerate() {
            let share =
                |total: usize| total * index / nodes.len()..total * (index + 1) / nodes.len();
            let own = &cookies[share(cookies.len())];
            crowd
                .readers
                .push(connect(node.address, share(readers).len(), &[])?);
            crowd.websockets.push(connect(node.address, 0, own)?);
        }
        Ok(crowd)
    }

    fn ask_readers(&mut self) -> Result<CrowdReport> {
        ask(&mut self.readers)
    }

    fn ask_all(&mut self) -> Result<CrowdReport> {
        let readers = ask(&mut self.readers)?;
        Ok(readers.and(&ask(&mut self.websockets)?))
    }
}

fn ask(generators: &mut [Generator]) -> Result<CrowdReport> {
    for generator in &mut *generators {
        writeln!(generator.questions)?;
    }
    sum_reports(generators)
}

fn sum_reports(generators: &mut [Generator]) -> Result<CrowdReport> {
    let mut sum = CrowdReport::default();
    for generator in generators {
        sum = sum.and(&generator.read_report()?);
    }
    Ok(sum)
}

/// A `bench-crowd`, which ends with its standard input.
#[derive(Debug)]
struct Generator {
    child: Child,
    questions: ChildStdin,
    reports: BufReader<ChildStdout>,
}

impl Generator {
    fn start(request: &CrowdRequest) -> Result<Self> {
        let mut child = Command::new(sibling_program("bench-crowd")?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start bench-crowd")?;
        let mut questions = child.stdin.take().context("no standard input")?;
        let reports = child.stdout.take().context("no standard output")?;
        writeln!(questions, "{}", serde_json::to_string(request)?)?;
        Ok(Self {
            child,
            questions,
            reports: BufReader::new(reports),
        })
    }

    fn read_report(&mut self) -> Result<CrowdReport> {
        let mut line = String::new();
        if self.reports.read_line(&mut line)? == 0 {
            bail!("a generator failed: {}", self.child.wait()?);
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        // Its connections go with it.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Somebody at the first node who writes to the room of all and reads the front page.
#[derive(Debug)]
struct Person {
    testbed: Testbed,
    /// Publishes stories, through the first node.
    stories: LoadGenerator,
    /// The index of the front page's requester.
    pages: usize,
    request: Vec<u8>,
}

impl Person {
    fn open(mut server: Server, launcher: &Launcher) -> Result<Self> {
        let address: SocketAddr = server.address;
        server.handshakes = launcher.rialto.ws_handshakes(1, None)?;
        let mut testbed = Testbed::of(server)?;
        testbed.subscribe(1)?;
        let messages = launcher
            .rialto
            .publish_method(Transport::Ws, address, &[])?;
        testbed.load.add_publishers(messages, 1, 1)?;
        testbed.load.subscribers[0].acks = Some(AckTracker::new(rialto::SENT_PATTERN));
        let pages = testbed.load.add_requester(address, None)?;
        let mut stories = LoadGenerator::new()?;
        let method = launcher
            .rialto
            .publish_method(Transport::Sse, address, &[])?;
        stories.add_publishers(method, 1, 1)?;
        let cookie = format!("Cookie: {}\r\n", launcher.rialto.cookie()?);
        Ok(Self {
            testbed,
            stories,
            pages,
            request: http::get_request("/", &cookie),
        })
    }

    /// Until everything that was sent is acknowledged and answered.
    fn use_for(&mut self, time: Duration) -> Result<()> {
        let Self {
            testbed,
            stories,
            pages,
            request,
        } = self;
        let load = &mut testbed.load;
        let (started, mut requested) = (Instant::now(), 0.0);
        load.publish_paced(MESSAGES_PER_SECOND, time, |load| {
            stories.poll_once(Duration::ZERO)?;
            while requested < started.elapsed().as_secs_f64() * REQUESTS_PER_SECOND {
                load.requesters[*pages].enqueue(request.clone());
                requested += 1.0;
            }
            Ok(())
        })?;
        load.drain(DELIVERY_TIMEOUT)?;
        let deadline = Instant::now() + DELIVERY_TIMEOUT;
        let is_waiting = |load: &LoadGenerator| !load.requesters.iter().all(Requester::is_idle);
        while (is_waiting(load) || is_waiting(stories)) && Instant::now() < deadline {
            load.poll_once(Duration::from_millis(5))?;
            stories.poll_once(Duration::ZERO)?;
        }
        Ok(())
    }

    /// Of acknowledgements and pages since the last call, in milliseconds.
    fn take_p99(&mut self) -> [f64; 2] {
        let load = &mut self.testbed.load;
        let acks = load.subscribers[0]
            .acks
            .as_mut()
            .map(|acks| &mut acks.latencies);
        let pages = &mut load.requesters[self.pages].latencies;
        let p99 = |latencies: Option<&mut Latencies>| {
            let latencies = latencies.map(std::mem::take).unwrap_or_default();
            latencies.quantile(0.99).unwrap_or(f64::INFINITY)
        };
        [p99(acks), p99(Some(pages))]
    }

    fn refusal(&self) -> Option<&str> {
        self.testbed
            .load
            .first_refusal()
            .or(self.stories.first_refusal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_high_limit_needs_one_node() {
        assert_eq!(nodes_for(110_000, 1_048_576), 1);
        assert_eq!(nodes_for(110_000, 20_000), 8);
        assert_eq!(nodes_for(11_000, 20_000), 1);
        assert_eq!(nodes_for(3, 16), 3);
    }
}
