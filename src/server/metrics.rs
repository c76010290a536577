//! Prometheus metrics for the operator (`OpenMetrics` 1.0). Gauges are computed when scraped.

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

/// Media type of [`Metrics::encode`].
pub const OPENMETRICS_MEDIA_TYPE: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics; `register` says what they measure.
pub struct Metrics {
    registry: Registry,
    pub connections: Family<ConnectionLabels, Gauge>,
    pub people: Gauge,
    pub queue_bytes: Gauge,
    pub queue_bytes_most: Gauge,
    pub deliveries: Counter,
    pub slow_readers: Family<ConnectionLabels, Counter>,
    pub resumes: Family<ResumeLabels, Counter>,
    pub commit: Histogram,
    pub commit_appends: Histogram,
    pub commit_failures: Counter,
    pub bus_connected: Gauge,
    pub bus_lag: Histogram,
    pub bus_missed: Counter,
    pub requests: Family<RequestLabels, Counter>,
    pub request: Family<RouteLabels, Histogram, fn() -> Histogram>,
    pub calls: Gauge,
    pub calls_ended: Family<CallOutcomeLabels, Counter>,
    pub limited: Family<LimitLabels, Counter>,
    pub panics: Counter,
    pub open_connections: Gauge,
    pub max_connections: Gauge,
    pub relays: Gauge,
    /// Counted twice between two allocations of this node.
    pub relay_bytes: Counter,
    pub relay_refused: Family<RelayRefusalLabels, Counter>,
    backup_age: Family<[(&'static str, &'static str); 0], Gauge>,
}

/// Why the relay refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RelayRefusalLabels {
    reason: &'static str,
}

impl RelayRefusalLabels {
    /// An expired credential.
    pub const EXPIRED: Self = Self { reason: "expired" };
    /// A credential that was never valid.
    pub const FORGED: Self = Self { reason: "forged" };
    /// A forbidden peer address.
    pub const PEER: Self = Self { reason: "peer" };
    /// Too many allocations, permissions or channels.
    pub const QUOTA: Self = Self { reason: "quota" };
    /// A request with too many bytes or peers.
    pub const SIZE: Self = Self { reason: "size" };
    /// Too many requests.
    pub const REQUESTS: Self = Self { reason: "requests" };
    /// Too many TCP connections, of one address or in total.
    pub const CONNECTIONS: Self = Self {
        reason: "connections",
    };
    /// Too many bytes a second.
    pub const BANDWIDTH: Self = Self {
        reason: "bandwidth",
    };
}

/// A limit of `--limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LimitLabels {
    /// Its name.
    pub limit: &'static str,
}

/// Kind of a live connection.
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

/// Labels of a resume request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResumeLabels {
    pub stream: &'static str,
    pub recovered: bool,
}

const NEWS_STREAM_LABEL: &str = "news";
const ROOM_STREAM_LABEL: &str = "room";

/// Labels of an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    pub method: &'static str,
    /// As in [`RouteLabels::route`].
    pub route: Cow<'static, str>,
    pub status: u16,
}

/// Label of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabels {
    /// Pattern without its wildcard part; `other` for unmatched paths.
    pub route: Cow<'static, str>,
}

/// Label of an ended call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallOutcomeLabels {
    /// As spelled in the protocol.
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
    /// Metrics of this build, all zero.
    #[must_use]
    pub fn new(build: &str) -> Self {
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
            limited: Family::default(),
            panics: Counter::default(),
            open_connections: Gauge::default(),
            max_connections: Gauge::default(),
            relays: Gauge::default(),
            relay_bytes: Counter::default(),
            relay_refused: Family::default(),
            backup_age: Family::default(),
        };
        metrics.initialize_series();
        metrics.register(build);
        metrics
    }

    /// Starts rare series at zero, so that their rate is not absent.
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
            RelayRefusalLabels::SIZE,
            RelayRefusalLabels::REQUESTS,
            RelayRefusalLabels::CONNECTIONS,
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
            panics "Panics: errors of the program, which are in its log",
            open_connections "Open HTTP connections, live ones among them",
            max_connections "Open HTTP connections that are allowed",
            limited "Requests, frames and connections over a limit of --limits, by limit",
            relays "Open TURN relays at this node",
            relay_bytes "Bytes relayed by the TURN server",
            relay_refused "Requests and packets refused by the TURN server, by reason",
            backup_age in Seconds "Age of the newest periodic backup; absent while there is none",
        );
    }

    /// Encodes all metrics as [`OPENMETRICS_MEDIA_TYPE`].
    ///
    /// # Errors
    /// When encoding fails.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub(super) fn count_resume(&self, stream: Stream, recovered: bool) {
        let stream = match stream {
            Stream::News => NEWS_STREAM_LABEL,
            Stream::Room(_) => ROOM_STREAM_LABEL,
            // Never resumed by a client.
            Stream::Memberships => return,
        };
        self.resumes
            .get_or_create(&ResumeLabels { stream, recovered })
            .inc();
    }

    /// Counts a connection closed because it did not read.
    pub fn count_slow_reader(&self, kind: ConnectionLabels) {
        self.slow_readers.get_or_create(&kind).inc();
    }

    /// Counts an ended call.
    pub fn count_ended_call(&self, outcome: Outcome) {
        self.calls_ended
            .get_or_create(&CallOutcomeLabels::from_outcome(outcome))
            .inc();
    }

    /// Counts a request and its duration.
    pub fn observe_request(&self, request: RequestLabels, took: Duration) {
        let route = request.route.clone();
        self.request
            .get_or_create(&RouteLabels { route })
            .observe(took.as_secs_f64());
        self.requests.get_or_create(&request).inc();
    }

    /// Sets the age of the newest periodic backup.
    pub fn set_backup_age(&self, age: Duration) {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.backup_age.get_or_create(&[]).set(seconds);
    }

    /// Sets the number of deliveries, which the flusher counts.
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
