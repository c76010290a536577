//! The page's WebSocket, for chat, presence and calls, connected across navigation.
//!
//! [`crate::model::reconnect`] decides when to reconnect: leptos-use's hook reconnects without jitter and after close codes that forbid it,
//! and detects no dead connections.

pub(crate) mod reconnect_policy;

use super::{
    browser,
    browser_state::BrowserState,
    build::BuildTracker,
    page_visibility::use_page_visibility,
    reconnect::{PageEvents, ReconnectingClient, page_now},
};
use crate::{
    model::{
        ClientId, Millis,
        reconnect::{ConnectionEffect, ConnectionEvent, DisconnectCause, ReconnectState},
    },
    protocol::{
        SUBPROTOCOL,
        close::CloseCode,
        ws::{ClientFrame, RoomCursor, ServerFrame},
    },
};
use leptos::prelude::*;
use reconnect_policy::{HEALTH_CHECK_TIMEOUT, SocketPolicy};
use std::{borrow::Cow, rc::Rc};
use wasm_bindgen::{JsCast, prelude::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

/// Status of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketStatus {
    /// Nobody is signed in, or the page is not hydrated yet.
    Idle,
    Connecting,
    /// Welcomed by the server.
    Connected,
    Reconnecting,
    /// With a close code that forbids reconnecting.
    Closed(u16),
}

/// The page's WebSocket. Only the browser uses it, except `provide`, `status` and `is_connected`.
#[derive(Debug, Clone, Copy)]
pub struct Socket {
    status: RwSignal<SocketStatus>,
    /// Of the last connection, until the next is welcomed.
    close_code: RwSignal<Option<u16>>,
    build: BuildTracker,
    connection: BrowserState<Connection>,
}

const HEALTH_PATH: &str = "/healthz";
type FrameListener = Rc<dyn Fn(&ServerFrame)>;

struct Connection {
    client_id: Option<ClientId>,
    /// Of the latest attempt to connect.
    incarnation: u32,
    path: Cow<'static, str>,
    socket: Option<SocketHandle>,
    listeners: Vec<FrameListener>,
    cursor_provider: Option<Rc<dyn Fn() -> Vec<RoomCursor>>>,
    reconnect: ReconnectState<SocketPolicy>,
    page_events: Option<PageEvents>,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            client_id: None,
            incarnation: 0,
            path: Cow::Borrowed("/ws"),
            socket: None,
            listeners: Vec::new(),
            cursor_provider: None,
            reconnect: ReconnectState::new(SocketPolicy::new()),
            page_events: None,
        }
    }
}

struct SocketHandle {
    socket: WebSocket,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

impl Drop for SocketHandle {
    fn drop(&mut self) {
        // Without listeners not even a queued event is handled.
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        let _ = self.socket.close();
    }
}

/// The page's WebSocket.
///
/// # Panics
///
/// Outside the app.
#[must_use]
pub fn use_socket() -> Socket {
    expect_context()
}

impl Socket {
    /// Provides the context, unconnected.
    pub fn provide(build: BuildTracker) -> Self {
        let socket = Self {
            status: RwSignal::new(SocketStatus::Idle),
            close_code: RwSignal::new(None),
            build,
            connection: BrowserState::default(),
        };
        let is_visible = use_page_visibility();
        Effect::watch(
            move || is_visible.get(),
            move |&visible, _, _| {
                socket.send(&ClientFrame::Visibility { visible });
                if visible {
                    socket.retry_now();
                }
            },
            false,
        );
        provide_context(socket);
        socket
    }

    /// The status of the connection.
    #[must_use]
    pub fn status(&self) -> Signal<SocketStatus> {
        self.status.into()
    }

    /// Whether the connection is welcomed. Tracks the status.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.status.get() == SocketStatus::Connected
    }

    /// This page's client id.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        let new_id = || ClientId(browser::new_uuid());
        self.connection
            .with(|connection| *connection.client_id.get_or_insert_with(new_id))
            .unwrap_or_else(new_id)
    }

    /// Calls a listener for every server frame, in order of registration.
    pub fn on_frame(&self, listener: impl Fn(&ServerFrame) + 'static) {
        self.connection
            .with(|connection| connection.listeners.push(Rc::new(listener)));
    }

    /// Sets the source of the room cursors to resume from.
    pub fn set_cursor_provider(&self, cursors: impl Fn() -> Vec<RoomCursor> + 'static) {
        self.connection
            .with(|connection| connection.cursor_provider = Some(Rc::new(cursors)));
    }

    /// Connects to `/ws` or a guest's path, and stays connected. A second call does nothing.
    pub fn connect(self, path: impl Into<Cow<'static, str>>) {
        if self.status.get_untracked() != SocketStatus::Idle {
            return;
        }
        self.status.set(SocketStatus::Connecting);
        let (path, page_events) = (path.into(), PageEvents::report_to(self));
        self.connection.with(|connection| {
            connection.path = path;
            connection.page_events = Some(page_events);
        });
        self.dispatch(ConnectionEvent::Start);
    }

    /// The network may be back: restarts the attempt unless it is recent.
    pub fn retry_on_hint(self) {
        if self.status.get_untracked() == SocketStatus::Reconnecting {
            self.dispatch(ConnectionEvent::NetworkHint);
        }
    }

    /// During a call, detects dead connections within seconds.
    pub fn set_urgent(&self, urgent: bool) {
        let now = page_now();
        self.with_reconnect(|reconnect| reconnect.set_urgent(urgent, now));
    }

    /// Whether the server is still processing earlier frames.
    #[must_use]
    pub fn is_awaiting_reply(self) -> bool {
        self.with_reconnect(|reconnect| reconnect.is_awaiting_reply())
            .unwrap_or_default()
    }

    /// Sends a ping, whose pong confirms every earlier frame.
    pub fn ping(self) {
        let now = page_now();
        let number = self.with_reconnect(|reconnect| reconnect.policy.start_ping(now));
        self.dispatch(ConnectionEvent::ReplyRequested);
        if let Some(n) = number {
            self.send(&ClientFrame::Ping { n });
        }
    }

    /// The network may be gone: during a call, the connection counts as dead without a prompt reply.
    pub fn probe(self) {
        let is_probing = self.status.get_untracked() == SocketStatus::Connected
            && self
                .with_reconnect(|reconnect| reconnect.policy.start_probe())
                .unwrap_or_default();
        if is_probing {
            // A reply may have been outstanding for long enough.
            if !self.is_awaiting_reply() {
                self.ping();
            }
            self.set_timer();
        }
    }

    /// Returns false without a connection: the caller sends again after reconnecting.
    pub fn send(&self, frame: &ClientFrame) -> bool {
        if self.status.get_untracked() != SocketStatus::Connected {
            return false;
        }
        self.send_text(frame)
    }

    /// As [`Self::send`], in binary.
    pub fn send_binary(&self, bytes: &[u8]) -> bool {
        self.status.get_untracked() == SocketStatus::Connected
            && self
                .connection
                .with(|connection| {
                    connection
                        .writable_socket()
                        .is_some_and(|open| open.send_with_u8_array(bytes).is_ok())
                })
                .unwrap_or_default()
    }

    /// Bytes queued by the browser.
    #[must_use]
    pub fn buffered_amount(&self) -> u32 {
        self.connection
            .with(|connection| {
                let handle = connection.socket.as_ref()?;
                Some(handle.socket.buffered_amount())
            })
            .flatten()
            .unwrap_or_default()
    }

    /// In any status.
    fn send_text(self, frame: &ClientFrame) -> bool {
        let text = serde_json::to_string(frame).unwrap_or_default();
        let now = page_now();
        self.connection
            .with(|connection| {
                connection.reconnect.policy.on_sent(now);
                connection
                    .writable_socket()
                    .is_some_and(|open| open.send_with_str(&text).is_ok())
            })
            .unwrap_or_default()
    }

    /// `None` if the browser refuses.
    fn new_connection(self) -> Option<SocketHandle> {
        let path = self.connection.with(|connection| {
            connection.incarnation = connection.incarnation.saturating_add(1);
            connection.path.clone()
        })?;
        let socket = WebSocket::new_with_str(&socket_url(&path)?, SUBPROTOCOL).ok()?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let on_open = Closure::new(move || self.on_open());
        let on_message = Closure::new(move |event: MessageEvent| self.on_message(&event));
        let on_close = Closure::new(move |event: CloseEvent| self.on_close(event.code()));
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Some(SocketHandle {
            socket,
            _on_open: on_open,
            _on_message: on_message,
            _on_close: on_close,
        })
    }

    fn on_open(self) {
        let (provider, incarnation) = self
            .connection
            .with(|connection| (connection.cursor_provider.clone(), connection.incarnation))
            .unwrap_or_default();
        let cursors = provider.map(|cursors| cursors()).unwrap_or_default();
        let is_sent = self.send_text(&ClientFrame::Hello {
            client: self.client_id(),
            cursors,
            visible: browser::is_visible(),
            incarnation,
        });
        if is_sent {
            self.dispatch(ConnectionEvent::Opened);
        }
    }

    fn on_message(self, event: &MessageEvent) {
        let Some(text) = event.data().as_string() else {
            return;
        };
        let frame = match serde_json::from_str::<ServerFrame>(&text) {
            Ok(frame) => frame,
            // A newer server may send unknown frames.
            Err(error) => return browser::warn(&format!("invalid WebSocket frame: {error}")),
        };
        self.dispatch(ConnectionEvent::Received);
        match &frame {
            ServerFrame::Welcome {
                heartbeat_ms: heartbeat,
                build,
                ..
            } => {
                self.with_reconnect(|reconnect| {
                    reconnect.policy.set_heartbeat_interval((*heartbeat).into());
                });
                self.dispatch(ConnectionEvent::Welcomed);
                self.build.set_server_build(build);
                self.close_code.set(None);
                self.status.set(SocketStatus::Connected);
            }
            ServerFrame::Pong { n } => {
                let now = page_now();
                self.with_reconnect(|reconnect| reconnect.policy.on_pong(*n, now));
            }
            ServerFrame::People { .. }
            | ServerFrame::Resumed { .. }
            | ServerFrame::Event { .. }
            | ServerFrame::Sent { .. }
            | ServerFrame::Refused(_)
            | ServerFrame::UploadReady { .. }
            | ServerFrame::UploadProgress { .. }
            | ServerFrame::Room { .. }
            | ServerFrame::Settings { .. }
            | ServerFrame::Read { .. }
            | ServerFrame::Presence { .. }
            | ServerFrame::Crowd { .. }
            | ServerFrame::Typing { .. }
            | ServerFrame::Call { .. }
            | ServerFrame::Signal { .. }
            | ServerFrame::GroupCall { .. }
            | ServerFrame::Error(_) => {}
        }
        self.notify_listeners(&frame);
    }

    fn notify_listeners(self, frame: &ServerFrame) {
        let listeners = self
            .connection
            .with(|connection| connection.listeners.clone());
        for listener in listeners.unwrap_or_default() {
            listener(frame);
        }
    }

    /// Whether the server has no place for another connection of this person or address.
    #[must_use]
    pub fn is_refused_for_now(self) -> bool {
        self.close_code.get() == Some(CloseCode::TryAgainLater.code())
    }

    fn on_close(self, code: u16) {
        self.close_code.set(Some(code));
        // Client ids are unique: the replacement is a connection that this page had given up and the server accepted late.
        let is_replaced = code == CloseCode::Replaced.code();
        if is_replaced || CloseCode::should_reconnect(code) {
            self.dispatch(ConnectionEvent::Lost(DisconnectCause::ServerUnavailable));
        } else {
            self.dispatch(ConnectionEvent::Stop);
            self.status.set(SocketStatus::Closed(code));
        }
    }

    fn check_health_first(self) {
        let check_timeout = Millis::from(HEALTH_CHECK_TIMEOUT);
        let began = page_now();
        // In case the check never completes.
        let attempt =
            self.with_reconnect(|reconnect| reconnect.postpone(began + 2 * check_timeout));
        spawn_local(async move {
            let answers = browser::is_healthy(HEALTH_PATH, HEALTH_CHECK_TIMEOUT).await;
            if self.with_reconnect(|reconnect| reconnect.attempt()) != attempt {
                return;
            }
            let may_connect =
                self.with_reconnect(|reconnect| reconnect.policy.on_health_check(answers));
            if may_connect == Some(true) {
                self.dispatch(ConnectionEvent::RetryNow);
            } else {
                // A refused check fails at once: wait nevertheless.
                let retry_at = (began + check_timeout).max(page_now());
                self.with_reconnect(|reconnect| reconnect.postpone(retry_at));
                self.set_timer();
            }
        });
    }
}

impl ReconnectingClient for Socket {
    type Policy = SocketPolicy;

    fn with_reconnect<T>(
        self,
        then: impl FnOnce(&mut ReconnectState<SocketPolicy>) -> T,
    ) -> Option<T> {
        self.connection
            .with(|connection| then(&mut connection.reconnect))
    }

    fn apply(self, effect: ConnectionEffect) {
        self.connection.with(|connection| connection.socket = None);
        match effect {
            ConnectionEffect::Connect => match self.new_connection() {
                Some(handle) => {
                    self.connection
                        .with(|connection| connection.socket = Some(handle));
                }
                None => self.dispatch(ConnectionEvent::Lost(DisconnectCause::ServerUnavailable)),
            },
            ConnectionEffect::BackOff => _ = self.status.try_set(SocketStatus::Reconnecting),
            ConnectionEffect::Close => {}
        }
    }

    fn on_timer(self) {
        let now = page_now();
        let must_check = self.with_reconnect(|reconnect| reconnect.must_check_health(now));
        if must_check == Some(true) {
            self.check_health_first();
        } else {
            self.dispatch(ConnectionEvent::Timer);
        }
        if self.with_reconnect(|reconnect| reconnect.is_ping_due(now)) == Some(true) {
            self.ping();
        }
    }
}

impl Connection {
    /// A closing WebSocket silently discards data.
    fn writable_socket(&self) -> Option<&WebSocket> {
        let socket = &self.socket.as_ref()?.socket;
        (socket.ready_state() == WebSocket::OPEN).then_some(socket)
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

// Effects run without `ssr`, and these need a browser.
#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn counting_socket(owner: &Owner) -> (Socket, Rc<Cell<u32>>) {
        owner.with(|| {
            crate::ui::page_visibility::provide_page_visibility();
            let socket = Socket::provide(BuildTracker::provide());
            let count = Rc::new(Cell::new(0));
            let counted = Rc::clone(&count);
            socket.on_frame(move |_| counted.set(counted.get() + 1));
            (socket, count)
        })
    }

    #[test]
    fn two_sockets_share_nothing_and_end_with_their_owners() {
        let page = Owner::new();
        let owners = [page.child(), page.child()];
        let [(ada, ada_count), (grace, grace_count)] = owners.each_ref().map(counting_socket);
        ada.notify_listeners(&ServerFrame::Pong { n: 1 });
        assert_eq!((ada_count.get(), grace_count.get()), (1, 0));
        let [adas, _graces] = owners;
        adas.cleanup();
        ada.notify_listeners(&ServerFrame::Pong { n: 2 });
        assert_eq!(
            ada.with_reconnect(|reconnect| reconnect.attempt()),
            None,
            "its owner is gone"
        );
        grace.notify_listeners(&ServerFrame::Pong { n: 2 });
        assert_eq!((ada_count.get(), grace_count.get()), (1, 1));
    }
}
