//! Live connections: who is connected, who hears which room, who is here.
//!
//! A frame is encoded once and its bytes are shared by every outlet it is pushed to ([`Piece`] is a handle). No lock here is
//! held across an await, and pushing never waits, so whoever publishes is never slowed down by whoever listens.
//!
//! | module | what it holds |
//! |---|---|
//! | [`outlet`] | the writing end of one connection: what waits for it, and its bound |
//! | [`flush`] | the tasks that write for all outlets |
//! | [`frame`] | WebSocket frames as bytes |
//! | [`readers`] | connections that only listen, to the news |

pub mod flush;
pub mod frame;
pub mod outlet;
pub mod readers;

pub use flush::Flusher;
pub use outlet::{Ended, Outlet, Piece};
pub use readers::{NewsItem, Readers};

use crate::{
    model::{
        ClientId, Millis, RoomId, UserId,
        user::{Person, Presence},
    },
    protocol::{
        close::CloseCode,
        ws::{Present, ServerFrame},
    },
    server::clock,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

/// One page's connection, as the rest of the server sees it.
#[derive(Debug)]
pub struct Connection {
    /// Which page.
    pub client: ClientId,
    /// Whose.
    pub person: Person,
    /// The hash of the session's token: a session that ends closes its connections.
    pub session: String,
    /// Where what it is told goes. Pushed to by anybody.
    pub outlet: Arc<Outlet>,
    visible: AtomicBool,
    /// When something was last heard from it.
    heard: AtomicI64,
}

impl Connection {
    /// A connection that has said hello.
    #[must_use]
    pub fn new(
        client: ClientId,
        person: Person,
        session: String,
        visible: bool,
        outlet: Arc<Outlet>,
    ) -> Self {
        Self {
            client,
            person,
            session,
            outlet,
            visible: AtomicBool::new(visible),
            heard: AtomicI64::new(clock::now()),
        }
    }

    /// Queues a frame for this page alone.
    pub fn send(&self, frame: &ServerFrame) {
        self.outlet.push(frame.into());
    }

    /// Something was heard from it just now.
    pub fn heard(&self) {
        self.heard.store(clock::now(), Ordering::Relaxed);
    }
}

/// All connections.
#[derive(Debug, Default)]
pub struct Live {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pages: HashMap<ClientId, Arc<Connection>>,
    users: HashMap<UserId, Vec<ClientId>>,
    rooms: HashMap<RoomId, HashSet<ClientId>>,
    /// What others were last told of somebody's presence.
    told: HashMap<UserId, Present>,
}

impl State {
    fn presence(&self, user: UserId) -> Presence {
        let Some(pages) = self.users.get(&user) else {
            return Presence::Gone;
        };
        let visible = pages
            .iter()
            .filter_map(|page| self.pages.get(page))
            .any(|page| page.visible.load(Ordering::Relaxed));
        if visible {
            Presence::Here
        } else {
            Presence::Away
        }
    }

    fn forget(&mut self, connection: &Connection) {
        self.pages.remove(&connection.client);
        if let Some(pages) = self.users.get_mut(&connection.person.id) {
            pages.retain(|page| *page != connection.client);
            if pages.is_empty() {
                self.users.remove(&connection.person.id);
            }
        }
        self.rooms.retain(|_, pages| {
            pages.remove(&connection.client);
            !pages.is_empty()
        });
    }
}

impl Live {
    /// Adds a connection that hears these rooms. An earlier one of the same page is told that it was replaced. False when the
    /// page's id is that of somebody else's page, which goes on as if nothing had been said.
    pub fn open(
        &self,
        connection: &Arc<Connection>,
        rooms: impl IntoIterator<Item = RoomId>,
    ) -> bool {
        let mut state = self.lock();
        if let Some(earlier) = state.pages.get(&connection.client).cloned() {
            if earlier.person.id != connection.person.id {
                return false;
            }
            state.forget(&earlier);
            earlier.outlet.end(CloseCode::Replaced);
        }
        state.pages.insert(connection.client, connection.clone());
        state
            .users
            .entry(connection.person.id)
            .or_default()
            .push(connection.client);
        for room in rooms {
            state
                .rooms
                .entry(room)
                .or_default()
                .insert(connection.client);
        }
        true
    }

    /// Removes a connection, unless a newer one of the same page has taken its place. True if it was removed.
    pub fn close(&self, connection: &Arc<Connection>) -> bool {
        let mut state = self.lock();
        let current = state
            .pages
            .get(&connection.client)
            .is_some_and(|current| Arc::ptr_eq(current, connection));
        if current {
            state.forget(connection);
        }
        current
    }

    /// Closes every connection, for a shutdown.
    pub fn close_all(&self, why: CloseCode) {
        for page in self.lock().pages.values() {
            page.outlet.end(why);
        }
    }

    /// Closes every connection from which nothing was heard since a moment.
    pub fn close_silent(&self, since: Millis) {
        for page in self.lock().pages.values() {
            if page.heard.load(Ordering::Relaxed) < since {
                page.outlet.end(CloseCode::Silent);
            }
        }
    }

    /// Closes the connections of a session that has ended.
    pub fn close_session(&self, session: &str) {
        for page in self
            .lock()
            .pages
            .values()
            .filter(|page| page.session == session)
        {
            page.outlet.end(CloseCode::SignedOut);
        }
    }

    /// Closes the connections of a user's sessions but the one that is kept.
    pub fn close_other_sessions(&self, user: UserId, keep: &str) {
        let state = self.lock();
        let theirs = state.pages.values().filter(|page| page.person.id == user);
        for page in theirs.filter(|page| page.session != keep) {
            page.outlet.end(CloseCode::SignedOut);
        }
    }

    /// Lets the pages of a user connect again, for what is known of them has changed.
    pub fn refresh(&self, user: UserId) {
        let state = self.lock();
        for page in state.pages.values().filter(|page| page.person.id == user) {
            page.outlet.end(CloseCode::GoingAway);
        }
    }

    /// From now on every page of a user hears a room.
    pub fn join(&self, user: UserId, room: RoomId) {
        let mut state = self.lock();
        let pages = state.users.get(&user).cloned().unwrap_or_default();
        if !pages.is_empty() {
            state.rooms.entry(room).or_default().extend(pages);
        }
    }

    /// Whether a connection hears a room, which only members do.
    #[must_use]
    pub fn hears(&self, connection: &Connection, room: RoomId) -> bool {
        let state = self.lock();
        let pages = state.rooms.get(&room);
        pages.is_some_and(|pages| pages.contains(&connection.client))
    }

    /// Sends to every page that hears a room.
    pub fn to_room(&self, room: RoomId, frame: &ServerFrame) {
        self.to_room_except(room, frame, None);
    }

    /// Sends to every page that hears a room but one user's.
    pub fn to_room_except(&self, room: RoomId, frame: &ServerFrame, except: Option<UserId>) {
        let piece = Piece::from(frame);
        let state = self.lock();
        let pages = state
            .rooms
            .get(&room)
            .into_iter()
            .flatten()
            .filter_map(|page| state.pages.get(page));
        for page in pages.filter(|page| Some(page.person.id) != except) {
            page.outlet.push(piece.clone());
        }
    }

    /// Sends to every page of a user. How many there are.
    pub fn to_user(&self, user: UserId, frame: &ServerFrame) -> usize {
        let piece = Piece::from(frame);
        let state = self.lock();
        let pages = state
            .users
            .get(&user)
            .into_iter()
            .flatten()
            .filter_map(|page| state.pages.get(page));
        pages.map(|page| page.outlet.push(piece.clone())).count()
    }

    /// Sends to one page. False if it is not connected.
    pub fn to_page(&self, page: ClientId, frame: &ServerFrame) -> bool {
        self.lock()
            .pages
            .get(&page)
            .map(|page| page.send(frame))
            .is_some()
    }

    /// Sends to everybody.
    pub fn to_all(&self, frame: &ServerFrame) {
        let piece = Piece::from(frame);
        for page in self.lock().pages.values() {
            page.outlet.push(piece.clone());
        }
    }

    /// The connected pages of a user.
    #[must_use]
    pub fn pages_of(&self, user: UserId) -> Vec<ClientId> {
        self.lock().users.get(&user).cloned().unwrap_or_default()
    }

    /// Whether a page is connected, and whose it is.
    #[must_use]
    pub fn owner_of(&self, page: ClientId) -> Option<UserId> {
        self.lock().pages.get(&page).map(|page| page.person.id)
    }

    /// Everybody who is here or away, as others were told.
    #[must_use]
    pub fn people(&self) -> Vec<Present> {
        let mut people: Vec<_> = self.lock().told.values().cloned().collect();
        people.sort_by(|a, b| a.person.name.cmp(&b.person.name));
        people
    }

    /// A page became visible or hidden.
    pub fn set_visible(&self, connection: &Connection, visible: bool) {
        connection.visible.store(visible, Ordering::Relaxed);
        self.tell_presence(&connection.person);
    }

    /// Tells everybody where somebody is, if that differs from what they were last told.
    pub fn tell_presence(&self, person: &Person) {
        let present = {
            let mut state = self.lock();
            let presence = state.presence(person.id);
            let present = Present {
                person: person.clone(),
                presence,
            };
            let told = match state.told.get(&person.id) {
                Some(told) => *told == present,
                None => presence == Presence::Gone,
            };
            if told {
                return;
            }
            if presence == Presence::Gone {
                state.told.remove(&person.id);
            } else {
                state.told.insert(person.id, present.clone());
            }
            present
        };
        self.to_all(&ServerFrame::Presence { present });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
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
        page.outlet.uncork(&[]);
        page.outlet.take().map_or(0, |frames| frames.len())
    }

    fn room(n: u128) -> RoomId {
        RoomId(Uuid::from_u128(n))
    }

    #[test]
    fn a_room_is_heard_by_its_members_only() {
        let live = Live::default();
        let (in_it, joined, outside) = (page(1, 1), page(2, 2), page(3, 3));
        live.open(&in_it, [room(7)]);
        live.open(&joined, []);
        live.open(&outside, [room(8)]);
        live.join(joined.person.id, room(7));
        live.to_room(room(7), &ServerFrame::Pong { n: 1 });
        assert_eq!((heard(&in_it), heard(&joined), heard(&outside)), (1, 1, 0));
    }

    #[test]
    fn a_page_that_connects_again_replaces_itself_and_the_old_one_cannot_remove_it() {
        let live = Live::default();
        let (old, new) = (page(1, 1), page(1, 1));
        live.open(&old, [room(7)]);
        live.open(&new, [room(7)]);
        assert_eq!(
            old.outlet.take().err(),
            Some(Ended::Closed(CloseCode::Replaced))
        );
        assert!(!live.close(&old));
        live.to_room(room(7), &ServerFrame::Pong { n: 1 });
        assert_eq!(heard(&new), 1);
        assert!(live.close(&new) && live.pages_of(new.person.id).is_empty());
    }

    #[test]
    fn the_id_of_somebody_elses_page_is_not_taken() {
        let live = Live::default();
        let (theirs, thief) = (page(1, 1), page(2, 1));
        assert!(live.open(&theirs, [room(7)]));
        assert!(!live.open(&thief, [room(7)]) && !live.close(&thief));
        live.to_room(room(7), &ServerFrame::Pong { n: 1 });
        assert_eq!(heard(&theirs), 1);
        assert!(live.pages_of(thief.person.id).is_empty());
    }

    #[test]
    fn presence_is_told_once_a_change() {
        let live = Live::default();
        let (watcher, one, two) = (page(9, 9), page(1, 1), page(1, 2));
        live.open(&watcher, []);
        live.open(&one, []);
        live.tell_presence(&one.person);
        live.tell_presence(&one.person);
        assert_eq!(heard(&watcher), 1, "here");
        live.open(&two, []);
        live.set_visible(&one, false);
        assert_eq!(heard(&watcher), 0, "another page is visible still");
        live.set_visible(&two, false);
        assert_eq!(heard(&watcher), 1, "away");
        live.close(&one);
        live.close(&two);
        live.tell_presence(&one.person);
        live.tell_presence(&one.person);
        assert_eq!(heard(&watcher), 1, "gone");
        assert!(live.people().is_empty());
    }

    #[test]
    fn ending_a_session_ends_its_pages_and_nobody_elses() {
        let live = Live::default();
        let (mine, other) = (page(1, 1), page(2, 2));
        live.open(&mine, []);
        live.open(&other, []);
        live.close_session("session 1");
        assert_eq!(
            mine.outlet.take().err(),
            Some(Ended::Closed(CloseCode::SignedOut))
        );
        assert_eq!(heard(&other), 0);
    }
}
