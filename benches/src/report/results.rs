//! What was measured: every value of every run, and the one that is shown.

use std::collections::BTreeMap;

use crate::servers::{MeasuredServer, ServerKind};

/// What a value says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Server memory per waiting connection, in bytes.
    IdleBytes,
    /// Server CPU per delivery at a steady pace, in microseconds.
    PacedCpu,
    /// Bytes per delivery at a steady pace, as they come out of TCP.
    WireBytes,
    /// Median latency at a steady pace, in milliseconds.
    PacedP50,
    /// 99th percentile, in milliseconds.
    PacedP99,
    /// 99.9th percentile, in milliseconds.
    PacedP999,
    /// Deliveries per second to 1,000, flat out.
    Flat1000,
    /// Server CPU per delivery, in microseconds, flat out to 1,000.
    Flat1000Cpu,
    /// Deliveries per second to 5,000, flat out.
    Flat5000,
    /// How busy the generator was at the busiest, flat out, as a share of its core.
    GeneratorBusy,
    /// Messages lost, in all runs of paced and flat out.
    Lost,
    /// Messages that came twice.
    Doubled,
    /// Messages that came late.
    OutOfOrder,
    /// Server memory per reader that stopped reading, kernel buffers included, in bytes.
    StuckBytes,
    /// Until the server ended everybody who stopped reading, in seconds.
    StuckEnded,
    /// 99th percentile of the others, relative to when nobody is stuck.
    StuckOthersP99Ratio,
    /// Server CPU per delivery with 10,000 subscribers, relative to 1,000.
    Scaling,
    /// Server CPU per delivery in ten rooms, relative to one room with as many people.
    TenRooms,
    /// Acknowledged sends per second with 50 senders.
    Acks,
    /// 99th percentile until a send is acknowledged at 500 a second, in milliseconds.
    AckP99,
    /// Until everybody has caught up after a restart, in seconds.
    Storm,
    /// The same messages to the same people live, in seconds.
    LiveSeconds,
    /// The one relative to the other.
    StormRatio,
    /// The same, relative to 100 messages a second to the same people live.
    StormPaced,
    /// Lost, doubled or out of order in the storm.
    StormErrors,
    /// 99th percentile of `GET /` in the storm, relative to an idle server.
    StormPage,
    /// 99th percentile of picking a name in the storm, relative to an idle server.
    StormName,
    /// Pages and names that got no answer or a refusal, idle and in the storm.
    StormRefused,
    /// Front pages per second, of readers who are not signed in.
    Pages,
    /// Front pages per second, of somebody who is.
    SignedInPages,
    /// Pages per second of a new Leptos project.
    HelloPages,
    /// Front pages of readers who are not signed in, relative to that.
    PagesRatio,
    /// Front pages of somebody who is signed in, relative to that.
    SignedInPagesRatio,
    /// Memory of a node per page of another one, in bytes.
    RemoteClientBytes,
    /// CPU of a node per event of another one that nobody of its own hears, in microseconds.
    RemoteEventCpu,
    /// What an event takes on the bus, in bytes.
    BusEventBytes,
    /// Acknowledged sends per second with 50 senders, on PostgreSQL.
    PostgresAcks,
    /// 99th percentile until a send is acknowledged at 500 a second, in milliseconds, on PostgreSQL.
    PostgresAckP99,
    /// How much memory grows in the soak, in kB a minute.
    SoakSlope,
    /// Lost, doubled or out of order in the soak.
    SoakErrors,
}

/// How values of several runs become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// The one in the middle.
    Median,
    /// The largest, where once is too often.
    Worst,
}

impl Metric {
    /// All of them, as they are ordered in the table.
    pub const ALL: [Self; 40] = [
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
        Self::SoakSlope,
        Self::SoakErrors,
    ];

    /// What it is called, with its unit.
    pub fn title(self) -> &'static str {
        match self {
            Self::IdleBytes => "memory per waiting connection, bytes",
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
            Self::Doubled => "doubled",
            Self::OutOfOrder => "out of order",
            Self::StuckBytes => "stuck: memory per stuck reader, bytes",
            Self::StuckEnded => "stuck: until all were ended, s",
            Self::StuckOthersP99Ratio => "stuck: p99 of the others, × none stuck",
            Self::Scaling => "CPU per delivery at 10,000, × at 1,000",
            Self::TenRooms => "CPU per delivery in ten rooms, × one room",
            Self::Acks => "acknowledged sends/s, 50 senders",
            Self::AckP99 => "acknowledgement p99 at 500/s, ms",
            Self::Storm => "storm: until all caught up, s",
            Self::LiveSeconds => "storm: the same live, s",
            Self::StormRatio => "storm: caught up, × live in one burst",
            Self::StormPaced => "storm: caught up, × live at 100/s",
            Self::StormErrors => "storm: lost, doubled or out of order",
            Self::StormPage => "storm: GET / p99, × idle",
            Self::StormName => "storm: picking a name p99, × idle",
            Self::StormRefused => "storm: pages and names refused, idle and in the storm",
            Self::Pages => "pages: GET / with 30 stories, a second",
            Self::SignedInPages => "pages: the same, signed in, a second",
            Self::HelloPages => "pages: hello world of Leptos, a second",
            Self::PagesRatio => "pages: GET /, × hello world",
            Self::SignedInPagesRatio => "pages: GET /, signed in, × hello world",
            Self::RemoteClientBytes => "nodes: memory per page of another node, bytes",
            Self::RemoteEventCpu => "nodes: CPU per event of another node, µs",
            Self::BusEventBytes => "nodes: bytes per event on the bus",
            Self::PostgresAcks => "nodes: acknowledged sends/s on PostgreSQL",
            Self::PostgresAckP99 => "nodes: acknowledgement p99 at 500/s, ms",
            Self::SoakSlope => "soak: memory growth, kB a minute",
            Self::SoakErrors => "soak: lost, doubled or out of order",
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
            | Self::SoakErrors => Summary::Worst,
            _ => Summary::Median,
        }
    }

    /// Whether a ratio to another server says something.
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
    /// The version of each server, or why there is none.
    pub versions: BTreeMap<ServerKind, Result<String, String>>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
}

impl Results {
    /// Adds the value of a run.
    pub fn add(&mut self, measure: Metric, subject: MeasuredServer, value: f64) {
        self.values
            .entry((measure, subject))
            .or_default()
            .push(value);
    }

    /// The value that is shown.
    pub fn get(&self, measure: Metric, subject: MeasuredServer) -> Option<f64> {
        let values = self.values.get(&(measure, subject))?;
        match measure.summary() {
            Summary::Median => median(values),
            Summary::Worst => values.iter().copied().reduce(f64::max),
        }
    }

    /// Whether anything was measured of a server.
    pub fn has(&self, subject: MeasuredServer) -> bool {
        self.values.keys().any(|(_, measured)| *measured == subject)
    }

    /// The runs behind a value.
    pub fn runs(&self, measure: Metric, subject: MeasuredServer) -> &[f64] {
        self.values
            .get(&(measure, subject))
            .map_or(&[], Vec::as_slice)
    }
}

/// The value in the middle; of an even number, the mean of the two in the middle.
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
        let subject = MeasuredServer {
            transport: Transport::Sse,
            kind: ServerKind::Rialto,
        };
        let mut results = Results::default();
        for lost in [0.0, 3.0, 0.0] {
            results.add(Metric::Lost, subject, lost);
            results.add(Metric::PacedP99, subject, lost);
        }
        assert_eq!(results.get(Metric::Lost, subject), Some(3.0));
        assert_eq!(results.get(Metric::PacedP99, subject), Some(0.0));
    }
}
