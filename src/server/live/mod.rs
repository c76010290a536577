//! Live connections: who is connected, who hears which room, who is here.
//!
//! A frame is encoded once and its bytes are shared by every queue it is pushed to ([`Frame`] is a handle). No lock here is
//! held across an await, and pushing never waits, so whoever publishes is never slowed down by whoever listens.

mod queue;
mod readers;

pub use queue::{Ended, Queue, Weigh};
pub use readers::{NewsItem, Readers};

use crate::{
    model::{
        ClientId, RoomId, Seq, UserId,
        user::{Person, Presence},
    },
    protocol::{
        close::CloseCode,
        ws::{Present, ServerFrame},
    },
};
use axum::extract::ws::Utf8Bytes;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A frame as it goes out: encoded once, shared by all who get it.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The JSON.
    pub text: Utf8Bytes,
    /// Which event of which room it is, so that a connection that has just replayed the event can leave it out.
    pub event: Option<(RoomId, Seq)>,
}

impl Weigh for Frame {
    fn bytes(&self) -> usize {
        self.text.len()
    }
}

impl From<&ServerFrame> for Frame {
    fn from(frame: &ServerFrame) -> Self {
        let event = match frame {
            ServerFrame::Event { room, seq, .. } => Some((*room, *seq)),
            _ => None,
        };
        // Serialising our own enum to a string cannot fail; an empty frame would be ignored by every client.
        Self {
            text: serde_json::to_string(frame).unwrap_or_default().into(),
            event,
        }
    }
}

/// One page's connection, as the rest of the server sees it.
#[derive(Debug)]
pub struct Connection {
    /// Which page.
    pub client: ClientId,
    /// Whose.
    pub person: Person,
    /// The hash of the session's token: a session that ends closes its connections.
    pub session: String,
    /// What waits for it. Pushed to by anybody, taken from by the connection's own task.
    pub queue: Queue<Frame>,
    visible: AtomicBool,
}

impl Connection {
    /// A connection that has said hello.
    #[must_use]
    pub fn new(
        client: ClientId,
        person: Person,
        session: String,
        visible: bool,
        queue_bytes: usize,
    ) -> Self {
        Self {
            client,
            person,
            session,
            queue: Queue::new(queue_bytes),
            visible: AtomicBool::new(visible),
        }
    }

    /// Queues a frame for this page alone.
    pub fn send(&self, frame: &ServerFrame) {
        self.queue.push(frame.into());
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
            earlier.queue.end(CloseCode::Replaced);
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
            page.queue.end(why);
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
            page.queue.end(CloseCode::SignedOut);
        }
    }

    /// Closes the connections of a user's sessions but the one that is kept.
    pub fn close_other_sessions(&self, user: UserId, keep: &str) {
        let state = self.lock();
        let theirs = state.pages.values().filter(|page| page.person.id == user);
        for page in theirs.filter(|page| page.session != keep) {
            page.queue.end(CloseCode::SignedOut);
        }
    }

    /// Lets the pages of a user connect again, for what is known of them has changed.
    pub fn refresh(&self, user: UserId) {
        let state = self.lock();
        for page in state.pages.values().filter(|page| page.person.id == user) {
            page.queue.end(CloseCode::GoingAway);
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
        let frame = Frame::from(frame);
        let state = self.lock();
        let pages = state
            .rooms
            .get(&room)
            .into_iter()
            .flatten()
            .filter_map(|page| state.pages.get(page));
        for page in pages.filter(|page| Some(page.person.id) != except) {
            page.queue.push(frame.clone());
        }
    }

    /// Sends to every page of a user. How many there are.
    pub fn to_user(&self, user: UserId, frame: &ServerFrame) -> usize {
        let frame = Frame::from(frame);
        let state = self.lock();
        let pages = state
            .users
            .get(&user)
            .into_iter()
            .flatten()
            .filter_map(|page| state.pages.get(page));
        pages.map(|page| page.queue.push(frame.clone())).count()
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
        let frame = Frame::from(frame);
        for page in self.lock().pages.values() {
            page.queue.push(frame.clone());
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
            10_000,
        ))
    }

    async fn heard(page: &Connection) -> usize {
        page.send(&ServerFrame::Pong { n: 0 });
        page.queue.take().await.map_or(0, |frames| frames.len() - 1)
    }

    fn room(n: u128) -> RoomId {
        RoomId(Uuid::from_u128(n))
    }

    #[tokio::test]
    async fn a_room_is_heard_by_its_members_only() {
        let live = Live::default();
        let (in_it, joined, outside) = (page(1, 1), page(2, 2), page(3, 3));
        live.open(&in_it, [room(7)]);
        live.open(&joined, []);
        live.open(&outside, [room(8)]);
        live.join(joined.person.id, room(7));
        live.to_room(room(7), &ServerFrame::Pong { n: 1 });
        assert_eq!(
            (
                heard(&in_it).await,
                heard(&joined).await,
                heard(&outside).await
            ),
            (1, 1, 0)
        );
    }

    #[tokio::test]
    async fn a_page_that_connects_again_replaces_itself_and_the_old_one_cannot_remove_it() {
        let live = Live::default();
        let (old, new) = (page(1, 1), page(1, 1));
        live.open(&old, [room(7)]);
        live.open(&new, [room(7)]);
        assert_eq!(
            old.queue.take().await.err(),
            Some(Ended(CloseCode::Replaced))
        );
        assert!(!live.close(&old));
        live.to_room(room(7), &ServerFrame::Pong { n: 1 });
        assert_eq!(heard(&new).await, 1);
        assert!(live.close(&new) && live.pages_of(new.person.id).is_empty());
    }

    #[tokio::test]
    async fn the_id_of_somebody_elses_page_is_not_taken() {
        let live = Live::default();
        let (theirs, thief) = (page(1, 1), page(2, 1));
        assert!(live.open(&theirs, [room(7)]));
        assert!(!live.open(&thief, [room(7)]) && !live.close(&thief));
        live.to_room(room(7), &ServerFrame::Pong { n: 1 });
        assert_eq!(heard(&theirs).await, 1);
        assert!(live.pages_of(thief.person.id).is_empty());
    }

    #[tokio::test]
    async fn presence_is_told_once_a_change() {
        let live = Live::default();
        let (watcher, one, two) = (page(9, 9), page(1, 1), page(1, 2));
        live.open(&watcher, []);
        live.open(&one, []);
        live.tell_presence(&one.person);
        live.tell_presence(&one.person);
        assert_eq!(heard(&watcher).await, 1, "here");
        live.open(&two, []);
        live.set_visible(&one, false);
        assert_eq!(heard(&watcher).await, 0, "another page is visible still");
        live.set_visible(&two, false);
        assert_eq!(heard(&watcher).await, 1, "away");
        live.close(&one);
        live.close(&two);
        live.tell_presence(&one.person);
        live.tell_presence(&one.person);
        assert_eq!(heard(&watcher).await, 1, "gone");
        assert!(live.people().is_empty());
    }

    #[tokio::test]
    async fn ending_a_session_ends_its_pages_and_nobody_elses() {
        let live = Live::default();
        let (mine, other) = (page(1, 1), page(2, 2));
        live.open(&mine, []);
        live.open(&other, []);
        live.close_session("session 1");
        assert_eq!(
            mine.queue.take().await.err(),
            Some(Ended(CloseCode::SignedOut))
        );
        assert_eq!(heard(&other).await, 0);
    }
}
