//! What nodes do for one another: a page is known to every node, and is written to by the one that it is connected to.

use super::{Connection, Live, State};
use crate::{
    model::{ClientId, RoomId, UserId, room::RoomKind},
    protocol::{close::CloseCode, ws::ServerFrame},
    server::{
        bus::{Message, NodeId, Order, Page, PageChange},
        live::Piece,
    },
};
use std::{collections::HashSet, sync::Arc};

/// The most pages in one message: about 150 bytes each, and NATS takes a megabyte.
const PART: usize = 2_000;

impl Live {
    /// Does something for the pages of this node, as this or another node asks.
    pub fn obey(&self, order: &Order) {
        match order {
            Order::ToRoom {
                room,
                frame,
                except,
            } => {
                let piece = Piece::from(&**frame);
                let state = self.lock();
                let pages = state.hearers(*room);
                for page in pages.filter(|page| Some(page.person.id) != *except) {
                    page.push(&piece);
                }
            }
            Order::ToUser { user, frame } => {
                let piece = Piece::from(&**frame);
                self.each_of(*user, |page| page.push(&piece));
            }
            Order::ToPage { client, frame } => {
                let piece = Piece::from(&**frame);
                if let Some(page) = self.page(*client) {
                    page.push(&piece);
                }
            }
            Order::Group { group } => {
                let frame = ServerFrame::GroupCall {
                    group: (**group).clone(),
                };
                let piece = Piece::from(&frame);
                let mut state = self.lock();
                let known = state.groups.get(&group.room);
                if !group.is_over() {
                    state.groups.insert(group.room, (**group).clone());
                } else if known.is_some_and(|known| known.id == group.id) {
                    state.groups.remove(&group.room);
                }
                for page in state.hearers(group.room) {
                    page.push(&piece);
                }
            }
            Order::Groups { groups } => self.lock().know_groups(groups),
            Order::ToAll { frame } => self.lock().to_all(frame),
            Order::Join { user, room, kind } => self.hear(*user, *room, *kind),
            Order::JoinAll { room, kind } => self.hear_all(*room, *kind),
            Order::CloseSession { session } => {
                let state = self.lock();
                let pages = state.pages.values();
                for page in pages.filter(|page| page.is_of(session)) {
                    page.end(CloseCode::SignedOut);
                }
            }
            Order::CloseOtherSessions { user, keep } => self.each_of(*user, |page| {
                if !page.is_of(keep) {
                    page.end(CloseCode::SignedOut);
                }
            }),
            Order::Refresh { user } => self.each_of(*user, |page| page.end(CloseCode::GoingAway)),
        }
    }

    /// Does something here and has every other node do it.
    pub(super) fn order_all(&self, order: Order) {
        self.obey(&order);
        if let Some(bus) = &self.bus {
            bus.tell_all(Message::Order { order });
        }
    }

    /// Has another node do something.
    pub(super) fn order(&self, node: NodeId, order: Order) {
        if let Some(bus) = &self.bus {
            bus.tell(node, Message::Order { order });
        }
    }

    fn each_of(&self, user: UserId, act: impl Fn(&Connection)) {
        let state = self.lock();
        let theirs = state.users.get(&user).into_iter();
        for page in theirs.flat_map(|user| &user.pages) {
            act(page);
        }
    }

    fn hear_all(&self, room: RoomId, kind: RoomKind) {
        let mut state = self.lock();
        let users: Vec<_> = state.users.keys().copied().collect();
        for user in users {
            state.join(user, room, kind);
        }
    }

    /// Tells the other nodes of a page of this one that hears its rooms by now.
    pub fn announce_opened(&self, connection: &Arc<Connection>) {
        let mut state = self.lock();
        let current = state.pages.get(&connection.client);
        if current.is_some_and(|current| Arc::ptr_eq(current, connection)) {
            let page = state.page(connection);
            self.announce(&mut state, PageChange::Opened { page });
        }
    }

    /// Tells a change in the order in which changes happen, which the lock keeps.
    pub(super) fn announce(&self, state: &mut State, page: PageChange) {
        if let Some(bus) = &self.bus {
            state.changes += 1;
            let change = state.changes;
            bus.tell_all(Message::Page { change, page });
        }
    }

    /// How many changes of its pages this node has told.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Tells a node of all pages of this one.
    pub fn tell_pages(&self, to: NodeId) {
        let Some(bus) = &self.bus else { return };
        let state = self.lock();
        let here = state.pages.values().filter(|page| page.node().is_none());
        let here: Vec<_> = here.map(|page| state.page(page)).collect();
        let parts = here.len().div_ceil(PART).max(1);
        for part in 0..parts {
            let pages = here.iter().skip(part * PART).take(PART);
            let message = Message::Pages {
                changes: state.changes,
                pages: pages.cloned().collect(),
                last: part + 1 == parts,
            };
            bus.tell(to, message);
        }
    }

    /// A page of another node is there. None if that was known, or if the page is somebody else's.
    pub fn open_elsewhere(&self, node: NodeId, page: Page) -> Option<Arc<Connection>> {
        let bus = self.bus.clone()?;
        let mut state = self.lock();
        if let Some(earlier) = state.pages.get(&page.client).cloned() {
            if earlier.person.id != page.person.id {
                return None;
            }
            if earlier.node() == Some(node) {
                earlier.set_visible(page.visible);
                return None;
            }
            state.forget(&earlier);
            earlier.end(CloseCode::Replaced);
        }
        let Page {
            client,
            person,
            guest_of,
            visible,
            near,
        } = page;
        let user = person.id;
        let connection = Connection::elsewhere(client, person, visible, node, bus);
        let connection = connection.as_guest_of(guest_of);
        let connection = Arc::new(connection);
        state.add(&connection);
        if let Some(user) = state.users.get_mut(&user) {
            user.rooms.extend(near);
        }
        Some(connection)
    }

    /// A page, if it is connected to this other node.
    #[must_use]
    pub fn page_elsewhere(&self, node: NodeId, client: ClientId) -> Option<Arc<Connection>> {
        self.page(client).filter(|page| page.node() == Some(node))
    }

    /// The pages of another node but these, which are not there any more.
    #[must_use]
    pub fn others_of(&self, node: NodeId, but: &HashSet<ClientId>) -> Vec<Arc<Connection>> {
        let state = self.lock();
        let pages = state.pages.values();
        pages
            .filter(|page| page.node() == Some(node) && !but.contains(&page.client))
            .cloned()
            .collect()
    }
}
