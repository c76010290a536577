//! The page's one WebSocket, for chat, presence and calls.
//!
//! It connects for a signed-in user or a call guest, and stays connected across navigation for the page's lifetime:
//! with backoff and full jitter, an application heartbeat and the browser's offline events. Frames are interpreted by
//! listeners, registered with [`Socket::on_frame`]; timeouts are decided in `reconnect_policy`.
//!
//! Written directly on web-sys: leptos-use's hook reconnects at a fixed interval without jitter, detects no dead
//! connections, and reconnects after close codes that forbid it.

mod reconnect_policy;

use super::{browser, build::BuildTracker};
use crate::{
    model::{ClientId, Millis},
    protocol::{
        SUBPROTOCOL,
        close::CloseCode,
        ws::{ClientFrame, RoomCursor, ServerFrame},
    },
};
use leptos::prelude::*;
use reconnect_policy::{ConnectPhase, DisconnectCause, HEALTH_CHECK_TIMEOUT, ReconnectPolicy};
use std::{borrow::Cow, cell::RefCell, rc::Rc};
use wasm_bindgen::{JsCast, prelude::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{BinaryType, CloseEvent, Event, MessageEvent, WebSocket};

/// Status of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketStatus {
    /// Not connecting: nobody is signed in, or the page is not hydrated yet.
    Idle,
    /// First attempt in progress.
    Connecting,
    /// Welcomed by the server.
    Connected,
    /// Lost; reconnects automatically.
    Reconnecting,
    /// Closed by the server with a close code that forbids reconnecting.
    Closed(u16),
}

/// The page's WebSocket: a cheap `Copy` handle, provided once by the app.
#[derive(Debug, Clone, Copy)]
pub struct Socket {
    status: RwSignal<SocketStatus>,
    build: BuildTracker,
}

/// Path of the server's health check.
const HEALTH_PATH: &str = "/healthz";
/// Age in milliseconds below which a connection attempt is too recent to be restarted by a hint.
const RECENT_ATTEMPT_AGE: Millis = 200;
/// Interval at which the connection is checked, in milliseconds.
const TICK_INTERVAL: i32 = 500;
/// Tick delay in milliseconds from which the page counts as busy: received frames may be waiting, so reply deadlines
/// are extended.
const LATE_TICK_THRESHOLD: Millis = 1_000;
/// Tick delay in milliseconds from which the device counts as having slept: deadlines are not extended.
const SLEEP_THRESHOLD: Millis = 6_000;

type FrameListener = Rc<dyn Fn(&ServerFrame)>;

/// Connection state of the page. It holds browser handles, so it lives outside the reactive graph and is never used on
/// the server.
struct ConnectionState {
    client_id: ClientId,
    path: Cow<'static, str>,
    socket: Option<SocketHandle>,
    /// Connection counter; events of earlier connections are ignored.
    generation: u32,
    listeners: Vec<FrameListener>,
    cursor_provider: Option<Rc<dyn Fn() -> Vec<RoomCursor>>>,
    policy: ReconnectPolicy,
    retry_at: Option<Millis>,
    phase: ConnectPhase,
    /// Since when a frame of any kind is expected from the server.
    awaiting_reply_since: Option<Millis>,
    last_sent_at: Millis,
    last_tick_at: Millis,
    ping_counter: u32,
    /// The oldest unanswered ping: its number and the time it was sent.
    pending_ping: Option<(u32, Millis)>,
}

/// A WebSocket with its listener closures, dropped together.
struct SocketHandle {
    socket: WebSocket,
    _on_open: Closure<dyn FnMut(Event)>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

impl Drop for SocketHandle {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Closing a closed socket is allowed.
        let _ = self.socket.close();
    }
}

thread_local! {
    static CONNECTION_STATE: RefCell<ConnectionState> = RefCell::new(ConnectionState {
        client_id: ClientId(browser::new_uuid()),
        path: Cow::Borrowed("/ws"),
        socket: None,
        generation: 0,
        listeners: Vec::new(),
        cursor_provider: None,
        policy: ReconnectPolicy::new(),
        retry_at: None,
        phase: ConnectPhase::Connecting,
        awaiting_reply_since: None,
        last_sent_at: 0,
        last_tick_at: 0,
        ping_counter: 0,
        pending_ping: None,
    });
}

fn with_connection<T>(then: impl FnOnce(&mut ConnectionState) -> T) -> T {
    CONNECTION_STATE.with_borrow_mut(then)
}

/// Returns the page's WebSocket.
///
/// # Panics
/// Panics outside the app, which provides the context.
#[must_use]
pub fn use_socket() -> Socket {
    expect_context()
}

impl Socket {
    /// Provides the context. Connects to nothing yet.
    pub fn provide(build: BuildTracker) -> Self {
        let socket = Self {
            status: RwSignal::new(SocketStatus::Idle),
            build,
        };
        provide_context(socket);
        socket
    }

    /// The status of the connection.
    #[must_use]
    pub fn status(&self) -> Signal<SocketStatus> {
        self.status.into()
    }

    /// Returns whether the server has welcomed this connection. Tracks the status.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.status.get() == SocketStatus::Connected
    }

    /// This page's client id. Browser only.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        with_connection(|wire| wire.client_id)
    }

    /// Calls a listener for every server frame, for the page's lifetime, in order of registration. Browser only.
    pub fn on_frame(&self, listener: impl Fn(&ServerFrame) + 'static) {
        with_connection(|wire| wire.listeners.push(Rc::new(listener)));
    }

    /// Sets the function that returns the room cursors from which a new connection resumes. Browser only.
    pub fn set_cursor_provider(&self, cursors: impl Fn() -> Vec<RoomCursor> + 'static) {
        with_connection(|wire| wire.cursor_provider = Some(Rc::new(cursors)));
    }

    /// Connects to a path of the site, `/ws` or a guest's, and stays connected. Browser only; a second call does
    /// nothing.
    pub fn connect(self, path: impl Into<Cow<'static, str>>) {
        if self.status.get_untracked() != SocketStatus::Idle {
            return;
        }
        let path = path.into();
        with_connection(|wire| wire.path = path);
        self.status.set(SocketStatus::Connecting);
        self.open_connection();
        set_interval(
            move || self.tick(),
            std::time::Duration::from_millis(TICK_INTERVAL.unsigned_abs().into()),
        );
        window_event_listener(leptos::ev::online, move |_| self.retry_now());
        window_event_listener(leptos::ev::offline, move |_| {
            self.schedule_reconnect(DisconnectCause::ServerUnavailable);
        });
        document_event_listener("visibilitychange", move || {
            let visible = browser::is_visible();
            self.send(&ClientFrame::Visibility { visible });
            if visible {
                self.retry_now();
            }
        });
    }

    /// Ends a scheduled backoff and reconnects at once. Browser only.
    pub fn retry_now(self) {
        if with_connection(|wire| wire.retry_at).is_some() {
            self.open_connection();
        }
    }

    /// Hint that the network may be back: restarts the connection attempt in progress unless it is recent. Browser
    /// only.
    pub fn retry_on_hint(self) {
        let now = browser::now();
        let is_new = |since: Millis| now - since < RECENT_ATTEMPT_AGE;
        if self.status.get_untracked() == SocketStatus::Reconnecting
            && with_connection(|wire| {
                wire.phase == ConnectPhase::Connecting
                    && !wire.awaiting_reply_since.is_some_and(is_new)
            })
        {
            self.open_connection();
        }
    }

    /// Sets whether a call is active: dead connections are then detected within seconds. Browser only.
    pub fn set_urgent(&self, urgent: bool) {
        let now = browser::now();
        with_connection(|wire| {
            wire.policy.set_urgent(urgent);
            if urgent {
                wire.retry_at = wire
                    .retry_at
                    .map(|at| now + ReconnectPolicy::cap_urgent_delay(at - now));
            }
        });
    }

    /// Returns whether a reply of the server is outstanding. Frames sent now are handled after those it is still
    /// processing. Browser only.
    #[must_use]
    pub fn is_awaiting_reply(self) -> bool {
        with_connection(|wire| wire.awaiting_reply_since.is_some())
    }

    /// Sends a ping; its pong confirms that the server has received every earlier frame. Browser only.
    pub fn ping(self) {
        let now = browser::now();
        let n = with_connection(|wire| {
            wire.ping_counter = wire.ping_counter.wrapping_add(1);
            wire.pending_ping.get_or_insert((wire.ping_counter, now));
            wire.awaiting_reply_since.get_or_insert(now);
            wire.ping_counter
        });
        self.send(&ClientFrame::Ping { n });
    }

    /// Hint that the network may be gone: during a call, the connection counts as dead unless the server replies
    /// shortly. Browser only.
    pub fn probe(self) {
        if self.status.get_untracked() == SocketStatus::Connected
            && with_connection(|wire| wire.policy.is_urgent())
        {
            with_connection(|wire| wire.policy.start_probe());
            // A reply may have been outstanding for long enough already.
            if !self.is_awaiting_reply() {
                self.ping();
            }
            self.schedule_reply_timeout();
        }
    }

    /// Sends a frame. Returns false when there is no connection: the caller keeps what must be delivered and sends it
    /// again after reconnecting. Browser only.
    pub fn send(&self, frame: &ClientFrame) -> bool {
        if self.status.get_untracked() != SocketStatus::Connected {
            return false;
        }
        // Serialising our own enum to a string cannot fail.
        let text = serde_json::to_string(frame).unwrap_or_default();
        with_connection(|wire| wire.send_text(&text))
    }

    /// Sends a binary frame. Returns false when there is no connection; see [`Self::send`].
    pub fn send_binary(&self, bytes: &[u8]) -> bool {
        self.status.get_untracked() == SocketStatus::Connected
            && with_connection(|wire| {
                wire.writable_socket()
                    .is_some_and(|open| open.send_with_u8_array(bytes).is_ok())
            })
    }

    /// Bytes queued by the browser and not sent yet. Browser only.
    #[must_use]
    pub fn buffered_amount(&self) -> u32 {
        with_connection(|wire| {
            wire.socket
                .as_ref()
                .map_or(0, |open| open.socket.buffered_amount())
        })
    }

    fn open_connection(self) {
        let generation = with_connection(|wire| {
            wire.close();
            wire.retry_at = None;
            wire.generation
        });
        let on_open = Closure::new(move |_: Event| self.on_open(generation));
        let on_message =
            Closure::new(move |event: MessageEvent| self.on_message(generation, &event));
        let on_close = Closure::new(move |event: CloseEvent| {
            if with_connection(|wire| wire.generation) == generation {
                self.on_close(event.code());
            }
        });
        let Some(socket) = with_connection(|wire| socket_url(&wire.path))
            .and_then(|url| WebSocket::new_with_str(&url, SUBPROTOCOL).ok())
        else {
            self.schedule_reconnect(DisconnectCause::ServerUnavailable);
            return;
        };
        socket.set_binary_type(BinaryType::Arraybuffer);
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        let connected = SocketHandle {
            socket,
            _on_open: on_open,
            _on_message: on_message,
            _on_close: on_close,
        };
        with_connection(|wire| {
            wire.socket = Some(connected);
            // A server that accepts the connection and stays silent is treated like one that does not answer.
            wire.awaiting_reply_since = Some(browser::now());
        });
        self.schedule_reply_timeout();
    }

    fn on_open(self, generation: u32) {
        let cursors = with_connection(|wire| wire.cursor_provider.clone())
            .map(|cursors| cursors())
            .unwrap_or_default();
        let hello = ClientFrame::Hello {
            client: self.client_id(),
            cursors,
            visible: browser::is_visible(),
        };
        let text = serde_json::to_string(&hello).unwrap_or_default();
        with_connection(|wire| {
            if wire.generation == generation && wire.send_text(&text) {
                wire.phase = ConnectPhase::Open;
                wire.awaiting_reply_since = Some(browser::now());
            }
        });
    }

    fn on_message(self, generation: u32, event: &MessageEvent) {
        if with_connection(|wire| wire.generation) != generation {
            return;
        }
        let Some(text) = event.data().as_string() else {
            return;
        };
        let frame = match serde_json::from_str::<ServerFrame>(&text) {
            Ok(frame) => frame,
            // A newer server may send unknown frames; this page reloads when it can.
            Err(error) => return browser::warn(&format!("invalid WebSocket frame: {error}")),
        };
        with_connection(|wire| {
            wire.awaiting_reply_since = None;
            wire.policy.on_frame();
        });
        match &frame {
            ServerFrame::Welcome {
                heartbeat_ms: heartbeat,
                build,
                ..
            } => {
                with_connection(|wire| {
                    wire.phase = ConnectPhase::Welcomed;
                    wire.policy.on_welcome((*heartbeat).into());
                });
                self.build.set_server_build(build);
                self.status.set(SocketStatus::Connected);
            }
            ServerFrame::Pong { n } => with_connection(|wire| wire.on_pong(*n, browser::now())),
            _ => {}
        }
        let listeners = with_connection(|wire| wire.listeners.clone());
        for listener in listeners {
            listener(&frame);
        }
    }

    fn on_close(self, code: u16) {
        // Client ids are unique to a page, so the replacement is a connection that this page had given up and the server
        // accepted late.
        let is_replaced = code == CloseCode::Replaced.code();
        if is_replaced || CloseCode::should_reconnect(code) {
            self.schedule_reconnect(DisconnectCause::ServerUnavailable);
        } else if self.should_connect() {
            with_connection(ConnectionState::close);
            self.status.set(SocketStatus::Closed(code));
        }
    }

    fn schedule_reconnect(self, loss: DisconnectCause) {
        if !self.should_connect() {
            return;
        }
        let wait = with_connection(|wire| {
            let reached = wire.phase;
            wire.close();
            let wait = wire.policy.on_disconnect(loss, reached, browser::random());
            wire.retry_at = Some(browser::now() + wait);
            wait
        });
        self.status.set(SocketStatus::Reconnecting);
        self.schedule_tick(wait);
    }

    /// Checks the server's health and connects if it answers.
    fn check_health_first(self) {
        let began = browser::now();
        let generation = with_connection(|wire| {
            // Fallback in case the check never completes.
            wire.retry_at = Some(began + 2 * Millis::from(HEALTH_CHECK_TIMEOUT));
            wire.generation += 1;
            wire.generation
        });
        spawn_local(async move {
            let answers = browser::is_healthy(HEALTH_PATH, HEALTH_CHECK_TIMEOUT).await;
            if with_connection(|wire| wire.generation) != generation {
                return;
            }
            if with_connection(|wire| wire.policy.on_health_check(answers)) {
                self.open_connection();
            } else {
                // A refused check, or one without a network, fails at once; wait for the rest of the timeout.
                let wait = (began + Millis::from(HEALTH_CHECK_TIMEOUT) - browser::now()).max(0);
                with_connection(|wire| wire.retry_at = Some(browser::now() + wait));
                self.schedule_tick(wait);
            }
        });
    }

    fn should_connect(self) -> bool {
        !matches!(
            self.status.get_untracked(),
            SocketStatus::Idle | SocketStatus::Closed(_)
        )
    }

    /// Schedules a tick for when the outstanding reply times out.
    fn schedule_reply_timeout(self) {
        let now = browser::now();
        let left = with_connection(|wire| {
            let since = wire.awaiting_reply_since?;
            Some((since + wire.policy.reply_timeout(wire.phase) - now).max(0))
        });
        if let Some(left) = left {
            self.schedule_tick(left + 1);
        }
    }

    fn schedule_tick(self, wait: Millis) {
        let wait = i32::try_from(wait).unwrap_or(i32::MAX);
        browser::run_after(wait, move || self.tick());
    }

    /// Pings, detects a dead connection, and reconnects when due.
    fn tick(self) {
        let now = browser::now();
        let late = with_connection(|wire| {
            now - std::mem::replace(&mut wire.last_tick_at, now) - Millis::from(TICK_INTERVAL)
        });
        if !self.should_connect() {
            return;
        }
        if (LATE_TICK_THRESHOLD..SLEEP_THRESHOLD).contains(&late) {
            with_connection(|wire| {
                wire.awaiting_reply_since =
                    wire.awaiting_reply_since.map(|at| (at + late).min(now));
            });
        }
        if let Some(at) = with_connection(|wire| wire.retry_at) {
            if at <= now {
                if with_connection(|wire| wire.policy.should_check_health()) {
                    self.check_health_first();
                } else {
                    self.open_connection();
                }
            }
            return;
        }
        let (since, reached, silence, is_due) = with_connection(|wire| {
            let silence = wire.policy.reply_timeout(wire.phase);
            let is_due = now - wire.last_sent_at >= wire.policy.ping_interval();
            (wire.awaiting_reply_since, wire.phase, silence, is_due)
        });
        match since {
            Some(since) if now - since > silence => {
                self.schedule_reconnect(reached.timeout_cause());
            }
            None if is_due => self.ping(),
            _ => {}
        }
    }
}

impl ConnectionState {
    /// Drops the connection; its later events are ignored.
    fn close(&mut self) {
        self.generation += 1;
        self.socket = None;
        self.phase = ConnectPhase::Connecting;
        self.awaiting_reply_since = None;
        self.pending_ping = None;
    }

    /// Records the round trip of the pending ping.
    fn on_pong(&mut self, n: u32, now: Millis) {
        if let Some((_, at)) = self.pending_ping.take_if(|(pinged, _)| *pinged == n) {
            self.policy.record_round_trip(now - at);
        }
    }

    /// The WebSocket if it is open: a closing one silently discards data.
    fn writable_socket(&self) -> Option<&WebSocket> {
        let socket = &self.socket.as_ref()?.socket;
        (socket.ready_state() == WebSocket::OPEN).then_some(socket)
    }

    fn send_text(&mut self, text: &str) -> bool {
        self.last_sent_at = browser::now();
        self.writable_socket()
            .is_some_and(|open| open.send_with_str(text).is_ok())
    }
}

fn socket_url(path: &str) -> Option<String> {
    let location = web_sys::window()?.location();
    let scheme = if location.protocol().ok()? == "https:" {
        "wss"
    } else {
        "ws"
    };
    Some(format!("{scheme}://{}{path}", location.host().ok()?))
}

fn document_event_listener(event: &str, then: impl Fn() + 'static) {
    let listener = Closure::<dyn Fn()>::new(then).into_js_value();
    if let Some(document) = web_sys::window().and_then(|window| window.document()) {
        let _ = document.add_event_listener_with_callback(event, listener.unchecked_ref());
    }
}
