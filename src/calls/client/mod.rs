//! Calls in the browser: one handle for the whole page, [`CallsClient`].
//!
//! | module | what it holds |
//! |---|---|
//! | `adaptation` | what is given up when the way is narrow: plain data |
//! | `again` | what is said again until the server and this page agree |
//! | [`arrival`] | the code for calls, on its way |
//! | [`board`] | what is shown, and what the server is still owed: plain data |
//! | [`choice`] | which microphone, camera and speaker |
//! | [`devices`] | microphone, camera and screen, on and off |
//! | `diagnosis` | why no path was found, in words: plain data |
//! | [`feed`] | what goes from page to page |
//! | `hear` | what the server says |
//! | `level` | how loud the microphone is |
//! | `links` | the connection to each of the others, made and closed as the board wants it |
//! | `media` | asking the browser for them |
//! | [`others`] | the others of a call, and the connection to each |
//! | `peer` | the connection to the other page |
//! | [`problem`] | why one of them cannot be used, in words |
//! | `recovery` | when a lost path is looked for again, and how: plain data |
//! | [`ring`] | the sound, the title and the notification of a ringing page |
//! | [`safety`] | what two can compare to know that nobody is between them |
//! | `seen` | what can be seen of all this |
//! | `speaker` | who is speaking, of several: plain data |
//! | [`stats`] | how good the connection is, by what the browser measures |
//! | [`transfer`] | files straight to the other page |
//! | [`trial`] | what this browser's network lets through, measured |
//!
//! Every change goes one way: something happens (a frame, a press, news of the peer connection), the board changes, and
//! [`CallsClient::settle`] makes the browser's part fit the board.

mod adaptation;
mod again;
pub mod arrival;
pub mod board;
pub mod choice;
pub mod devices;
mod diagnosis;
pub mod feed;
mod hear;
mod level;
mod links;
mod media;
pub mod others;
mod peer;
pub mod problem;
mod recovery;
pub mod ring;
pub mod safety;
mod seen;
mod speaker;
pub mod stats;
pub mod transfer;
pub mod trial;

pub use peer::Sends;

use crate::{
    model::{
        CallId,
        call::{Action, CallView, Media, Outcome, Seat, rooms::RoomCalls},
    },
    protocol::ws::{ClientFrame, ServerFrame},
    ui::{
        browser,
        build::Build,
        socket::{Link, Socket},
    },
};
use arrival::{Arrival, Wish};
use board::{Board, Scene, Target};
use devices::{Devices, Power};
use feed::Feed;
use leptos::prelude::*;
use leptos_use_document_visibility::use_document_visibility;
use media::Wanted;
use others::{ONLY, Others};
use safety::SafetyCode;
use transfer::ledger::Transfer;
use web_sys::VisibilityState;

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
    waiting: Memo<Option<CallView>>,
    /// What is known of the others of the call.
    others: RwSignal<Others>,
    /// Calls that go on in rooms.
    groups: RwSignal<RoomCalls>,
    /// Who speaks, of several.
    speaker: RwSignal<Option<Seat>>,
    safety: RwSignal<Option<SafetyCode>>,
    files: RwSignal<Vec<Transfer>>,
    /// Changes with each peer connection.
    peers: RwSignal<u32>,
    trouble: RwSignal<Option<String>>,
    /// How many calls this page knows to have ended: the history follows it.
    over: RwSignal<u32>,
    devices: Devices,
    arrival: RwSignal<Arrival>,
    /// Whether somebody is shown that it is on its way.
    awaited: RwSignal<bool>,
    wish: RwSignal<Option<Wish>>,
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
            waiting: Memo::new(move |_| board.with(|board| board.waiting.clone())),
            others: RwSignal::default(),
            groups: RwSignal::default(),
            speaker: RwSignal::default(),
            safety: RwSignal::default(),
            files: RwSignal::default(),
            peers: RwSignal::default(),
            trouble: RwSignal::default(),
            over: RwSignal::default(),
            devices: Devices::new(),
            arrival: RwSignal::default(),
            awaited: RwSignal::default(),
            wish: RwSignal::default(),
        };
        if let Some(build) = use_context::<Build>() {
            build.hold(Signal::derive(move || {
                scene.with(|scene| scene.call().is_some())
            }));
        }
        provide_context(calls);
        calls
    }

    /// Takes up what the server has said of calls, and listens from now on. Browser only, once.
    pub(super) fn begin(self, heard: Vec<ServerFrame>) {
        self.socket.on_frame(move |frame| self.hear(frame));
        super::keys::listen(&self);
        self.devices.listen();
        // What is sent follows the devices and the peer connection, whichever changes.
        Effect::new(move || {
            self.peers.track();
            self.devices.tracks().track();
            let sends = Sends {
                microphone: self.devices.is_heard(),
                camera: self.devices.is_seen(),
                screen: self.devices.screen().get() == Power::On,
                held: false,
            };
            for (_, peer) in others::all() {
                for feed in Feed::ALL {
                    peer.send(feed, Devices::track(feed));
                }
                peer.tell_sends(sends);
            }
        });
        // Signed out, perhaps on another page: nobody here is in a call any more.
        Effect::new(move || {
            if matches!(self.socket.link().get(), Link::Ended(_))
                && self
                    .scene
                    .with_untracked(|scene| scene.call().is_some() || scene.needs_devices())
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
        let visibility = use_document_visibility();
        Effect::new(move || {
            if visibility.get() == VisibilityState::Hidden {
                return;
            }
            let ringing = self.scene.with_untracked(|scene| Some(scene.ringing()?.id));
            if let Some(peer) = ringing.and_then(|call| others::of(call, ONLY)) {
                peer.look_at();
            }
        });
        window_event_listener(leptos::ev::beforeunload, move |event| {
            if self
                .scene
                .with_untracked(|scene| scene.answered().is_some() || scene.gathered().is_some())
            {
                event.prevent_default();
            }
        });
        for frame in heard {
            self.hear(&frame);
        }
    }

    /// Opens a look at oneself.
    pub(super) fn look(self, to: Target, media: Media) {
        let one_of_many = matches!(to, Target::Room(_));
        if self.change(|board| board.place(to, media)) {
            // It may be open from a look at oneself before: a voice call shows nobody.
            if media == Media::Voice {
                self.devices.close_camera();
            }
            self.devices.open(Wanted {
                microphone: true,
                camera: media == Media::Video,
                one_of_many,
            });
        } else {
            self.trouble.set(Some(
                "You are in a call. Leave it first, then begin another.".to_owned(),
            ));
        }
    }

    /// Starts the call that was looked forward to.
    pub fn start(self) {
        let guest = self
            .scene
            .with_untracked(|scene| match &scene.preview()?.to {
                Target::Room(place) => place.only,
                Target::Person(_) => None,
            });
        let id = guest.unwrap_or_else(|| CallId(browser::new_uuid()));
        let say = self.change(|board| board.start(id));
        self.say_all(say);
    }

    /// Accepts the call that rings, with or without the camera.
    pub fn accept(self, camera: bool) {
        let Some((call, accept)) = self.board.with_untracked(|board| board.clone().accept()) else {
            return;
        };
        // What others have to do with it comes first: it takes a page some time to show the call. What its peer says follows on the heels of
        // the acceptance, so the server knows by then who has answered.
        self.say(call, accept);
        let servers = self
            .scene
            .with_untracked(|scene| scene.ringing()?.ice_servers.clone());
        if let (Some(peer), Some(servers)) = (others::of(call, ONLY), servers) {
            peer.answered(&servers);
        }
        self.change(Board::accept);
        self.devices.open(Wanted {
            microphone: true,
            camera,
            one_of_many: false,
        });
    }

    /// Leaves the call that is shown for the one that waits, with the camera if that is on.
    pub fn switch(self) {
        let say = self.change(Board::switch);
        if !say.is_empty() {
            self.devices.open(Wanted {
                microphone: true,
                ..Wanted::default()
            });
        }
        self.say_all(say);
    }

    /// Declines the call that waits.
    pub fn decline_waiting(self) {
        let say = self.change(Board::decline_waiting);
        self.say_all(say);
    }

    /// Declines, cancels, hangs up, or closes what is left of a call, whichever it is.
    pub fn leave(self) {
        let say = self.change(|board| board.leave(browser::now()));
        self.say_all(say);
    }

    /// Changes the board, then makes the browser's part fit it.
    fn change<T>(self, change: impl FnOnce(&mut Board) -> T) -> T {
        let mut board = self.board.get_untracked();
        let waited = board.waiting.as_ref().map(|view| view.id);
        let before = board.scene.clone();
        let result = change(&mut board);
        let after = board.scene.clone();
        let waits = board.waiting.as_ref().map(|view| view.id);
        if self.board.with_untracked(|known| *known != board) {
            self.board.set(board);
        }
        if before != after {
            self.settle(&before, &after);
        }
        if let Some(id) = waits.filter(|_| waits != waited) {
            self.say(id, Action::Ringing);
        }
        self.follow_up();
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
        // What came in a call that is over can be kept for as long as its end is shown.
        if was_left {
            self.forget_files();
        }
        if !after.needs_devices() {
            self.devices.release();
        }
        self.settle_peers(after);
        if let (None, Some(view)) = (before.answered(), after.answered()) {
            self.report(view.id);
        }
        self.socket.set_urgent(after.is_in_a_call());
        if matches!(after, Scene::Ended(_)) {
            self.over.update(|over| *over = over.wrapping_add(1));
        }
    }

    fn say_all(self, all: impl IntoIterator<Item = (CallId, Action)>) {
        for (call, action) in all {
            self.say(call, action);
        }
    }

    /// What cannot be said now is said when the connection is back: see [`Self::back`]; what is lost, again: see [`again`].
    fn say(self, call: CallId, action: Action) {
        self.socket.send(&ClientFrame::Call { call, action });
    }
}
