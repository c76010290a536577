//! Rialto's targets, and whether they are met.

use super::{
    results::{Metric, Results},
    table::format_number,
};
use crate::servers::{MeasuredServer, ServerKind, Transport};

#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Times another server's value over the same transport.
    FactorAtMost(f64, ServerKind),
    /// Times another server's value over the same transport.
    FactorAtLeast(f64, ServerKind),
}

#[derive(Debug, Clone, Copy)]
struct Target {
    measure: Metric,
    transports: &'static [Transport],
    bound: Bound,
    /// Beyond what is required.
    is_stretch: bool,
    /// Of a known miss; printed when the target is missed.
    explanation: Option<&'static str>,
}

impl Target {
    const fn explained_by(self, why: &'static str) -> Self {
        Self {
            explanation: Some(why),
            ..self
        }
    }
}

const BOTH_TRANSPORTS: &[Transport] = &[Transport::Sse, Transport::Ws];
const SSE_ONLY: &[Transport] = &[Transport::Sse];
const WS_ONLY: &[Transport] = &[Transport::Ws];

const fn target(measure: Metric, transports: &'static [Transport], bound: Bound) -> Target {
    Target {
        measure,
        transports,
        bound,
        is_stretch: false,
        explanation: None,
    }
}

const TARGETS: &[Target] = &[
    target(Metric::IdleBytes, BOTH_TRANSPORTS, Bound::AtMost(6_000.0)),
    target(
        Metric::PacedCpu,
        BOTH_TRANSPORTS,
        Bound::FactorAtMost(1.0, ServerKind::Nchan),
    ),
    Target {
        is_stretch: true,
        ..target(
            Metric::PacedCpu,
            BOTH_TRANSPORTS,
            Bound::FactorAtMost(1.2, ServerKind::Floor),
        )
        .explained_by(
            "The floor only writes, and writing alone is four fifths of what Rialto does. The rest is checking and storing the message, \
             each connection's queue, and waking the task that writes to all connections.",
        )
    },
    target(
        Metric::PacedP99,
        BOTH_TRANSPORTS,
        Bound::FactorAtMost(1.0, ServerKind::Nchan),
    ),
    target(
        Metric::Flat1000,
        SSE_ONLY,
        Bound::FactorAtLeast(10.0, ServerKind::Nchan),
    ),
    target(
        Metric::Flat5000,
        SSE_ONLY,
        Bound::FactorAtLeast(10.0, ServerKind::Nchan),
    ),
    target(
        Metric::Flat1000,
        WS_ONLY,
        Bound::FactorAtLeast(4.0, ServerKind::Nchan),
    ),
    target(
        Metric::Flat5000,
        WS_ONLY,
        Bound::FactorAtLeast(4.0, ServerKind::Nchan),
    ),
    target(Metric::Lost, BOTH_TRANSPORTS, Bound::AtMost(0.0)),
    target(Metric::Doubled, BOTH_TRANSPORTS, Bound::AtMost(0.0)),
    target(Metric::OutOfOrder, BOTH_TRANSPORTS, Bound::AtMost(0.0)),
    target(Metric::StuckBytes, BOTH_TRANSPORTS, Bound::AtMost(256.0 * 1024.0)),
    target(Metric::StuckEnded, BOTH_TRANSPORTS, Bound::AtMost(5.0)),
    target(Metric::StuckOthersP99Ratio, BOTH_TRANSPORTS, Bound::AtMost(1.2)),
    target(Metric::Scaling, BOTH_TRANSPORTS, Bound::AtMost(1.25)),
    target(Metric::TenRooms, WS_ONLY, Bound::AtMost(1.0)).explained_by(
        "The same number of deliveries takes ten times as many messages, and each message is checked, stored, encoded and acknowledged \
         by itself. A delivery costs the same.",
    ),
    target(Metric::Acks, WS_ONLY, Bound::AtLeast(2_000.0)),
    target(Metric::AckP99, WS_ONLY, Bound::AtMost(25.0)),
    target(Metric::StormRatio, BOTH_TRANSPORTS, Bound::AtMost(3.0)).explained_by(
        "Live, the burst takes a fifth of a second, while the reconnects are spread over a whole second: the last client only \
         connects when three times the live duration has passed. A WebSocket client also receives its welcome, and all are told who is \
         online again. Compared with live delivery at 100 messages per second, which is how fast people write, the target is met.",
    ),
    target(Metric::StormPaced, BOTH_TRANSPORTS, Bound::AtMost(3.0)),
    target(Metric::StormErrors, BOTH_TRANSPORTS, Bound::AtMost(0.0)),
    target(Metric::StormPage, BOTH_TRANSPORTS, Bound::AtMost(10.0)),
    target(Metric::StormName, BOTH_TRANSPORTS, Bound::AtMost(10.0)),
    target(Metric::PagesRatio, SSE_ONLY, Bound::AtLeast(0.33)),
    target(Metric::SignedInPagesRatio, SSE_ONLY, Bound::AtLeast(0.33)).explained_by(
        "The page is rendered for its reader, with thirty stories in many small steps of the framework. The page of a new project \
         is one line.",
    ),
    target(Metric::CrowdConnections, SSE_ONLY, Bound::AtLeast(110_000.0)),
    target(Metric::CrowdErrors, SSE_ONLY, Bound::AtMost(0.0)),
    target(Metric::SoakSlope, WS_ONLY, Bound::AtMost(50.0)),
    target(Metric::SoakErrors, WS_ONLY, Bound::AtMost(0.0)),
];

struct TargetResult {
    target: &'static Target,
    transport: Transport,
    bound: String,
    /// In this run; `None` when the other server was not measured.
    limit: Option<f64>,
    value: Option<f64>,
}

impl TargetResult {
    /// `None` when something was not measured.
    fn is_met(&self) -> Option<bool> {
        let (value, limit) = (self.value?, self.limit?);
        Some(match self.target.bound {
            Bound::AtMost(_) | Bound::FactorAtMost(..) => value <= limit,
            Bound::AtLeast(_) | Bound::FactorAtLeast(..) => value >= limit,
        })
    }

    fn title(&self) -> String {
        let stretch = if self.target.is_stretch {
            " (stretch)"
        } else {
            ""
        };
        format!("{}{stretch}", self.target.measure.title())
    }
}

fn evaluate_targets(results: &Results) -> impl Iterator<Item = TargetResult> + '_ {
    let over = |target: &'static Target| target.transports.iter().map(move |it| (target, *it));
    TARGETS.iter().flat_map(over).map(|(target, transport)| {
        let of = |kind| results.get(target.measure, MeasuredServer { transport, kind });
        let (bound, limit) = match target.bound {
            Bound::AtMost(limit) => (format!("≤ {}", format_number(limit)), Some(limit)),
            Bound::AtLeast(limit) => (format!("≥ {}", format_number(limit)), Some(limit)),
            Bound::FactorAtMost(factor, kind) => (
                format!("≤ {} × {}", format_number(factor), kind.name()),
                of(kind).map(|other| factor * other),
            ),
            Bound::FactorAtLeast(factor, kind) => (
                format!("≥ {} × {}", format_number(factor), kind.name()),
                of(kind).map(|other| factor * other),
            ),
        };
        TargetResult {
            target,
            transport,
            bound,
            limit,
            value: of(ServerKind::Rialto),
        }
    })
}

/// Metric, transport, target, limit, value, and `met`, `missed` or `not measured`.
pub fn rows(results: &Results) -> Vec<Vec<String>> {
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), format_number);
    let row = |result: TargetResult| {
        let verdict = match result.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        };
        vec![
            result.title(),
            transport_name(result.transport).to_owned(),
            result.bound,
            shown(result.limit),
            shown(result.value),
            verdict.to_owned(),
        ]
    };
    evaluate_targets(results).map(row).collect()
}

/// The missed targets with their explanations.
pub fn shortfalls(results: &Results) -> Vec<String> {
    let missed = evaluate_targets(results).filter(|result| result.is_met() == Some(false));
    let line = |result: TargetResult| {
        let why = result.target.explanation.unwrap_or("Not investigated yet.");
        format!(
            "{}, {}: {why}",
            result.title(),
            transport_name(result.transport)
        )
    };
    missed.map(line).collect()
}

/// The name in the report.
pub fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Sse => "SSE",
        Transport::Ws => "WebSocket",
    }
}
