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
    /// What stands in the way, where it was looked into: said when the target is missed.
    because: Option<&'static str>,
}

impl Target {
    const fn because(self, why: &'static str) -> Self {
        Self {
            because: Some(why),
            ..self
        }
    }
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
        because: None,
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
        .because(
            "The floor does nothing but write, and as much is four fifths of what Rialto does. The rest is the message itself, which is \
             checked and stored, each connection's queue, and waking the task that writes for all of them.",
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
    target(Measure::TenRooms, WS, Bound::AtMost(1.0)).because(
        "As many deliveries take ten times as many messages there, and each is checked, stored, made into a frame and acknowledged by \
         itself. What is delivered costs the same.",
    ),
    target(Measure::Acks, WS, Bound::AtLeast(2_000.0)),
    target(Measure::AckP99, WS, Bound::AtMost(25.0)),
    target(Measure::StormRatio, BOTH, Bound::AtMost(3.0)).because(
        "Live, the burst takes about a third of a second, and they come back over a whole one: the last has only just connected when \
         three times as long as that has passed. A WebSocket is greeted besides, and everybody is told that its person is here again. \
         Beside 100 messages a second, which is how fast people write, the target is met.",
    ),
    target(Measure::StormPaced, BOTH, Bound::AtMost(3.0)),
    target(Measure::StormWrong, BOTH, Bound::AtMost(0.0)),
    target(Measure::StormPage, BOTH, Bound::AtMost(10.0)),
    target(Measure::StormName, BOTH, Bound::AtMost(10.0)),
    target(Measure::PagesRatio, SSE, Bound::AtLeast(0.33)),
    target(Measure::KnownRatio, SSE, Bound::AtLeast(0.33)).because(
        "It is rendered for its reader, with thirty stories in many small steps of the framework; the page of a new project is one line.",
    ),
    target(Measure::SoakSlope, WS, Bound::AtMost(50.0)),
    target(Measure::SoakWrong, WS, Bound::AtMost(0.0)),
];

/// How far a target was reached over a transport.
struct Judged {
    target: &'static Target,
    transport: Transport,
    bound: String,
    /// What the bound comes to in this run; none where the other server was not measured.
    limit: Option<f64>,
    value: Option<f64>,
}

impl Judged {
    /// Whether it was reached; none where something was not measured.
    fn is_met(&self) -> Option<bool> {
        let (value, limit) = (self.value?, self.limit?);
        Some(match self.target.bound {
            Bound::AtMost(_) | Bound::FactorAtMost(..) => value <= limit,
            Bound::AtLeast(_) | Bound::FactorAtLeast(..) => value >= limit,
        })
    }

    fn title(&self) -> String {
        let stretch = if self.target.stretch {
            " (stretch)"
        } else {
            ""
        };
        format!("{}{stretch}", self.target.measure.title())
    }
}

fn judge(results: &Results) -> impl Iterator<Item = Judged> + '_ {
    let over = |target: &'static Target| target.transports.iter().map(move |it| (target, *it));
    TARGETS.iter().flat_map(over).map(|(target, transport)| {
        let of = |peer| results.get(target.measure, Subject { transport, peer });
        let (bound, limit) = match target.bound {
            Bound::AtMost(limit) => (format!("≤ {}", number(limit)), Some(limit)),
            Bound::AtLeast(limit) => (format!("≥ {}", number(limit)), Some(limit)),
            Bound::FactorAtMost(factor, peer) => (
                format!("≤ {} × {}", number(factor), peer.name()),
                of(peer).map(|other| factor * other),
            ),
            Bound::FactorAtLeast(factor, peer) => (
                format!("≥ {} × {}", number(factor), peer.name()),
                of(peer).map(|other| factor * other),
            ),
        };
        Judged {
            target,
            transport,
            bound,
            limit,
            value: of(Peer::Rialto),
        }
    })
}

/// The rows of the table: what, over which transport, the bound, the value, and `met` or `missed`.
pub fn rows(results: &Results) -> Vec<Vec<String>> {
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    let row = |judged: Judged| {
        let verdict = match judged.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        };
        vec![
            judged.title(),
            name(judged.transport).to_owned(),
            judged.bound,
            shown(judged.limit),
            shown(judged.value),
            verdict.to_owned(),
        ]
    };
    judge(results).map(row).collect()
}

/// What was missed, and why: a line each.
pub fn shortfalls(results: &Results) -> Vec<String> {
    let missed = judge(results).filter(|judged| judged.is_met() == Some(false));
    let line = |judged: Judged| {
        let why = judged
            .target
            .because
            .unwrap_or("Why was not looked into yet.");
        format!("{}, {}: {why}", judged.title(), name(judged.transport))
    };
    missed.map(line).collect()
}

/// How a transport is called.
pub fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Sse => "SSE",
        Transport::Ws => "WebSocket",
    }
}
