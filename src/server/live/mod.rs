//! Live connections: who is connected, who hears which room, who is here.
//!
//! A frame is encoded once and its bytes are shared by every outlet it is pushed to ([`Piece`] is a handle). No lock here is
//! held across an await, and pushing never waits, so whoever publishes is never slowed down by whoever listens.
//!
//! | module | what it holds |
//! |---|---|
//! | [`outlet`] | the writing end of one connection: what waits for it, and its bound |
//! | [`flush`] | the tasks that write for all outlets |
//! | [`event`] | events of the log as bytes |
//! | [`frame`] | WebSocket frames as bytes |
//! | [`people`] | what others are told of who is here, and who is told |
//! | [`readers`] | connections that only listen, to the news |

pub mod event;
pub mod flush;
pub mod frame;
pub mod outlet;
mod people;
pub mod readers;

pub use event::Event;
pub use flush::Flusher;
pub use outlet::{Ended, Outlet, Piece};
pub use readers::Readers;

use crate::{
    model::{
        ClientId, Millis, RoomId, UserId, limits,
        room::RoomKind,
        user::{Person, Presence},
    },
    protocol::{
        close::CloseCode,
        ws::{Present, ServerFrame},
    },
    server::clock,
};
use people::{People, Told};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
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
    users: HashMap<UserId, User>,
    rooms: HashMap<RoomId, Room>,
    people: People,
}

/// Somebody with at least one page.
#[derive(Debug, Default)]
struct User {
    pages: Vec<Arc<Connection>>,
    /// What all of them hear.
    rooms: HashSet<RoomId>,
}

/// Who hears a room.
#[derive(Debug)]
struct Room {
    kind: RoomKind,
    pages: HashMap<ClientId, Arc<Connection>>,
}

impl State {
    fn presence(&self, user: UserId) -> Presence {
        let Some(user) = self.users.get(&user) else {
            return Presence::Gone;
        };
        let is_visible = |page: &Arc<Connection>| page.visible.load(Ordering::Relaxed);
        if user.pages.iter().any(is_visible) {
            Presence::Here
        } else {
            Presence::Away
        }
    }

    fn forget(&mut self, connection: &Connection) {
        self.pages.remove(&connection.client);
        let Entry::Occupied(mut user) = self.users.entry(connection.person.id) else {
            return;
        };
        for room in &user.get().rooms {
            if let Entry::Occupied(mut hearers) = self.rooms.entry(*room) {
                hearers.get_mut().pages.remove(&connection.client);
                if hearers.get().pages.is_empty() {
                    hearers.remove();
                }
            }
        }
        let pages = &mut user.get_mut().pages;
        pages.retain(|page| page.client != connection.client);
        if pages.is_empty() {
            user.remove();
        }
    }

    fn join(&mut self, user: UserId, room: RoomId, kind: RoomKind) {
        let Some(user) = self.users.get_mut(&user) else {
            return;
        };
        user.rooms.insert(room);
        let pages = HashMap::new();
        let hearers = self.rooms.entry(room).or_insert(Room { kind, pages });
        hearers
            .pages
            .extend(user.pages.iter().map(|page| (page.client, page.clone())));
    }

    /// The direct rooms of a user who has a page.
    fn direct_rooms(&self, user: UserId) -> Vec<RoomId> {
        let rooms = self.users.get(&user).map(|user| &user.rooms);
        let is_direct = |room: &RoomId| {
            let room = self.rooms.get(room);
            room.is_some_and(|room| room.kind == RoomKind::Direct)
        };
        rooms
            .into_iter()
            .flatten()
            .copied()
            .filter(is_direct)
            .collect()
    }

    fn hearers(&self, room: RoomId) -> impl Iterator<Item = &Arc<Connection>> {
        let room = self.rooms.get(&room).into_iter();
        room.flat_map(|room| room.pages.values())
    }

    fn to_all(&self, frame: &ServerFrame) {
        let piece = Piece::from(frame);
        for page in self.pages.values() {
            page.outlet.push(piece.clone());
        }
    }

    fn tell(&self, told: &Told) {
        let frame = ServerFrame::Presence {
            present: told.present.clone(),
        };
        if told.listed {
            return self.to_all(&frame);
        }
        let piece = Piece::from(&frame);
        for page in told.near.iter().flat_map(|room| self.hearers(*room)) {
            page.outlet.push(piece.clone());
        }
    }
}

impl Live {
    /// Adds a connection. An earlier one of the same page is told that it was replaced. False when the page's id is that of
    /// somebody else's page, which goes on as if nothing had been said.
    pub fn open(&self, connection: &Arc<Connection>) -> bool {
        let mut state = self.lock();
        if let Some(earlier) = state.pages.get(&connection.client).cloned() {
            if earlier.person.id != connection.person.id {
                return false;
            }
            state.forget(&earlier);
            earlier.outlet.end(CloseCode::Replaced);
        }
        state.pages.insert(connection.client, connection.clone());
        let user = state.users.entry(connection.person.id).or_default();
        user.pages.push(connection.clone());
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
        let state = self.lock();
        let pages = state.pages.values();
        for page in pages.filter(|page| page.session == session) {
            page.outlet.end(CloseCode::SignedOut);
        }
    }

    /// Closes the connections of a user's sessions but the one that is kept.
    pub fn close_other_sessions(&self, user: UserId, keep: &str) {
        let state = self.lock();
        let theirs = state.users.get(&user).into_iter();
        let pages = theirs.flat_map(|user| &user.pages);
        for page in pages.filter(|page| page.session != keep) {
            page.outlet.end(CloseCode::SignedOut);
        }
    }

    /// Lets the pages of a user connect again, for what is known of them has changed.
    pub fn refresh(&self, user: UserId) {
        let state = self.lock();
        let theirs = state.users.get(&user).into_iter();
        for page in theirs.flat_map(|user| &user.pages) {
            page.outlet.end(CloseCode::GoingAway);
        }
    }

    /// From now on every page of a user hears a room.
    pub fn join(&self, user: UserId, room: RoomId, kind: RoomKind) {
        let mut state = self.lock();
        state.join(user, room, kind);
        if kind == RoomKind::Direct {
            state.people.befriend(user, room);
        }
    }

    /// From now on every page of everybody hears a room.
    pub fn join_all(&self, room: RoomId, kind: RoomKind) {
        let mut state = self.lock();
        let users: Vec<_> = state.users.keys().copied().collect();
        for user in users {
            state.join(user, room, kind);
        }
    }

    /// Whether a connection hears a room, which only members do.
    #[must_use]
    pub fn hears(&self, connection: &Connection, room: RoomId) -> bool {
        let state = self.lock();
        let room = state.rooms.get(&room);
        room.is_some_and(|room| room.pages.contains_key(&connection.client))
    }

    /// Sends to every page that hears a room.
    pub fn to_room(&self, room: RoomId, frame: &ServerFrame) {
        self.to_room_except(room, frame, None);
    }

    /// Sends to every page that hears a room but one user's.
    pub fn to_room_except(&self, room: RoomId, frame: &ServerFrame, except: Option<UserId>) {
        self.push(room, &frame.into(), except);
    }

    /// Sends what happened in a room to every page that hears it.
    pub fn happened(&self, room: RoomId, event: &Event) {
        self.push(room, &event.into(), None);
    }

    fn push(&self, room: RoomId, piece: &Piece, except: Option<UserId>) {
        let state = self.lock();
        let pages = state.hearers(room);
        for page in pages.filter(|page| Some(page.person.id) != except) {
            page.outlet.push(piece.clone());
        }
    }

    /// Sends to every page of a user. How many there are.
    pub fn to_user(&self, user: UserId, frame: &ServerFrame) -> usize {
        let piece = Piece::from(frame);
        let state = self.lock();
        let pages = state.users.get(&user).map_or(&[][..], |user| &user.pages);
        for page in pages {
            page.outlet.push(piece.clone());
        }
        pages.len()
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
        self.lock().to_all(frame);
    }

    /// The connected pages of a user.
    #[must_use]
    pub fn pages_of(&self, user: UserId) -> Vec<ClientId> {
        let state = self.lock();
        let pages = state.users.get(&user).into_iter();
        pages
            .flat_map(|user| user.pages.iter().map(|page| page.client))
            .collect()
    }

    /// Whether a page is connected, and whose it is.
    #[must_use]
    pub fn owner_of(&self, page: ClientId) -> Option<UserId> {
        self.lock().pages.get(&page).map(|page| page.person.id)
    }

    /// Who is here or away, by name, as `user` is told: those who are listed for all, and those who share a direct room with
    /// them.
    #[must_use]
    pub fn people(&self, user: UserId) -> Vec<Present> {
        let state = self.lock();
        let near = state
            .direct_rooms(user)
            .into_iter()
            .flat_map(|room| state.hearers(room))
            .map(|page| page.person.id);
        let ids: HashSet<_> = near.chain(state.people.listed.iter().copied()).collect();
        let told = ids.iter().filter_map(|id| state.people.told.get(id));
        let mut people: Vec<_> = told.map(|told| told.present.clone()).collect();
        people.sort_by(|a, b| a.person.name.cmp(&b.person.name));
        people
    }

    /// How many people are here or away.
    #[must_use]
    pub fn crowd(&self) -> u32 {
        self.lock().people.count()
    }

    /// Tells everybody how many people there are, if that changed and there are more than are listed. To be called now and
    /// then.
    pub fn tell_crowd(&self) {
        let mut state = self.lock();
        let people = state.people.count();
        let is_told = state.people.crowd == people;
        state.people.crowd = people;
        let listed = u32::try_from(limits::PEOPLE_LISTED).unwrap_or(u32::MAX);
        if !is_told && people > listed {
            state.to_all(&ServerFrame::Crowd { people });
        }
    }

    /// A page became visible or hidden.
    pub fn set_visible(&self, connection: &Connection, visible: bool) {
        connection.visible.store(visible, Ordering::Relaxed);
        self.tell_presence(&connection.person);
    }

    /// Tells others where somebody is, if that differs from what they were last told.
    pub fn tell_presence(&self, person: &Person) {
        let mut state = self.lock();
        let presence = state.presence(person.id);
        let near = state.direct_rooms(person.id);
        let present = Present {
            person: person.clone(),
            presence,
        };
        for told in state.people.set(present, near) {
            state.tell(&told);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
