//! A simulated page: its own rules for the connection and for chat, without a browser.

use super::{
    caller::{CallOutput, Caller},
    client::{Client, ConnectionFault},
    connection::{Connection, Received, next_of},
    history::History,
    world::World,
};
use crate::{
    chat::{
        api::RoomHistory,
        client::state::{ChatState, Effect, Timer},
        server::find_room_history,
    },
    model::{
        CallId, ClientId, MessageId, RoomId, UserId,
        message::MessageText,
        outbox::Outbox,
        reconnect::{ConnectionEffect, ConnectionEvent, DisconnectCause, ReconnectState},
        room::RoomSummary,
        user::{Person, Presence},
    },
    protocol::{
        close::CloseCode,
        ws::{ClientFrame, ErrorCode, ServerFrame},
    },
    ui::socket::reconnect_policy::SocketPolicy,
};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use uuid::Builder;

/// Until a person presses "Try again" after a failed load.
const FETCH_RETRY_DELAY: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// To one of the page's rooms, by index.
    Send {
        room: usize,
        messages: usize,
    },
    MarkRead {
        room: usize,
    },
    OpenRoom {
        room: usize,
    },
    Reload,
    Fault(ConnectionFault),
    /// Of the next connection.
    DelayHello {
        ms: u64,
    },
    Call {
        person: Box<Person>,
    },
    /// Or starts it.
    JoinGroupCall {
        room: usize,
    },
    HangUp,
    GoHome,
}

#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) person: Person,
    pub(super) token_hash: String,
}

/// As its user and the checks see it.
pub(super) struct Page {
    pub(super) visitor: Visitor,
    pub(super) index: usize,
    commands: mpsc::UnboundedSender<Command>,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Default)]
pub(super) struct Shown {
    /// None before the first connection.
    pub(super) client: Option<ClientId>,
    pub(super) chat: ChatState,
    pub(super) caller: Caller,
    pub(super) is_connected: bool,
    pub(super) people: BTreeMap<UserId, (Person, Presence)>,
    /// Rooms whose newest page is being fetched.
    pub(super) fetching: Vec<RoomId>,
}

impl Page {
    pub(super) fn open(
        world: &Arc<World>,
        history: &Arc<History>,
        visitor: Visitor,
        index: usize,
        seed: u64,
    ) -> Self {
        let (commands, command_rx) = mpsc::unbounded_channel();
        let shown = Arc::<Mutex<Shown>>::default();
        let mut random = StdRng::seed_from_u64(seed);
        let client_id = ClientId(Builder::from_random_bytes(random.random()).into_uuid());
        let browser = Browser {
            visitor: visitor.clone(),
            client_id,
            incarnation: 0,
            shown: shown.clone(),
            client: Client::new(world, history, index, SocketPolicy::new(), random),
            connection: None,
            timers: Vec::new(),
            hello_delay: Duration::ZERO,
            hello_due: None,
            fetches: FuturesUnordered::new(),
        };
        tokio::spawn(browser.run(command_rx));
        Self {
            visitor,
            index,
            commands,
            shown,
        }
    }

    pub(super) fn tell(&self, command: Command) {
        // The page lives as long as this value.
        let _ = self.commands.send(command);
    }

    pub(super) fn shown(&self) -> MutexGuard<'_, Shown> {
        lock(&self.shown)
    }
}

impl Shown {
    /// Modulo the number of the page's rooms.
    fn room(&self, index: usize) -> Option<&RoomSummary> {
        let rooms = self.chat.rooms();
        rooms.iter().rev().nth(index.checked_rem(rooms.len())?)
    }
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

type Fetched = (RoomId, Option<RoomHistory>);

struct Browser {
    client: Client<SocketPolicy>,
    visitor: Visitor,
    client_id: ClientId,
    incarnation: u32,
    shown: Arc<Mutex<Shown>>,
    connection: Option<Connection>,
    timers: Vec<(Instant, Timer)>,
    hello_delay: Duration,
    hello_due: Option<Instant>,
    fetches: FuturesUnordered<BoxFuture<'static, Fetched>>,
}

impl Browser {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let restored = lock(&self.shown)
            .chat
            .restore(self.visitor.person.id, Outbox::default());
        self.execute(restored);
        self.dispatch(ConnectionEvent::Start);
        loop {
            let due = self.next_due();
            let is_stalled = self.client.is_stalled();
            let received = tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => {
                        self.on_command(command);
                        continue;
                    }
                    None => return,
                },
                received = next_of(self.connection.as_mut()), if !is_stalled => received,
                Some((room, fetched)) = self.fetches.next(), if !self.fetches.is_empty() => {
                    self.on_fetched(room, fetched);
                    continue;
                }
                () = sleep_until(due) => {
                    self.on_due();
                    continue;
                }
            };
            self.on_received(received);
        }
    }

    fn next_due(&self) -> Instant {
        let chat = self.timers.iter().map(|(at, _)| *at);
        let stall = Some(self.client.stalled_until).filter(|_| self.client.is_stalled());
        let due = chat.chain(stall).chain(self.hello_due).min();
        due.map_or(self.client.next_tick, |at| at.min(self.client.next_tick))
    }

    fn on_due(&mut self) {
        let now = Instant::now();
        if self.hello_due.take_if(|at| *at <= now).is_some() {
            self.say_hello();
        }
        if now >= self.client.next_tick {
            self.client.schedule_tick();
            self.dispatch(ConnectionEvent::Timer);
            if self.client.reconnect.is_ping_due(self.client.now()) {
                self.ping();
            }
            let is_awaiting_reply = self.client.reconnect.is_awaiting_reply();
            let (now, random) = (self.client.now(), &mut self.client.random);
            let output = lock(&self.shown)
                .caller
                .on_tick(now, is_awaiting_reply, random);
            self.send_calls(output);
        }
        while let Some(at) = self.timers.iter().position(|(at, _)| *at <= now) {
            let (_, timer) = self.timers.remove(at);
            let effects = lock(&self.shown).chat.on_timer(timer);
            self.execute(effects);
        }
    }

    fn ping(&mut self) {
        let now = self.client.now();
        let n = self.client.reconnect.policy.start_ping(now);
        self.dispatch(ConnectionEvent::ReplyRequested);
        self.send(&ClientFrame::Ping { n });
    }

    fn dispatch(&mut self, event: ConnectionEvent) {
        let Some(effect) = self.client.on_event(event) else {
            return;
        };
        self.connection = None;
        self.hello_due = None;
        lock(&self.shown).is_connected = false;
        match effect {
            ConnectionEffect::Connect => self.connect(),
            ConnectionEffect::BackOff | ConnectionEffect::Close => {}
        }
    }

    fn connect(&mut self) {
        self.incarnation += 1;
        lock(&self.shown).client = Some(self.client_id);
        let node = self.client.choose_node();
        tracing::trace!(page = self.client.index, node, "connecting");
        let (world, token_hash) = (&self.client.world, self.visitor.token_hash.clone());
        match world.connect(node, token_hash, self.client.delay) {
            Some(end) => self.connection = Some(Connection::new(end)),
            None => self.dispatch(ConnectionEvent::Lost(DisconnectCause::ServerUnavailable)),
        }
    }

    /// As `Socket::send`: before the welcome nothing is sent.
    fn send(&mut self, frame: &ClientFrame) {
        let is_connected = lock(&self.shown).is_connected;
        if !is_connected && !matches!(frame, ClientFrame::Hello { .. }) {
            return;
        }
        tracing::trace!(page = self.client.index, ?frame, "sent");
        let now = self.client.now();
        self.client.reconnect.policy.on_sent(now);
        self.client.history.record_sent(self.client.index, frame);
        if let Some(connection) = &mut self.connection {
            connection.send(frame);
        }
    }

    fn on_received(&mut self, received: Received) {
        match received {
            Received::Ignored => {}
            Received::Opened => {
                if let Some(connection) = &mut self.connection {
                    connection.open();
                }
                let delay = std::mem::take(&mut self.hello_delay);
                if delay.is_zero() {
                    self.say_hello();
                } else {
                    self.hello_due = Some(Instant::now() + delay);
                }
                self.dispatch(ConnectionEvent::Opened);
            }
            Received::Closed(code) => {
                if !CloseCode::should_reconnect(code) {
                    self.client.history.fail(format!(
                        "page {}: the server closed its newest connection with {code}",
                        self.client.index
                    ));
                }
                let lost = ConnectionEvent::Lost(DisconnectCause::ServerUnavailable);
                self.dispatch(lost);
            }
            Received::Frame(frame) => self.on_frame(&frame),
        }
    }

    fn say_hello(&mut self) {
        let cursors = lock(&self.shown).chat.on_open();
        self.client
            .history
            .record_cursors(self.client.index, &cursors);
        self.send(&ClientFrame::Hello {
            client: self.client_id,
            cursors,
            visible: true,
            incarnation: self.incarnation,
        });
    }

    fn on_frame(&mut self, frame: &ServerFrame) {
        self.dispatch(ConnectionEvent::Received);
        match frame {
            ServerFrame::Welcome { heartbeat_ms, .. } => {
                let policy = &mut self.client.reconnect.policy;
                policy.set_heartbeat_interval((*heartbeat_ms).into());
                self.dispatch(ConnectionEvent::Welcomed);
                lock(&self.shown).is_connected = true;
            }
            ServerFrame::Pong { n } => {
                let now = self.client.now();
                self.client.reconnect.policy.on_pong(*n, now);
            }
            ServerFrame::People { people } => {
                let people = people.iter();
                let people = people.map(|one| (one.person.id, (one.person.clone(), one.presence)));
                lock(&self.shown).people = people.collect();
            }
            ServerFrame::Presence { entry } => {
                let mut shown = lock(&self.shown);
                if entry.presence == Presence::Offline {
                    shown.people.remove(&entry.person.id);
                } else {
                    let shown_entry = (entry.person.clone(), entry.presence);
                    shown.people.insert(entry.person.id, shown_entry);
                }
            }
            _ => {}
        }
        self.client.history.record_frame(self.client.index, frame);
        if let ServerFrame::Refused(refusal) = frame
            && let Some(id) = refusal.id
            && !matches!(
                refusal.code,
                ErrorCode::Unavailable | ErrorCode::RateLimited
            )
        {
            self.client.history.record_refusal(id);
        }
        let is_awaiting_reply = self.client.reconnect.is_awaiting_reply();
        let (now, random) = (self.client.now(), self.client.random.random());
        let (effects, output) = {
            let mut shown = lock(&self.shown);
            let rng = &mut self.client.random;
            let Shown { chat, caller, .. } = &mut *shown;
            let output = caller.on_frame(frame, chat.rooms(), now, is_awaiting_reply, rng);
            (chat.on_frame(frame, random), output)
        };
        self.execute(effects);
        self.send_calls(output);
    }

    fn send_calls(&mut self, output: CallOutput) {
        for (call, action) in output.actions {
            self.send(&ClientFrame::Call { call, action });
        }
        if output.should_ping {
            self.ping();
        }
    }

    fn execute(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(frame) => {
                    if let ClientFrame::Resume { cursor } = &frame {
                        let cursors = std::slice::from_ref(cursor);
                        self.client
                            .history
                            .record_cursors(self.client.index, cursors);
                    }
                    self.send(&frame);
                }
                Effect::StartTimer { timer, delay_ms } => {
                    let at = Instant::now() + Duration::from_millis(delay_ms.into());
                    self.timers.push((at, timer));
                }
                Effect::RefetchRoom(room) => self.fetch(room, Duration::ZERO),
                Effect::ReloadPage => self.client.history.fail(format!(
                    "page {}: the server took its user for another",
                    self.client.index
                )),
                Effect::OutboxChanged
                | Effect::RoomsChanged
                | Effect::RoomChanged(_)
                | Effect::TimelineChanged(_)
                | Effect::TypingChanged
                | Effect::ResumeUploads => {}
            }
        }
    }

    fn room(&self, index: usize) -> Option<RoomId> {
        lock(&self.shown).room(index).map(|room| room.id)
    }

    fn new_call_id(&mut self) -> CallId {
        CallId(Builder::from_random_bytes(self.client.random.random()).into_uuid())
    }

    fn on_command(&mut self, command: Command) {
        tracing::trace!(page = self.client.index, ?command, "user");
        match command {
            Command::Send { room, messages } => {
                let Some(room) = self.room(room) else { return };
                for _ in 0..messages {
                    let id = MessageId(
                        Builder::from_random_bytes(self.client.random.random()).into_uuid(),
                    );
                    let number = self.client.random.random_range(0..1_000_000);
                    let text =
                        MessageText::new(&format!("page {}: {number}", self.client.index)).unwrap();
                    self.client
                        .history
                        .record_written(id, room, &text, self.client.index);
                    let at = self.client.now();
                    let effects = lock(&self.shown).chat.send_message(id, room, text, at);
                    self.execute(effects);
                }
            }
            Command::MarkRead { room } => {
                let Some(room) = self.room(room) else { return };
                let effects = {
                    let mut shown = lock(&self.shown);
                    let head = shown.chat.room(room).map_or(0, |room| room.head);
                    shown.chat.mark_read(room, head)
                };
                self.execute(effects);
            }
            Command::OpenRoom { room } => {
                if let Some(room) = self.room(room) {
                    self.fetch(room, Duration::ZERO);
                }
            }
            Command::Reload => self.reload(),
            Command::Fault(fault) => {
                let pipe = self.connection.as_ref().map(|connection| &*connection.pipe);
                self.client.inject(fault, pipe);
            }
            Command::Call { person } => {
                let id = self.new_call_id();
                let output = lock(&self.shown).caller.call(id, &person);
                self.send_calls(output);
            }
            Command::JoinGroupCall { room } => {
                let id = self.new_call_id();
                let output = {
                    let mut shown = lock(&self.shown);
                    let room = shown.room(room).cloned();
                    room.map(|room| shown.caller.join_group_call(id, &room))
                };
                self.send_calls(output.unwrap_or_default());
            }
            Command::HangUp => {
                let now = self.client.now();
                let output = lock(&self.shown).caller.leave(now);
                self.send_calls(output);
            }
            Command::GoHome => {
                let now = self.client.now();
                let output = lock(&self.shown).caller.go_home(now);
                self.send_calls(output);
            }
            Command::DelayHello { ms } => self.hello_delay = Duration::from_millis(ms),
        }
    }

    /// Only session storage is left.
    fn reload(&mut self) {
        let saved = lock(&self.shown).chat.outbox().clone();
        *lock(&self.shown) = Shown::default();
        self.connection = None;
        self.timers.clear();
        self.fetches.clear();
        self.client_id =
            ClientId(Builder::from_random_bytes(self.client.random.random()).into_uuid());
        self.incarnation = 0;
        self.client.reconnect = ReconnectState::new(SocketPolicy::new());
        self.client.history.record_reload(self.client.index);
        let viewer = self.visitor.person.id;
        let effects = lock(&self.shown).chat.restore(viewer, saved);
        self.execute(effects);
        self.dispatch(ConnectionEvent::Start);
    }

    fn fetch(&mut self, room: RoomId, after: Duration) {
        let node = self.client.choose_node();
        let (world, person) = (self.client.world.clone(), self.visitor.person.clone());
        let slug = lock(&self.shown)
            .chat
            .room(room)
            .map(|room| room.slug.clone());
        let Some(slug) = slug else { return };
        let delay = self.client.delay;
        {
            let mut shown = lock(&self.shown);
            if !shown.fetching.contains(&room) {
                shown.fetching.push(room);
            }
        }
        self.fetches.push(Box::pin(async move {
            sleep(after + delay).await;
            let answer = world.request(node, |systems| async move {
                find_room_history(&systems.app, &person, &slug, None, true).await
            });
            let answer = answer.await;
            sleep(delay).await;
            (room, answer.and_then(Result::ok))
        }));
    }

    fn on_fetched(&mut self, room: RoomId, fetched: Option<RoomHistory>) {
        let Some(page) = fetched else {
            return self.fetch(room, FETCH_RETRY_DELAY);
        };
        let effects = {
            let mut shown = lock(&self.shown);
            shown.fetching.retain(|fetching| *fetching != room);
            shown
                .chat
                .open_page(&page.room, page.messages, page.has_older)
        };
        self.execute(effects);
    }
}
