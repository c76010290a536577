//! Several nodes as one community, of which any may be lost.

use crate::{
    calls::CallClient,
    support::{
        Browser, Cluster, HelloFrame, Publisher, Server, SseClient, TestStorage, WsClient,
        browser::location,
        eventually, message_id,
        nats::Nats,
        needs_postgresql,
        server::{run_cli, startup_error},
        with_timeout, ws_client,
    },
};
use futures::future::join_all;
use rialto::{
    model::{
        Cursor, RoomId, Seq,
        call::{ClientAction, Outcome, SignalingMessage, State},
        message::Content,
        room::{RoomKind, RoomSummary},
        user::{Presence, Role},
    },
    protocol::ws::{ClientFrame, ServerFrame},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Many times the silence after which a node counts as gone.
const NATS_OUTAGE: Duration = Duration::from_secs(30);
/// Nodes look for changes every ten seconds.
const ROLE_CHANGE_TIMEOUT: Duration = Duration::from_secs(20);

/// On connecting or later.
async fn wait_for_presence(ws: &mut WsClient, who: &WsClient, presence: Presence) {
    let id = who.me().id;
    let entries = ws.welcome().people.iter();
    if entries
        .filter(|present| present.person.id == id)
        .any(|present| present.presence == presence)
    {
        return;
    }
    while ws.next_presence_of(&who.me().clone()).await != presence {}
}

/// Returns the messages that each client received.
async fn send_from_all(
    clients: Vec<WsClient>,
    room: RoomId,
    each: usize,
) -> Vec<Vec<(Seq, String)>> {
    let count = clients.len() * each;
    let senders = clients.into_iter().enumerate().map(|(n, mut ws)| {
        tokio::spawn(async move {
            for at in 0..each {
                let text = format!("{n} says {at}");
                ws.send(&ws_client::message_frame(message_id(), room, &text))
                    .await;
            }
            let mut received = Vec::new();
            while received.len() < count {
                let message = ws.next_message(room).await;
                received.push((message.seq, ws_client::text_of(&message).to_owned()));
            }
            received
        })
    });
    let received = join_all(senders).await;
    received.into_iter().map(Result::unwrap).collect()
}

/// Every client received every message once and in the same order.
fn assert_same_order(received: &[Vec<(Seq, String)>], first: Seq) {
    for one in received {
        let seqs: Vec<_> = one.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs, (first..).take(one.len()).collect::<Vec<_>>());
        assert_eq!(one, &received[0]);
        assert_eq!(one.iter().collect::<BTreeSet<_>>().len(), one.len());
    }
}

#[tokio::test]
async fn a_message_at_one_node_reaches_the_others_once_and_in_one_order() {
    needs_postgresql!();
    let cluster = Cluster::start(3).await;
    let mut clients = Vec::new();
    for node in 0..3 {
        clients.push(
            cluster
                .join(node, &format!("Person {node}"))
                .await
                .connect()
                .await,
        );
    }
    let general = clients[0].general();
    let received = send_from_all(clients, general, 40).await;
    assert_same_order(&received, 1);
}

#[tokio::test]
async fn a_story_published_at_one_node_reaches_every_reader() {
    needs_postgresql!();
    let cluster = Cluster::start(3).await;
    let mut readers = Vec::new();
    for node in &cluster.nodes {
        let mut reader = SseClient::open(node).await;
        reader.wait_for_hello().await;
        readers.push(reader);
    }
    let publishers = [
        Publisher::create(&cluster.nodes[0]).await,
        Publisher::create(&cluster.nodes[2]).await,
    ];
    for n in 0..10 {
        publishers[n % 2].publish(&format!("Story {n}")).await;
    }
    for reader in &mut readers {
        for n in 0..10 {
            assert_eq!(reader.next_story().await.headline, format!("Story {n}"));
        }
    }
}

#[tokio::test]
async fn who_is_here_is_known_everywhere() {
    needs_postgresql!();
    let cluster = Cluster::start(2).await;
    let (ada, bob) = (cluster.join(0, "Ada").await, cluster.join(1, "Bob").await);
    let mut ada_ws = ada.connect().await;
    let mut bob_ws = bob.connect().await;
    wait_for_presence(&mut ada_ws, &bob_ws, Presence::Online).await;
    wait_for_presence(&mut bob_ws, &ada_ws, Presence::Online).await;
    bob_ws
        .send(&ClientFrame::Visibility { visible: false })
        .await;
    wait_for_presence(&mut ada_ws, &bob_ws, Presence::Away).await;
    // Bob's page at the other node makes him online.
    let other_ws = bob.at_node(&cluster.nodes[0]).connect().await;
    wait_for_presence(&mut ada_ws, &bob_ws, Presence::Online).await;
    other_ws.close().await;
    wait_for_presence(&mut ada_ws, &bob_ws, Presence::Away).await;
    let me = bob_ws.me().clone();
    bob_ws.close().await;
    while ada_ws.next_presence_of(&me).await != Presence::Offline {}
}

#[tokio::test]
async fn a_direct_room_typing_and_reading_cross_nodes() {
    needs_postgresql!();
    let cluster = Cluster::start(2).await;
    let (ada, bob) = (cluster.join(0, "Ada").await, cluster.join(1, "Bob").await);
    let (mut ada_ws, mut bob_ws) = (ada.connect().await, bob.connect().await);
    let general = ada_ws.general();
    ada_ws.send(&ClientFrame::Typing { room: general }).await;
    let types = |frame: &ServerFrame| match frame {
        ServerFrame::Typing { person, .. } => Some(person.id),
        _ => None,
    };
    assert_eq!(bob_ws.wait_for(types).await, ada_ws.me().id);

    let with = bob_ws.me().id.to_string();
    ada.post("/fn/open-direct", &[("with", &with)]).await;
    let is_room = |frame: &ServerFrame| match frame {
        ServerFrame::Room { room } => Some(room.id),
        _ => None,
    };
    let direct = bob_ws.wait_for(is_room).await;
    assert_eq!(ada_ws.wait_for(is_room).await, direct);
    ada_ws.send_message(direct, "Between us").await;
    let seq = bob_ws.wait_for_text("Between us").await.seq;

    // Bob's page at the other node receives his read position.
    let mut other_ws = bob.at_node(&cluster.nodes[0]).connect().await;
    bob_ws.send(&ClientFrame::Read { room: direct, seq }).await;
    let is_read = |frame: &ServerFrame| {
        matches!(frame, ServerFrame::Read { room, unread: 0, .. } if *room == direct).then_some(())
    };
    other_ws.wait_for(is_read).await;
}

#[tokio::test]
async fn signing_out_closes_the_connections_at_every_node() {
    needs_postgresql!();
    let cluster = Cluster::start(2).await;
    let ada = cluster.join(0, "Ada").await;
    let mut ws = ada.at_node(&cluster.nodes[1]).connect().await;
    ada.post("/fn/sign-out", &[]).await;
    assert_eq!(ws.expect_close().await.0, 4_001);
}

#[tokio::test]
async fn a_client_that_moves_to_another_node_is_one_client() {
    needs_postgresql!();
    let cluster = Cluster::start(2).await;
    let ada = cluster.join(0, "Ada").await;
    let hello = HelloFrame::default();
    let mut old_ws = ada.connect_with(hello.clone()).await;
    // Of equal ones, the node that hears of the other later would decide.
    let incarnation = hello.incarnation + 1;
    let hello = HelloFrame {
        incarnation,
        ..hello
    };
    let mut new_ws = ada.at_node(&cluster.nodes[1]).connect_with(hello).await;
    assert_eq!(
        old_ws.expect_close().await.0,
        4_000,
        "replaced by the newer connection"
    );
    let general = new_ws.general();
    new_ws.send_message(general, "Still me").await;
}

#[tokio::test]
async fn of_two_connections_made_while_nats_was_away_the_newer_one_stays() {
    needs_postgresql!();
    let mut cluster = Cluster::start(2).await;
    let (ada, bob) = (cluster.join(0, "Ada").await, cluster.join(0, "Bob").await);
    cluster.nats.kill().await;
    let older = HelloFrame {
        incarnation: 1,
        ..HelloFrame::default()
    };
    let newer = HelloFrame {
        incarnation: 2,
        ..older.clone()
    };
    // As a connection of which the node has not noticed the end.
    let mut old_ws = ada.connect_with(older).await;
    let mut new_ws = ada.at_node(&cluster.nodes[1]).connect_with(newer).await;
    // What the first node has queued arrives late.
    cluster.nodes[0].freeze();
    cluster.nats.launch().await;
    let anybody = Browser::anonymous(&cluster.nodes[1], "Anybody");
    eventually("the second node is connected to NATS", async || {
        anybody.html("/readyz").await.contains("bus connected")
    })
    .await;
    cluster.nodes[0].thaw();
    assert_eq!(old_ws.expect_close().await.0, 4_000);
    // By then, the second node has also heard of the older connection.
    let bob_ws = bob.connect().await;
    wait_for_presence(&mut new_ws, &bob_ws, Presence::Online).await;
    let general = new_ws.general();
    new_ws.send_message(general, "Still me").await;
}

#[tokio::test]
async fn a_role_changed_on_a_command_line_reaches_connections_to_every_node() {
    needs_postgresql!();
    let cluster = Cluster::start(2).await;
    let ada = cluster.join(0, "Ada").await.at_node(&cluster.nodes[1]);
    let mut ws = ada.connect().await;
    let at_a_node = cluster.nodes[0].run_cli(&["user", "role", "Ada", "member"]);
    assert!(at_a_node.await.status.success());
    assert_eq!(ws.expect_close().await.0, 1_001);
    let mut ws = ada.connect().await;
    assert_eq!(ws.me().role, Role::Member);

    let elsewhere = cluster.storage_elsewhere().arguments();
    let role = ["user", "role", "Ada", "editor"].map(str::to_owned);
    let done = run_cli(role.into_iter().chain(elsewhere)).await;
    assert!(done.status.success(), "{done:?}");
    let closed = async { while ws.next_frame().await.is_ok() {} };
    let noticed = tokio::time::timeout(ROLE_CHANGE_TIMEOUT, closed).await;
    noticed.expect("the nodes look for changes");
    assert_eq!(ada.connect().await.me().role, Role::Editor);
}

/// Between Ada at one node and Bob at another.
pub(crate) async fn connected_call(
    cluster: &Cluster,
    nodes: [usize; 2],
) -> (rialto::model::CallId, CallClient, CallClient) {
    let mut ada = CallClient::connect(cluster.join(nodes[0], "Ada").await).await;
    let mut bob = CallClient::connect(cluster.join(nodes[1], "Bob").await).await;
    let id = ada.start_call(&bob).await;
    assert_eq!(ada.next_state().await, State::Dialing);
    assert_eq!(bob.next_state().await, State::Dialing);
    bob.send_action(id, ClientAction::Ringing).await;
    assert_eq!(ada.next_state().await, State::Ringing);
    assert_eq!(bob.next_state().await, State::Ringing);
    bob.send_action(id, ClientAction::Accept).await;
    assert_eq!(ada.next_state().await, State::Connecting);
    assert_eq!(bob.next_state().await, State::Connecting);
    ada.send_action(id, ClientAction::Connected).await;
    bob.send_action(id, ClientAction::Connected).await;
    assert_eq!(ada.next_state().await, State::Connected);
    assert_eq!(bob.next_state().await, State::Connected);
    (id, ada, bob)
}

#[tokio::test]
async fn a_call_rings_at_another_node_and_its_signals_cross() {
    needs_postgresql!();
    let cluster = Cluster::start(3).await;
    let (id, mut ada, mut bob) = connected_call(&cluster, [1, 2]).await;
    for n in 0..5 {
        let signal = SignalingMessage::Offer {
            sdp: format!("v={n}"),
        };
        let action = ClientAction::Signal {
            signal: signal.clone(),
            to: None,
        };
        ada.send_action(id, action).await;
        assert_eq!(bob.next_signal().await, signal, "in order");
    }
    bob.send_action(id, ClientAction::HangUp).await;
    wait_for_call_end(&mut ada).await;
    wait_for_call_end(&mut bob).await;
}

/// The end of the call and its message arrive in either order.
pub(crate) async fn wait_for_call_end(client: &mut CallClient) {
    let (mut ended, mut told) = (false, false);
    let both = |frame: &ServerFrame| {
        if let ServerFrame::Call { call } = frame {
            let outcome = Outcome::HungUp;
            ended |= call.state == State::Ended { outcome };
        }
        told |= ws_client::as_message(frame).is_some_and(|message| {
            matches!(
                message.content,
                Content::Call {
                    outcome: Outcome::HungUp,
                    ..
                }
            )
        });
        (ended && told).then_some(())
    };
    client.ws.wait_for(both).await;
}

#[tokio::test]
async fn when_the_call_leader_dies_calls_go_on() {
    needs_postgresql!();
    assert_calls_go_on_when(async |leader| leader.kill().await).await;
}

#[tokio::test]
async fn when_the_call_leader_is_asked_to_stop_calls_go_on() {
    needs_postgresql!();
    assert_calls_go_on_when(async |leader| assert!(leader.stop().await.success())).await;
}

async fn assert_calls_go_on_when(stop_leader: impl AsyncFnOnce(&mut Server)) {
    let mut cluster = Cluster::start(3).await;
    // The node started first is the call leader.
    let (id, mut ada, mut bob) = connected_call(&cluster, [1, 2]).await;
    stop_leader(&mut cluster.nodes[0]).await;
    // Waits until another node has taken over.
    let signal = SignalingMessage::RestartIce;
    let action = ClientAction::Signal {
        signal: signal.clone(),
        to: None,
    };
    ada.send_action(id, action).await;
    assert_eq!(bob.next_signal().await, signal);
    ada.send_action(id, ClientAction::Connected).await;
    bob.send_action(id, ClientAction::Connected).await;
    let is_connected = |view: State| view == State::Connected;
    while !is_connected(ada.next_state().await) {}
    while !is_connected(bob.next_state().await) {}
    ada.send_action(id, ClientAction::HangUp).await;
    let ended = State::Ended {
        outcome: Outcome::HungUp,
    };
    while ada.next_state().await != ended {}
    while bob.next_state().await != ended {}
}

#[tokio::test]
async fn when_the_node_of_one_side_dies_the_call_goes_on_at_another() {
    needs_postgresql!();
    let mut cluster = Cluster::start(3).await;
    let (id, ada, mut bob) = connected_call(&cluster, [1, 2]).await;
    cluster.nodes[1].kill().await;
    let CallClient {
        browser, client_id, ..
    } = ada;
    let hello = HelloFrame {
        client: client_id,
        ..HelloFrame::default()
    };
    let browser = browser.at_node(&cluster.nodes[2]);
    let ws = browser.connect_with(hello).await;
    let mut ada = CallClient {
        browser,
        client_id,
        ws,
    };
    let signal = SignalingMessage::RestartIce;
    let action = ClientAction::Signal {
        signal: signal.clone(),
        to: None,
    };
    ada.send_action(id, action).await;
    assert_eq!(bob.next_signal().await, signal);
    bob.send_action(id, ClientAction::HangUp).await;
    let ended = State::Ended {
        outcome: Outcome::HungUp,
    };
    while ada.next_state().await != ended {}
}

#[tokio::test]
async fn a_node_that_dies_takes_nothing_with_it_and_its_people_are_gone_in_seconds() {
    needs_postgresql!();
    let mut cluster = Cluster::start(2).await;
    let (ada, bob) = (cluster.join(0, "Ada").await, cluster.join(1, "Bob").await);
    let (mut ada_ws, mut bob_ws) = (ada.connect().await, bob.connect().await);
    let room = ada_ws.room("general").clone();
    wait_for_presence(&mut ada_ws, &bob_ws, Presence::Online).await;
    for n in 0..20 {
        bob_ws.send_message(room.id, &format!("Before {n}")).await;
    }
    cluster.nodes[1].kill().await;
    let mut received_count = 0;
    while received_count < 20 {
        received_count += usize::from(ada_ws.next_message(room.id).await.seq > 0);
    }
    // Bob's client reconnects to the other node at its cursor.
    let cursor = Cursor {
        epoch: room.epoch,
        seq: 20,
    };
    let mut resumed_ws = bob
        .at_node(&cluster.nodes[0])
        .connect_with(HelloFrame::with_cursor(room.id, cursor))
        .await;
    resumed_ws.send_message(room.id, "After").await;
    assert_eq!(ada_ws.wait_for_text("After").await.seq, 21);
    let me = resumed_ws.me().clone();
    resumed_ws.close().await;
    while ada_ws.next_presence_of(&me).await != Presence::Offline {}
}

#[tokio::test]
async fn while_nats_is_away_everything_is_acknowledged_and_arrives() {
    needs_postgresql!();
    let mut cluster = Cluster::start(2).await;
    let (ada, bob) = (cluster.join(0, "Ada").await, cluster.join(1, "Bob").await);
    let (mut ada_ws, mut bob_ws) = (ada.connect().await, bob.connect().await);
    let general = ada_ws.general();
    wait_for_presence(&mut ada_ws, &bob_ws, Presence::Online).await;
    let mut reader = SseClient::open(&cluster.nodes[1]).await;
    reader.wait_for_hello().await;
    let publisher = Publisher::create(&cluster.nodes[0]).await;

    cluster.nats.kill().await;
    let outage_start = Instant::now();
    for n in 0..10 {
        ada_ws.send_message(general, &format!("Away {n}")).await;
        bob_ws
            .send_message(general, &format!("Also away {n}"))
            .await;
        tokio::time::sleep(NATS_OUTAGE / 10).await;
    }
    publisher.publish("While the bus is away").await;
    // Through the store, while NATS is still down.
    let mut last = 0;
    while last < 20 {
        let message = bob_ws.next_message(general).await;
        assert_eq!(message.seq, last + 1);
        last = message.seq;
    }
    assert_eq!(reader.next_story().await.headline, "While the bus is away");
    let carol = cluster.join(1, "Carol").await;
    let carol_ws = carol.connect().await;

    assert!(outage_start.elapsed() >= NATS_OUTAGE);
    cluster.nats.launch().await;
    wait_for_presence(&mut ada_ws, &carol_ws, Presence::Online).await;
    bob_ws.send_message(general, "It is back").await;
    while ada_ws.next_message(general).await.seq < 21 {}
    let gone = ada_ws.frames_until_pong().await.into_iter().any(|frame| {
        ws_client::as_presence(&frame).is_some_and(|present| present.presence == Presence::Offline)
    });
    assert!(!gone, "users do not go offline because NATS is down");
}

#[tokio::test]
async fn a_session_that_ended_while_nats_was_away_ends_at_every_node_when_it_is_back() {
    needs_postgresql!();
    let mut cluster = Cluster::start(2).await;
    let ada = cluster.join(0, "Ada").await;
    let mut ws = ada.at_node(&cluster.nodes[1]).connect().await;
    // The connection is established before NATS goes down.
    let general = ws.general();
    ws.send_message(general, "Here").await;
    cluster.nats.kill().await;
    ada.post("/fn/sign-out", &[]).await;
    cluster.nats.launch().await;
    assert_eq!(ws.expect_close().await.0, 4_001);
}

#[tokio::test]
async fn a_call_that_cannot_reach_the_leader_says_so() {
    needs_postgresql!();
    let mut cluster = Cluster::start(2).await;
    let mut ada = CallClient::connect(cluster.join(0, "Ada").await).await;
    let mut bob = CallClient::connect(cluster.join(1, "Bob").await).await;
    wait_for_presence(&mut ada.ws, &bob.ws, Presence::Online).await;
    wait_for_presence(&mut bob.ws, &ada.ws, Presence::Online).await;
    cluster.nats.kill().await;
    // The first node is the call leader and goes on; the other cannot reach it.
    bob.start_call(&ada).await;
    let refused = |frame: &ServerFrame| match frame {
        ServerFrame::Error(refusal) => Some(refusal.reason.clone()),
        _ => None,
    };
    let reason = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            match bob.ws.next_frame().await {
                Ok(frame) => {
                    if let Some(reason) = refused(&frame) {
                        return reason;
                    }
                }
                Err(why) => panic!("closed: {why:?}"),
            }
        }
    });
    let reason = reason.await.unwrap();
    assert!(reason.contains("try again"), "{reason}");
}

/// The second node is suspended, so that what the first one publishes does not reach it.
async fn reconnect_first_node_to_nats(cluster: &mut Cluster, observer: &Browser) {
    cluster.nodes[1].freeze();
    cluster.nats.launch().await;
    eventually("the first node is connected to NATS", async || {
        observer.html("/readyz").await.contains("bus connected")
    })
    .await;
    // Time to publish what it had queued.
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.nodes[1].thaw();
}

#[tokio::test]
async fn what_the_call_leader_could_not_publish_while_nats_was_down_arrives_when_it_is_back() {
    needs_postgresql!();
    let mut cluster = Cluster::start(2).await;
    // The node started first is the call leader.
    let mut ada = CallClient::connect(cluster.join(0, "Ada").await).await;
    let mut bob = CallClient::connect(cluster.join(1, "Bob").await).await;
    wait_for_presence(&mut ada.ws, &bob.ws, Presence::Online).await;
    cluster.nats.kill().await;
    let first = ada.start_call(&bob).await;
    assert_eq!(ada.next_state().await, State::Dialing);
    let signal = SignalingMessage::Offer {
        sdp: "v=0".to_owned(),
    };
    let (offer, to) = (signal.clone(), None);
    ada.send_action(first, ClientAction::Signal { signal, to })
        .await;
    reconnect_first_node_to_nats(&mut cluster, &ada.browser).await;
    assert_eq!(bob.next_view().await.id, first, "it rings");
    assert_eq!(bob.next_signal().await, offer);
    let outcome = Outcome::Declined;
    bob.send_action(first, ClientAction::Decline).await;
    while ada.next_state().await != (State::Ended { outcome }) {}
    while bob.next_state().await != (State::Ended { outcome }) {}

    let second = bob.start_call(&ada).await;
    while ada.next_view().await.id != second {}
    cluster.nats.kill().await;
    ada.send_action(second, ClientAction::Accept).await;
    while ada.next_state().await != State::Connecting {}
    reconnect_first_node_to_nats(&mut cluster, &ada.browser).await;
    while bob.next_state().await != State::Connecting {}
}

/// Sends without a pause; moves to the next node when its connection ends.
struct ContinuousWriter {
    browser: Browser,
    hello: HelloFrame,
    sent_count: usize,
}

#[tokio::test]
async fn nodes_that_are_restarted_one_after_another_fail_nobody() {
    needs_postgresql!();
    let mut cluster = Cluster::start(3).await;
    let witness = cluster.join(0, "Witness").await;
    let room = witness.connect().await.room("general").clone();
    let addresses: Vec<_> = cluster.nodes.iter().map(Server::address).collect();
    let stop = tokio_util::sync::CancellationToken::new();
    let mut writers = Vec::new();
    for n in 0..6 {
        let writer = ContinuousWriter {
            browser: cluster.join(n % 3, &format!("Writer {n}")).await,
            hello: HelloFrame::default(),
            sent_count: 0,
        };
        writers.push(tokio::spawn(writer.write(
            room.id,
            n,
            addresses.clone(),
            stop.clone(),
        )));
    }
    for node in 0..3 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(
            cluster.nodes[node].stop().await.success(),
            "it exits with status 0"
        );
        cluster.nodes[node].restart().await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.cancel();
    let mut acknowledged = 0;
    for writer in writers {
        acknowledged += with_timeout("a writer ends", writer).await.unwrap();
    }
    let cursor = Cursor {
        epoch: room.epoch,
        seq: 0,
    };
    let mut ws = witness
        .connect_with(HelloFrame::with_cursor(room.id, cursor))
        .await;
    let kept = ws.frames_until_pong().await;
    let kept: Vec<_> = kept.iter().filter_map(ws_client::as_message).collect();
    assert_eq!(
        kept.len(),
        acknowledged,
        "every acknowledged message is stored once"
    );
    println!("{acknowledged} messages while three nodes restarted, none failed");
}

impl ContinuousWriter {
    /// Sends one at a time; repeats the unacknowledged message at the next node. Returns the number
    /// acknowledged.
    async fn write(
        mut self,
        room: RoomId,
        n: usize,
        addresses: Vec<std::net::SocketAddr>,
        stop: tokio_util::sync::CancellationToken,
    ) -> usize {
        let mut node = n;
        let mut pending = None;
        while pending.is_some() || !stop.is_cancelled() {
            node += 1;
            let browser = self.browser.at_address(addresses[node % addresses.len()]);
            let Ok(mut ws) = WsClient::try_open_socket(&browser).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            ws.send_hello(self.hello.clone()).await;
            while pending.is_some() || !stop.is_cancelled() {
                let id = *pending.get_or_insert_with(message_id);
                let text = format!("{n} says {}", self.sent_count);
                if !ws
                    .try_send(&ws_client::message_frame(id, room, &text))
                    .await
                {
                    break;
                }
                let acknowledged = loop {
                    match ws.next_frame().await {
                        Ok(ServerFrame::Sent { id: sent, .. }) if sent == id => break true,
                        Ok(ServerFrame::Refused(refusal)) => panic!("{refusal:?}"),
                        Ok(_) => {}
                        Err(_) => break false,
                    }
                };
                if !acknowledged {
                    break;
                }
                pending = None;
                self.sent_count += 1;
                if self.sent_count >= 150 {
                    return self.sent_count;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        self.sent_count
    }
}

#[tokio::test]
async fn a_bus_without_a_database_is_refused_in_words() {
    let words = startup_error(&TestStorage::with_database(None), |command| {
        command.args(["--bus", "nats://127.0.0.1:4222"]);
    })
    .await;
    assert!(words.contains("set --database-url"), "{words}");
}

#[tokio::test]
async fn a_bus_that_is_no_address_is_refused_without_its_password() {
    needs_postgresql!();
    let storage = TestStorage::new();
    for bus in ["nats://shylock:ducats@host:port", "http://ducats@host"] {
        let words = startup_error(&storage, |command| {
            command.args(["--bus", bus]);
        })
        .await;
        assert!(words.contains("nats://host:4222"), "{words}");
        assert!(!words.contains("ducats"), "{words}");
    }
}

#[tokio::test]
async fn a_node_that_starts_while_nats_is_away_joins_the_others_when_it_is_there() {
    needs_postgresql!();
    let mut cluster = Cluster::start(1).await;
    let ada = cluster.join(0, "Ada").await;
    eventually("the node reports that NATS is there", async || {
        ada.html("/readyz").await.contains("bus connected")
    })
    .await;
    cluster.nats.kill().await;
    cluster.add_node().await;
    let bob = cluster.join(1, "Bob").await;
    eventually("the node reports that NATS is down", async || {
        bob.html("/readyz").await.contains("bus disconnected")
    })
    .await;
    let (mut ada_ws, bob_ws) = (ada.connect().await, bob.connect().await);
    cluster.nats.launch().await;
    wait_for_presence(&mut ada_ws, &bob_ws, Presence::Online).await;
}

#[tokio::test]
async fn a_password_in_the_address_of_the_bus_is_used() {
    needs_postgresql!();
    let nats = Nats::start_with_credentials(Some(["shylock", "three@ducats"])).await;
    let bus = nats.url().replace("//", "//shylock:three%40ducats@");
    let node = Server::start_in(TestStorage::new(), move |command| {
        command.args(["--bus", &bus]);
    });
    let node = node.await;
    let anybody = Browser::anonymous(&node, "Anybody");
    eventually("the node is connected to NATS", async || {
        anybody.html("/readyz").await.contains("bus connected")
    })
    .await;
}

/// The nodes have no common bus, so whatever one tells the other is lost. They read the store every ten seconds.
#[tokio::test]
async fn new_rooms_reach_a_node_to_which_the_bus_lost_every_message() {
    needs_postgresql!();
    let mut cluster = Cluster::start(1).await;
    let admin = cluster.nodes[0].create_administrator().await;
    let other_bus = Nats::start().await;
    cluster.add_node_with(other_bus.url(), |_| {}).await;
    let (ada, bob) = (cluster.join(0, "Ada").await, cluster.join(1, "Bob").await);
    let (mut ada_ws, mut bob_ws) = (ada.connect().await, bob.connect().await);
    let made = admin.post("/fn/create-room", &[("name", "Bridge")]).await;
    assert_eq!(location(&made), "/chat/bridge");
    let with = bob_ws.me().id.to_string();
    ada.post("/fn/open-direct", &[("with", &with)]).await;
    assert_eq!(wait_for_new_room(&mut bob_ws).await.slug, "bridge");
    let direct = wait_for_new_room(&mut bob_ws).await;
    assert_eq!(direct.kind, RoomKind::Direct);
    ada_ws.send_message(direct.id, "here").await;
    let received = wait_past_store_poll(&mut bob_ws, |frame| {
        ws_client::as_message(frame).map(|message| message.room)
    });
    assert_eq!(received.await, direct.id);
}

/// A node also sends the summaries of known rooms, when a bus connects.
async fn wait_for_new_room(ws: &mut WsClient) -> RoomSummary {
    wait_past_store_poll(ws, |frame| match frame {
        ServerFrame::Room { room } if room.slug != "general" => Some(room.clone()),
        _ => None,
    })
    .await
}

async fn wait_past_store_poll<T>(
    ws: &mut WsClient,
    wanted: impl Fn(&ServerFrame) -> Option<T>,
) -> T {
    let waiting = async {
        loop {
            if let Some(found) = wanted(&ws.next_frame().await.unwrap()) {
                return found;
            }
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    found.expect("the store is read every ten seconds")
}
