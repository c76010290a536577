//! The values of every run, and those in the report.

use std::collections::BTreeMap;

use crate::servers::{MeasuredServer, ServerKind};

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Server memory per idle connection, in bytes.
    IdleBytes,
    /// Paced: CPU per delivery, in microseconds.
    PacedCpu,
    /// Paced: bytes per delivery, as received over TCP.
    WireBytes,
    /// Paced: median latency, in milliseconds.
    PacedP50,
    /// Paced: p99 of the latency, in milliseconds.
    PacedP99,
    /// Paced: p99.9 of the latency, in milliseconds.
    PacedP999,
    /// Flat out, 1,000 subscribers: deliveries per second.
    Flat1000,
    /// Flat out, 1,000 subscribers: CPU per delivery, in microseconds.
    Flat1000Cpu,
    /// Flat out, 5,000 subscribers: deliveries per second.
    Flat5000,
    /// Flat out: the generator's use of its core, in percent.
    GeneratorBusy,
    /// Paced and flat out: lost messages.
    Lost,
    /// Paced and flat out: duplicated messages.
    Doubled,
    /// Paced and flat out: messages out of order.
    OutOfOrder,
    /// Bytes per stuck reader, kernel buffers included.
    StuckBytes,
    /// Seconds until every stuck reader is disconnected.
    StuckEnded,
    /// The others' p99, relative to a run without stuck readers.
    StuckOthersP99Ratio,
    /// CPU per delivery to 10,000 subscribers, relative to 1,000.
    Scaling,
    /// CPU per delivery in ten rooms, relative to one room with as many users.
    TenRooms,
    /// Acknowledged sends per second, 50 senders.
    Acks,
    /// p99 of the acknowledgement at 500 sends per second, in milliseconds.
    AckP99,
    /// Seconds until every client has caught up.
    Storm,
    /// Seconds to deliver the same messages live, in one burst.
    LiveSeconds,
    /// [`Self::Storm`] relative to [`Self::LiveSeconds`].
    StormRatio,
    /// [`Self::Storm`] relative to live delivery at 100 per second.
    StormPaced,
    /// Storm: messages lost, duplicated or out of order.
    StormErrors,
    /// Storm: p99 of `GET /`, relative to an idle server.
    StormPage,
    /// Storm: p99 of picking a name, relative to an idle server.
    StormName,
    /// Probe requests failed or refused, idle and in the storm.
    StormRefused,
    /// Front pages per second, anonymous.
    Pages,
    /// Front pages per second, signed in.
    SignedInPages,
    /// Pages per second of a new Leptos project.
    HelloPages,
    /// [`Self::Pages`] relative to [`Self::HelloPages`].
    PagesRatio,
    /// [`Self::SignedInPages`] relative to [`Self::HelloPages`].
    SignedInPagesRatio,
    /// A node's bytes per client of another node.
    RemoteClientBytes,
    /// CPU of a node without subscribers per event of another node, in microseconds.
    RemoteEventCpu,
    /// Bytes per event on the bus.
    BusEventBytes,
    /// [`Self::Acks`] on PostgreSQL.
    PostgresAcks,
    /// [`Self::AckP99`] on PostgreSQL.
    PostgresAckP99,
    /// Crowd: readers and WebSocket connections at the same time.
    CrowdConnections,
    /// Crowd: memory per connection of all nodes, in bytes.
    CrowdBytes,
    /// Crowd: seconds until every reader has a story.
    CrowdStory,
    /// Crowd: p99 of acknowledgements while stories are published, in milliseconds.
    CrowdAckP99,
    /// Crowd: p99 of the signed-in front page meanwhile, in milliseconds.
    CrowdPageP99,
    /// Crowd: stories lost or duplicated, and connections that ended.
    CrowdErrors,
    /// Soak: memory growth, in kB per minute.
    SoakSlope,
    /// Soak: messages lost, duplicated or out of order.
    SoakErrors,
}

/// How several runs become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// The median.
    Median,
    /// The largest, for errors.
    Worst,
}

impl Metric {
    /// In the order of the tables.
    pub const ALL: [Self; 46] = [
        Self::IdleBytes,
        Self::PacedCpu,
        Self::WireBytes,
        Self::PacedP50,
        Self::PacedP99,
        Self::PacedP999,
        Self::Flat1000,
        Self::Flat1000Cpu,
        Self::Flat5000,
        Self::GeneratorBusy,
        Self::Lost,
        Self::Doubled,
        Self::OutOfOrder,
        Self::StuckBytes,
        Self::StuckEnded,
        Self::StuckOthersP99Ratio,
        Self::Scaling,
        Self::TenRooms,
        Self::Acks,
        Self::AckP99,
        Self::Storm,
        Self::LiveSeconds,
        Self::StormRatio,
        Self::StormPaced,
        Self::StormErrors,
        Self::StormPage,
        Self::StormName,
        Self::StormRefused,
        Self::Pages,
        Self::SignedInPages,
        Self::HelloPages,
        Self::PagesRatio,
        Self::SignedInPagesRatio,
        Self::RemoteClientBytes,
        Self::RemoteEventCpu,
        Self::BusEventBytes,
        Self::PostgresAcks,
        Self::PostgresAckP99,
        Self::CrowdConnections,
        Self::CrowdBytes,
        Self::CrowdStory,
        Self::CrowdAckP99,
        Self::CrowdPageP99,
        Self::CrowdErrors,
        Self::SoakSlope,
        Self::SoakErrors,
    ];

    /// The title with its unit.
    pub fn title(self) -> &'static str {
        match self {
            Self::IdleBytes => "memory per idle connection, bytes",
            Self::PacedCpu => "paced: CPU per delivery, µs",
            Self::WireBytes => "paced: bytes per delivery",
            Self::PacedP50 => "paced: latency p50, ms",
            Self::PacedP99 => "paced: latency p99, ms",
            Self::PacedP999 => "paced: latency p99.9, ms",
            Self::Flat1000 => "flat out to 1,000: deliveries/s",
            Self::Flat1000Cpu => "flat out to 1,000: CPU per delivery, µs",
            Self::Flat5000 => "flat out to 5,000: deliveries/s",
            Self::GeneratorBusy => "flat out: generator busy, %",
            Self::Lost => "lost",
            Self::Doubled => "duplicated",
            Self::OutOfOrder => "out of order",
            Self::StuckBytes => "stuck: memory per stuck reader, bytes",
            Self::StuckEnded => "stuck: until all were disconnected, s",
            Self::StuckOthersP99Ratio => "stuck: p99 of the others, × none stuck",
            Self::Scaling => "CPU per delivery at 10,000, × at 1,000",
            Self::TenRooms => "CPU per delivery in ten rooms, × one room",
            Self::Acks => "acknowledged sends/s, 50 senders",
            Self::AckP99 => "acknowledgement p99 at 500/s, ms",
            Self::Storm => "storm: until all caught up, s",
            Self::LiveSeconds => "storm: the same messages live, s",
            Self::StormRatio => "storm: caught up, × live in one burst",
            Self::StormPaced => "storm: caught up, × live at 100/s",
            Self::StormErrors => "storm: lost, duplicated or out of order",
            Self::StormPage => "storm: GET / p99, × idle",
            Self::StormName => "storm: picking a name p99, × idle",
            Self::StormRefused => "storm: pages and names refused, idle and in the storm",
            Self::Pages => "pages: GET / with 30 stories, per second",
            Self::SignedInPages => "pages: the same, signed in, per second",
            Self::HelloPages => "pages: Leptos hello world, per second",
            Self::PagesRatio => "pages: GET /, × hello world",
            Self::SignedInPagesRatio => "pages: GET /, signed in, × hello world",
            Self::RemoteClientBytes => "nodes: memory per client of another node, bytes",
            Self::RemoteEventCpu => "nodes: CPU per event of another node, µs",
            Self::BusEventBytes => "nodes: bytes per event on the bus",
            Self::PostgresAcks => "nodes: acknowledged sends/s on PostgreSQL",
            Self::PostgresAckP99 => "nodes: acknowledgement p99 at 500/s, ms",
            Self::CrowdConnections => "crowd: readers and WebSockets",
            Self::CrowdBytes => "crowd: memory per connection, bytes",
            Self::CrowdStory => "crowd: until the last has a story, s",
            Self::CrowdAckP99 => "crowd: acknowledgement p99, ms",
            Self::CrowdPageP99 => "crowd: signed-in page p99, ms",
            Self::CrowdErrors => "crowd: stories lost or duplicated, connections ended",
            Self::SoakSlope => "soak: memory growth, kB per minute",
            Self::SoakErrors => "soak: lost, duplicated or out of order",
        }
    }

    /// How its runs become one value.
    pub fn summary(self) -> Summary {
        match self {
            Self::Lost
            | Self::Doubled
            | Self::OutOfOrder
            | Self::StormErrors
            | Self::StormRefused
            | Self::CrowdErrors
            | Self::SoakErrors => Summary::Worst,
            _ => Summary::Median,
        }
    }

    /// A ratio to another server is meaningful.
    pub fn is_comparable(self) -> bool {
        matches!(
            self,
            Self::IdleBytes
                | Self::PacedCpu
                | Self::PacedP50
                | Self::PacedP99
                | Self::PacedP999
                | Self::Flat1000
                | Self::Flat1000Cpu
                | Self::Flat5000
                | Self::StuckBytes
        )
    }
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Results {
    values: BTreeMap<(Metric, MeasuredServer), Vec<f64>>,
    /// Or why the server cannot be measured.
    pub versions: BTreeMap<ServerKind, Result<String, String>>,
    /// With their errors.
    pub failures: Vec<String>,
}

impl Results {
    /// Adds a run's value.
    pub fn add(&mut self, metric: Metric, server: MeasuredServer, value: f64) {
        self.values.entry((metric, server)).or_default().push(value);
    }

    /// The reported value.
    pub fn get(&self, metric: Metric, server: MeasuredServer) -> Option<f64> {
        let values = self.values.get(&(metric, server))?;
        match metric.summary() {
            Summary::Median => median(values),
            Summary::Worst => values.iter().copied().reduce(f64::max),
        }
    }

    /// The server has any value.
    pub fn has(&self, server: MeasuredServer) -> bool {
        self.values.keys().any(|(_, measured)| *measured == server)
    }

    /// The values of all runs.
    pub fn runs(&self, metric: Metric, server: MeasuredServer) -> &[f64] {
        self.values
            .get(&(metric, server))
            .map_or(&[], Vec::as_slice)
    }
}

/// For an even number of values, the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], upper)
    } else {
        upper
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Transport;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(median(&[1.0, f64::INFINITY, 2.0]), Some(2.0));
    }

    #[test]
    fn what_went_wrong_once_is_shown() {
        let server = MeasuredServer {
            transport: Transport::Sse,
            kind: ServerKind::Rialto,
        };
        let mut results = Results::default();
        for lost in [0.0, 3.0, 0.0] {
            results.add(Metric::Lost, server, lost);
            results.add(Metric::PacedP99, server, lost);
        }
        assert_eq!(results.get(Metric::Lost, server), Some(3.0));
        assert_eq!(results.get(Metric::PacedP99, server), Some(0.0));
    }
}
