//! What is counted, for who runs this: read by Prometheus (`OpenMetrics` 1.0) where `--metrics-addr` says.
//!
//! What happens is counted where it happens. What merely is (who is connected, what waits) is looked up when somebody asks, so that
//! it costs nothing in between.

use super::store::Stream;
use crate::model::call::Outcome;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};
use std::{
    borrow::Cow,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The media type of what [`Metrics::encode`] writes.
pub const OPENMETRICS_MEDIA_TYPE: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    /// Live connections to this node, by kind.
    pub connections: Family<ConnectionLabels, Gauge>,
    /// People who are here or away, in the whole community.
    pub people: Gauge,
    /// Bytes that wait for connections to take them.
    pub queue_bytes: Gauge,
    /// The most that waits for a single one of them.
    pub queue_bytes_most: Gauge,
    /// What was written to live connections: an event to a connection is one.
    pub deliveries: Counter,
    /// Live connections that were closed because they did not read.
    pub slow_readers: Family<ConnectionLabels, Counter>,
    /// Resumes, by what they were answered.
    pub resumes: Family<ResumeLabels, Counter>,
    /// From a group of appends to its commit.
    pub commit: Histogram,
    /// How many appends a group has.
    pub commit_appends: Histogram,
    /// Groups that could not be committed.
    pub commit_failures: Counter,
    /// Whether NATS is there.
    pub bus_connected: Gauge,
    /// From a commit at another node to here. The clocks of the two are compared.
    pub bus_lag: Histogram,
    /// Events of other nodes that the bus did not bring, and that were read from the store.
    pub bus_missed: Counter,
    /// Requests answered.
    pub requests: Family<RequestLabels, Counter>,
    /// How long their answers took, by route.
    pub request: Family<RouteLabels, Histogram, fn() -> Histogram>,
    /// Calls that ring or are on, at the node that holds the desk.
    pub calls: Gauge,
    /// Calls that have ended, by outcome.
    pub calls_ended: Family<CallOutcomeLabels, Counter>,
    /// Tries to sign in that were refused because there were too many.
    pub tries_refused: Counter,
    /// Relays that are open at this node.
    pub relays: Gauge,
    /// Bytes of calls that were relayed; those between two relays of this node twice.
    pub relay_bytes: Counter,
    /// What the relay refused, by why.
    pub relay_refused: Family<RelayRefusalLabels, Counter>,
}

/// Why the relay refused something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RelayRefusalLabels {
    reason: &'static str,
}

impl RelayRefusalLabels {
    /// A credential that was good once.
    pub const EXPIRED: Self = Self { reason: "expired" };
    /// A credential that never was.
    pub const FORGED: Self = Self { reason: "forged" };
    /// To be sent where the relay sends nothing.
    pub const PEER: Self = Self { reason: "peer" };
    /// More relays than there may be.
    pub const QUOTA: Self = Self { reason: "quota" };
    /// More bytes a second than may be relayed.
    pub const BANDWIDTH: Self = Self {
        reason: "bandwidth",
    };
}

/// The label of what concerns live connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConnectionLabels {
    kind: &'static str,
}

impl ConnectionLabels {
    /// `GET /ws`.
    pub const WEBSOCKET: Self = Self { kind: "websocket" };
    /// `GET /news/events`.
    pub const SSE: Self = Self { kind: "sse" };
}

/// Labels of a resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResumeLabels {
    /// `news` or `room`.
    pub stream: &'static str,
    /// `true`: all that was missed was told. `false`: it has to be loaded afresh.
    pub recovered: bool,
}

/// The values of [`Resume::stream`].
const NEWS_STREAM_LABEL: &str = "news";
const ROOM_STREAM_LABEL: &str = "room";

/// Labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Its method.
    pub method: &'static str,
    /// Its route, as [`Route`] has it.
    pub route: Cow<'static, str>,
    /// The status it was answered with.
    pub status: u16,
}

/// The label of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabels {
    /// The pattern of the address, without what differs from one to the next; `other` for what is no route.
    pub route: Cow<'static, str>,
}

/// The label of a call that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallOutcomeLabels {
    /// How, in the word of the protocol.
    pub outcome: String,
}

impl CallOutcomeLabels {
    fn from_outcome(outcome: Outcome) -> Self {
        let word = serde_json::to_value(outcome).unwrap_or_default();
        let outcome = word.as_str().unwrap_or_default().to_owned();
        Self { outcome }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new("")
    }
}

impl Metrics {
    /// Nothing counted yet, by this build.
    #[must_use]
    pub fn new(build: &str) -> Self {
        // From a tenth of a millisecond to some seconds.
        let times = || Histogram::new(exponential_buckets(0.000_1, 2.5, 12));
        let mut metrics = Self {
            registry: Registry::with_prefix("rialto"),
            connections: Family::default(),
            people: Gauge::default(),
            queue_bytes: Gauge::default(),
            queue_bytes_most: Gauge::default(),
            deliveries: Counter::default(),
            slow_readers: Family::default(),
            resumes: Family::default(),
            commit: times(),
            commit_appends: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            commit_failures: Counter::default(),
            bus_connected: Gauge::default(),
            bus_lag: times(),
            bus_missed: Counter::default(),
            requests: Family::default(),
            request: Family::new_with_constructor(times),
            calls: Gauge::default(),
            calls_ended: Family::default(),
            tries_refused: Counter::default(),
            relays: Gauge::default(),
            relay_bytes: Counter::default(),
            relay_refused: Family::default(),
        };
        metrics.initialize_series();
        metrics.register(build);
        metrics
    }

    /// Begins to count what may not happen for long: a rate of nothing is none, and not unknown.
    fn initialize_series(&self) {
        for kind in [ConnectionLabels::WEBSOCKET, ConnectionLabels::SSE] {
            self.slow_readers.get_or_create(&kind).inc_by(0);
        }
        for stream in [NEWS_STREAM_LABEL, ROOM_STREAM_LABEL] {
            for recovered in [true, false] {
                let kind = ResumeLabels { stream, recovered };
                self.resumes.get_or_create(&kind).inc_by(0);
            }
        }
        for reason in [
            RelayRefusalLabels::EXPIRED,
            RelayRefusalLabels::FORGED,
            RelayRefusalLabels::PEER,
            RelayRefusalLabels::QUOTA,
            RelayRefusalLabels::BANDWIDTH,
        ] {
            self.relay_refused.get_or_create(&reason).inc_by(0);
        }
        for outcome in [
            Outcome::HungUp,
            Outcome::Declined,
            Outcome::Busy,
            Outcome::NoAnswer,
            Outcome::Cancelled,
            Outcome::Failed,
        ] {
            let outcome = CallOutcomeLabels::from_outcome(outcome);
            self.calls_ended.get_or_create(&outcome).inc_by(0);
        }
    }

    fn register(&mut self, build: &str) {
        let labels = [
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("build", build.to_owned()),
        ];
        let registry = &mut self.registry;
        registry.register("build", "Version and build", Info::new(labels));
        macro_rules! register {
            ($($metric:ident $(in $unit:ident)? $help:literal),* $(,)?) => {$(
                let metric = self.$metric.clone();
                register!(@ $metric $($unit)? $help metric);
            )*};
            (@ $metric:ident $unit:ident $help:literal $value:ident) => {
                registry.register_with_unit(stringify!($metric), $help, Unit::$unit, $value);
            };
            (@ $metric:ident $help:literal $value:ident) => {
                registry.register(stringify!($metric), $help, $value);
            };
        }
        register!(
            connections "Live connections to this node, by kind",
            people "People online or away, at all nodes",
            queue_bytes "Bytes queued for live connections",
            queue_bytes_most "Most bytes queued for one connection",
            deliveries "Frames written to live connections; one event to one connection is one delivery",
            slow_readers "Live connections closed because the client did not read",
            resumes "Resumed streams, by whether all missed events were replayed",
            commit in Seconds "Duration of a batch of appends up to its commit",
            commit_appends "Appends per committed batch",
            commit_failures "Batches that could not be committed",
            bus_connected "1 while NATS is connected",
            bus_lag in Seconds "Delay from a commit at another node to its arrival here, by both clocks",
            bus_missed "Events of other nodes read from the store because the bus did not deliver them",
            requests "Requests answered",
            request in Seconds "Time from request to response",
            calls "Calls ringing or in progress, if this node is the call leader",
            calls_ended "Ended calls, by outcome",
            tries_refused "Sign-in attempts refused by the rate limit",
            relays "Open TURN relays at this node",
            relay_bytes "Bytes relayed by the TURN server",
            relay_refused "Requests and packets refused by the TURN server, by reason",
        );
    }

    /// All of it as text, of [`MEDIA_TYPE`].
    ///
    /// # Errors
    /// Never, as far as is known.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Counts a resume.
    pub(super) fn count_resume(&self, stream: Stream, recovered: bool) {
        let stream = match stream {
            Stream::News => NEWS_STREAM_LABEL,
            Stream::Room(_) => ROOM_STREAM_LABEL,
        };
        self.resumes
            .get_or_create(&ResumeLabels { stream, recovered })
            .inc();
    }

    /// Counts a live connection that was closed because it did not read.
    pub fn count_slow_reader(&self, kind: ConnectionLabels) {
        self.slow_readers.get_or_create(&kind).inc();
    }

    /// Counts a call that has ended.
    pub fn count_ended_call(&self, outcome: Outcome) {
        self.calls_ended
            .get_or_create(&CallOutcomeLabels::from_outcome(outcome))
            .inc();
    }

    /// Counts a request that was answered.
    pub fn observe_request(&self, request: RequestLabels, took: Duration) {
        let route = request.route.clone();
        self.request
            .get_or_create(&RouteLabels { route })
            .observe(took.as_secs_f64());
        self.requests.get_or_create(&request).inc();
    }

    /// Sets a count that is kept elsewhere.
    pub fn set_deliveries(&self, count: u64) {
        let inner: &AtomicU64 = self.deliveries.inner();
        inner.store(count, Ordering::Relaxed);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
