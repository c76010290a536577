//! A million subscribers, which no machine here has: what the measured costs come to on several nodes. Not a measurement of that
//! many, but sums of what was measured of few, with every assumption named.

use std::fmt::Write as _;

use super::{
    results::{Measure, Results},
    table::{number, table},
};
use crate::peers::{Peer, Subject, Transport};

/// How many subscribers there are.
const SUBSCRIBERS: f64 = 1_000_000.0;
/// On so many nodes.
const NODES: [u32; 6] = [1, 2, 4, 8, 16, 32];

/// What a node has: cores, memory in bytes, network in bits per second.
const CORES: f64 = 8.0;
const MEMORY: f64 = 32e9;
const NETWORK: f64 = 10e9;
/// What the kernel keeps for a connection that waits, in bytes: about two pages, which is not counted to the program.
const KERNEL: f64 = 8e3;
/// What TCP, IP and Ethernet add to a delivery, in bytes: one packet each at worst (20 + 20 + 26).
const HEADERS: f64 = 66.0;

/// What the million does.
struct Scene {
    title: &'static str,
    transport: Transport,
    /// Events per second in all.
    events: f64,
    /// To how many each goes.
    hearers: f64,
    /// What is known of every subscriber at every node.
    is_known: bool,
}

const SCENES: [Scene; 2] = [
    Scene {
        title: "A million readers of the news, and a story every ten seconds",
        transport: Transport::Sse,
        events: 0.1,
        hearers: SUBSCRIBERS,
        is_known: false,
    },
    Scene {
        title: "A million in rooms of 500, of whom each writes every five minutes",
        transport: Transport::Ws,
        events: SUBSCRIBERS / 300.0,
        hearers: 500.0,
        is_known: true,
    },
];

/// The measured costs that the model is made of.
struct Costs {
    connection: f64,
    delivery: f64,
    bytes: f64,
    page_elsewhere: f64,
    event_elsewhere: f64,
    event_on_bus: f64,
    commits: f64,
}

impl Costs {
    fn of(results: &Results, transport: Transport) -> Option<Self> {
        let get = |measure, transport| {
            let peer = Peer::Rialto;
            results.get(measure, Subject { transport, peer })
        };
        Some(Self {
            connection: get(Measure::IdleBytes, transport)?,
            delivery: get(Measure::PacedCpu, transport)?,
            bytes: get(Measure::WireBytes, transport)?,
            page_elsewhere: get(Measure::PageElsewhere, Transport::Ws)?,
            event_elsewhere: get(Measure::EventElsewhere, Transport::Ws)?,
            event_on_bus: get(Measure::EventOnBus, Transport::Ws)?,
            commits: get(Measure::AcksElsewhere, Transport::Ws)?,
        })
    }
}

/// What a node needs, and which of it is scarcest.
struct Need {
    memory: f64,
    delivering: f64,
    hearing: f64,
    network: f64,
    bus: f64,
    busiest: (&'static str, f64),
}

impl Scene {
    fn need(&self, costs: &Costs, nodes: f64) -> Need {
        let own = SUBSCRIBERS / nodes;
        let elsewhere = if self.is_known {
            SUBSCRIBERS - own
        } else {
            0.0
        };
        let deliveries = self.events * self.hearers / nodes;
        let heard = self.events * (nodes - 1.0) / nodes;
        let memory = own * (costs.connection + KERNEL) + elsewhere * costs.page_elsewhere;
        let delivering = deliveries * costs.delivery / 1e6;
        let hearing = heard * costs.event_elsewhere / 1e6;
        let network = deliveries * (costs.bytes + HEADERS) * 8.0;
        let bus = self.events * costs.event_on_bus * (nodes - 1.0) * 8.0;
        let shares = [
            ("memory", memory / MEMORY),
            ("cores", (delivering + hearing) / CORES),
            ("network of a node", network / NETWORK),
            ("network of NATS", bus / NETWORK),
            ("commits of the database", self.events / costs.commits),
        ];
        let busiest = shares
            .into_iter()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or_default();
        Need {
            memory,
            delivering,
            hearing,
            network,
            bus,
            busiest,
        }
    }
}

/// The tables, in Markdown; none when what they are made of was not measured.
pub fn markdown(results: &Results) -> Option<String> {
    let mut text = String::new();
    for scene in &SCENES {
        let costs = Costs::of(results, scene.transport)?;
        let head = [
            "nodes",
            "connections a node",
            "memory a node, GB",
            "cores a node: delivering",
            "hearing the others",
            "egress a node, Mbit/s",
            "egress of NATS, Mbit/s",
            "scarcest",
        ];
        let rows: Vec<_> = NODES
            .into_iter()
            .map(|nodes| {
                let need = scene.need(&costs, f64::from(nodes));
                let (what, share) = need.busiest;
                let over = if share > 1.0 { ": too little" } else { "" };
                vec![
                    nodes.to_string(),
                    number((SUBSCRIBERS / f64::from(nodes)).round()),
                    number(need.memory / 1e9),
                    number(need.delivering),
                    number(need.hearing),
                    number(need.network / 1e6),
                    number(need.bus / 1e6),
                    format!("{what}, {} %{over}", number((share * 100.0).ceil())),
                ]
            })
            .collect();
        // Writing to a string cannot fail.
        let _done = write!(
            text,
            "### {}\n\n{}\n",
            scene.title,
            table(&head.map(str::to_owned), &rows)
        );
        let inputs = [
            (
                "memory of a connection that waits",
                costs.connection,
                "bytes",
            ),
            ("CPU of a delivery", costs.delivery, "µs"),
            ("bytes of a delivery", costs.bytes, "bytes"),
            (
                "memory of a page at another node",
                costs.page_elsewhere,
                "bytes",
            ),
            (
                "CPU of an event at another node",
                costs.event_elsewhere,
                "µs",
            ),
            ("bytes of an event on the bus", costs.event_on_bus, "bytes"),
            ("commits", costs.commits, "a second"),
        ];
        let inputs = inputs.map(|(what, value, unit)| format!("{what} {} {unit}", number(value)));
        let _done = writeln!(text, "Measured: {}.\n", inputs.join(", "));
    }
    let _done = writeln!(
        text,
        "Assumed: a node with {CORES} cores, {} GB and {} Gbit/s; {} bytes of the kernel for a connection that waits, {HEADERS} bytes of \
         TCP, IP and Ethernet a delivery.",
        MEMORY / 1e9,
        NETWORK / 1e9,
        number(KERNEL)
    );
    Some(text)
}

/// Where the tables stand in `docs/scaling.md`.
const BEGIN: &str = "<!-- written by make bench: begin -->\n";
const END: &str = "<!-- written by make bench: end -->";

/// A document with these tables instead of the ones before.
pub fn replaced(document: &str, tables: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs() -> Costs {
        Costs {
            connection: 4_000.0,
            delivery: 3.0,
            bytes: 400.0,
            page_elsewhere: 1_000.0,
            event_elsewhere: 50.0,
            event_on_bus: 500.0,
            commits: 10_000.0,
        }
    }

    #[test]
    fn what_is_split_is_split_and_what_is_not_is_not() {
        let chat = &SCENES[1];
        let (one, ten) = (chat.need(&costs(), 1.0), chat.need(&costs(), 10.0));
        assert!((one.delivering / ten.delivering - 10.0).abs() < 1e-9);
        // 12 kB for each of its own, 1 kB for each of the others.
        assert!((one.memory - 12e9).abs() < 1.0 && (ten.memory - 2.1e9).abs() < 1.0);
        assert!(one.hearing.abs() < 1e-9 && ten.hearing > 0.1);
        assert_eq!(one.busiest.0, "cores");
        assert_eq!(ten.busiest.0, "commits of the database");
    }

    #[test]
    fn only_what_is_between_the_marks_is_written_anew() {
        let document = format!("before\n{BEGIN}old\n{END}\nafter\n");
        let replaced = replaced(&document, "new").unwrap();
        assert_eq!(replaced, format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert!(super::replaced("no marks", "new").is_none());
    }
}
