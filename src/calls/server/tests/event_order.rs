//! Property test: after any order of events and losses, both sides agree.
//!
//! Registry, store and [`ClientCallMachine`] are real; the order of actions, the delay of frames and lost connections
//! vary.

use super::CallFixture;
use crate::{
    calls::client::state::{CallTarget, ClientCallState, machine::ClientCallMachine},
    model::{
        CallId, ClientId, Millis, UserId,
        call::{ClientAction, Media, State, Timeouts},
        user::Person,
    },
    protocol::ws::{Refusal, ServerFrame},
    server::{
        live::{Connection, Disconnect, Flusher, SendQueue, frame},
        random,
    },
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// Timeouts occur within a case, but not for every call.
const SHORT_TIMEOUTS: Timeouts = Timeouts {
    ring: 150,
    connect: 150,
    reconnect: 300,
    grace: 100,
    caller_grace: 50,
};
/// Unless `PROPTEST_CASES` is set.
const DEFAULT_CASES: u32 = 60;
/// Far longer than all timeouts.
const AGREEMENT_TIMEOUT: Duration = Duration::from_secs(3);
/// The second of the three people has two clients.
const CLIENT_OWNERS: [usize; 4] = [0, 1, 1, 2];

const NO_ACTIONS: [(CallId, ClientAction); 0] = [];

/// `Leave` declines, cancels, hangs up or closes; `LoseConnection` also loses pending frames.
#[derive(Debug, Clone, Copy)]
enum Step {
    Call { client: usize, callee: usize },
    Accept { client: usize },
    Leave { client: usize },
    Switch { client: usize },
    DeclineWaiting { client: usize },
    Connected { client: usize },
    Disconnected { client: usize },
    ReceiveFrames { client: usize },
    LoseConnection { client: usize },
    Reconnect { client: usize },
    Wait { millis: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENT_OWNERS.len();
    prop_oneof![
        3 => (client.clone(), 0..3_usize).prop_map(|(client, callee)| Step::Call { client, callee }),
        4 => client.clone().prop_map(|client| Step::Accept { client }),
        2 => client.clone().prop_map(|client| Step::Leave { client }),
        2 => client.clone().prop_map(|client| Step::Switch { client }),
        1 => client.clone().prop_map(|client| Step::DeclineWaiting { client }),
        3 => client.clone().prop_map(|client| Step::Connected { client }),
        1 => client.clone().prop_map(|client| Step::Disconnected { client }),
        8 => client.clone().prop_map(|client| Step::ReceiveFrames { client }),
        1 => client.clone().prop_map(|client| Step::LoseConnection { client }),
        2 => client.prop_map(|client| Step::Reconnect { client }),
        1 => (1..80_u64).prop_map(|millis| Step::Wait { millis }),
    ]
}

struct SimulatedClient {
    id: ClientId,
    person: Person,
    machine: ClientCallMachine,
    connection: Option<Arc<Connection>>,
}

struct Simulation<'a> {
    fixture: &'a CallFixture,
    people: Vec<Person>,
    clients: Vec<SimulatedClient>,
    started_at: Instant,
}

impl<'a> Simulation<'a> {
    async fn new(fixture: &'a CallFixture) -> Self {
        let mut people = Vec::new();
        for _ in 0..3 {
            // The fixture has had other people.
            let name = random::new_id().simple().to_string();
            people.push(fixture.create_person(&name[12..]).await);
        }
        let pages = CLIENT_OWNERS.map(|owner| SimulatedClient {
            id: ClientId(random::new_id()),
            person: people[owner].clone(),
            machine: ClientCallMachine::default(),
            connection: None,
        });
        let mut simulation = Self {
            fixture,
            people,
            clients: pages.into(),
            started_at: Instant::now(),
        };
        for page in 0..CLIENT_OWNERS.len() {
            simulation.reconnect(page).await;
        }
        simulation
    }

    fn now(&self) -> Millis {
        Millis::try_from(self.started_at.elapsed().as_millis()).unwrap()
    }

    async fn run_step(&mut self, step: Step) {
        let now = self.now();
        match step {
            Step::Call {
                client: page,
                callee: whom,
            } => {
                let with = self.people[whom].clone();
                if with.id != self.clients[page].person.id {
                    let id = CallId(random::new_id());
                    self.update_machine(page, |machine| {
                        let free = machine.open_preview(CallTarget::Person(with), Media::Voice);
                        free.then(|| machine.start_call(id)).flatten()
                    })
                    .await;
                }
            }
            Step::Accept { client: page } => {
                self.update_machine(page, ClientCallMachine::accept).await;
            }
            Step::Leave { client: page } => {
                self.update_machine(page, |machine| machine.leave(now))
                    .await;
            }
            Step::Switch { client: page } => {
                self.update_machine(page, ClientCallMachine::switch_to_waiting_call)
                    .await;
            }
            Step::DeclineWaiting { client: page } => {
                self.update_machine(page, ClientCallMachine::decline_waiting_call)
                    .await;
            }
            Step::Connected { client: page } => self.report(page, ClientAction::Connected).await,
            Step::Disconnected { client: page } => {
                self.report(page, ClientAction::Disconnected).await;
            }
            Step::ReceiveFrames { client: page } => self.receive_frames(page).await,
            Step::LoseConnection { client: page } => {
                if let Some(connection) = self.clients[page].connection.take() {
                    assert!(
                        self.fixture
                            .app
                            .connections
                            .unregister(&connection, Disconnect::Lost)
                    );
                    self.fixture
                        .registry
                        .on_client_disconnected(&connection, Disconnect::Lost);
                }
            }
            Step::Reconnect { client: page } => self.reconnect(page).await,
            Step::Wait { millis } => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
    }

    /// Sends the resulting actions and ringing reports.
    async fn update_machine<S: IntoIterator<Item = (CallId, ClientAction)>>(
        &mut self,
        page: usize,
        change: impl FnOnce(&mut ClientCallMachine) -> S,
    ) {
        let machine = &mut self.clients[page].machine;
        let rang = ringing_calls(machine);
        let actions = change(machine);
        let rings = ringing_calls(machine)
            .difference(&rang)
            .copied()
            .collect::<Vec<_>>();
        for (call, action) in rings
            .into_iter()
            .map(|call| (call, ClientAction::Ringing))
            .chain(actions)
        {
            self.send_action(page, call, action).await;
        }
    }

    async fn send_action(&self, page: usize, call: CallId, action: ClientAction) {
        if let Some(connection) = &self.clients[page].connection {
            self.fixture
                .registry
                .handle_action(connection, call, action)
                .await;
        }
    }

    async fn report(&self, page: usize, action: ClientAction) {
        if let Some(call) = self.clients[page]
            .machine
            .state
            .answered_call()
            .map(|view| view.id)
        {
            self.send_action(page, call, action).await;
        }
    }

    async fn receive_frames(&mut self, page: usize) {
        let Some(connection) = self.clients[page].connection.clone() else {
            return;
        };
        let now = self.now();
        for encoded_frame in connection.send_queue().take().unwrap() {
            match frame::decode(&encoded_frame) {
                ServerFrame::Call { call } => {
                    self.update_machine(page, |machine| {
                        machine.apply_call_view(&call, now);
                        NO_ACTIONS
                    })
                    .await;
                }
                ServerFrame::Error(Refusal {
                    code,
                    reason,
                    call: Some(call),
                    ..
                }) => {
                    self.update_machine(page, |machine| {
                        machine.apply_refusal(call, code, &reason, now);
                        NO_ACTIONS
                    })
                    .await;
                }
                _ => {}
            }
        }
    }

    async fn reconnect(&mut self, page: usize) {
        if self.clients[page].connection.is_some() {
            return;
        }
        let SimulatedClient { id, person, .. } = &self.clients[page];
        let connection = Arc::new(Connection::new(
            *id,
            person.clone(),
            "session".into(),
            true,
            SendQueue::new(&Flusher::default(), 1_000_000),
        ));
        connection.send_queue().uncork(&[]);
        self.fixture.app.connections.register(&connection);
        self.clients[page].connection = Some(connection.clone());
        self.fixture.registry.on_client_connected(&connection);
        for (call, action) in self.clients[page].machine.actions_on_reconnect() {
            self.send_action(page, call, action).await;
        }
        self.report(page, ClientAction::Disconnected).await;
    }

    /// Connects all clients, delivers all frames and reports all paths as connected.
    async fn settle(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + AGREEMENT_TIMEOUT;
        loop {
            for page in 0..CLIENT_OWNERS.len() {
                self.reconnect(page).await;
                self.receive_frames(page).await;
                let connecting = self.clients[page].machine.state.answered_call();
                if connecting.is_some_and(|view| view.state != State::Connected) {
                    self.report(page, ClientAction::Connected).await;
                }
            }
            match self.check_agreement() {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() > deadline => return Err(why),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// Nothing rings, nobody is in two calls, and two people hold each open call.
    fn check_agreement(&self) -> Result<(), String> {
        let mut held: HashMap<CallId, HashSet<UserId>> = HashMap::new();
        let mut engaged = HashSet::new();
        for page in &self.clients {
            if page.machine.waiting_call.is_some() {
                return Err("a call waits for ever".to_owned());
            }
            match &page.machine.state {
                ClientCallState::Idle | ClientCallState::Preview(_) | ClientCallState::Ended(_) => {
                }
                ClientCallState::InCall(it) if it.view.state == State::Connected => {
                    held.entry(it.view.id).or_default().insert(page.person.id);
                    if !engaged.insert(page.person.id) {
                        return Err("somebody is in a call on two pages".to_owned());
                    }
                }
                other => return Err(format!("{} is stuck: {other:?}", page.person.name)),
            }
        }
        let people: HashSet<UserId> = self.people.iter().map(|person| person.id).collect();
        let open = self.fixture.registry.table.lock();
        let registered: HashSet<CallId> = open
            .call_by_user
            .iter()
            .chain(&open.waiting_call_by_user)
            .filter(|(user, _)| people.contains(*user))
            .map(|(_, call)| *call)
            .collect();
        if registered != held.keys().copied().collect() {
            return Err(format!(
                "pages hold {held:?}, the registry has {registered:?}"
            ));
        }
        match held.values().find(|people| people.len() != 2) {
            Some(people) => Err(format!("a call of {} people", people.len())),
            None => Ok(()),
        }
    }

    async fn end_all_calls(mut self) -> Result<(), String> {
        for page in 0..CLIENT_OWNERS.len() {
            self.run_step(Step::Leave { client: page }).await;
        }
        self.settle().await?;
        for page in 0..CLIENT_OWNERS.len() {
            self.run_step(Step::LoseConnection { client: page }).await;
        }
        Ok(())
    }
}

fn ringing_calls(machine: &ClientCallMachine) -> HashSet<CallId> {
    let rings = match &machine.state {
        ClientCallState::Ringing(view) => Some(view.id),
        _ => None,
    };
    let waits = machine.waiting_call.as_ref().map(|view| view.id);
    rings.into_iter().chain(waits).collect()
}

#[test]
fn any_order_of_events_ends_with_all_clients_agreeing_and_nobody_in_two_calls() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(CallFixture::new(SHORT_TIMEOUTS));
    let wanted = std::env::var("PROPTEST_CASES").ok();
    let config = Config {
        cases: wanted
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(DEFAULT_CASES),
        max_shrink_iters: 20,
        failure_persistence: None,
        ..Config::default()
    };
    let orders = proptest::collection::vec(step(), 1..60);
    let tried = TestRunner::new(config).run(&orders, |events| {
        runtime.block_on(async {
            let mut simulation = Simulation::new(&fixture).await;
            for event in events {
                simulation.run_step(event).await;
            }
            simulation.settle().await.map_err(TestCaseError::fail)?;
            simulation
                .end_all_calls()
                .await
                .map_err(TestCaseError::fail)
        })
    });
    tried.unwrap();
}
