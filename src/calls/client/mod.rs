//! Calls in the browser: one handle for the whole page, [`CallsClient`].
//!
//! | module | what it holds |
//! |---|---|
//! | [`board`] | what is shown, and what the server is still owed: plain data |
//! | [`devices`] | microphone and camera, on and off |
//! | `diagnosis` | why no path was found, in words: plain data |
//! | [`problem`] | why one of them cannot be used, in words |
//! | `level` | how loud the microphone is |
//! | `media` | asking the browser for them |
//! | `peer` | the connection to the other page |
//! | `recovery` | when a lost path is looked for again, and how: plain data |
//! | [`trial`] | what this browser's network lets through, measured |
//! | [`stats`] | how good the connection is, by what the browser measures |
//! | [`ring`] | the sound, the title and the notification of a ringing page |
//!
//! Every change goes one way: something happens (a frame, a press, news of the peer connection), the board changes, and
//! [`CallsClient::settle`] makes the browser's part fit the board.

pub mod board;
pub mod devices;
mod diagnosis;
mod level;
mod media;
mod peer;
pub mod problem;
mod recovery;
pub mod ring;
pub mod stats;
pub mod trial;

pub use peer::Sends;

use crate::{
    model::{
        CallId,
        call::{Action, CallView, Media, Outcome},
        message::{Content, RoomEvent},
        user::Person,
    },
    protocol::ws::{ClientFrame, ServerFrame},
    ui::{
        browser,
        build::Build,
        socket::{Link, Socket},
    },
};
use board::{Board, Scene};
use devices::Devices;
use leptos::prelude::*;
use media::Wanted;
use peer::{News, Peer};
use problem::Device;
use stats::Quality;
use std::{cell::RefCell, rc::Rc};
use web_sys::MediaStream;

/// How the path to the other page stands, as this page knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Path {
    /// None yet.
    #[default]
    Looking,
    /// There is one.
    Found,
    /// It was lost.
    Lost,
}

/// The calls of this page. A handle: copy it freely. Provided once, by the app.
#[derive(Debug, Clone, Copy)]
pub struct CallsClient {
    socket: Socket,
    board: RwSignal<Board>,
    scene: Memo<Scene>,
    path: RwSignal<Path>,
    theirs: RwSignal<Option<Sends>>,
    quality: RwSignal<Option<Quality>>,
    /// Changes with each peer connection and with what it brings.
    arrivals: RwSignal<u32>,
    trouble: RwSignal<Option<String>>,
    /// How many calls this page knows to have ended: the history follows it.
    over: RwSignal<u32>,
    devices: Devices,
}

thread_local! {
    /// The connection to the other page, and the call it is for. Never touched on the server.
    static PEER: RefCell<Option<(CallId, Rc<Peer>)>> = const { RefCell::new(None) };
}

/// The calls of this page.
///
/// # Panics
/// Outside the app, which provides it.
#[must_use]
pub fn use_calls() -> CallsClient {
    expect_context()
}

impl CallsClient {
    /// Makes it available to the whole app; does nothing yet. After `Build`, which is told not to reload in a call.
    pub fn provide(socket: Socket) -> Self {
        let board = RwSignal::new(Board::default());
        let scene = Memo::new(move |_| board.with(|board| board.scene.clone()));
        let calls = Self {
            socket,
            board,
            scene,
            path: RwSignal::default(),
            theirs: RwSignal::default(),
            quality: RwSignal::default(),
            arrivals: RwSignal::default(),
            trouble: RwSignal::default(),
            over: RwSignal::default(),
            devices: Devices::new(),
        };
        if let Some(build) = use_context::<Build>() {
            build.hold(Signal::derive(move || {
                scene.with(|scene| scene.call().is_some())
            }));
        }
        provide_context(calls);
        calls
    }

    /// Begins to listen. Browser only, once.
    pub fn listen(self) {
        self.socket.on_frame(move |frame| self.hear(frame));
        super::keys::listen(&self);
        // What is sent follows the devices and the peer connection, whichever changes.
        Effect::new(move || {
            self.arrivals.track();
            self.devices.power(Device::Microphone).track();
            let sends = Sends {
                microphone: self.devices.is_heard(),
                camera: self.devices.is_seen(),
            };
            if let Some(peer) = peer() {
                for device in [Device::Microphone, Device::Camera] {
                    peer.send(device, Devices::track(device));
                }
                peer.tell_sends(sends);
            }
        });
        // Signed out, perhaps on another page: nobody here is in a call any more.
        Effect::new(move || {
            if matches!(self.socket.link().get(), Link::Ended(_))
                && self.scene.with_untracked(|scene| scene.call().is_some())
            {
                self.leave();
            }
        });
        // A page that goes takes its call with it. If this is not heard any more, the close of its connection says it.
        window_event_listener(leptos::ev::pagehide, move |_| {
            if self.scene.with_untracked(Scene::is_in_a_call) {
                self.leave();
            }
        });
        window_event_listener(leptos::ev::beforeunload, move |event| {
            if self
                .scene
                .with_untracked(|scene| scene.answered().is_some())
            {
                event.prevent_default();
            }
        });
    }

    /// What is shown.
    #[must_use]
    pub fn scene(&self) -> Signal<Scene> {
        self.scene.into()
    }

    /// How the path to the other page stands.
    #[must_use]
    pub fn path(&self) -> Signal<Path> {
        self.path.into()
    }

    /// What the other page says that it sends; none before it said so.
    #[must_use]
    pub fn theirs(&self) -> Signal<Option<Sends>> {
        self.theirs.into()
    }

    /// How good the connection is; none while there is none.
    #[must_use]
    pub fn quality(&self) -> Signal<Option<Quality>> {
        self.quality.into()
    }

    /// Changes when there is something new to see or hear of the other one.
    #[must_use]
    pub fn arrivals(&self) -> Signal<u32> {
        self.arrivals.into()
    }

    /// What went wrong last in the call that is shown, in words.
    #[must_use]
    pub fn trouble(&self) -> Signal<Option<String>> {
        self.trouble.into()
    }

    /// Changes when a call of this person has ended.
    #[must_use]
    pub fn over(&self) -> Signal<u32> {
        self.over.into()
    }

    /// Microphone and camera.
    #[must_use]
    pub fn devices(&self) -> Devices {
        self.devices
    }

    /// Whether the server can be reached.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.socket.is_online()
    }

    /// What is heard of the other one. Browser only.
    #[must_use]
    pub fn their_sound(&self) -> Option<MediaStream> {
        peer().map(|peer| peer.sound().clone())
    }

    /// What is seen of the other one. Browser only.
    #[must_use]
    pub fn their_picture(&self) -> Option<MediaStream> {
        peer().map(|peer| peer.picture().clone())
    }

    /// Opens a look at oneself before calling somebody: what a Call button does.
    pub fn place(self, with: Person, media: Media) {
        if self.change(|board| board.place(with, media)) {
            // It may be open from a look at oneself before: a voice call shows nobody.
            if media == Media::Voice {
                self.devices.close_camera();
            }
            self.devices.open(Wanted {
                microphone: true,
                camera: media == Media::Video,
            });
        } else {
            self.trouble.set(Some(
                "You are in a call. Hang up first, then call somebody else.".to_owned(),
            ));
        }
    }

    /// Starts the call that was looked forward to.
    pub fn start(self) {
        let id = CallId(browser::new_uuid());
        let say = self.change(|board| board.start(id));
        self.say_all(say);
    }

    /// Accepts the call that rings, with or without the camera.
    pub fn accept(self, camera: bool) {
        let say = self.change(Board::accept);
        if say.is_some() {
            self.devices.open(Wanted {
                microphone: true,
                camera,
            });
        }
        self.say_all(say);
    }

    /// Declines, cancels, hangs up, or closes what is left of a call, whichever it is.
    pub fn leave(self) {
        let say = self.change(|board| board.leave(browser::now()));
        self.say_all(say);
    }

    fn hear(self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Welcome { .. } => self.back(),
            ServerFrame::Call { call } => {
                self.change(|board| board.heard(call, browser::now()));
                if let (Some(leg), Some(peer)) = (&call.leg, peer_of(call.id)) {
                    peer.renew(&leg.ice_servers);
                }
            }
            ServerFrame::Signal { call, signal } => {
                if let Some(peer) = peer_of(*call) {
                    peer.hear(signal.clone());
                }
            }
            ServerFrame::Error {
                code,
                reason,
                call: Some(call),
            } => {
                if self.change(|board| board.refused(*call, *code, reason, browser::now())) {
                    self.trouble.set(Some(reason.clone()));
                }
            }
            ServerFrame::Event {
                event: RoomEvent::Message { message },
                ..
            } => {
                if matches!(message.content, Content::Call { .. }) {
                    self.over.update(|over| *over = over.wrapping_add(1));
                }
            }
            ServerFrame::Error { call: None, .. }
            | ServerFrame::People { .. }
            | ServerFrame::Pong { .. }
            | ServerFrame::Resumed { .. }
            | ServerFrame::Sent { .. }
            | ServerFrame::Refused { .. }
            | ServerFrame::UploadReady { .. }
            | ServerFrame::UploadProgress { .. }
            | ServerFrame::Room { .. }
            | ServerFrame::Read { .. }
            | ServerFrame::Presence { .. }
            | ServerFrame::Crowd { .. }
            | ServerFrame::Typing { .. } => {}
        }
    }

    /// The connection is back: everything that may have been lost with the one before is said again.
    fn back(self) {
        self.say_all(self.board.with_untracked(Board::to_say));
        if let Some((call, peer)) = PEER.with_borrow(Clone::clone) {
            if self
                .scene
                .with_untracked(|scene| scene.answered().is_some())
            {
                let stands = if peer.is_connected() {
                    Action::Connected
                } else {
                    Action::Lost
                };
                self.say(call, stands);
            }
            peer.resume();
        }
    }

    /// Changes the board, then makes the browser's part fit it.
    fn change<T>(self, change: impl FnOnce(&mut Board) -> T) -> T {
        let before = self.scene.get_untracked();
        let mut board = self.board.get_untracked();
        let result = change(&mut board);
        let after = board.scene.clone();
        if self.board.with_untracked(|known| *known != board) {
            self.board.set(board);
        }
        if before != after {
            self.settle(&before, &after);
        }
        result
    }

    fn settle(self, before: &Scene, after: &Scene) {
        // Of a call that failed, what is left says why.
        let is_left =
            matches!(after, Scene::Ended(farewell) if farewell.outcome == Outcome::Failed);
        let was_left = matches!(before, Scene::Ended(_)) && !matches!(after, Scene::Ended(_));
        if was_left || (before.call() != after.call() && !is_left) {
            self.trouble.set(None);
        }
        if let Scene::Ringing(view) = after {
            ring::start(view.caller.name.as_str(), view.media.noun());
            if before.call() != Some(view.id) {
                self.say(view.id, Action::Ringing);
            }
        } else {
            ring::stop();
        }
        if !after.needs_devices() {
            self.devices.release();
        }
        self.settle_peer(after);
        self.socket.set_urgent(after.is_in_a_call());
        if matches!(after, Scene::Ended(_)) {
            self.over.update(|over| *over = over.wrapping_add(1));
        }
    }

    fn settle_peer(self, scene: &Scene) {
        let wanted = scene.prepared();
        let present = PEER.with_borrow(|peer| peer.as_ref().map(|(id, _)| *id));
        if present != wanted.map(|view| view.id) {
            let former = PEER.take();
            drop(former);
            self.path.set(Path::Looking);
            self.theirs.set(None);
            self.quality.set(None);
            if let Some(view) = wanted {
                self.prepare(view);
            }
            self.arrivals
                .update(|arrivals| *arrivals = arrivals.wrapping_add(1));
        }
        if let (Some(view), Some(peer)) = (scene.answered(), peer()) {
            let leg = view.leg.as_ref();
            peer.answered(leg.map_or(&[], |leg| leg.ice_servers.as_slice()));
        }
    }

    /// Gets a path ready.
    fn prepare(self, view: &CallView) {
        let id = view.id;
        let leg = view.leg.as_ref();
        let servers = leg.map_or(&[][..], |leg| leg.ice_servers.as_slice());
        match Peer::new(view.side, servers, move |news| self.news(id, news)) {
            Ok(peer) => PEER.set(Some((id, Rc::new(peer)))),
            Err(error) => {
                browser::warn(&format!("call: {error:?}"));
                let reason = "This browser cannot connect a call. Use a current browser, or ask who runs this site to check its list \
                              of ICE servers.";
                self.trouble.set(Some(reason.to_owned()));
            }
        }
    }

    /// The peer connection of a call has something to say.
    fn news(self, call: CallId, news: News) {
        match news {
            News::Say(signal) => self.say(call, Action::Signal { signal }),
            News::Connected => {
                self.path.set(Path::Found);
                self.trouble.set(None);
                self.say(call, Action::Connected);
            }
            News::Lost => {
                self.path.set(Path::Lost);
                self.socket.suspect();
                self.say(call, Action::Lost);
            }
            News::Arrived => self
                .arrivals
                .update(|arrivals| *arrivals = arrivals.wrapping_add(1)),
            News::Sends(sends) => self.theirs.set(Some(sends)),
            News::Quality(quality) => self.quality.set(Some(quality)),
            News::Trouble(reason) => self.trouble.set(Some(reason.to_owned())),
        }
    }

    fn say_all(self, all: impl IntoIterator<Item = (CallId, Action)>) {
        for (call, action) in all {
            self.say(call, action);
        }
    }

    /// What cannot be said now is said when the connection is back: see [`Self::back`].
    fn say(self, call: CallId, action: Action) {
        self.socket.send(&ClientFrame::Call { call, action });
    }
}

/// The connection to the other page of this call.
fn peer_of(call: CallId) -> Option<Rc<Peer>> {
    PEER.with_borrow(|peer| {
        let peer = peer.as_ref().filter(|(id, _)| *id == call);
        peer.map(|(_, peer)| peer.clone())
    })
}

fn peer() -> Option<Rc<Peer>> {
    PEER.with_borrow(|peer| peer.as_ref().map(|(_, peer)| peer.clone()))
}
