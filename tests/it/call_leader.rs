//! The call leader is replaced while it is paused or cut off, and does no harm when it is back.

use crate::{
    calls::CallClient,
    cluster::{connected_call, wait_for_call_end},
    support::{
        Cluster, NodeLog, eventually, needs_postgresql,
        proxy::{Passing, Proxy},
    },
};
use rialto::{
    model::{
        CallId,
        call::{ClientAction, State},
    },
    protocol::ws::ServerFrame,
};
use std::time::Duration;

/// Longer than an outage that does not count, and the next renewal of the lease.
const NATS_OUTAGE: Duration = Duration::from_secs(4);

/// The next leader restores the call, and the pages report their path to it.
async fn wait_for_next_leader(id: CallId, ada: &mut CallClient, bob: &mut CallClient) {
    for page in [&mut *ada, &mut *bob] {
        while page.next_state().await != State::Reconnecting {}
    }
    for page in [&mut *ada, &mut *bob] {
        page.send_action(id, ClientAction::Connected).await;
    }
    for page in [ada, bob] {
        while page.next_state().await != State::Connected {}
    }
}

async fn assert_nothing_said_about_calls(page: &mut CallClient) {
    let frames = page.ws.frames_until_pong().await;
    let calls = frames
        .iter()
        .filter(|frame| matches!(frame, ServerFrame::Call { .. } | ServerFrame::Error(_)));
    assert_eq!(calls.count(), 0, "{frames:?}");
}

#[tokio::test]
async fn a_leader_that_was_paused_is_replaced_and_overwrites_nothing() {
    needs_postgresql!();
    let mut cluster = Cluster::start(0).await;
    let log = NodeLog::new();
    // The node started first is the call leader.
    let bus = cluster.nats.url();
    cluster.add_node_with(bus, log.capture()).await;
    cluster.add_node().await;
    cluster.add_node().await;
    let (id, mut ada, mut bob) = connected_call(&cluster, [1, 2]).await;
    cluster.nodes[0].freeze();
    wait_for_next_leader(id, &mut ada, &mut bob).await;
    cluster.nodes[0].thaw();
    log.wait_for("this node stepped down as the call leader")
        .await;
    assert_nothing_said_about_calls(&mut ada).await;
    assert_nothing_said_about_calls(&mut bob).await;
    ada.send_action(id, ClientAction::HangUp).await;
    wait_for_call_end(&mut ada).await;
    wait_for_call_end(&mut bob).await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_from_nats_hands_over_to_a_node_that_is_not() {
    needs_postgresql!();
    let mut cluster = Cluster::start(0).await;
    let log = NodeLog::new();
    let proxy = Proxy::start(cluster.nats.address().to_string()).await;
    let bus = format!("nats://{}", proxy.address());
    cluster.add_node_with(bus, log.capture()).await;
    cluster.add_node().await;
    cluster.add_node().await;
    let (id, mut ada, mut bob) = connected_call(&cluster, [1, 2]).await;
    proxy.pass(Passing::Closed);
    wait_for_next_leader(id, &mut ada, &mut bob).await;
    log.wait_for("it stepped down as the call leader").await;
    ada.send_action(id, ClientAction::HangUp).await;
    wait_for_call_end(&mut ada).await;
    wait_for_call_end(&mut bob).await;

    proxy.pass(Passing::Everything);
    let mut carol = CallClient::connect(cluster.join(0, "Carol").await).await;
    eventually("the first node is connected to NATS", async || {
        let ready = carol.browser.html("/readyz").await;
        ready.contains("bus connected")
    })
    .await;
    let id = carol.start_call(&bob).await;
    while bob.next_view().await.id != id {}
    assert_eq!(carol.next_state().await, State::Dialing);
}

#[tokio::test]
async fn while_no_node_has_nats_the_leader_leads_on() {
    needs_postgresql!();
    let mut cluster = Cluster::start(2).await;
    // Both are at the leader's node.
    let (id, mut ada, mut bob) = connected_call(&cluster, [0, 0]).await;
    cluster.nats.kill().await;
    tokio::time::sleep(NATS_OUTAGE).await;
    assert_nothing_said_about_calls(&mut ada).await;
    assert_nothing_said_about_calls(&mut bob).await;
    ada.send_action(id, ClientAction::HangUp).await;
    wait_for_call_end(&mut ada).await;
    wait_for_call_end(&mut bob).await;
}
