//! Live connections: who is connected, who hears which room, who is here.
//!
//! A frame is encoded once and its bytes are shared by every outlet it is pushed to ([`Piece`] is a handle). No lock here is
//! held across an await, and pushing never waits, so whoever publishes is never slowed down by whoever listens.
//!
//! | module | what it holds |
//! |---|---|
//! | [`connection`] | a page's connection, to this node or to another |
//! | [`outlet`] | the writing end of one connection: what waits for it, and its bound |
//! | [`flush`] | the tasks that write for all outlets |
//! | [`event`] | events of the log as bytes |
//! | [`frame`] | WebSocket frames as bytes |
//! | [`people`] | what others are told of who is here, and who is told |
//! | [`nodes`] | pages of other nodes, and what nodes do for one another |
//! | [`readers`] | connections that only listen, to the news |
//! | [`state`] | pages, whose they are, and who hears what |

pub mod connection;
pub mod event;
pub mod flush;
pub mod frame;
mod nodes;
pub mod outlet;
mod people;
pub mod readers;
mod state;

pub use connection::{Connection, Gone};
pub use event::Event;
pub use flush::Flusher;
pub use outlet::{Ended, Outlet, Piece};
pub use readers::Readers;

use crate::{
    model::{
        CallId, ClientId, Millis, RoomId, UserId, call::group::GroupView, limits, room::RoomKind,
        user::Person,
    },
    protocol::{
        close::CloseCode,
        ws::{Present, ServerFrame},
    },
    server::bus::{Bus, Order, PageChange},
};
use people::by_name;
use state::State;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// All connections.
#[derive(Debug, Default)]
pub struct Live {
    state: Mutex<State>,
    /// To the other nodes, if there are any.
    bus: Option<Bus>,
}

impl Live {
    /// The connections of a node that is not alone.
    #[must_use]
    pub fn with_bus(bus: Option<Bus>) -> Self {
        Self {
            state: Mutex::default(),
            bus,
        }
    }

    /// Adds a connection. An earlier one of the same page is told that it was replaced. False when the page's id is that of
    /// somebody else's page, which goes on as if nothing had been said.
    pub fn open(&self, connection: &Arc<Connection>) -> bool {
        let mut state = self.lock();
        if let Some(earlier) = state.pages.get(&connection.client).cloned() {
            if earlier.person.id != connection.person.id {
                return false;
            }
            state.forget(&earlier);
            earlier.end(CloseCode::Replaced);
        }
        state.add(connection);
        true
    }

    /// Removes a connection, unless a newer one of the same page has taken its place. True if it was removed.
    pub fn close(&self, connection: &Arc<Connection>, gone: Gone) -> bool {
        let mut state = self.lock();
        let current = state
            .pages
            .get(&connection.client)
            .is_some_and(|current| Arc::ptr_eq(current, connection));
        if current {
            state.forget(connection);
            if connection.node().is_none() {
                let client = connection.client;
                self.announce(&mut state, PageChange::Closed { client, gone });
            }
        }
        current
    }

    /// Closes every connection to this node, for a shutdown.
    pub fn close_all(&self, why: CloseCode) {
        for page in self.lock().pages.values() {
            page.end(why);
        }
    }

    /// Closes every connection from which nothing was heard since a moment.
    pub fn close_silent(&self, since: Millis) {
        for page in self.lock().pages.values() {
            if page.is_silent(since) {
                page.end(CloseCode::Silent);
            }
        }
    }

    /// Closes the connections of a session that has ended.
    pub fn close_session(&self, session: &str) {
        let session = session.to_owned();
        self.order_all(Order::CloseSession { session });
    }

    /// Closes the connections of a user's sessions but the one that is kept.
    pub fn close_other_sessions(&self, user: UserId, keep: &str) {
        let keep = keep.to_owned();
        self.order_all(Order::CloseOtherSessions { user, keep });
    }

    /// Lets the pages of a user connect again, for what is known of them has changed.
    pub fn refresh(&self, user: UserId) {
        self.order_all(Order::Refresh { user });
    }

    /// From now on every page of a user hears a room, whichever node it is connected to.
    pub fn join(&self, user: UserId, room: RoomId, kind: RoomKind) {
        self.order_all(Order::Join { user, room, kind });
    }

    /// From now on every page of everybody hears a room.
    pub fn join_all(&self, room: RoomId, kind: RoomKind) {
        self.order_all(Order::JoinAll { room, kind });
    }

    /// From now on the pages of a user on this node hear a room.
    pub fn hear(&self, user: UserId, room: RoomId, kind: RoomKind) {
        let mut state = self.lock();
        state.join(user, room, kind);
        if kind == RoomKind::Direct {
            state.people.befriend(user, room);
        }
    }

    /// Whether a connection hears a room, which only members do.
    #[must_use]
    pub fn hears(&self, connection: &Connection, room: RoomId) -> bool {
        let state = self.lock();
        let room = state.rooms.get(&room);
        room.is_some_and(|room| room.pages.contains_key(&connection.client))
    }

    /// Sends to every page that hears a room but one user's.
    pub fn to_room(&self, room: RoomId, frame: ServerFrame, except: Option<UserId>) {
        let frame = Box::new(frame);
        self.order_all(Order::ToRoom {
            room,
            frame,
            except,
        });
    }

    /// Tells every page that hears its room who is in a call, and those that connect later, until everybody has left.
    pub fn tell_group(&self, group: GroupView) {
        let group = Box::new(group);
        self.order_all(Order::Group { group });
    }

    /// Tells a page the calls that go on in the rooms that it hears. With the lock held, so that nothing newer comes before.
    pub fn show_groups(&self, connection: &Connection) {
        let state = self.lock();
        let hears = |room: &RoomId| {
            let room = state.rooms.get(room);
            room.is_some_and(|room| room.pages.contains_key(&connection.client))
        };
        for group in state.groups.values().filter(|group| hears(&group.room)) {
            let group = group.clone();
            connection.send(&ServerFrame::GroupCall { group });
        }
    }

    /// As of when this node knows the call of a room, in the form of [`GroupView::as_of`].
    #[must_use]
    pub fn group_as_of(&self, room: RoomId) -> Option<Millis> {
        Some(self.lock().groups.get(&room)?.as_of)
    }

    /// Tells every node which calls go on in rooms: of those that are known here, these.
    pub fn tell_groups(&self, open: &HashSet<CallId>) {
        let groups = {
            let state = self.lock();
            let known = state.groups.values();
            let open = known.filter(|group| open.contains(&group.id));
            open.cloned().collect()
        };
        self.order_all(Order::Groups { groups });
    }

    /// Sends what happened in a room to every page on this node that hears it. The other nodes hear it from the log.
    pub fn happened(&self, room: RoomId, event: &Event) {
        let piece = event.into();
        for page in self.lock().hearers(room) {
            page.push(&piece);
        }
    }

    /// Sends to every page of a user.
    pub fn to_user(&self, user: UserId, frame: &ServerFrame) {
        let piece = Piece::from(frame);
        let state = self.lock();
        let pages = state.users.get(&user).map_or(&[][..], |user| &user.pages);
        let mut nodes = Vec::new();
        for page in pages {
            page.push(&piece);
            nodes.extend(page.node().filter(|node| !nodes.contains(node)));
        }
        for node in nodes {
            let frame = Box::new(frame.clone());
            self.order(node, Order::ToUser { user, frame });
        }
    }

    /// Sends to one page. False if it is not connected.
    pub fn to_page(&self, page: ClientId, frame: &ServerFrame) -> bool {
        let page = self.page(page);
        page.map(|page| page.send(frame)).is_some()
    }

    /// Sends to everybody.
    pub fn to_all(&self, frame: ServerFrame) {
        let frame = Box::new(frame);
        self.order_all(Order::ToAll { frame });
    }

    /// A page that is connected, to whichever node.
    #[must_use]
    pub fn page(&self, page: ClientId) -> Option<Arc<Connection>> {
        self.lock().pages.get(&page).cloned()
    }

    /// Every page that is connected to this node.
    #[must_use]
    pub fn here(&self) -> Vec<Arc<Connection>> {
        let mut pages = self.pages();
        pages.retain(|page| page.node().is_none());
        pages
    }

    /// Every page that is connected, to whichever node.
    #[must_use]
    pub fn pages(&self) -> Vec<Arc<Connection>> {
        self.lock().pages.values().cloned().collect()
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
        self.page(page).map(|page| page.person.id)
    }

    /// Who is here or away, by name, as `user` is told: those who are listed for all, and those who share a direct room with
    /// them.
    #[must_use]
    pub fn people(&self, user: UserId) -> Vec<Present> {
        let state = self.lock();
        let listed = state.people.listed.iter();
        let listed = listed.filter_map(|id| state.people.told.get(id));
        by_name(listed.chain(state.unlisted_friends(user)))
    }

    /// The same as frames: the list that is the same for all, and the friends who are not in it.
    #[must_use]
    pub fn introduction(&self, user: UserId) -> Vec<Piece> {
        let mut state = self.lock();
        let list = state.people.list();
        let friends = state.unlisted_friends(user).map(|told| {
            Piece::from(&ServerFrame::Presence {
                present: told.present.clone(),
            })
        });
        std::iter::once(list).chain(friends).collect()
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
        connection.set_visible(visible);
        if connection.node().is_none() {
            let client = connection.client;
            let change = PageChange::Visible { client, visible };
            self.announce(&mut self.lock(), change);
        }
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
