mod thread_interleavings;

use super::*;
use crate::{
    model::{
        Epoch, limits,
        user::{Person, Role, UserName},
    },
    server::bus::{ConnectedClient, NodeId},
};
use uuid::Uuid;

fn new_connection(user: u128, client: u128) -> Arc<Connection> {
    let person = Person {
        id: UserId(Uuid::from_u128(user)),
        name: UserName::new("Ada").unwrap(),
        role: Role::Guest,
    };
    Arc::new(Connection::new(
        ClientId(Uuid::from_u128(client)),
        person,
        format!("session {user}"),
        true,
        SendQueue::new(&Flusher::default(), 10_000),
    ))
}

fn count_received(connection: &Connection) -> usize {
    connection.send_queue().uncork(&[]);
    connection
        .send_queue()
        .take()
        .map_or(0, |frames| frames.len())
}

fn register_in_room(
    live: &ConnectionRegistry,
    connection: &Arc<Connection>,
    n: u128,
) -> Registration {
    let registration = live.register(connection);
    if registration == Registration::Registered {
        live.subscribe(connection.person.id, room(n), RoomKind::Public);
    }
    registration
}

fn room(n: u128) -> RoomId {
    RoomId(Uuid::from_u128(n))
}

#[test]
fn a_room_is_received_by_its_members_only() {
    let live = ConnectionRegistry::default();
    let (in_it, joined, outside) = (
        new_connection(1, 1),
        new_connection(2, 2),
        new_connection(3, 3),
    );
    register_in_room(&live, &in_it, 7);
    live.register(&joined);
    register_in_room(&live, &outside, 8);
    live.subscribe(joined.person.id, room(7), RoomKind::Public);
    live.send_to_room(room(7), ServerFrame::Pong { n: 1 }, None);
    assert_eq!(
        (
            count_received(&in_it),
            count_received(&joined),
            count_received(&outside)
        ),
        (1, 1, 0)
    );
}

#[test]
fn a_client_that_reconnects_replaces_itself_and_the_old_connection_cannot_remove_it() {
    let live = ConnectionRegistry::default();
    let (old, new) = (new_connection(1, 1), new_connection(1, 1));
    register_in_room(&live, &old, 7);
    register_in_room(&live, &new, 7);
    assert_eq!(
        old.send_queue().take().err(),
        Some(ConnectionEnd::Closed(CloseCode::Replaced))
    );
    assert!(!live.unregister(&old, Disconnect::Lost));
    live.send_to_room(room(7), ServerFrame::Pong { n: 1 }, None);
    assert_eq!(count_received(&new), 1);
    assert!(
        live.unregister(&new, Disconnect::Lost) && live.clients_of_user(new.person.id).is_empty()
    );
}

#[test]
fn the_id_of_somebody_elses_client_is_not_taken() {
    let live = ConnectionRegistry::default();
    let (theirs, thief) = (new_connection(1, 1), new_connection(2, 1));
    assert_eq!(
        register_in_room(&live, &theirs, 7),
        Registration::Registered
    );
    assert_eq!(register_in_room(&live, &thief, 7), Registration::IdTaken);
    assert!(!live.unregister(&thief, Disconnect::Lost));
    live.send_to_room(room(7), ServerFrame::Pong { n: 1 }, None);
    assert_eq!(count_received(&theirs), 1);
    assert!(live.clients_of_user(thief.person.id).is_empty());
}

#[test]
fn presence_is_published_once_a_change() {
    let live = ConnectionRegistry::default();
    let (watcher, one, two) = (
        new_connection(9, 9),
        new_connection(1, 1),
        new_connection(1, 2),
    );
    live.register(&watcher);
    live.register(&one);
    live.publish_presence(&one.person);
    live.publish_presence(&one.person);
    assert_eq!(count_received(&watcher), 1, "here");
    live.register(&two);
    live.set_visible(&one, false);
    assert_eq!(count_received(&watcher), 0, "another page is visible still");
    live.set_visible(&two, false);
    assert_eq!(count_received(&watcher), 1, "away");
    live.unregister(&one, Disconnect::Lost);
    live.unregister(&two, Disconnect::Lost);
    live.publish_presence(&one.person);
    live.publish_presence(&one.person);
    assert_eq!(count_received(&watcher), 1, "gone");
    assert!(live.list_presence(watcher.person.id).is_empty());
}

#[test]
fn ending_a_session_closes_its_connections_and_nobody_elses() {
    let live = ConnectionRegistry::default();
    let (mine, other) = (new_connection(1, 1), new_connection(2, 2));
    live.register(&mine);
    live.register(&other);
    live.close_session("session 1");
    assert_eq!(
        mine.send_queue().take().err(),
        Some(ConnectionEnd::Closed(CloseCode::SignedOut))
    );
    assert_eq!(count_received(&other), 0);
}

#[test]
fn in_a_crowd_everybody_sees_some_and_friends_see_each_other() {
    let live = ConnectionRegistry::default();
    let listed = u128::try_from(limits::MAX_LISTED_PEOPLE).unwrap();
    let crowd: Vec<_> = (1..=listed).map(|n| new_connection(n, n)).collect();
    let (friend, late, stranger) = (
        new_connection(1_001, 1_001),
        new_connection(1_002, 1_002),
        new_connection(1_003, 1_003),
    );
    for connection in &crowd {
        live.register(connection);
        live.publish_presence(&connection.person);
    }
    for connection in [&friend, &stranger] {
        live.register(connection);
        live.publish_presence(&connection.person);
    }
    live.subscribe(friend.person.id, room(7), RoomKind::Direct);
    for connection in crowd.iter().chain([&friend, &stranger]) {
        count_received(connection);
    }
    live.register(&late);
    live.subscribe(late.person.id, room(7), RoomKind::Direct);
    live.publish_presence(&late.person);
    assert_eq!(
        (count_received(&friend), count_received(&late)),
        (1, 1),
        "they know each other"
    );
    assert_eq!(
        (count_received(&stranger), count_received(&crowd[0])),
        (0, 0)
    );
    let ids = |user: &Connection| -> Vec<UserId> {
        let people = live.list_presence(user.person.id);
        people.iter().map(|present| present.person.id).collect()
    };
    assert_eq!(ids(&stranger).len(), limits::MAX_LISTED_PEOPLE);
    assert_eq!(ids(&friend).len(), limits::MAX_LISTED_PEOPLE + 2);
    assert!(ids(&friend).contains(&late.person.id));
    let frames = |user: &Connection| live.presence_frames(user.person.id);
    let list = &frames(&stranger)[0];
    let ServerFrame::People { people } = frame::decode(&list.bytes) else {
        panic!("the list comes first");
    };
    assert_eq!(people, live.list_presence(stranger.person.id));
    assert_eq!(frames(&stranger).len(), 1);
    assert_eq!(
        frames(&friend).len(),
        3,
        "and then whoever is in the direct room and not in the list"
    );
    assert_eq!(
        list.bytes.as_ptr(),
        frames(&friend)[0].bytes.as_ptr(),
        "encoded once for all"
    );
    assert_eq!(live.crowd() as usize, limits::MAX_LISTED_PEOPLE + 3);

    live.publish_crowd();
    live.publish_crowd();
    assert_eq!(
        (count_received(&friend), count_received(&stranger)),
        (1, 1),
        "how many, once"
    );

    live.unregister(&late, Disconnect::Lost);
    live.publish_presence(&late.person);
    assert_eq!(
        (count_received(&friend), count_received(&stranger)),
        (1, 0),
        "gone"
    );
    live.unregister(&crowd[0], Disconnect::Lost);
    live.publish_presence(&crowd[0].person);
    assert_eq!(
        count_received(&stranger),
        2,
        "one goes, and another is listed instead"
    );
    assert_eq!(ids(&stranger).len(), limits::MAX_LISTED_PEOPLE);
    let ServerFrame::People { people } = frame::decode(&frames(&stranger)[0].bytes) else {
        panic!("the list comes first");
    };
    assert_eq!(
        people,
        live.list_presence(stranger.person.id),
        "encoded again"
    );
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Here,
    OtherNode(u128),
}

impl Place {
    fn node(self) -> Option<NodeId> {
        match self {
            Self::Here => None,
            Self::OtherNode(n) => Some(NodeId(Uuid::from_u128(n))),
        }
    }
}

/// A node that never reaches the others.
async fn registry_of_a_node() -> ConnectionRegistry {
    let community = Epoch("test".to_owned());
    let (bus, _) = Bus::connect("nats://127.0.0.1:1", &community)
        .await
        .unwrap();
    ConnectionRegistry::with_bus(Some(bus))
}

/// For another node, the returned connection is not the registered one.
fn arrive(live: &ConnectionRegistry, place: Place, incarnation: Option<u32>) -> Arc<Connection> {
    let incarnation = Incarnation(incarnation);
    let connection = Arc::into_inner(new_connection(1, 1)).unwrap();
    let connection = Arc::new(connection.in_incarnation(incarnation));
    match place.node() {
        None => {
            live.register(&connection);
        }
        Some(node) => {
            let connected = ConnectedClient {
                client: connection.client,
                person: connection.person.clone(),
                guest_of: None,
                visible: true,
                direct_rooms: Vec::new(),
                incarnation,
            };
            live.register_remote(node, connected);
        }
    }
    connection
}

fn end(connection: &Connection) -> Option<ConnectionEnd> {
    connection.send_queue().take().err()
}

const PLACES: [(Place, Place); 4] = [
    (Place::Here, Place::Here),
    (Place::Here, Place::OtherNode(2)),
    (Place::OtherNode(2), Place::Here),
    (Place::OtherNode(2), Place::OtherNode(3)),
];

#[tokio::test]
async fn the_higher_incarnation_stays_whichever_arrives_first() {
    for (old_place, new_place) in PLACES {
        for is_new_first in [false, true] {
            let live = registry_of_a_node().await;
            let old = |live| arrive(live, old_place, Some(1));
            let new = |live| arrive(live, new_place, Some(2));
            let (old, new) = if is_new_first {
                let new = new(&live);
                (old(&live), new)
            } else {
                (old(&live), new(&live))
            };
            let case = format!("{old_place:?}, {new_place:?}, new first: {is_new_first}");
            let current = live.find_connection(new.client).unwrap();
            assert_eq!(current.incarnation, Incarnation(Some(2)), "{case}");
            assert_eq!(current.remote_node(), new_place.node(), "{case}");
            assert_eq!(live.clients_of_user(new.person.id).len(), 1, "{case}");
            assert_eq!(end(&new), None, "{case}");
            let is_told = old_place == Place::Here && !is_new_first;
            let replaced = ConnectionEnd::Closed(CloseCode::Replaced);
            assert_eq!(end(&old), is_told.then_some(replaced), "{case}");
        }
    }
}

#[tokio::test]
async fn of_equal_or_unknown_incarnations_the_later_arrival_stays() {
    for (old_place, new_place) in PLACES {
        for (old, new) in [
            (Some(0), Some(0)),
            (None, None),
            (Some(5), None),
            (None, Some(5)),
        ] {
            let live = registry_of_a_node().await;
            arrive(&live, old_place, old);
            let later = arrive(&live, new_place, new);
            let current = live.find_connection(later.client).unwrap();
            assert_eq!(current.incarnation, Incarnation(new));
            assert_eq!(current.remote_node(), new_place.node());
        }
    }
}

#[tokio::test]
async fn a_client_that_reconnects_to_the_same_other_node_is_a_new_connection() {
    let live = registry_of_a_node().await;
    arrive(&live, Place::OtherNode(2), Some(1));
    arrive(&live, Place::OtherNode(2), Some(2));
    // The connection that it had replaced, at a third node.
    arrive(&live, Place::OtherNode(3), Some(1));
    let current = live.find_connection(ClientId(Uuid::from_u128(1))).unwrap();
    assert_eq!(current.remote_node(), Place::OtherNode(2).node());
}

#[test]
fn a_person_who_was_renamed_is_known_by_the_new_name() {
    let live = ConnectionRegistry::default();
    let connection = new_connection(1, 1);
    register_in_room(&live, &connection, 7);
    let renamed = Person {
        name: UserName::new("Grace").unwrap(),
        ..connection.person.clone()
    };
    let updated = live.update_person(&connection, renamed.clone()).unwrap();
    assert_eq!(updated.person, renamed);
    assert!(live.is_current(&updated) && !live.is_current(&connection));
    live.send_to_room(room(7), ServerFrame::Pong { n: 1 }, None);
    live.send_to_user(renamed.id, &ServerFrame::Pong { n: 2 });
    assert_eq!(count_received(&updated), 2);
    assert!(live.update_person(&connection, renamed).is_none());
    assert!(live.unregister(&updated, Disconnect::Lost));
}
