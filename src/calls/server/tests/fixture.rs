//! A server without sockets, and clients connected to it.

use crate::{
    calls::server::CallRegistry,
    model::{
        CallId, ClientId, Millis, RoomId, UserId,
        call::{CallView, ClientAction, Media, Outcome, SignalingMessage, State, Timeouts},
        message::{Content, RoomEvent},
        user::{Person, Role, UserName},
    },
    protocol::ws::{ErrorCode, Refusal, ServerFrame},
    server::{
        AppState,
        config::Config,
        live::{Connection, Disconnect, Flusher, SendQueue, frame},
        random,
        store::{Term, testing::TestStorage},
    },
};
use clap::Parser;
use std::{collections::VecDeque, sync::Arc, time::Duration};

#[derive(Parser)]
struct FixtureArgs {
    #[command(flatten)]
    config: Config,
}

pub(super) struct CallFixture {
    pub(super) app: Arc<AppState>,
    pub(super) registry: Arc<CallRegistry>,
    storage: TestStorage,
}

/// Random orders of events ring often.
const NO_LIMITS: &str =
    "messages=1000000,calls=1000000,rings=1000000,strangers-rings=1000000,conversations=1000000";
pub(super) const LONG_TIMEOUT: Millis = 60_000;
pub(super) const LONG_TIMEOUTS: Timeouts = Timeouts {
    ring: LONG_TIMEOUT,
    connect: LONG_TIMEOUT,
    reconnect: LONG_TIMEOUT,
    grace: LONG_TIMEOUT,
    caller_grace: LONG_TIMEOUT,
};

impl CallFixture {
    pub(super) async fn new(timeouts: Timeouts) -> Self {
        Self::open(TestStorage::new(), timeouts, NO_LIMITS).await
    }

    pub(super) async fn with_limits(limits: &str) -> Self {
        Self::open(TestStorage::new(), LONG_TIMEOUTS, limits).await
    }

    pub(super) async fn open(storage: TestStorage, timeouts: Timeouts, limits: &str) -> Self {
        let ice = r#"[{"urls":["stun:stun.example.org"]}]"#;
        let flags = ["rialto", "--ice-servers", ice, "--limits", limits].map(str::to_owned);
        let flags = flags.into_iter().chain(storage.arguments());
        let (app, _) = AppState::new(FixtureArgs::parse_from(flags).config, "test".into())
            .await
            .unwrap();
        let calls = CallRegistry::with_timeouts(app.clone(), timeouts);
        calls.become_leader(Term::Sole).await.unwrap();
        Self {
            app,
            registry: calls,
            storage,
        }
    }

    /// A crash: clients receive nothing.
    pub(super) async fn restart(self, timeouts: Timeouts) -> Self {
        self.app.store.close().await;
        Self::open(self.storage, timeouts, NO_LIMITS).await
    }

    pub(super) async fn create_person(&self, name: &str) -> Person {
        let person = Person {
            id: UserId(random::new_id()),
            name: UserName::new(name).unwrap(),
            role: Role::Guest,
        };
        let mut tx = self.app.store.begin().await.unwrap();
        let made = self.app.store.create_user(&mut tx, &person, None, 0).await;
        assert!(made.unwrap());
        tx.commit().await.unwrap();
        person
    }

    pub(super) async fn connect_client(&self, person: &Person) -> TestClient {
        self.connect_client_as(person, ClientId(random::new_id()))
            .await
    }

    pub(super) async fn connect_client_as(&self, person: &Person, client: ClientId) -> TestClient {
        let connection = Arc::new(Connection::new(
            client,
            person.clone(),
            "session".into(),
            true,
            SendQueue::new(&Flusher::default(), 1_000_000),
        ));
        connection.send_queue().uncork(&[]);
        let rooms = self.app.store.list_rooms(person.id).await.unwrap();
        self.app.connections.register(&connection);
        for room in rooms {
            self.app
                .connections
                .subscribe(person.id, room.id, room.kind);
        }
        self.registry.on_client_connected(&connection);
        self.client_of(connection)
    }

    pub(super) fn client_of(&self, connection: Arc<Connection>) -> TestClient {
        TestClient {
            connection,
            registry: self.registry.clone(),
            received: VecDeque::new(),
        }
    }

    pub(super) async fn wait_until_idle(&self) {
        let quiet = async {
            while self.registry.open_call_count() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let quiet = tokio::time::timeout(Duration::from_secs(5), quiet).await;
        quiet.expect("no call is open any more");
    }

    pub(super) async fn disconnect(&self, client: &TestClient) {
        assert!(
            self.app
                .connections
                .unregister(&client.connection, Disconnect::Lost)
        );
        self.registry
            .on_client_disconnected(&client.connection, Disconnect::Lost);
    }
}

pub(super) struct TestClient {
    pub(super) connection: Arc<Connection>,
    pub(super) registry: Arc<CallRegistry>,
    received: VecDeque<ServerFrame>,
}

impl TestClient {
    pub(super) async fn start_call(&self, to: &Person) -> CallId {
        let id = CallId(random::new_id());
        self.send_action(
            id,
            ClientAction::Start {
                to: to.id,
                media: Media::Video,
            },
        )
        .await;
        id
    }

    pub(super) async fn send_action(&self, call: CallId, action: ClientAction) {
        self.registry
            .handle_action(&self.connection, call, action)
            .await;
    }

    pub(super) async fn next_frame(&mut self) -> ServerFrame {
        loop {
            if let Some(frame) = self.received.pop_front() {
                return frame;
            }
            let waiting = async {
                loop {
                    let frames = self.connection.send_queue().take().unwrap();
                    if !frames.is_empty() {
                        return frames;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let pieces = tokio::time::timeout(Duration::from_secs(5), waiting).await;
            let pieces = pieces.expect("a frame should have come");
            self.received.extend(pieces.iter().map(frame::decode));
        }
    }

    pub(super) async fn next_call(&mut self) -> CallView {
        loop {
            if let ServerFrame::Call { call } = self.next_frame().await {
                return call;
            }
        }
    }

    pub(super) async fn next_state(&mut self) -> State {
        self.next_call().await.state
    }

    pub(super) async fn wait_for_state(&mut self, state: State) -> CallView {
        loop {
            let call = self.next_call().await;
            if call.state == state {
                return call;
            }
        }
    }

    pub(super) async fn next_error(&mut self) -> ErrorCode {
        loop {
            if let ServerFrame::Error(refusal) = self.next_frame().await {
                return refusal.code;
            }
        }
    }

    pub(super) async fn next_call_or_error(&mut self) -> Result<CallView, Refusal> {
        loop {
            match self.next_frame().await {
                ServerFrame::Call { call } => return Ok(call),
                ServerFrame::Error(refusal) => return Err(refusal),
                _ => {}
            }
        }
    }

    pub(super) async fn next_signal(&mut self) -> SignalingMessage {
        loop {
            if let ServerFrame::Signal { signal, .. } = self.next_frame().await {
                return signal;
            }
        }
    }

    pub(super) async fn next_outcome(&mut self) -> (CallId, Outcome, Option<Millis>) {
        loop {
            if let ServerFrame::Event {
                event: RoomEvent::Message { message },
                ..
            } = self.next_frame().await
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

    pub(super) async fn assert_no_call_frames(&mut self) {
        let sentinel = ServerFrame::Pong { n: 7 };
        self.connection.send(&sentinel);
        loop {
            match self.next_frame().await {
                frame if frame == sentinel => return,
                frame @ (ServerFrame::Call { .. }
                | ServerFrame::Signal { .. }
                | ServerFrame::Error(_)) => panic!("{frame:?}"),
                _ => {}
            }
        }
    }
}

pub(super) fn ended_state(outcome: Outcome) -> State {
    State::Ended { outcome }
}

pub(super) async fn connected_call(fixture: &CallFixture) -> (CallId, TestClient, TestClient) {
    let (ada, bob) = (
        fixture.create_person("Ada").await,
        fixture.create_person("Bob").await,
    );
    let (mut a, mut b) = (
        fixture.connect_client(&ada).await,
        fixture.connect_client(&bob).await,
    );
    let id = a.start_call(&bob).await;
    assert_eq!(
        (a.next_state().await, b.next_state().await),
        (State::Dialing, State::Dialing)
    );
    b.send_action(id, ClientAction::Ringing).await;
    assert_eq!(
        (a.next_state().await, b.next_state().await),
        (State::Ringing, State::Ringing)
    );
    b.send_action(id, ClientAction::Accept).await;
    assert_eq!(
        (a.next_state().await, b.next_state().await),
        (State::Connecting, State::Connecting)
    );
    a.send_action(id, ClientAction::Connected).await;
    b.send_action(id, ClientAction::Connected).await;
    assert_eq!(
        (a.next_state().await, b.next_state().await),
        (State::Connected, State::Connected)
    );
    (id, a, b)
}

impl TestClient {
    pub(super) async fn stored_outcomes(&self) -> Vec<Outcome> {
        let room = self
            .registry
            .table
            .app
            .store
            .list_rooms(self.connection.person.id)
            .await
            .unwrap();
        let room: RoomId = room
            .into_iter()
            .find(|room| room.other_person.is_some())
            .unwrap()
            .id;
        let events = self
            .registry
            .table
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
