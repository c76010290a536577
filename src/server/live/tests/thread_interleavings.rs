//! Threads that register, change and remove connections at once, and what clients and other nodes know in the end.

use super::{new_connection, room};
use crate::{
    model::{ClientId, Epoch, Seq, UserId, room::RoomKind, user::Presence},
    protocol::{
        close::CloseCode,
        ws::{PersonPresence, ServerFrame},
    },
    server::{
        bus::{Bus, ClientChange, Envelope, Message, NodeId, simulated::Broker},
        interleavings::check,
        live::{
            Connection, ConnectionRegistry, Disconnect, EncodedEvent, Incarnation, Registration,
            RetainedFrame, frame,
        },
        simulation::node::Node,
        store::{EventRow, Stream},
        sync::Mutex,
    },
};
use bytes::Bytes;
use shuttle::{
    future::block_on,
    thread::{self, JoinHandle},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

const ROOM: u128 = 7;

fn run(
    live: &Arc<ConnectionRegistry>,
    act: impl FnOnce(&ConnectionRegistry) + Send + 'static,
) -> JoinHandle<()> {
    let live = live.clone();
    thread::spawn(move || act(&live))
}

fn join<const N: usize>(threads: [JoinHandle<()>; N]) {
    for thread in threads {
        thread.join().unwrap();
    }
}

fn connection(user: u128, client: u128, incarnation: u32) -> Arc<Connection> {
    let connection = Arc::into_inner(new_connection(user, client)).unwrap();
    Arc::new(connection.in_incarnation(Incarnation(Some(incarnation))))
}

/// Registers a connection as a session does; false if it is superseded.
fn connect(live: &ConnectionRegistry, connection: &Arc<Connection>) -> bool {
    let user = connection.person.id;
    if live.register(connection) != Registration::Registered {
        return false;
    }
    live.subscribe(user, room(ROOM), RoomKind::Public);
    live.publish_connected(connection);
    live.publish_presence(&connection.person);
    for frame in live.presence_frames(user) {
        // An error if it was replaced.
        let _ = block_on(connection.send_queue().send(frame.bytes));
    }
    connection.send_queue().uncork(&[]);
    live.send_retained_frames(connection);
    true
}

fn disconnect(live: &ConnectionRegistry, connection: &Arc<Connection>) {
    if live.unregister(connection, Disconnect::Lost) {
        live.publish_presence(&connection.person);
    }
}

fn received(connection: &Connection) -> Vec<ServerFrame> {
    let frames = connection.send_queue().take().unwrap();
    frames.iter().map(frame::decode).collect()
}

fn known_people(frames: &[ServerFrame]) -> BTreeMap<UserId, Presence> {
    let mut people = BTreeMap::new();
    let entry = |present: &PersonPresence| (present.person.id, present.presence);
    for frame in frames {
        match frame {
            ServerFrame::People { people: list } => people = list.iter().map(entry).collect(),
            ServerFrame::Presence { entry } if entry.presence == Presence::Offline => {
                people.remove(&entry.person.id);
            }
            ServerFrame::Presence { entry } => {
                people.insert(entry.person.id, entry.presence);
            }
            other => panic!("{other:?}"),
        }
    }
    people
}

/// Everyone with a connection, published or not.
fn present_people(live: &ConnectionRegistry) -> BTreeMap<UserId, Presence> {
    let state = live.lock();
    let users = state.users.keys();
    users.map(|user| (*user, state.presence(*user))).collect()
}

fn check_people(live: &ConnectionRegistry) {
    let present = present_people(live);
    for connection in live.local_connections() {
        let known = known_people(&received(&connection));
        assert_eq!(known, present, "of {:?}", connection.client);
    }
}

fn people_come_and_go() {
    let live = Arc::new(ConnectionRegistry::default());
    let tabs = [new_connection(2, 2), new_connection(2, 3)];
    for connection in tabs.iter().chain([&new_connection(1, 1)]) {
        connect(&live, connection);
    }
    let [hidden, closed] = tabs;
    join([
        run(&live, move |live| {
            for is_visible in [false, true, false] {
                live.set_visible(&hidden, is_visible);
            }
        }),
        run(&live, move |live| {
            live.set_visible(&closed, false);
            disconnect(live, &closed);
        }),
        run(&live, |live| {
            let leaving = new_connection(3, 4);
            connect(live, &leaving);
            disconnect(live, &leaving);
        }),
        run(&live, |live| assert!(connect(live, &new_connection(4, 5)))),
    ]);
    check_people(&live);
}

#[test]
fn in_the_end_each_client_knows_who_is_there() {
    check(200, people_come_and_go);
}

fn one_client_reconnects() {
    let live = Arc::new(ConnectionRegistry::default());
    let connections = [0, 1, 2].map(|incarnation| connection(1, 1, incarnation));
    join(connections.each_ref().map(|connection| {
        let connection = connection.clone();
        run(&live, move |live| {
            if !connect(live, &connection) {
                connection.close(CloseCode::Replaced);
            }
            let is_last = connection.incarnation == Incarnation(Some(2));
            live.set_visible(&connection, is_last);
            if !is_last {
                disconnect(live, &connection);
            }
        })
    }));
    let [.., last] = &connections;
    assert!(live.is_current(last));
    assert_eq!(live.clients_of_user(last.person.id), [last.client]);
    live.send_to_room(room(ROOM), ServerFrame::Pong { n: 1 }, None);
    let mut frames = received(last);
    assert_eq!(frames.pop(), Some(ServerFrame::Pong { n: 1 }));
    assert_eq!(known_people(&frames), present_people(&live));
}

#[test]
fn of_a_client_that_reconnects_the_last_connection_stays_whole() {
    check(150, one_client_reconnects);
}

/// Stands in for the event log.
#[derive(Default)]
struct RoomEvents {
    live: ConnectionRegistry,
    published: Mutex<Vec<EncodedEvent>>,
}

impl RoomEvents {
    fn publish(&self, seq: Seq) {
        let row = EventRow {
            seq,
            payload: "{\"kind\":\"test\"}".to_owned(),
        };
        let event = EncodedEvent::encode(Stream::Room(room(ROOM)), &row).unwrap();
        self.published.lock().push(event.clone());
        self.live.publish(room(ROOM), &event);
    }

    fn replay(&self, connection: &Connection, after: usize) -> Seq {
        let missed = self.published.lock()[after..].to_vec();
        let mut last = Seq::try_from(after).unwrap();
        for event in missed {
            last = event.seq;
            block_on(connection.send_queue().send(event.bytes)).unwrap();
        }
        last
    }
}

const PUBLISHED: Seq = 5;

fn seq_of_event(bytes: &Bytes) -> Seq {
    let start = bytes.windows(2).position(|two| two == b"{\"").unwrap();
    let frame: serde_json::Value = serde_json::from_slice(&bytes[start..]).unwrap();
    frame["seq"].as_i64().unwrap()
}

fn members_come_while_events_are_published() {
    let events = Arc::new(RoomEvents::default());
    let [early, resuming] = [new_connection(1, 1), new_connection(2, 2)];
    let stream = Stream::Room(room(ROOM));
    for connection in [&early, &resuming] {
        events.live.register(connection);
        let user = connection.person.id;
        events.live.subscribe(user, room(ROOM), RoomKind::Public);
        connection.send_queue().uncork(&[]);
    }
    let publisher = thread::spawn({
        let events = events.clone();
        move || (1..=PUBLISHED).for_each(|seq| events.publish(seq))
    });
    let resume = thread::spawn({
        let (events, resuming) = (events.clone(), resuming.clone());
        move || {
            // It has none of what was pushed before.
            resuming.send_queue().cork();
            resuming.send_queue().take().unwrap();
            let last = events.replay(&resuming, 0);
            resuming.send_queue().uncork(&[(stream, last)]);
        }
    });
    let come = thread::spawn({
        let events = events.clone();
        move || {
            let late = new_connection(3, 3);
            let live = &events.live;
            live.register(&late);
            live.subscribe(late.person.id, room(ROOM), RoomKind::Public);
            let last = events.replay(&late, 0);
            late.send_queue().uncork(&[(stream, last)]);
            late
        }
    });
    let leave = thread::spawn({
        let events = events.clone();
        move || {
            let leaving = new_connection(4, 4);
            let live = &events.live;
            live.register(&leaving);
            live.subscribe(leaving.person.id, room(ROOM), RoomKind::Public);
            live.unregister(&leaving, Disconnect::Left);
        }
    });
    let late = come.join().unwrap();
    join([publisher, resume, leave]);
    for connection in [early, resuming, late] {
        let frames = connection.send_queue().take().unwrap();
        let received: Vec<_> = frames.iter().map(seq_of_event).collect();
        let expected: Vec<_> = (1..=PUBLISHED).collect();
        assert_eq!(received, expected, "{:?}", connection.client);
    }
}

#[test]
fn each_member_receives_each_event_of_a_room_once_and_in_order() {
    check(150, members_come_while_events_are_published);
}

fn retained(version: u32) -> RetainedFrame {
    RetainedFrame {
        subject: Uuid::from_u128(1),
        version: version.into(),
        term: 0,
        frame: ServerFrame::Pong { n: version },
        end_frame: ServerFrame::Pong { n: 0 },
    }
}

fn members_come_while_frames_are_retained(is_cleared: bool) {
    let live = Arc::new(ConnectionRegistry::default());
    let connections = [new_connection(1, 1), new_connection(2, 2)];
    let [first, second] = connections.clone();
    join([
        run(&live, move |live| {
            for version in 1..=3 {
                live.retain_frame(room(ROOM), retained(version));
            }
            if is_cleared {
                let end = retained(3).end_frame;
                live.clear_retained_frame(room(ROOM), retained(3).subject, end);
            }
        }),
        run(&live, move |live| assert!(connect(live, &first))),
        run(&live, move |live| assert!(connect(live, &second))),
    ]);
    for connection in &connections {
        let frames = received(connection).into_iter();
        let mut pongs = frames.filter(|frame| matches!(frame, ServerFrame::Pong { .. }));
        let expected = if is_cleared {
            ServerFrame::Pong { n: 0 }
        } else {
            retained(3).frame
        };
        match pongs.next_back() {
            // It came afterwards.
            None => assert!(is_cleared),
            Some(last) => assert_eq!(last, expected),
        }
    }
}

#[test]
fn in_the_end_each_member_has_the_retained_frame_of_a_room() {
    check(100, || members_come_while_frames_are_retained(false));
    check(100, || members_come_while_frames_are_retained(true));
}

/// A node's messages, in the order of sending.
type Sent = mpsc::Receiver<(String, Bytes)>;

fn registry_of_a_node() -> (ConnectionRegistry, NodeId, Sent) {
    let link = Broker::new(0).connect(&Node::new(Instant::now(), 0));
    let (bus, sent) = Bus::queueing(link, &Epoch("test".to_owned()));
    let node = bus.node();
    (ConnectionRegistry::with_bus(Some(bus)), node, sent)
}

fn apply(other: &ConnectionRegistry, node: NodeId, change: ClientChange) {
    match change {
        ClientChange::Connected { client } => {
            if let Some(connection) = other.register_remote(node, client) {
                other.publish_presence(&connection.person);
            }
        }
        ClientChange::VisibilityChanged { client, visible } => {
            if let Some(connection) = other.find_remote_connection(node, client) {
                other.set_visible(&connection, visible);
            }
        }
        ClientChange::Disconnected { client, .. } => {
            if let Some(connection) = other.find_remote_connection(node, client) {
                disconnect(other, &connection);
            }
        }
    }
}

fn clients(live: &ConnectionRegistry) -> BTreeMap<ClientId, (Incarnation, bool)> {
    let connections = live.connections().into_iter();
    let known = connections.map(|connection| {
        let state = (connection.incarnation, connection.is_visible());
        (connection.client, state)
    });
    known.collect()
}

fn clients_change_while_another_node_listens() {
    let (live, node, mut sent) = registry_of_a_node();
    let live = Arc::new(live);
    let starting_node = NodeId(Uuid::from_u128(1));
    let (earlier, later) = (connection(1, 1, 0), connection(1, 1, 1));
    connect(&live, &earlier);
    join([
        run(&live, move |live| {
            live.set_visible(&earlier, false);
            disconnect(live, &earlier);
        }),
        run(&live, move |live| {
            connect(live, &later);
        }),
        run(&live, |live| {
            let leaving = connection(2, 2, 0);
            connect(live, &leaving);
            live.set_visible(&leaving, false);
            disconnect(live, &leaving);
        }),
        run(&live, |live| {
            let away = connection(3, 3, 0);
            connect(live, &away);
            live.set_visible(&away, false);
        }),
        run(&live, move |live| live.send_client_list(starting_node)),
    ]);
    let (listening, _, _sent) = registry_of_a_node();
    let (starting, _, _sent) = registry_of_a_node();
    let mut known_changes = 0;
    let mut has_list = false;
    while let Ok((_, bytes)) = sent.try_recv() {
        let envelope: Envelope = serde_json::from_slice(&bytes).unwrap();
        match envelope.message {
            Message::ClientChanged {
                change_seq,
                client_change,
            } => {
                known_changes += 1;
                assert_eq!(change_seq, known_changes);
                apply(&listening, node, client_change.clone());
                if has_list {
                    apply(&starting, node, client_change);
                }
            }
            Message::ClientList {
                change_count,
                clients,
                ..
            } => {
                has_list = true;
                assert_eq!(change_count, known_changes);
                for client in clients {
                    apply(&starting, node, ClientChange::Connected { client });
                }
            }
            other => panic!("{other:?}"),
        }
    }
    for other in [listening, starting] {
        assert_eq!(clients(&other), clients(&live));
        assert_eq!(present_people(&other), present_people(&live));
    }
}

#[test]
fn in_the_end_other_nodes_know_this_nodes_clients() {
    check(200, clients_change_while_another_node_listens);
}
