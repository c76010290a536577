//! A server without sockets, and pages at it.

use super::super::*;
use crate::{
    model::{
        ClientId,
        call::{CallView, Media, Outcome, Signal, State},
        message::{Content, RoomEvent},
        user::{Person, Role, UserName},
    },
    server::{
        config::Config,
        live::{Flusher, Outlet, frame},
        secret,
        store::testing::Home,
    },
};
use clap::Parser;
use std::{collections::VecDeque, time::Duration};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    config: Config,
}

/// A server without sockets, in a folder of its own.
pub(super) struct House {
    pub(super) app: Arc<App>,
    pub(super) calls: Arc<Calls>,
    home: Home,
}

/// Long enough never to matter in a test that does not wait for it.
pub(super) const LONG: Millis = 60_000;
pub(super) const PATIENCE: Patience = Patience {
    ring: LONG,
    connect: LONG,
    reconnect: LONG,
    grace: LONG,
    vanish: LONG,
};

impl House {
    pub(super) async fn new(patience: Patience) -> Self {
        Self::open(Home::new(), patience).await
    }

    pub(super) async fn open(home: Home, patience: Patience) -> Self {
        let ice = r#"[{"urls":["stun:stun.example.org"]}]"#;
        let flags = ["rialto", "--ice-servers", ice].map(str::to_owned);
        let flags = flags.into_iter().chain(home.arguments());
        let (app, _) = App::new(Flags::parse_from(flags).config, "test".into())
            .await
            .unwrap();
        let calls = Calls::with_patience(app.clone(), patience);
        calls.take_over().await.unwrap();
        Self { app, calls, home }
    }

    /// The same house after a crash: nothing was said to anybody.
    pub(super) async fn again(self, patience: Patience) -> Self {
        self.app.store.close().await;
        Self::open(self.home, patience).await
    }

    pub(super) async fn person(&self, name: &str) -> Person {
        let person = Person {
            id: UserId(secret::id()),
            name: UserName::new(name).unwrap(),
            role: Role::Guest,
        };
        let mut tx = self.app.store.begin().await.unwrap();
        let made = self.app.store.create_user(&mut tx, &person, None, 0).await;
        assert!(made.unwrap());
        tx.commit().await.unwrap();
        person
    }

    pub(super) async fn page(&self, person: &Person) -> Page {
        self.page_as(person, ClientId(secret::id())).await
    }

    pub(super) async fn page_as(&self, person: &Person, client: ClientId) -> Page {
        let connection = Arc::new(Connection::new(
            client,
            person.clone(),
            "session".into(),
            true,
            Outlet::new(&Flusher::default(), 1_000_000),
        ));
        connection.outlet().uncork(&[]);
        let rooms = self.app.store.list_rooms(person.id).await.unwrap();
        self.app.live.open(&connection);
        for room in rooms {
            self.app.live.hear(person.id, room.id, room.kind);
        }
        self.calls.opened(&connection).await;
        self.behind(connection)
    }

    /// The page at the other end of a connection.
    pub(super) fn behind(&self, connection: Arc<Connection>) -> Page {
        Page {
            connection,
            calls: self.calls.clone(),
            heard: VecDeque::new(),
        }
    }

    /// Waits until no call is open.
    pub(super) async fn is_quiet(&self) {
        let quiet = async {
            while self.calls.count() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let quiet = tokio::time::timeout(Duration::from_secs(5), quiet).await;
        quiet.expect("no call is open any more");
    }

    pub(super) async fn leave(&self, page: &Page) {
        assert!(self.app.live.close(&page.connection, Gone::ForNow));
        self.calls.closed(&page.connection, Gone::ForNow).await;
    }
}

pub(super) struct Page {
    pub(super) connection: Arc<Connection>,
    pub(super) calls: Arc<Calls>,
    heard: VecDeque<ServerFrame>,
}

impl Page {
    pub(super) async fn start(&self, to: &Person) -> CallId {
        let id = CallId(secret::id());
        self.act(
            id,
            Action::Start {
                to: to.id,
                media: Media::Video,
            },
        )
        .await;
        id
    }

    pub(super) async fn act(&self, call: CallId, action: Action) {
        self.calls.act(&self.connection, call, action).await;
    }

    pub(super) async fn hear(&mut self) -> ServerFrame {
        loop {
            if let Some(frame) = self.heard.pop_front() {
                return frame;
            }
            let waiting = async {
                loop {
                    let pieces = self.connection.outlet().take().unwrap();
                    if !pieces.is_empty() {
                        return pieces;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let pieces = tokio::time::timeout(Duration::from_secs(5), waiting).await;
            let pieces = pieces.expect("a frame should have come");
            self.heard.extend(pieces.iter().map(frame::read));
        }
    }

    /// The next frame about a call.
    pub(super) async fn call(&mut self) -> CallView {
        loop {
            if let ServerFrame::Call { call } = self.hear().await {
                return call;
            }
        }
    }

    pub(super) async fn state(&mut self) -> State {
        self.call().await.state
    }

    /// The first frame in which a call stands so.
    pub(super) async fn until(&mut self, state: State) -> CallView {
        loop {
            let call = self.call().await;
            if call.state == state {
                return call;
            }
        }
    }

    pub(super) async fn error(&mut self) -> ErrorCode {
        loop {
            if let ServerFrame::Error { code, .. } = self.hear().await {
                return code;
            }
        }
    }

    pub(super) async fn signal(&mut self) -> Signal {
        loop {
            if let ServerFrame::Signal { signal, .. } = self.hear().await {
                return signal;
            }
        }
    }

    /// What the room was told of a call.
    pub(super) async fn outcome(&mut self) -> (CallId, Outcome, Option<Millis>) {
        loop {
            if let ServerFrame::Event {
                event: RoomEvent::Message { message },
                ..
            } = self.hear().await
                && let Content::Call {
                    call,
                    outcome,
                    lasted,
                    ..
                } = message.content
            {
                return (call, outcome, lasted);
            }
        }
    }

    /// That nothing more was said to it of any call.
    pub(super) async fn silence(&mut self) {
        let mark = ServerFrame::Pong { n: 7 };
        self.connection.send(&mark);
        loop {
            match self.hear().await {
                frame if frame == mark => return,
                frame @ (ServerFrame::Call { .. }
                | ServerFrame::Signal { .. }
                | ServerFrame::Error { .. }) => panic!("{frame:?}"),
                _ => {}
            }
        }
    }
}

pub(super) fn ended(outcome: Outcome) -> State {
    State::Ended { outcome }
}

/// Two people with a page each, in a call that is connected.
pub(super) async fn in_a_call(house: &House) -> (CallId, Page, Page) {
    let (ada, bob) = (house.person("Ada").await, house.person("Bob").await);
    let (mut a, mut b) = (house.page(&ada).await, house.page(&bob).await);
    let id = a.start(&bob).await;
    assert_eq!(
        (a.state().await, b.state().await),
        (State::Dialing, State::Dialing)
    );
    b.act(id, Action::Ringing).await;
    assert_eq!(
        (a.state().await, b.state().await),
        (State::Ringing, State::Ringing)
    );
    b.act(id, Action::Accept).await;
    assert_eq!(
        (a.state().await, b.state().await),
        (State::Connecting, State::Connecting)
    );
    a.act(id, Action::Connected).await;
    b.act(id, Action::Connected).await;
    assert_eq!(
        (a.state().await, b.state().await),
        (State::Connected, State::Connected)
    );
    (id, a, b)
}

impl Page {
    /// Every outcome in the direct room, in order, from the store.
    pub(super) async fn outcome_after_all(&self) -> Vec<Outcome> {
        let room = self
            .calls
            .app
            .store
            .list_rooms(self.connection.person.id)
            .await
            .unwrap();
        let room: RoomId = room
            .into_iter()
            .find(|room| room.with.is_some())
            .unwrap()
            .id;
        let events = self
            .calls
            .app
            .store
            .list_events(crate::server::store::Stream::Room(room), 0, 100)
            .await
            .unwrap();
        let outcomes = events.iter().map(|event| {
            let RoomEvent::Message { message } = serde_json::from_str(&event.payload).unwrap();
            match message.content {
                Content::Call { outcome, .. } => outcome,
                other => panic!("only calls were made: {other:?}"),
            }
        });
        outcomes.collect()
    }
}
