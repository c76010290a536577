//! Runs a plan: timed steps, then healing, then the checks.

use super::{
    checks,
    client::ConnectionFault,
    group_call_checks,
    history::History,
    observer::Observer,
    page::{Command, Page, Visitor},
    plan::{Action, FaultAction, Plan},
    reader::Reader,
    world::World,
};
use crate::{
    model::{
        RoomId,
        room::RoomName,
        story::{StoryDraft, Urgency},
    },
    people,
    server::{
        bus::simulated::MessageFaults,
        clock,
        config::StoreConfig,
        data_folder::STORE_FILE,
        event_log::NewStory,
        files::Files,
        random,
        store::{Reachability, Store},
    },
};
use clap::Parser;
use std::{
    cell::Cell,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    runtime::Builder,
    time::{Instant, sleep, sleep_until},
};

/// For everything to be answered after the last fault.
const HEALING_TIMEOUT: Duration = Duration::from_mins(2);
/// Until a page notices a cut: a heartbeat interval, and the wait for the answer.
const DETECTION_TIME: Duration = Duration::from_secs(30);
const QUIET_INTERVAL: Duration = Duration::from_millis(500);
const PUBLISH_RETRY_DELAY: Duration = Duration::from_secs(1);
const SET_UP_RETRY_DELAY: Duration = Duration::from_millis(200);
const SET_UP_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Parser)]
struct StoreArguments {
    #[command(flatten)]
    store: StoreConfig,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// What must hold and did not.
    pub(super) violations: Vec<String>,
    pub(super) digest: u64,
    pub(super) frame_count: u64,
    pub(super) message_count: usize,
    /// Faults of the plan that came to something.
    pub(super) fault_count: u64,
}

pub(super) fn run(plan: &Plan) -> Outcome {
    start_logging();
    let folder = tempfile::tempdir().unwrap();
    prepare_store(folder.path());
    let files = open_files(folder.path());
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(Simulation::run(plan, folder.path(), files))
}

thread_local! {
    static STARTED_AT: Cell<Option<Instant>> = const { Cell::new(None) };
}

struct Simulation {
    world: Arc<World>,
    history: Arc<History>,
    pages: Vec<Page>,
    readers: Vec<Reader>,
    observers: Vec<Observer>,
    fault_count: u64,
}

impl Simulation {
    async fn run(plan: &Plan, folder: &Path, files: Files) -> Outcome {
        let world = World::new(&plan.settings, plan.seed, folder, files);
        STARTED_AT.set(Some(world.started_at));
        for node in 0..world.node_count() {
            world.start(node);
        }
        let visitors = create_people(&world, plan.settings.people).await;
        let history = Arc::<History>::default();
        let pages = (0..plan.settings.pages).map(|index| {
            let visitor = visitors[index % visitors.len()].clone();
            let seed = plan.seed ^ (u64::try_from(index).unwrap_or_default() + 100);
            Page::open(&world, &history, visitor, index, seed)
        });
        let readers = (0..plan.settings.readers).map(|index| {
            let seed = plan.seed ^ (u64::try_from(index).unwrap_or_default() + 200);
            Reader::open(&world, &history, index, seed)
        });
        let observers = (0..world.node_count()).map(|node| {
            let seed = plan.seed ^ (u64::try_from(node).unwrap_or_default() + 300);
            Observer::open(&world, &visitors[0], node, seed)
        });
        let mut simulation = Self {
            pages: pages.collect(),
            readers: readers.collect(),
            observers: observers.collect(),
            world,
            history,
            fault_count: 0,
        };
        // All pages are welcomed before the first step.
        let begin = Instant::now() + Duration::from_secs(5);
        for step in &plan.steps {
            sleep_until(begin + Duration::from_millis(step.at_ms)).await;
            tracing::trace!(?step, "step");
            simulation.act(&step.action, &visitors).await;
        }
        simulation.heal().await;
        simulation.end_group_calls().await;
        simulation.finish().await
    }

    async fn act(&mut self, action: &Action, visitors: &[Visitor]) {
        match action {
            Action::Send {
                page,
                room,
                messages,
            } => self.pages[*page].tell(Command::Send {
                room: *room,
                messages: *messages,
            }),
            Action::MarkRead { page, room } => {
                self.pages[*page].tell(Command::MarkRead { room: *room });
            }
            Action::OpenRoom { page, room } => {
                self.pages[*page].tell(Command::OpenRoom { room: *room });
            }
            Action::Reload { page } => self.pages[*page].tell(Command::Reload),
            Action::OpenDirectRoom { node, people } => {
                let people = people.map(|person| visitors[person].person.id);
                if people[0] != people[1] {
                    self.spawn_request(*node, move |systems| async move {
                        let (log, new) = (&systems.app.event_log, RoomId(random::new_id()));
                        let [one, other] = people;
                        let now = clock::now();
                        drop(log.find_or_create_direct_room(new, one, other, now).await);
                    });
                }
            }
            Action::CreateRoom { node } => {
                self.spawn_request(*node, |systems| async move {
                    let id = RoomId(random::new_id());
                    let name = RoomName::new(&format!("Room {id}")).unwrap();
                    let log = &systems.app.event_log;
                    drop(
                        log.create_room(id, id.to_string(), name, clock::now())
                            .await,
                    );
                });
            }
            Action::Publish { node } => self.publish(*node),
            Action::ChangeRole { node, person, role } => {
                let user = visitors[*person].person.id;
                let mut others = visitors.iter().map(|other| &other.person);
                let admin = others.find(|other| other.id != user).cloned();
                if let Some(admin) = admin {
                    let role = role.as_str();
                    self.spawn_request(*node, move |systems| async move {
                        drop(people::server::set_role(&systems.app, &admin, user, role).await);
                    });
                }
            }
            Action::ChangeName { node, person } => {
                let user = visitors[*person].person.id;
                self.spawn_request(*node, move |systems| async move {
                    let name = format!("Person {:.8}", random::new_token());
                    drop(people::server::change_name(&systems.app, user, &name).await);
                });
            }
            Action::Call { page, person } => {
                let person = Box::new(visitors[*person].person.clone());
                if person.id != self.pages[*page].visitor.person.id {
                    self.pages[*page].tell(Command::Call { person });
                }
            }
            Action::JoinGroupCall { page, room } => {
                self.pages[*page].tell(Command::JoinGroupCall { room: *room });
            }
            Action::HangUp { page } => self.pages[*page].tell(Command::HangUp),
            Action::Fault(fault) => self.inject(fault),
        }
    }

    fn spawn_request<F>(
        &self,
        node: usize,
        handle: impl FnOnce(Arc<crate::serve::Systems>) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let world = self.world.clone();
        tokio::spawn(async move { world.request(node, handle).await });
    }

    fn inject(&mut self, fault: &FaultAction) {
        self.fault_count += 1;
        let world = self.world.clone();
        let later = |ms: u64, end: Box<dyn FnOnce(Arc<World>) + Send>| {
            let world = self.world.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(ms)).await;
                end(world);
            });
        };
        match *fault {
            FaultAction::Statement { node, step, fault } => {
                if let Some(systems) = world.systems(node) {
                    let faults = systems.app.store.write_faults();
                    faults.inject(step.into(), fault.into());
                }
            }
            FaultAction::StoreBlackHole { node, ms } => {
                world.set_reachability(node, Reachability::BlackHole);
                later(ms, Box::new(move |world| world.heal_store(node)));
            }
            FaultAction::StoreRefuses { node, ms } => {
                world.set_reachability(node, Reachability::Refused);
                later(ms, Box::new(move |world| world.heal_store(node)));
            }
            FaultAction::StoreSlow { node, ms } => {
                world.set_reachability(node, Reachability::Slow);
                later(ms, Box::new(move |world| world.heal_store(node)));
            }
            FaultAction::BusMessages {
                node,
                lost,
                doubled,
                late,
                ms,
            } => {
                let faults = MessageFaults {
                    lost,
                    doubled,
                    late,
                };
                world.set_message_faults(node, faults);
                let end = move |world: Arc<World>| {
                    world.set_message_faults(node, MessageFaults::default());
                };
                later(ms, Box::new(end));
            }
            FaultAction::BusAway { node, ms } => {
                world.set_bus_connected(node, false);
                later(
                    ms,
                    Box::new(move |world| world.set_bus_connected(node, true)),
                );
            }
            FaultAction::Pause { node, ms } => {
                world.pause(node);
                later(ms, Box::new(move |world| world.resume(node)));
            }
            FaultAction::Crash { node, ms } => {
                world.crash(node);
                later(ms, Box::new(move |world| world.start(node)));
            }
            FaultAction::Stop { node, ms } => {
                world.stop(node);
                later(ms, Box::new(move |world| world.start(node)));
            }
            FaultAction::Clock { node, offset_ms } => world.set_clock_offset(node, offset_ms),
            FaultAction::CutPage { page } => self.fail_connection(page, ConnectionFault::Cut),
            FaultAction::BreakPage { page } => self.fail_connection(page, ConnectionFault::Break),
            FaultAction::LateHello { page, ms } => {
                self.pages[page].tell(Command::DelayHello { ms });
            }
            FaultAction::SlowPage { page, ms } => {
                self.fail_connection(page, ConnectionFault::Stall { ms });
            }
            FaultAction::CutReader { reader } => self.readers[reader].inject(ConnectionFault::Cut),
            FaultAction::BreakReader { reader } => {
                self.readers[reader].inject(ConnectionFault::Break);
            }
            FaultAction::SlowReader { reader, ms } => {
                self.readers[reader].inject(ConnectionFault::Stall { ms });
            }
        }
    }

    fn fail_connection(&self, page: usize, fault: ConnectionFault) {
        self.pages[page].tell(Command::Fault(fault));
    }

    /// Ends every fault, and waits until all is quiet.
    async fn heal(&mut self) {
        let world = &self.world;
        if let Some(broker) = world.broker() {
            self.fault_count += broker.fault_count();
        }
        for node in 0..world.node_count() {
            world.heal_store(node);
            world.set_message_faults(node, MessageFaults::default());
            world.set_bus_connected(node, true);
            world.resume(node);
            if let Some(systems) = world.systems(node) {
                let unused = systems.app.store.write_faults().clear();
                self.fault_count -= u64::try_from(unused).unwrap_or_default();
            }
            world.start(node);
        }
        sleep(DETECTION_TIME).await;
        self.wait_until_quiet().await;
    }

    /// Checks ongoing group calls; then everybody leaves.
    async fn end_group_calls(&self) {
        if self.find_unfinished().is_some() {
            return;
        }
        let is_in_group = |page: &Page| page.shown().caller.active_group_call().is_some();
        let found = group_call_checks::check_ongoing(&self.world, &self.pages).await;
        for what in found {
            self.history.fail(what);
        }
        let is_anybody_in = self.pages.iter().any(is_in_group);
        for page in &self.pages {
            page.tell(Command::GoHome);
        }
        if is_anybody_in {
            self.wait_until_quiet().await;
        }
    }

    async fn wait_until_quiet(&self) {
        let world = &self.world;
        let deadline = Instant::now() + HEALING_TIMEOUT;
        while Instant::now() < deadline {
            sleep(QUIET_INTERVAL).await;
            for node in 0..world.node_count() {
                // A stop may have taken until now.
                world.start(node);
            }
            if self.find_unfinished().is_none() {
                break;
            }
        }
        // What is periodic has come around.
        sleep(Duration::from_secs(15)).await;
    }

    fn find_unfinished(&self) -> Option<String> {
        let Self {
            world,
            history,
            pages,
            readers,
            observers,
            ..
        } = self;
        checks::find_unfinished(world, pages, readers, observers, history)
    }

    /// Repeats under the same id until published, as a program does.
    fn publish(&mut self, node: usize) {
        let number = self.history.begin_story();
        let (world, history) = (self.world.clone(), self.history.clone());
        tokio::spawn(async move {
            loop {
                let published = world.request(node, move |systems| async move {
                    let headline = format!("Story {number}");
                    let draft = StoryDraft::new(&headline, "", "", Urgency::Normal).unwrap();
                    let log = &systems.app.event_log;
                    log.publish_story(NewStory {
                        draft,
                        html: String::new(),
                        summary: String::new(),
                        slug: format!("story-{number}"),
                        byline: "Ada".to_owned(),
                        request_id: Some(format!("request {number}")),
                    })
                    .await
                });
                if let Some(Ok(story)) = published.await {
                    return history.record_published(number, &story);
                }
                sleep(PUBLISH_RETRY_DELAY).await;
            }
        });
    }

    async fn finish(self) -> Outcome {
        let mut violations = Vec::new();
        violations.extend(self.find_unfinished());
        if violations.is_empty() {
            let Self {
                world,
                history,
                pages,
                readers,
                observers,
                ..
            } = &self;
            violations.extend(checks::check(world, pages, readers, observers, history).await);
        }
        let records = self.history.records();
        violations.extend(records.violations.iter().cloned());
        Outcome {
            violations,
            digest: records.digest,
            frame_count: records.frame_count,
            message_count: records.messages.len(),
            fault_count: self.fault_count,
        }
    }
}

/// With `RIALTO_LOG`, on the simulated clock.
fn start_logging() {
    use tracing_subscriber::{EnvFilter, fmt, fmt::time::FormatTime};
    struct SimulatedTime;
    impl FormatTime for SimulatedTime {
        fn format_time(&self, writer: &mut fmt::format::Writer<'_>) -> std::fmt::Result {
            let elapsed = STARTED_AT.with(|started| started.get().map(|at| at.elapsed()));
            write!(writer, "{:>10.3?}", elapsed.unwrap_or_default())
        }
    }
    if let Ok(filter) = EnvFilter::try_from_env("RIALTO_LOG") {
        let log = fmt().with_env_filter(filter).with_timer(SimulatedTime);
        // A second run in the same process keeps the first.
        let _ = log.with_ansi(false).with_writer(std::io::stderr).try_init();
    }
}

/// A new store, made once for all runs.
fn prepare_store(folder: &Path) {
    static NEW_STORE: OnceLock<Vec<u8>> = OnceLock::new();
    let contents = NEW_STORE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["rialto", "--data", &folder.path().to_string_lossy()];
        let arguments = StoreArguments::parse_from(arguments);
        block_on_runtime(async {
            let store = Store::open(&arguments.store).await.unwrap();
            store.close().await;
        });
        let file = folder.path().join(STORE_FILE);
        // The last connection closes in its own thread, after a checkpoint of the log.
        let log = folder.path().join(format!("{STORE_FILE}-wal"));
        let began = std::time::Instant::now();
        while log.exists() {
            assert!(began.elapsed() < SET_UP_TIMEOUT, "the store was not closed");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::fs::read(file).unwrap()
    });
    std::fs::write(folder.join(STORE_FILE), contents).unwrap();
}

/// Before the clock is paused: it needs threads.
fn open_files(folder: &Path) -> Files {
    block_on_runtime(Files::open_at(folder, None)).unwrap()
}

fn block_on_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}

async fn create_people(world: &Arc<World>, count: usize) -> Vec<Visitor> {
    let began = Instant::now();
    let mut visitors = Vec::new();
    for number in 0..count {
        let name = format!("Person {number}");
        let secret = format!("the secret of the form of person {number} is long");
        let visitor = loop {
            let (name, secret) = (name.clone(), secret.clone());
            let created = world.request(0, |systems| async move {
                people::server::create_guest(&systems.app, &name, &secret).await?;
                let token_hash = random::sha256_hex(&random::sha256_hex(&secret));
                let found = systems
                    .app
                    .store
                    .find_session(&token_hash, clock::now())
                    .await?;
                Ok::<_, crate::server::Error>(found.map(|session| Visitor {
                    person: session.person,
                    token_hash,
                }))
            });
            match created.await {
                Some(Ok(Some(visitor))) => break visitor,
                _ => sleep(SET_UP_RETRY_DELAY).await,
            }
            assert!(began.elapsed() < SET_UP_TIMEOUT, "nobody could join");
        };
        visitors.push(visitor);
    }
    visitors
}
