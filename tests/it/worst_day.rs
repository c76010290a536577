//! Real processes on their worst day, under load: a node pauses, PostgreSQL or NATS does not answer, answers of `COMMIT`
//! are lost, a disk is full. Nothing acknowledged is lost, doubled or reordered.
//!
//! `make test-long` sets `RIALTO_OUTAGE_SECONDS`, `RIALTO_LOST_COMMITS` and `RIALTO_FULL_DISKS`; without them, each outage
//! is short.

mod call_pages;
mod chat_page;
mod load;
mod news;

use crate::{
    cluster::{connected_call, wait_for_call_end},
    support::{
        Browser, Cluster, NodeLog, Server, SmallDisk, needs_postgresql,
        proxy::{Passing, Proxy, address_of},
        server::rialto_command_with_prefix,
    },
};
use call_pages::CallPages;
use load::Load;
use rialto::{model::call::ClientAction, server::random};
use std::time::Duration;
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

const NODES: usize = 3;
/// After an outage. A page gives up a silent connection after fifteen seconds, and nodes read the store every ten.
const HEAL_BOUND: Duration = Duration::from_secs(20);
/// A lease expires after five seconds, nodes look twice a second, and the machine is busy.
const NEXT_LEADER_BOUND: Duration = Duration::from_secs(9);
/// PostgreSQL ends the transaction of a paused node after four seconds.
const LOCKED_ROOM_BOUND: Duration = Duration::from_secs(8);
/// Ten seconds of retries, the retry of what is in doubt, and the machine is busy.
const REFUSAL_BOUND: Duration = Duration::from_secs(16);
const STOP_BOUND: Duration = Duration::from_secs(16);
/// From this length on, an outage is noticed by everybody.
const LONG_OUTAGE: Duration = Duration::from_secs(30);

const MESSAGES_BETWEEN_FULL_DISKS: usize = 20;

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name);
    value.map_or(default, |value| value.parse().unwrap())
}

fn outage() -> Duration {
    Duration::from_secs(setting("RIALTO_OUTAGE_SECONDS", 2))
}

fn configure(command: &mut Command) {
    command.args(["--heartbeat-seconds", "5"]);
    command.args(["--replay-events", "1000000"]);
}

async fn create_token(cluster: &Cluster) -> String {
    let storage = cluster.storage_elsewhere();
    let mut command = rialto_command_with_prefix(&[]);
    command.args(["token", "create", "Gazette"]);
    print_token(command.args(storage.arguments())).await
}

async fn print_token(command: &mut Command) -> String {
    let made = command.output().await.unwrap();
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_node_that_pauses() {
    needs_postgresql!();
    let mut cluster = Cluster::start_with(0, configure).await;
    let log = NodeLog::new();
    // The node started first is the call leader.
    let bus = cluster.nats.url();
    cluster.add_node_with(bus, log.capture()).await;
    for _ in 1..NODES {
        cluster.add_node().await;
    }
    let load = Load::start(&cluster.nodes, create_token(&cluster).await).await;
    let (call, ada, bob) = connected_call(&cluster, [1, 2]).await;
    let calls = CallPages::watch(call, [ada, bob]);

    let (outage, paused_at) = (outage(), Instant::now());
    cluster.nodes[0].freeze();
    let is_lease_lost = outage >= LONG_OUTAGE;
    if is_lease_lost {
        calls.wait_for_next_leader(NEXT_LEADER_BOUND).await;
        println!("another node leads after {:.1?}", paused_at.elapsed());
    }
    sleep(outage.saturating_sub(paused_at.elapsed())).await;
    let states = calls.states();
    cluster.nodes[0].thaw();
    let healed = load.wait_until_live(HEAL_BOUND).await;
    if is_lease_lost {
        log.wait_for("this node stepped down as the call leader")
            .await;
    }
    let figures = load.finish(&cluster.nodes[0]).await;
    println!("paused for {outage:?}, live after {healed:.1?}: {figures}");
    assert!(figures.longest_answer < LOCKED_ROOM_BOUND, "{figures}");

    assert_eq!(calls.states(), states, "the returning node changes no call");
    let [mut ada, mut bob] = calls.end().await;
    ada.send_action(call, ClientAction::HangUp).await;
    wait_for_call_end(&mut ada).await;
    wait_for_call_end(&mut bob).await;
}

/// Three nodes that reach PostgreSQL and NATS through proxies.
struct Community {
    cluster: Cluster,
    database: Proxy,
    bus: Proxy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dependency {
    Database,
    Bus,
}

impl Community {
    async fn start() -> Self {
        let mut cluster = Cluster::start_with(0, configure).await;
        let database = Proxy::start(address_of(cluster.database_url())).await;
        let bus = Proxy::start(cluster.nats.address().to_string()).await;
        for _ in 0..NODES {
            let url = database.url_of(cluster.database_url());
            let bus = format!("nats://{}", bus.address());
            cluster.add_node_through(bus, url).await;
        }
        Self {
            cluster,
            database,
            bus,
        }
    }

    fn pass(&self, dependencies: &[Dependency], passing: Passing) {
        for dependency in dependencies {
            match dependency {
                Dependency::Database => self.database.pass(passing),
                Dependency::Bus => self.bus.pass(passing),
            }
        }
    }

    /// Of a node, within the time that a balancer may wait.
    async fn readiness(&self, node: usize) -> (u16, String) {
        let anybody = Browser::anonymous(&self.cluster.nodes[node], "Anybody");
        let asked = anybody.http().get(anybody.url("/readyz")).send();
        let response = timeout(REFUSAL_BOUND, asked).await.unwrap().unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

#[tokio::test]
async fn postgresql_does_not_answer() {
    needs_postgresql!();
    run_outage(&[Dependency::Database]).await;
}

#[tokio::test]
async fn nats_does_not_answer() {
    needs_postgresql!();
    run_outage(&[Dependency::Bus]).await;
}

#[tokio::test]
async fn neither_postgresql_nor_nats_answers() {
    needs_postgresql!();
    run_outage(&[Dependency::Database, Dependency::Bus]).await;
}

async fn run_outage(dependencies: &[Dependency]) {
    let mut community = Community::start().await;
    let token = create_token(&community.cluster).await;
    let load = Load::start(&community.cluster.nodes, token).await;

    let (outage, began) = (outage(), Instant::now());
    community.pass(dependencies, Passing::Nothing);
    let is_stopped = outage >= LONG_OUTAGE;
    if is_stopped {
        sleep(outage / 2).await;
        for node in 0..NODES {
            let (asked, (status, text)) = (Instant::now(), community.readiness(node).await);
            println!(
                "/readyz of node {node} after {:.1?}: {text}",
                asked.elapsed()
            );
            if dependencies.contains(&Dependency::Database) {
                assert_eq!(status, 503, "{text}");
            } else {
                assert!(status == 200 && text.contains("bus disconnected"), "{text}");
            }
        }
        let asked = Instant::now();
        let ended = community.cluster.nodes[2].stop_within(STOP_BOUND).await;
        println!("node 2 stopped after {:.1?}", asked.elapsed());
        assert!(ended.success(), "{ended}");
    }
    sleep(outage.saturating_sub(began.elapsed())).await;
    community.pass(dependencies, Passing::Everything);
    if is_stopped {
        community.cluster.nodes[2].restart().await;
    }
    let healed = load.wait_until_live(HEAL_BOUND).await;
    let (call, mut ada, mut bob) = connected_call(&community.cluster, [1, 2]).await;
    ada.send_action(call, ClientAction::HangUp).await;
    wait_for_call_end(&mut ada).await;
    wait_for_call_end(&mut bob).await;
    let figures = load.finish(&community.cluster.nodes[1]).await;
    println!("{dependencies:?} silent for {outage:?}, live after {healed:.1?}: {figures}");
    assert!(figures.longest_answer < REFUSAL_BOUND, "{figures}");
}

/// `RIALTO_SEED` repeats a run's moments.
#[tokio::test]
async fn answers_of_commits_are_lost() {
    needs_postgresql!();
    let drawn = u64::try_from(random::new_id().as_u128() & u128::from(u64::MAX)).unwrap();
    let seed = setting("RIALTO_SEED", drawn);
    println!("RIALTO_SEED={seed}");
    let community = Community::start().await;
    let token = create_token(&community.cluster).await;
    let load = Load::start(&community.cluster.nodes, token).await;
    let (count, mut moment) = (setting("RIALTO_LOST_COMMITS", 3), seed);
    for _ in 0..count {
        moment = moment
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        sleep(Duration::from_millis((moment >> 33) % 1_000)).await;
        community.database.lose_commit().await;
    }
    let healed = load.wait_until_live(HEAL_BOUND).await;
    let figures = load.finish(&community.cluster.nodes[1]).await;
    println!("{count} commits lost their answer, live after {healed:.1?}: {figures}");
    assert_eq!(figures.gaps, 0, "each event is published, in order");
}

#[tokio::test]
async fn a_disk_is_full_again_and_again() {
    let Some(disk) = SmallDisk::mount(12).await else {
        return;
    };
    let server = Server::start_on_disk_with(&disk, configure).await;
    let mut command = rialto_command_with_prefix(&disk.nsenter_command());
    command.args(["token", "create", "Gazette", "--data"]);
    let token = print_token(command.arg(disk.storage().folder())).await;
    let anybody = Browser::anonymous(&server, "Anybody");
    let reader = Browser::join(&server, "Reader").await;
    let nodes = [server];
    let load = Load::start(&nodes, token).await;
    let count = setting("RIALTO_FULL_DISKS", 1);
    let mut healed = Duration::ZERO;
    for _ in 0..count {
        load.wait_for_messages(MESSAGES_BETWEEN_FULL_DISKS).await;
        disk.fill();
        let began = Instant::now();
        while anybody.get("/readyz").await.status() != 503 {
            assert!(began.elapsed() < HEAL_BOUND, "writes are refused");
            sleep(Duration::from_millis(50)).await;
        }
        // Reading needs no writing.
        let room = reader.get("/chat/general").await;
        assert_eq!(room.status(), 200);
        let room = room.text().await.unwrap();
        let is_shown = |n: u32| room.contains(&format!(">Page 0 {n}<"));
        assert!((0..10_000).any(is_shown), "{room}");
        disk.free();
        healed = healed.max(load.wait_until_live(HEAL_BOUND).await);
        assert_eq!(anybody.get("/readyz").await.status(), 200);
    }
    // On the full disk's data, with everything that was acknowledged.
    let [mut server] = nodes;
    server.restart().await;
    load.wait_until_live(HEAL_BOUND).await;
    let figures = load.finish(&server).await;
    println!("the disk was full {count} times, live after at most {healed:.1?}: {figures}");
}
