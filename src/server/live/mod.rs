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
//! | [`retained`] | frames that rooms retain for later subscribers |
//! | [`news_subscribers`] | SSE connections |
//! | [`state`] | pages, whose they are, and who hears what |

pub mod connection;
pub mod event;
pub mod flusher;
pub mod frame;
pub mod news_subscribers;
mod nodes;
mod presence;
mod retained;
pub mod send_queue;
mod state;

pub use connection::{Connection, Disconnect};
pub use event::EncodedEvent;
pub use flusher::Flusher;
pub use news_subscribers::NewsSubscribers;
pub use retained::RetainedFrame;
pub use send_queue::{ConnectionEnd, EncodedFrame, SendQueue};

use crate::{
    model::{ClientId, Millis, RoomId, UserId, limits, room::RoomKind, user::Person},
    protocol::{
        close::CloseCode,
        ws::{PersonPresence, ServerFrame},
    },
    server::bus::{Bus, ClientChange, RemoteCommand},
};
use presence::sort_by_name;
use state::State;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All connections.
#[derive(Debug, Default)]
pub struct ConnectionRegistry {
    state: Mutex<State>,
    /// To the other nodes, if there are any.
    bus: Option<Bus>,
}

impl ConnectionRegistry {
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
    pub fn register(&self, connection: &Arc<Connection>) -> bool {
        let mut state = self.lock();
        if let Some(earlier) = state.connections.get(&connection.client).cloned() {
            if earlier.person.id != connection.person.id {
                return false;
            }
            state.remove(&earlier);
            earlier.close(CloseCode::Replaced);
        }
        state.add(connection);
        true
    }

    /// Removes a connection, unless a newer one of the same page has taken its place. True if it was removed.
    pub fn unregister(&self, connection: &Arc<Connection>, gone: Disconnect) -> bool {
        let mut state = self.lock();
        let current = state
            .connections
            .get(&connection.client)
            .is_some_and(|current| Arc::ptr_eq(current, connection));
        if current {
            state.remove(connection);
            if connection.remote_node().is_none() {
                let client = connection.client;
                self.publish_client_change(
                    &mut state,
                    ClientChange::Disconnected {
                        client,
                        disconnect: gone,
                    },
                );
            }
        }
        current
    }

    /// Closes every connection to this node, for a shutdown.
    pub fn close_all(&self, why: CloseCode) {
        for page in self.lock().connections.values() {
            page.close(why);
        }
    }

    /// Closes every connection from which nothing was heard since a moment.
    pub fn close_silent(&self, since: Millis) {
        for page in self.lock().connections.values() {
            if page.is_silent(since) {
                page.close(CloseCode::HeartbeatTimeout);
            }
        }
    }

    /// Closes the connections of a session that has ended.
    pub fn close_session(&self, session: &str) {
        let session = session.to_owned();
        self.broadcast_command(RemoteCommand::CloseSession { session });
    }

    /// Closes the connections of a user's sessions but the one that is kept.
    pub fn close_other_sessions(&self, user: UserId, keep: &str) {
        let keep = keep.to_owned();
        self.broadcast_command(RemoteCommand::CloseOtherSessions {
            user,
            kept_session: keep,
        });
    }

    /// Lets the pages of a user connect again, for what is known of them has changed.
    pub fn reconnect_user(&self, user: UserId) {
        self.broadcast_command(RemoteCommand::ReconnectUser { user });
    }

    /// From now on every page of a user hears a room, whichever node it is connected to.
    pub fn subscribe_everywhere(&self, user: UserId, room: RoomId, kind: RoomKind) {
        self.broadcast_command(RemoteCommand::SubscribeUser { user, room, kind });
    }

    /// From now on every page of everybody hears a room.
    pub fn subscribe_all_everywhere(&self, room: RoomId, kind: RoomKind) {
        self.broadcast_command(RemoteCommand::SubscribeAll { room, kind });
    }

    /// From now on the pages of a user on this node hear a room.
    pub fn subscribe(&self, user: UserId, room: RoomId, kind: RoomKind) {
        let mut state = self.lock();
        state.subscribe(user, room, kind);
        if kind == RoomKind::Direct {
            state.presences.add_direct_room(user, room);
        }
    }

    /// Whether a connection hears a room, which only members do.
    #[must_use]
    pub fn is_subscribed(&self, connection: &Connection, room: RoomId) -> bool {
        self.lock().is_subscribed(connection, room)
    }

    /// Sends to every page that hears a room but one user's.
    pub fn send_to_room(&self, room: RoomId, frame: ServerFrame, except: Option<UserId>) {
        let frame = Box::new(frame);
        self.broadcast_command(RemoteCommand::SendToRoom {
            room,
            frame,
            except,
        });
    }

    /// Sends what happened in a room to every page on this node that hears it. The other nodes hear it from the log.
    pub fn publish(&self, room: RoomId, event: &EncodedEvent) {
        let piece = event.into();
        for page in self.lock().subscribers(room) {
            page.push(&piece);
        }
    }

    /// Sends to every page of a user.
    pub fn send_to_user(&self, user: UserId, frame: &ServerFrame) {
        let piece = EncodedFrame::from(frame);
        let state = self.lock();
        let pages = state
            .users
            .get(&user)
            .map_or(&[][..], |user| &user.connections);
        let mut nodes = Vec::new();
        for page in pages {
            page.push(&piece);
            nodes.extend(page.remote_node().filter(|node| !nodes.contains(node)));
        }
        for node in nodes {
            let frame = Box::new(frame.clone());
            self.send_command(node, RemoteCommand::SendToUser { user, frame });
        }
    }

    /// Sends to one page. False if it is not connected.
    pub fn send_to_client(&self, client: ClientId, frame: &ServerFrame) -> bool {
        let page = self.find_connection(client);
        page.map(|page| page.send(frame)).is_some()
    }

    /// Sends to everybody.
    pub fn send_to_all(&self, frame: ServerFrame) {
        let frame = Box::new(frame);
        self.broadcast_command(RemoteCommand::SendToAll { frame });
    }

    /// A page that is connected, to whichever node.
    #[must_use]
    pub fn find_connection(&self, page: ClientId) -> Option<Arc<Connection>> {
        self.lock().connections.get(&page).cloned()
    }

    /// Every page that is connected to this node.
    #[must_use]
    pub fn local_connections(&self) -> Vec<Arc<Connection>> {
        let mut pages = self.connections();
        pages.retain(|page| page.remote_node().is_none());
        pages
    }

    /// Every page that is connected, to whichever node.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        self.lock().connections.values().cloned().collect()
    }

    /// The connected pages of a user.
    #[must_use]
    pub fn clients_of_user(&self, user: UserId) -> Vec<ClientId> {
        let state = self.lock();
        let pages = state.users.get(&user).into_iter();
        pages
            .flat_map(|user| user.connections.iter().map(|page| page.client))
            .collect()
    }

    /// Whether a page is connected, and whose it is.
    #[must_use]
    pub fn user_of_client(&self, client: ClientId) -> Option<UserId> {
        self.find_connection(client).map(|page| page.person.id)
    }

    /// Who is here or away, by name, as `user` is told: those who are listed for all, and those who share a direct room with
    /// them.
    #[must_use]
    pub fn list_presence(&self, user: UserId) -> Vec<PersonPresence> {
        let state = self.lock();
        let listed = state.presences.listed_users.iter();
        let listed = listed.filter_map(|id| state.presences.published.get(id));
        sort_by_name(listed.chain(state.unlisted_friends(user)))
    }

    /// The same as frames: the list that is the same for all, and the friends who are not in it.
    #[must_use]
    pub fn presence_frames(&self, user: UserId) -> Vec<EncodedFrame> {
        let mut state = self.lock();
        let list = state.presences.list_frame();
        let friends = state.unlisted_friends(user).map(|told| {
            EncodedFrame::from(&ServerFrame::Presence {
                entry: told.present.clone(),
            })
        });
        std::iter::once(list).chain(friends).collect()
    }

    /// How many people are here or away.
    #[must_use]
    pub fn crowd(&self) -> u32 {
        self.lock().presences.count()
    }

    /// Tells everybody how many people there are, if that changed and there are more than are listed. To be called now and
    /// then.
    pub fn publish_crowd(&self) {
        let mut state = self.lock();
        let people = state.presences.count();
        let is_told = state.presences.published_crowd == people;
        state.presences.published_crowd = people;
        let listed = u32::try_from(limits::MAX_LISTED_PEOPLE).unwrap_or(u32::MAX);
        if !is_told && people > listed {
            state.send_to_all(&ServerFrame::Crowd { count: people });
        }
    }

    /// A page became visible or hidden.
    pub fn set_visible(&self, connection: &Connection, visible: bool) {
        connection.set_visible(visible);
        if connection.remote_node().is_none() {
            let client = connection.client;
            let change = ClientChange::VisibilityChanged { client, visible };
            self.publish_client_change(&mut self.lock(), change);
        }
        self.publish_presence(&connection.person);
    }

    /// Tells others where somebody is, if that differs from what they were last told.
    pub fn publish_presence(&self, person: &Person) {
        let mut state = self.lock();
        let presence = state.presence(person.id);
        let near = state.direct_rooms(person.id);
        let present = PersonPresence {
            person: person.clone(),
            presence,
        };
        for told in state.presences.set(present, near) {
            state.publish_presence(&told);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
