//! The page's one WebSocket, for chat, presence and calls alike.
//!
//! It connects when somebody is signed in, or a guest to a call, and stays for as long as the page does, across navigation. It knows how to stay
//! connected (backoff with full jitter, an application heartbeat, the browser's own word on being offline) and nothing of what
//! the frames mean: whoever cares registers with [`Socket::on_frame`]. How long it waits for what stands in `patience`.
//!
//! Written by hand on web-sys: leptos-use's hook reconnects at a fixed interval, without jitter, and neither notices a dead
//! path nor knows close codes after which reconnecting is wrong.

mod patience;

use super::{browser, build::Build};
use crate::{
    model::{ClientId, Millis},
    protocol::{
        SUBPROTOCOL,
        close::CloseCode,
        ws::{ClientFrame, RoomCursor, ServerFrame},
    },
};
use leptos::prelude::*;
use patience::{LOOK, Loss, Patience, Reached};
use std::{borrow::Cow, cell::RefCell, rc::Rc};
use wasm_bindgen::{JsCast, prelude::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{BinaryType, CloseEvent, Event, MessageEvent, WebSocket};

/// Where the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Not wanted: nobody is signed in, or the page is not live yet.
    Off,
    /// On the way; nothing was lost yet.
    Connecting,
    /// Greeted by the server.
    Online,
    /// Lost; another try follows by itself.
    Waiting,
    /// Closed by the server with a code after which a page does not connect again.
    Ended(u16),
}

/// The page's WebSocket. A handle: copy it freely. Provided once, by the app.
#[derive(Debug, Clone, Copy)]
pub struct Socket {
    link: RwSignal<Link>,
    build: Build,
}

/// Where it is seen whether the server answers.
const HEALTH: &str = "/healthz";
/// A try that began less than so long ago, in milliseconds, has found the network as it is.
const RECENT: Millis = 200;
/// How often the connection is looked after, in milliseconds.
const TICK: i32 = 500;
/// A page that comes so late to look after it, in milliseconds, is short of time, and what the server said may wait to be read;
const SHORT_OF_TIME: Millis = 1_000;
/// one that comes later still was asleep, and what the server said is lost.
const ASLEEP: Millis = 6_000;

type Listener = Rc<dyn Fn(&ServerFrame)>;

/// What there is one of in a page. Lives outside the reactive graph, because it holds handles of the browser, and is never
/// touched on the server.
struct Wire {
    client: ClientId,
    path: Cow<'static, str>,
    socket: Option<Connected>,
    /// Counts connections: what a former one still has to say is ignored.
    generation: u32,
    listeners: Vec<Listener>,
    cursors: Option<Rc<dyn Fn() -> Vec<RoomCursor>>>,
    patience: Patience,
    retry_at: Option<Millis>,
    reached: Reached,
    /// Since when the server owes a word, of whatever kind.
    waits_since: Option<Millis>,
    spoke_at: Millis,
    looked_at: Millis,
    pings: u32,
    /// The oldest ping that was not answered, and when it was sent.
    pinged: Option<(u32, Millis)>,
}

/// A WebSocket and the closures it calls, which live exactly as long.
struct Connected {
    socket: WebSocket,
    _on_open: Closure<dyn FnMut(Event)>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Closing a socket that is closed already is allowed.
        let _ = self.socket.close();
    }
}

thread_local! {
    static WIRE: RefCell<Wire> = RefCell::new(Wire {
        client: ClientId(browser::new_uuid()),
        path: Cow::Borrowed("/ws"),
        socket: None,
        generation: 0,
        listeners: Vec::new(),
        cursors: None,
        patience: Patience::new(),
        retry_at: None,
        reached: Reached::Nothing,
        waits_since: None,
        spoke_at: 0,
        looked_at: 0,
        pings: 0,
        pinged: None,
    });
}

fn wire<T>(then: impl FnOnce(&mut Wire) -> T) -> T {
    WIRE.with_borrow_mut(then)
}

/// The page's WebSocket.
///
/// # Panics
/// Outside the app, which provides it.
#[must_use]
pub fn use_socket() -> Socket {
    expect_context()
}

impl Socket {
    /// Makes it available to the whole app; connects to nothing yet.
    pub fn provide(build: Build) -> Self {
        let socket = Self {
            link: RwSignal::new(Link::Off),
            build,
        };
        provide_context(socket);
        socket
    }

    /// Where the connection stands.
    #[must_use]
    pub fn link(&self) -> Signal<Link> {
        self.link.into()
    }

    /// Whether the server has greeted this connection.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.link.get() == Link::Online
    }

    /// This page's id. Browser only.
    #[must_use]
    pub fn client(&self) -> ClientId {
        wire(|wire| wire.client)
    }

    /// Calls a function for every frame of the server, for the life of the page, after those registered before. Browser only.
    pub fn on_frame(&self, listener: impl Fn(&ServerFrame) + 'static) {
        wire(|wire| wire.listeners.push(Rc::new(listener)));
    }

    /// Where a new connection goes on. Browser only.
    pub fn greet_with(&self, cursors: impl Fn() -> Vec<RoomCursor> + 'static) {
        wire(|wire| wire.cursors = Some(Rc::new(cursors)));
    }

    /// Connects to an address of the site, `/ws` or that of a guest, and stays connected. Browser only; a second call does nothing.
    pub fn connect(self, path: impl Into<Cow<'static, str>>) {
        if self.link.get_untracked() != Link::Off {
            return;
        }
        let path = path.into();
        wire(|wire| wire.path = path);
        self.link.set(Link::Connecting);
        self.dial();
        set_interval(
            move || self.look_after(),
            std::time::Duration::from_millis(TICK.unsigned_abs().into()),
        );
        window_event_listener(leptos::ev::online, move |_| self.retry_now());
        window_event_listener(leptos::ev::offline, move |_| self.lost(Loss::Server));
        document_event_listener("visibilitychange", move || {
            let visible = browser::is_visible();
            self.send(&ClientFrame::Visibility { visible });
            if visible {
                self.retry_now();
            }
        });
    }

    /// Tries again at once, if a try is due at all. Browser only.
    pub fn retry_now(self) {
        if wire(|wire| wire.retry_at).is_some() {
            self.dial();
        }
    }

    /// Something else says that the network may be there again: tries at once, if the try that is under way may have missed it. Browser
    /// only.
    pub fn hope(self) {
        let now = browser::now();
        let is_new = |since: Millis| now - since < RECENT;
        if self.link.get_untracked() == Link::Waiting
            && wire(|wire| {
                wire.reached == Reached::Nothing && !wire.waits_since.is_some_and(is_new)
            })
        {
            self.dial();
        }
    }

    /// While a call is on, a dead path is noticed within seconds. Browser only.
    pub fn set_urgent(&self, urgent: bool) {
        let now = browser::now();
        wire(|wire| {
            wire.patience.set_urgent(urgent);
            if urgent {
                wire.retry_at = wire.retry_at.map(|at| now + Patience::hurry(at - now));
            }
        });
    }

    /// Whether the server has not answered yet up to a ping: what is said now is heard after what it is still at. Browser only.
    #[must_use]
    pub fn is_waiting(self) -> bool {
        wire(|wire| wire.waits_since.is_some())
    }

    /// Has the server say when it has heard everything up to here. Browser only.
    pub fn ping(self) {
        let now = browser::now();
        let n = wire(|wire| {
            wire.pings = wire.pings.wrapping_add(1);
            wire.pinged.get_or_insert((wire.pings, now));
            wire.waits_since.get_or_insert(now);
            wire.pings
        });
        self.send(&ClientFrame::Ping { n });
    }

    /// Something else says that the network may be gone: if nothing is heard of the server in a moment, the path counts as dead. Browser
    /// only.
    pub fn suspect(self) {
        if self.link.get_untracked() == Link::Online && wire(|wire| wire.patience.is_urgent()) {
            wire(|wire| wire.patience.doubt());
            // It may owe an answer for long enough already.
            if !self.is_waiting() {
                self.ping();
            }
            self.look_after_waiting();
        }
    }

    /// Sends a frame. False when there is no connection: what has to arrive is kept by whoever sends it, and sent again when
    /// the connection is back. Browser only.
    pub fn send(&self, frame: &ClientFrame) -> bool {
        if self.link.get_untracked() != Link::Online {
            return false;
        }
        // Serialising our own enum to a string cannot fail.
        let text = serde_json::to_string(frame).unwrap_or_default();
        wire(|wire| wire.say(&text))
    }

    /// Sends a binary frame; see [`Self::send`].
    pub fn send_bytes(&self, bytes: &[u8]) -> bool {
        self.link.get_untracked() == Link::Online
            && wire(|wire| {
                wire.open()
                    .is_some_and(|open| open.send_with_u8_array(bytes).is_ok())
            })
    }

    /// How many bytes the browser has taken and not sent yet. Browser only.
    #[must_use]
    pub fn buffered(&self) -> u32 {
        wire(|wire| {
            wire.socket
                .as_ref()
                .map_or(0, |open| open.socket.buffered_amount())
        })
    }

    fn dial(self) {
        let generation = wire(|wire| {
            wire.give_up();
            wire.retry_at = None;
            wire.generation
        });
        let on_open = Closure::new(move |_: Event| self.opened(generation));
        let on_message = Closure::new(move |event: MessageEvent| self.heard(generation, &event));
        let on_close = Closure::new(move |event: CloseEvent| {
            if wire(|wire| wire.generation) == generation {
                self.closed(event.code());
            }
        });
        let Some(socket) = wire(|wire| address(&wire.path))
            .and_then(|url| WebSocket::new_with_str(&url, SUBPROTOCOL).ok())
        else {
            self.lost(Loss::Server);
            return;
        };
        socket.set_binary_type(BinaryType::Arraybuffer);
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        let connected = Connected {
            socket,
            _on_open: on_open,
            _on_message: on_message,
            _on_close: on_close,
        };
        wire(|wire| {
            wire.socket = Some(connected);
            // A server that accepts and then says nothing is as dead as one that does not answer.
            wire.waits_since = Some(browser::now());
        });
        self.look_after_waiting();
    }

    fn opened(self, generation: u32) {
        let cursors = wire(|wire| wire.cursors.clone())
            .map(|cursors| cursors())
            .unwrap_or_default();
        let hello = ClientFrame::Hello {
            client: self.client(),
            cursors,
            visible: browser::is_visible(),
        };
        let text = serde_json::to_string(&hello).unwrap_or_default();
        wire(|wire| {
            if wire.generation == generation && wire.say(&text) {
                wire.reached = Reached::Server;
                wire.waits_since = Some(browser::now());
            }
        });
    }

    fn heard(self, generation: u32, event: &MessageEvent) {
        if wire(|wire| wire.generation) != generation {
            return;
        }
        let Some(text) = event.data().as_string() else {
            return;
        };
        let frame = match serde_json::from_str::<ServerFrame>(&text) {
            Ok(frame) => frame,
            // A newer server may say things this page does not know; it reloads when it can.
            Err(error) => return browser::warn(&format!("a frame was not understood: {error}")),
        };
        wire(|wire| {
            wire.waits_since = None;
            wire.patience.heard();
        });
        match &frame {
            ServerFrame::Welcome {
                heartbeat, build, ..
            } => {
                wire(|wire| {
                    wire.reached = Reached::Greeted;
                    wire.patience.greeted((*heartbeat).into());
                });
                self.build.heard(build);
                self.link.set(Link::Online);
            }
            ServerFrame::Pong { n } => wire(|wire| wire.answered(*n, browser::now())),
            _ => {}
        }
        let listeners = wire(|wire| wire.listeners.clone());
        for listener in listeners {
            listener(&frame);
        }
    }

    fn closed(self, code: u16) {
        // No other page has this one's id: what replaced this connection is one that was given up, and heard of late.
        let is_replaced = code == CloseCode::Replaced.code();
        if is_replaced || CloseCode::may_reconnect(code) {
            self.lost(Loss::Server);
        } else if self.is_wanted() {
            wire(Wire::give_up);
            self.link.set(Link::Ended(code));
        }
    }

    fn lost(self, loss: Loss) {
        if !self.is_wanted() {
            return;
        }
        let wait = wire(|wire| {
            let reached = wire.reached;
            wire.give_up();
            let wait = wire.patience.lost(loss, reached, browser::random());
            wire.retry_at = Some(browser::now() + wait);
            wait
        });
        self.link.set(Link::Waiting);
        self.look_after_in(wait);
    }

    /// Looks whether the server answers, and dials if it does.
    fn look_first(self) {
        let began = browser::now();
        let generation = wire(|wire| {
            // Should it never be said whether it does.
            wire.retry_at = Some(began + 2 * Millis::from(LOOK));
            wire.generation += 1;
            wire.generation
        });
        spawn_local(async move {
            let answers = browser::answers(HEALTH, LOOK).await;
            if wire(|wire| wire.generation) != generation {
                return;
            }
            if wire(|wire| wire.patience.looked(answers)) {
                self.dial();
            } else {
                // One that is refused, or has no network to go by, knows at once.
                let wait = (began + Millis::from(LOOK) - browser::now()).max(0);
                wire(|wire| wire.retry_at = Some(browser::now() + wait));
                self.look_after_in(wait);
            }
        });
    }

    fn is_wanted(self) -> bool {
        !matches!(self.link.get_untracked(), Link::Off | Link::Ended(_))
    }

    /// Looks after it as soon as what it waits for now took too long.
    fn look_after_waiting(self) {
        let now = browser::now();
        let left = wire(|wire| {
            let since = wire.waits_since?;
            Some((since + wire.patience.silence(wire.reached) - now).max(0))
        });
        if let Some(left) = left {
            self.look_after_in(left + 1);
        }
    }

    fn look_after_in(self, wait: Millis) {
        let wait = i32::try_from(wait).unwrap_or(i32::MAX);
        browser::after(wait, move || self.look_after());
    }

    /// Pings, notices a dead path, and dials again when it is time.
    fn look_after(self) {
        let now = browser::now();
        let late =
            wire(|wire| now - std::mem::replace(&mut wire.looked_at, now) - Millis::from(TICK));
        if !self.is_wanted() {
            return;
        }
        if (SHORT_OF_TIME..ASLEEP).contains(&late) {
            wire(|wire| wire.waits_since = wire.waits_since.map(|at| (at + late).min(now)));
        }
        if let Some(at) = wire(|wire| wire.retry_at) {
            if at <= now {
                if wire(|wire| wire.patience.looks_first()) {
                    self.look_first();
                } else {
                    self.dial();
                }
            }
            return;
        }
        let (since, reached, silence, is_due) = wire(|wire| {
            let silence = wire.patience.silence(wire.reached);
            let is_due = now - wire.spoke_at >= wire.patience.every();
            (wire.waits_since, wire.reached, silence, is_due)
        });
        match since {
            Some(since) if now - since > silence => self.lost(reached.silence_means()),
            None if is_due => self.ping(),
            _ => {}
        }
    }
}

impl Wire {
    /// Lets go of a connection: what it still has to say is ignored.
    fn give_up(&mut self) {
        self.generation += 1;
        self.socket = None;
        self.reached = Reached::Nothing;
        self.waits_since = None;
        self.pinged = None;
    }

    /// A ping was answered.
    fn answered(&mut self, n: u32, now: Millis) {
        if let Some((_, at)) = self.pinged.take_if(|(pinged, _)| *pinged == n) {
            self.patience.took(now - at);
        }
    }

    /// The WebSocket, if it takes anything: one that the server is closing drops what it is given and says nothing of it.
    fn open(&self) -> Option<&WebSocket> {
        let socket = &self.socket.as_ref()?.socket;
        (socket.ready_state() == WebSocket::OPEN).then_some(socket)
    }

    fn say(&mut self, text: &str) -> bool {
        self.spoke_at = browser::now();
        self.open()
            .is_some_and(|open| open.send_with_str(text).is_ok())
    }
}

fn address(path: &str) -> Option<String> {
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
