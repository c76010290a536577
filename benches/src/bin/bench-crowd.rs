//! Subscribers of the workload `crowd`; see [`rialto_bench::load::crowd`].

use std::{
    io,
    sync::mpsc::{self, TryRecvError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rialto_bench::{
    load::{
        LoadGenerator,
        crowd::{CrowdReport, CrowdRequest},
        ws,
    },
    proc,
    servers::rialto,
};

/// As pages do, so that the server does not take them for lost.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

fn main() -> Result<()> {
    proc::raise_open_file_limit()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let request: CrowdRequest = serde_json::from_str(&line).context("no request")?;
    let (questions, asked) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = io::stdin().lines().map_while(Result::ok);
        lines.try_for_each(|_| questions.send(()))
    });

    let mut load = LoadGenerator::new()?;
    load.set_sources(request.sources());
    let mut handshakes = vec![rialto::news_handshake(""); request.readers];
    handshakes.extend(
        request
            .cookies
            .iter()
            .map(|cookie| rialto::ws_handshake(cookie, None)),
    );
    load.subscribe(request.address, handshakes, 1)?;
    println!("{}", serde_json::to_string(&take_report(&mut load))?);

    let mut heartbeats = Heartbeats::new(request.readers, request.cookies.len());
    loop {
        load.poll_once(Duration::from_millis(20))?;
        heartbeats.send_due(&mut load);
        match asked.try_recv() {
            Ok(()) => println!("{}", serde_json::to_string(&take_report(&mut load))?),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    }
}

fn take_report(load: &mut LoadGenerator) -> CrowdReport {
    let latencies = load.take_latencies();
    CrowdReport {
        open: load.subscribers.len() - load.ended_count(),
        delivered: latencies.count(),
        slowest_ms: latencies.quantile(1.0).unwrap_or(0.0),
    }
}

/// Heartbeats of WebSocket connections, spread evenly over the interval.
struct Heartbeats {
    started: Instant,
    sent: usize,
    /// Index of the first WebSocket among the subscribers.
    first: usize,
    count: usize,
}

impl Heartbeats {
    fn new(first: usize, count: usize) -> Self {
        Self {
            started: Instant::now(),
            sent: 0,
            first,
            count,
        }
    }

    fn send_due(&mut self, load: &mut LoadGenerator) {
        let rounds = self.started.elapsed().as_secs_f64() / HEARTBEAT_INTERVAL.as_secs_f64();
        while (self.sent as f64) < rounds * self.count as f64 {
            let subscriber = &mut load.subscribers[self.first + self.sent % self.count];
            subscriber
                .conn
                .send(&ws::text_frame("{\"type\":\"ping\",\"n\":1}"));
            self.sent += 1;
        }
    }
}
