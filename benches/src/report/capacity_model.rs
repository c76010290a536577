//! A model of a million subscribers on several nodes: sums of costs measured with fewer. No test of that size
//! was run.

use std::fmt::Write as _;

use super::{
    results::{Metric, Results},
    table::{format_number, markdown_table},
};
use crate::servers::{MeasuredServer, ServerKind, Transport};

const SUBSCRIBERS: f64 = 1_000_000.0;
const NODE_COUNTS: [u32; 6] = [1, 2, 4, 8, 16, 32];

const CORES_PER_NODE: f64 = 8.0;
const MEMORY_BYTES_PER_NODE: f64 = 32e9;
/// Network bandwidth.
const NETWORK_BITS_PER_SECOND: f64 = 10e9;
/// About two pages, which do not count as the program's memory.
const KERNEL_BYTES_PER_CONNECTION: f64 = 8e3;
/// TCP, IP and Ethernet, at worst one packet per delivery (20 + 20 + 26).
const PACKET_HEADER_BYTES: f64 = 66.0;

struct Scenario {
    title: &'static str,
    transport: Transport,
    /// Of all subscribers together.
    events_per_second: f64,
    recipients_per_event: f64,
    /// Every node keeps an entry for every subscriber (presence).
    is_presence_shared: bool,
}

const SCENARIOS: [Scenario; 2] = [
    Scenario {
        title: "A million news readers, one story every ten seconds",
        transport: Transport::Sse,
        events_per_second: 0.1,
        recipients_per_event: SUBSCRIBERS,
        is_presence_shared: false,
    },
    Scenario {
        title: "A million people in rooms of 500, each writing every five minutes",
        transport: Transport::Ws,
        events_per_second: SUBSCRIBERS / 300.0,
        recipients_per_event: 500.0,
        is_presence_shared: true,
    },
];

/// Measured; the input of the model.
struct Costs {
    bytes_per_connection: f64,
    cpu_micros_per_delivery: f64,
    bytes_per_delivery: f64,
    bytes_per_remote_client: f64,
    cpu_micros_per_remote_event: f64,
    bus_bytes_per_event: f64,
    commits_per_second: f64,
}

impl Costs {
    fn of(results: &Results, transport: Transport) -> Option<Self> {
        let get = |metric, transport| {
            let kind = ServerKind::Rialto;
            results.get(metric, MeasuredServer { transport, kind })
        };
        Some(Self {
            bytes_per_connection: get(Metric::IdleBytes, transport)?,
            cpu_micros_per_delivery: get(Metric::PacedCpu, transport)?,
            bytes_per_delivery: get(Metric::WireBytes, transport)?,
            bytes_per_remote_client: get(Metric::RemoteClientBytes, Transport::Ws)?,
            cpu_micros_per_remote_event: get(Metric::RemoteEventCpu, Transport::Ws)?,
            bus_bytes_per_event: get(Metric::BusEventBytes, Transport::Ws)?,
            commits_per_second: get(Metric::PostgresAcks, Transport::Ws)?,
        })
    }
}

/// What a node needs, and its scarcest resource.
struct NodeDemand {
    memory_bytes: f64,
    delivery_cores: f64,
    remote_event_cores: f64,
    network_bits_per_second: f64,
    bus_bits_per_second: f64,
    bottleneck: (&'static str, f64),
}

impl Scenario {
    fn node_demand(&self, costs: &Costs, nodes: f64) -> NodeDemand {
        let own = SUBSCRIBERS / nodes;
        let elsewhere = if self.is_presence_shared {
            SUBSCRIBERS - own
        } else {
            0.0
        };
        let deliveries = self.events_per_second * self.recipients_per_event / nodes;
        let remote_events = self.events_per_second * (nodes - 1.0) / nodes;
        let memory = own * (costs.bytes_per_connection + KERNEL_BYTES_PER_CONNECTION)
            + elsewhere * costs.bytes_per_remote_client;
        let delivery_cores = deliveries * costs.cpu_micros_per_delivery / 1e6;
        let remote_event_cores = remote_events * costs.cpu_micros_per_remote_event / 1e6;
        let network = deliveries * (costs.bytes_per_delivery + PACKET_HEADER_BYTES) * 8.0;
        let bus = self.events_per_second * costs.bus_bytes_per_event * (nodes - 1.0) * 8.0;
        let shares = [
            ("memory", memory / MEMORY_BYTES_PER_NODE),
            (
                "cores",
                (delivery_cores + remote_event_cores) / CORES_PER_NODE,
            ),
            ("node network", network / NETWORK_BITS_PER_SECOND),
            ("NATS network", bus / NETWORK_BITS_PER_SECOND),
            (
                "database commits",
                self.events_per_second / costs.commits_per_second,
            ),
        ];
        let bottleneck = shares
            .into_iter()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or_default();
        NodeDemand {
            memory_bytes: memory,
            delivery_cores,
            remote_event_cores,
            network_bits_per_second: network,
            bus_bits_per_second: bus,
            bottleneck,
        }
    }
}

/// The tables in Markdown; `None` when an input was not measured.
pub fn markdown(results: &Results) -> Option<String> {
    let mut text = String::new();
    for scenario in &SCENARIOS {
        let costs = Costs::of(results, scenario.transport)?;
        let head = [
            "nodes",
            "connections per node",
            "memory per node, GB",
            "delivery, cores per node",
            "remote events, cores per node",
            "egress per node, Mbit/s",
            "NATS egress, Mbit/s",
            "bottleneck",
        ];
        let rows: Vec<_> = NODE_COUNTS
            .into_iter()
            .map(|nodes| {
                let demand = scenario.node_demand(&costs, f64::from(nodes));
                let (what, share) = demand.bottleneck;
                let over = if share > 1.0 { ": not enough" } else { "" };
                vec![
                    nodes.to_string(),
                    format_number((SUBSCRIBERS / f64::from(nodes)).round()),
                    format_number(demand.memory_bytes / 1e9),
                    format_number(demand.delivery_cores),
                    format_number(demand.remote_event_cores),
                    format_number(demand.network_bits_per_second / 1e6),
                    format_number(demand.bus_bits_per_second / 1e6),
                    format!("{what}, {} %{over}", format_number((share * 100.0).ceil())),
                ]
            })
            .collect();
        // Writing to a string cannot fail.
        let _done = write!(
            text,
            "### {}\n\n{}\n",
            scenario.title,
            markdown_table(&head.map(str::to_owned), &rows)
        );
        let inputs = [
            (
                "memory per idle connection",
                costs.bytes_per_connection,
                "bytes",
            ),
            ("CPU per delivery", costs.cpu_micros_per_delivery, "µs"),
            ("bytes per delivery", costs.bytes_per_delivery, "bytes"),
            (
                "memory per client at another node",
                costs.bytes_per_remote_client,
                "bytes",
            ),
            (
                "CPU per event at another node",
                costs.cpu_micros_per_remote_event,
                "µs",
            ),
            (
                "bytes per event on the bus",
                costs.bus_bytes_per_event,
                "bytes",
            ),
            ("commits", costs.commits_per_second, "per second"),
        ];
        let inputs =
            inputs.map(|(what, value, unit)| format!("{what} {} {unit}", format_number(value)));
        let _done = writeln!(text, "Measured: {}.\n", inputs.join(", "));
    }
    let _done = writeln!(
        text,
        "Assumed: nodes with {CORES_PER_NODE} cores, {} GB and {} Gbit/s; {} bytes of kernel memory per idle connection; \
         {PACKET_HEADER_BYTES} bytes of TCP, IP and Ethernet headers per delivery.",
        MEMORY_BYTES_PER_NODE / 1e9,
        NETWORK_BITS_PER_SECOND / 1e9,
        format_number(KERNEL_BYTES_PER_CONNECTION)
    );
    Some(text)
}

/// Around the tables in `docs/scaling.md`.
const BEGIN_MARK: &str = "<!-- written by make bench: begin -->\n";
const END_MARK: &str = "<!-- written by make bench: end -->";

/// Replaces the tables between the markers; `None` without markers.
pub fn replace_tables(document: &str, tables: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN_MARK)?;
    let (_, after) = rest.split_once(END_MARK)?;
    Some(format!("{before}{BEGIN_MARK}\n{tables}\n{END_MARK}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs() -> Costs {
        Costs {
            bytes_per_connection: 4_000.0,
            cpu_micros_per_delivery: 3.0,
            bytes_per_delivery: 400.0,
            bytes_per_remote_client: 1_000.0,
            cpu_micros_per_remote_event: 50.0,
            bus_bytes_per_event: 500.0,
            commits_per_second: 10_000.0,
        }
    }

    #[test]
    fn what_is_split_is_split_and_what_is_not_is_not() {
        let chat = &SCENARIOS[1];
        let (one, ten) = (
            chat.node_demand(&costs(), 1.0),
            chat.node_demand(&costs(), 10.0),
        );
        assert!((one.delivery_cores / ten.delivery_cores - 10.0).abs() < 1e-9);
        // 12 kB for each local subscriber, 1 kB for each remote one.
        assert!((one.memory_bytes - 12e9).abs() < 1.0 && (ten.memory_bytes - 2.1e9).abs() < 1.0);
        assert!(one.remote_event_cores.abs() < 1e-9 && ten.remote_event_cores > 0.1);
        assert_eq!(one.bottleneck.0, "cores");
        assert_eq!(ten.bottleneck.0, "database commits");
    }

    #[test]
    fn only_what_is_between_the_marks_is_written_anew() {
        let document = format!("before\n{BEGIN_MARK}old\n{END_MARK}\nafter\n");
        let replaced = replace_tables(&document, "new").unwrap();
        assert_eq!(
            replaced,
            format!("before\n{BEGIN_MARK}\nnew\n{END_MARK}\nafter\n")
        );
        assert!(super::replace_tables("no marks", "new").is_none());
    }
}
