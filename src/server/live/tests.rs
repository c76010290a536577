use super::*;
use crate::model::user::{Role, UserName};
use uuid::Uuid;

fn page(user: u128, page: u128) -> Arc<Connection> {
    let person = Person {
        id: UserId(Uuid::from_u128(user)),
        name: UserName::new("Ada").unwrap(),
        role: Role::Guest,
    };
    Arc::new(Connection::new(
        ClientId(Uuid::from_u128(page)),
        person,
        format!("session {user}"),
        true,
        Outlet::new(&Flusher::default(), 10_000),
    ))
}

fn heard(page: &Connection) -> usize {
    page.outlet().uncork(&[]);
    page.outlet().take().map_or(0, |frames| frames.len())
}

/// Opens a page that hears a room.
fn hears(live: &Live, page: &Arc<Connection>, n: u128) -> bool {
    let opened = live.open(page);
    if opened {
        live.join(page.person.id, room(n), RoomKind::Public);
    }
    opened
}

fn room(n: u128) -> RoomId {
    RoomId(Uuid::from_u128(n))
}

#[test]
fn a_room_is_heard_by_its_members_only() {
    let live = Live::default();
    let (in_it, joined, outside) = (page(1, 1), page(2, 2), page(3, 3));
    hears(&live, &in_it, 7);
    live.open(&joined);
    hears(&live, &outside, 8);
    live.join(joined.person.id, room(7), RoomKind::Public);
    live.to_room(room(7), ServerFrame::Pong { n: 1 }, None);
    assert_eq!((heard(&in_it), heard(&joined), heard(&outside)), (1, 1, 0));
}

#[test]
fn a_page_that_connects_again_replaces_itself_and_the_old_one_cannot_remove_it() {
    let live = Live::default();
    let (old, new) = (page(1, 1), page(1, 1));
    hears(&live, &old, 7);
    hears(&live, &new, 7);
    assert_eq!(
        old.outlet().take().err(),
        Some(Ended::Closed(CloseCode::Replaced))
    );
    assert!(!live.close(&old, Gone::ForNow));
    live.to_room(room(7), ServerFrame::Pong { n: 1 }, None);
    assert_eq!(heard(&new), 1);
    assert!(live.close(&new, Gone::ForNow) && live.pages_of(new.person.id).is_empty());
}

#[test]
fn the_id_of_somebody_elses_page_is_not_taken() {
    let live = Live::default();
    let (theirs, thief) = (page(1, 1), page(2, 1));
    assert!(hears(&live, &theirs, 7));
    assert!(!hears(&live, &thief, 7) && !live.close(&thief, Gone::ForNow));
    live.to_room(room(7), ServerFrame::Pong { n: 1 }, None);
    assert_eq!(heard(&theirs), 1);
    assert!(live.pages_of(thief.person.id).is_empty());
}

#[test]
fn presence_is_told_once_a_change() {
    let live = Live::default();
    let (watcher, one, two) = (page(9, 9), page(1, 1), page(1, 2));
    live.open(&watcher);
    live.open(&one);
    live.tell_presence(&one.person);
    live.tell_presence(&one.person);
    assert_eq!(heard(&watcher), 1, "here");
    live.open(&two);
    live.set_visible(&one, false);
    assert_eq!(heard(&watcher), 0, "another page is visible still");
    live.set_visible(&two, false);
    assert_eq!(heard(&watcher), 1, "away");
    live.close(&one, Gone::ForNow);
    live.close(&two, Gone::ForNow);
    live.tell_presence(&one.person);
    live.tell_presence(&one.person);
    assert_eq!(heard(&watcher), 1, "gone");
    assert!(live.people(watcher.person.id).is_empty());
}

#[test]
fn ending_a_session_ends_its_pages_and_nobody_elses() {
    let live = Live::default();
    let (mine, other) = (page(1, 1), page(2, 2));
    live.open(&mine);
    live.open(&other);
    live.close_session("session 1");
    assert_eq!(
        mine.outlet().take().err(),
        Some(Ended::Closed(CloseCode::SignedOut))
    );
    assert_eq!(heard(&other), 0);
}

#[test]
fn in_a_crowd_all_hear_of_some_and_friends_of_each_other() {
    let live = Live::default();
    let listed = u128::try_from(limits::PEOPLE_LISTED).unwrap();
    let crowd: Vec<_> = (1..=listed).map(|n| page(n, n)).collect();
    let (friend, late, stranger) = (page(1_001, 1_001), page(1_002, 1_002), page(1_003, 1_003));
    for page in &crowd {
        live.open(page);
        live.tell_presence(&page.person);
    }
    for page in [&friend, &stranger] {
        live.open(page);
        live.tell_presence(&page.person);
    }
    live.join(friend.person.id, room(7), RoomKind::Direct);
    for page in crowd.iter().chain([&friend, &stranger]) {
        heard(page);
    }
    live.open(&late);
    live.join(late.person.id, room(7), RoomKind::Direct);
    live.tell_presence(&late.person);
    assert_eq!(
        (heard(&friend), heard(&late)),
        (1, 1),
        "they know each other"
    );
    assert_eq!((heard(&stranger), heard(&crowd[0])), (0, 0));
    let ids = |user: &Connection| -> Vec<UserId> {
        let people = live.people(user.person.id);
        people.iter().map(|present| present.person.id).collect()
    };
    assert_eq!(ids(&stranger).len(), limits::PEOPLE_LISTED);
    assert_eq!(ids(&friend).len(), limits::PEOPLE_LISTED + 2);
    assert!(ids(&friend).contains(&late.person.id));
    let frames = |user: &Connection| live.introduction(user.person.id);
    let list = &frames(&stranger)[0];
    let ServerFrame::People { people } = frame::read(&list.bytes) else {
        panic!("the list comes first");
    };
    assert_eq!(people, live.people(stranger.person.id));
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
    assert_eq!(live.crowd() as usize, limits::PEOPLE_LISTED + 3);

    live.tell_crowd();
    live.tell_crowd();
    assert_eq!((heard(&friend), heard(&stranger)), (1, 1), "how many, once");

    live.close(&late, Gone::ForNow);
    live.tell_presence(&late.person);
    assert_eq!((heard(&friend), heard(&stranger)), (1, 0), "gone");
    live.close(&crowd[0], Gone::ForNow);
    live.tell_presence(&crowd[0].person);
    assert_eq!(
        heard(&stranger),
        2,
        "one goes, and another is listed instead"
    );
    assert_eq!(ids(&stranger).len(), limits::PEOPLE_LISTED);
    let ServerFrame::People { people } = frame::read(&frames(&stranger)[0].bytes) else {
        panic!("the list comes first");
    };
    assert_eq!(people, live.people(stranger.person.id), "encoded anew");
}
