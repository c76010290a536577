//! A simulated browser page: the page's own rules for the connection and for chat, without a browser.

use super::{
    caller::{Actions, Caller},
    history::History,
    world::{HANDSHAKE, World},
};
use crate::{
    chat::{
        client::state::{ChatState, Effect, Timer},
        server::find_room_history,
    },
    model::{
        CallId, ClientId, MessageId, Millis, RoomId, UserId,
        message::MessageText,
        outbox::Outbox,
        reconnect::{
            ConnectionEffect, ConnectionEvent, DisconnectCause, ReconnectState, TIMER_INTERVAL,
        },
        user::{Person, Presence},
    },
    protocol::{
        close::CloseCode,
        ws::{ClientFrame, ErrorCode, ServerFrame},
    },
    server::simulation::pipe::{Pipe, PipeEnd},
    ui::socket::reconnect_policy::SocketPolicy,
};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tungstenite::{
    Message, WebSocket,
    protocol::{CloseFrame, Role},
};
use uuid::Builder;

/// A person presses "Try again" after a page failed to load.
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
    /// The connection passes on nothing more.
    Cut,
    Break,
    /// The next connection sends its `hello` only after that.
    DelayHello {
        ms: u64,
    },
    /// The page reads nothing for a time.
    Stall {
        ms: u64,
    },
    Call {
        person: Box<Person>,
    },
    HangUp,
}

/// Who uses a page.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) person: Person,
    pub(super) token_hash: String,
}

/// A page, as its user and the checks see it.
pub(super) struct Page {
    pub(super) visitor: Visitor,
    pub(super) index: usize,
    commands: mpsc::UnboundedSender<Command>,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Default)]
pub(super) struct Shown {
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
        let client = ClientId(Builder::from_random_bytes(random.random()).into_uuid());
        let browser = Browser {
            world: world.clone(),
            history: history.clone(),
            visitor: visitor.clone(),
            index,
            client,
            incarnation: 0,
            delay: Duration::from_millis(random.random_range(1..80)),
            random,
            shown: shown.clone(),
            reconnect: ReconnectState::new(SocketPolicy::new()),
            connection: None,
            timers: Vec::new(),
            next_tick: Instant::now(),
            stalled_until: Instant::now(),
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

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

type Fetched = (RoomId, Option<crate::chat::api::RoomHistory>);

struct Browser {
    world: Arc<World>,
    history: Arc<History>,
    visitor: Visitor,
    index: usize,
    client: ClientId,
    incarnation: u32,
    /// Of the network, in one direction.
    delay: Duration,
    random: StdRng,
    shown: Arc<Mutex<Shown>>,
    reconnect: ReconnectState<SocketPolicy>,
    connection: Option<Connection>,
    timers: Vec<(Instant, Timer)>,
    next_tick: Instant,
    stalled_until: Instant,
    /// Of the next connection.
    hello_delay: Duration,
    hello_due: Option<Instant>,
    fetches: FuturesUnordered<BoxFuture<'static, Fetched>>,
}

pub(super) struct Connection {
    pipe: Arc<Pipe>,
    state: ConnectionState,
}

enum ConnectionState {
    /// Bytes of the handshake so far.
    Opening(Option<PipeEnd>, Vec<u8>),
    Open(Box<WebSocket<Stream>>),
}

pub(super) enum Received {
    Opened,
    Frame(Box<ServerFrame>),
    Closed(u16),
    Ignored,
}

struct Stream(Arc<PipeEnd>);

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Connection {
    pub(super) fn new(end: PipeEnd) -> Self {
        Self {
            pipe: end.pipe(),
            state: ConnectionState::Opening(Some(end), Vec::new()),
        }
    }

    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Received {
        loop {
            match &mut self.state {
                ConnectionState::Opening(end, head) => {
                    let Some(end) = end else {
                        return Received::Closed(1006);
                    };
                    end.readable().await;
                    let mut bytes = [0; 256];
                    match end.try_read(&mut bytes) {
                        Ok(0) => return Received::Closed(1006),
                        Ok(count) => head.extend_from_slice(&bytes[..count]),
                        Err(why) if why.kind() == io::ErrorKind::WouldBlock => continue,
                        Err(_) => return Received::Closed(1006),
                    }
                    if head.len() >= HANDSHAKE.len() {
                        return Received::Opened;
                    }
                }
                ConnectionState::Open(socket) => match socket.read() {
                    Ok(Message::Text(text)) => {
                        let frame = serde_json::from_str(&text);
                        let frame = frame.expect("the server sends known frames");
                        return Received::Frame(Box::new(frame));
                    }
                    Ok(Message::Close(frame)) => {
                        let code = frame.map_or(1005, |CloseFrame { code, .. }| code.into());
                        let _ = socket.flush();
                        return Received::Closed(code);
                    }
                    Ok(_) => return Received::Ignored,
                    Err(tungstenite::Error::Io(why)) if why.kind() == io::ErrorKind::WouldBlock => {
                        let pipe = socket.get_ref().0.clone();
                        pipe.readable().await;
                    }
                    Err(_) => return Received::Closed(1006),
                },
            }
        }
    }

    pub(super) fn open(&mut self) {
        if let ConnectionState::Opening(end, head) = &mut self.state
            && let Some(end) = end.take()
        {
            let rest = head[HANDSHAKE.len()..].to_vec();
            let stream = Stream(Arc::new(end));
            let socket = WebSocket::from_partially_read(stream, rest, Role::Client, None);
            self.state = ConnectionState::Open(Box::new(socket));
        }
    }

    pub(super) fn send(&mut self, frame: &ClientFrame) {
        if let ConnectionState::Open(socket) = &mut self.state {
            let text = serde_json::to_string(frame).unwrap();
            // What does not fit is sent by a later call; a broken connection shows in the read.
            let _ = socket.send(Message::text(text));
        }
    }
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
            let is_stalled = self.stalled_until > Instant::now();
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

    fn now(&self) -> Millis {
        let elapsed = self.world.started_at.elapsed().as_millis();
        Millis::try_from(elapsed).unwrap_or(Millis::MAX)
    }

    fn next_due(&self) -> Instant {
        let chat = self.timers.iter().map(|(at, _)| *at);
        let stall = Some(self.stalled_until).filter(|at| *at > Instant::now());
        let due = chat.chain(stall).chain(self.hello_due).min();
        due.map_or(self.next_tick, |at| at.min(self.next_tick))
    }

    fn on_due(&mut self) {
        let now = Instant::now();
        if self.hello_due.take_if(|at| *at <= now).is_some() {
            self.say_hello();
        }
        if now >= self.next_tick {
            self.next_tick = now + Duration::from_millis(TIMER_INTERVAL.unsigned_abs());
            self.dispatch(ConnectionEvent::Timer);
            if self.reconnect.is_ping_due(self.now()) {
                self.ping();
            }
            let now = self.now();
            let (actions, is_retransmission) =
                lock(&self.shown).caller.on_tick(now, &mut self.random);
            self.send_actions(actions);
            if is_retransmission && !self.reconnect.is_awaiting_reply() {
                self.ping();
            }
        }
        while let Some(at) = self.timers.iter().position(|(at, _)| *at <= now) {
            let (_, timer) = self.timers.remove(at);
            let effects = lock(&self.shown).chat.on_timer(timer);
            self.execute(effects);
        }
    }

    fn ping(&mut self) {
        let n = self.reconnect.policy.start_ping(self.now());
        self.dispatch(ConnectionEvent::ReplyRequested);
        self.send(&ClientFrame::Ping { n });
    }

    fn dispatch(&mut self, event: ConnectionEvent) {
        let (now, random) = (self.now(), self.random.random());
        let Some(effect) = self.reconnect.on_event(event, now, random) else {
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
        let node = self.random.random_range(0..self.world.node_count());
        tracing::trace!(page = self.index, node, "connecting");
        let token_hash = self.visitor.token_hash.clone();
        match self.world.connect(node, token_hash, self.delay) {
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
        if let ClientFrame::Send { id, .. } = frame {
            self.history.record_send(*id);
        }
        tracing::trace!(page = self.index, ?frame, "sent");
        let now = self.now();
        self.reconnect.policy.on_sent(now);
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
                if CloseCode::should_reconnect(code) {
                    let lost = ConnectionEvent::Lost(DisconnectCause::ServerUnavailable);
                    self.dispatch(lost);
                } else {
                    self.history.fail(format!(
                        "page {}: the server closed its newest connection with {code}",
                        self.index
                    ));
                    let lost = ConnectionEvent::Lost(DisconnectCause::ServerUnavailable);
                    self.dispatch(lost);
                }
            }
            Received::Frame(frame) => self.on_frame(&frame),
        }
    }

    fn say_hello(&mut self) {
        let cursors = lock(&self.shown).chat.on_open();
        self.history.record_cursors(self.index, &cursors);
        self.send(&ClientFrame::Hello {
            client: self.client,
            cursors,
            visible: true,
            incarnation: self.incarnation,
        });
    }

    fn on_frame(&mut self, frame: &ServerFrame) {
        self.dispatch(ConnectionEvent::Received);
        match frame {
            ServerFrame::Welcome { heartbeat_ms, .. } => {
                let policy = &mut self.reconnect.policy;
                policy.set_heartbeat_interval((*heartbeat_ms).into());
                self.dispatch(ConnectionEvent::Welcomed);
                lock(&self.shown).is_connected = true;
            }
            ServerFrame::Pong { n } => {
                let now = self.now();
                self.reconnect.policy.on_pong(*n, now);
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
        self.history.record_frame(self.index, frame);
        if let ServerFrame::Refused(refusal) = frame
            && let Some(id) = refusal.id
            && !matches!(
                refusal.code,
                ErrorCode::Unavailable | ErrorCode::RateLimited
            )
        {
            self.history.record_refusal(id);
        }
        let (now, random) = (self.now(), self.random.random());
        let (effects, actions) = {
            let mut shown = lock(&self.shown);
            let actions = shown.caller.on_frame(frame, now, &mut self.random);
            (shown.chat.on_frame(frame, random), actions)
        };
        self.execute(effects);
        self.send_actions(actions);
    }

    fn send_actions(&mut self, actions: Actions) {
        for (call, action) in actions {
            self.send(&ClientFrame::Call { call, action });
        }
    }

    fn execute(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(frame) => {
                    if let ClientFrame::Resume { cursor } = &frame {
                        let cursors = std::slice::from_ref(cursor);
                        self.history.record_cursors(self.index, cursors);
                    }
                    self.send(&frame);
                }
                Effect::StartTimer { timer, delay_ms } => {
                    let at = Instant::now() + Duration::from_millis(delay_ms.into());
                    self.timers.push((at, timer));
                }
                Effect::RefetchRoom(room) => self.fetch(room, Duration::ZERO),
                Effect::ReloadPage => self.history.fail(format!(
                    "page {}: the server took its user for another",
                    self.index
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
        let shown = lock(&self.shown);
        let rooms = shown.chat.rooms();
        (!rooms.is_empty()).then(|| rooms[index % rooms.len()].id)
    }

    fn on_command(&mut self, command: Command) {
        tracing::trace!(page = self.index, ?command, "user");
        match command {
            Command::Send { room, messages } => {
                let Some(room) = self.room(room) else { return };
                for _ in 0..messages {
                    let id =
                        MessageId(Builder::from_random_bytes(self.random.random()).into_uuid());
                    let number = self.random.random_range(0..1_000_000);
                    let text = MessageText::new(&format!("page {}: {number}", self.index)).unwrap();
                    self.history.record_written(id, room, &text, self.index);
                    let at = self.now();
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
            Command::Cut => {
                if let Some(connection) = &self.connection {
                    connection.pipe.cut();
                }
            }
            Command::Break => {
                if let Some(connection) = &self.connection {
                    connection.pipe.break_off();
                }
            }
            Command::Call { person } => {
                let id = CallId(Builder::from_random_bytes(self.random.random()).into_uuid());
                let actions = lock(&self.shown).caller.call(id, &person);
                self.send_actions(actions);
            }
            Command::HangUp => {
                let now = self.now();
                let actions = lock(&self.shown).caller.leave(now);
                self.send_actions(actions);
            }
            Command::DelayHello { ms } => self.hello_delay = Duration::from_millis(ms),
            Command::Stall { ms } => {
                self.stalled_until = Instant::now() + Duration::from_millis(ms);
            }
        }
    }

    /// A new page in the same tab: only session storage is left.
    fn reload(&mut self) {
        let saved = lock(&self.shown).chat.outbox().clone();
        *lock(&self.shown) = Shown::default();
        self.connection = None;
        self.timers.clear();
        self.fetches.clear();
        self.client = ClientId(Builder::from_random_bytes(self.random.random()).into_uuid());
        self.incarnation = 0;
        self.reconnect = ReconnectState::new(SocketPolicy::new());
        self.history.record_reload(self.index);
        let viewer = self.visitor.person.id;
        let effects = lock(&self.shown).chat.restore(viewer, saved);
        self.execute(effects);
        self.dispatch(ConnectionEvent::Start);
    }

    fn fetch(&mut self, room: RoomId, after: Duration) {
        let node = self.random.random_range(0..self.world.node_count());
        let (world, person) = (self.world.clone(), self.visitor.person.clone());
        let slug = lock(&self.shown)
            .chat
            .room(room)
            .map(|room| room.slug.clone());
        let Some(slug) = slug else { return };
        let delay = self.delay;
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

    fn on_fetched(&mut self, room: RoomId, fetched: Option<crate::chat::api::RoomHistory>) {
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

async fn next_of(connection: Option<&mut Connection>) -> Received {
    match connection {
        Some(connection) => connection.next().await,
        None => std::future::pending().await,
    }
}
