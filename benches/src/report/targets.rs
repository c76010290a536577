//! What Rialto is meant to reach, and whether it does.

use super::{
    results::{Measure, Results},
    table::number,
};
use crate::peers::{Peer, Subject, Transport};

/// What a value is held against.
#[derive(Debug, Clone, Copy)]
enum Bound {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// At most so many times another server's value over the same transport.
    FactorAtMost(f64, Peer),
    /// At least so many times another server's value over the same transport.
    FactorAtLeast(f64, Peer),
}

/// A target.
#[derive(Debug, Clone, Copy)]
struct Target {
    measure: Measure,
    transports: &'static [Transport],
    bound: Bound,
    /// Beyond what is asked.
    stretch: bool,
}

const BOTH: &[Transport] = &[Transport::Sse, Transport::Ws];
const SSE: &[Transport] = &[Transport::Sse];
const WS: &[Transport] = &[Transport::Ws];

const fn target(measure: Measure, transports: &'static [Transport], bound: Bound) -> Target {
    Target {
        measure,
        transports,
        bound,
        stretch: false,
    }
}

/// All targets.
const TARGETS: &[Target] = &[
    target(Measure::IdleBytes, BOTH, Bound::AtMost(6_000.0)),
    target(
        Measure::PacedCpu,
        BOTH,
        Bound::FactorAtMost(1.0, Peer::Nchan),
    ),
    Target {
        stretch: true,
        ..target(
            Measure::PacedCpu,
            BOTH,
            Bound::FactorAtMost(1.2, Peer::Floor),
        )
    },
    target(
        Measure::PacedP99,
        BOTH,
        Bound::FactorAtMost(1.0, Peer::Nchan),
    ),
    target(
        Measure::Flat1000,
        SSE,
        Bound::FactorAtLeast(10.0, Peer::Nchan),
    ),
    target(
        Measure::Flat5000,
        SSE,
        Bound::FactorAtLeast(10.0, Peer::Nchan),
    ),
    target(
        Measure::Flat1000,
        WS,
        Bound::FactorAtLeast(4.0, Peer::Nchan),
    ),
    target(
        Measure::Flat5000,
        WS,
        Bound::FactorAtLeast(4.0, Peer::Nchan),
    ),
    target(Measure::Lost, BOTH, Bound::AtMost(0.0)),
    target(Measure::Doubled, BOTH, Bound::AtMost(0.0)),
    target(Measure::OutOfOrder, BOTH, Bound::AtMost(0.0)),
    target(Measure::StuckBytes, BOTH, Bound::AtMost(256.0 * 1024.0)),
    target(Measure::StuckEnded, BOTH, Bound::AtMost(5.0)),
    target(Measure::StuckOthers, BOTH, Bound::AtMost(1.2)),
    target(Measure::Scaling, BOTH, Bound::AtMost(1.25)),
    target(Measure::TenRooms, WS, Bound::AtMost(1.0)),
    target(Measure::Acks, WS, Bound::AtLeast(2_000.0)),
    target(Measure::AckP99, WS, Bound::AtMost(25.0)),
    target(Measure::StormRatio, BOTH, Bound::AtMost(3.0)),
    target(Measure::StormPaced, BOTH, Bound::AtMost(3.0)),
    target(Measure::StormWrong, BOTH, Bound::AtMost(0.0)),
    target(Measure::StormPage, BOTH, Bound::AtMost(10.0)),
    target(Measure::StormName, BOTH, Bound::AtMost(10.0)),
    target(Measure::PagesRatio, SSE, Bound::AtLeast(0.33)),
    target(Measure::KnownRatio, SSE, Bound::AtLeast(0.33)),
    target(Measure::SoakSlope, WS, Bound::AtMost(50.0)),
    target(Measure::SoakWrong, WS, Bound::AtMost(0.0)),
];

/// The rows of the table: what, over which transport, the bound, the value, and `met` or `missed`.
pub fn rows(results: &Results) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for target in TARGETS {
        for transport in target.transports {
            let subject = |peer| Subject {
                transport: *transport,
                peer,
            };
            let value = results.get(target.measure, subject(Peer::Rialto));
            let other = |peer| results.get(target.measure, subject(peer));
            let (bound, limit, at_most) = match target.bound {
                Bound::AtMost(limit) => (format!("≤ {}", number(limit)), Some(limit), true),
                Bound::AtLeast(limit) => (format!("≥ {}", number(limit)), Some(limit), false),
                Bound::FactorAtMost(factor, peer) => (
                    format!("≤ {} × {}", number(factor), peer.name()),
                    other(peer).map(|other| factor * other),
                    true,
                ),
                Bound::FactorAtLeast(factor, peer) => (
                    format!("≥ {} × {}", number(factor), peer.name()),
                    other(peer).map(|other| factor * other),
                    false,
                ),
            };
            let verdict = match (value, limit) {
                (Some(value), Some(limit)) => {
                    let met = if at_most {
                        value <= limit
                    } else {
                        value >= limit
                    };
                    if met { "met" } else { "missed" }
                }
                _ => "not measured",
            };
            rows.push(vec![
                format!(
                    "{}{}",
                    target.measure.title(),
                    if target.stretch { " (stretch)" } else { "" }
                ),
                name(*transport).to_owned(),
                bound,
                limit.map_or_else(|| "–".to_owned(), number),
                value.map_or_else(|| "–".to_owned(), number),
                verdict.to_owned(),
            ]);
        }
    }
    rows
}

/// How a transport is called.
pub fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Sse => "SSE",
        Transport::Ws => "WebSocket",
    }
}
