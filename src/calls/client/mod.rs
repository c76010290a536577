//! Calls in the browser: one handle for the whole page, [`CallsClient`].
//!
//! | module | what it holds |
//! |---|---|
//! | `adaptation` | what is given up when the way is narrow: plain data |
//! | [`board`] | what is shown, and what the server is still owed: plain data |
//! | [`choice`] | which microphone, camera and speaker |
//! | [`devices`] | microphone, camera and screen, on and off |
//! | `diagnosis` | why no path was found, in words: plain data |
//! | [`feed`] | what goes from page to page |
//! | [`problem`] | why one of them cannot be used, in words |
//! | `level` | how loud the microphone is |
//! | `media` | asking the browser for them |
//! | [`others`] | the others of a call, and the connection to each |
//! | `peer` | the connection to the other page |
//! | `recovery` | when a lost path is looked for again, and how: plain data |
//! | [`safety`] | what two can compare to know that nobody is between them |
//! | [`transfer`] | files straight to the other page |
//! | [`trial`] | what this browser's network lets through, measured |
//! | `speaker` | who is speaking, of several: plain data |
//! | [`stats`] | how good the connection is, by what the browser measures |
//! | [`ring`] | the sound, the title and the notification of a ringing page |
//!
//! Every change goes one way: something happens (a frame, a press, news of the peer connection), the board changes, and
//! [`CallsClient::settle`] makes the browser's part fit the board.

mod adaptation;
pub mod board;
pub mod choice;
pub mod devices;
mod diagnosis;
pub mod feed;
mod level;
mod media;
pub mod others;
mod peer;
pub mod problem;
mod recovery;
pub mod ring;
pub mod safety;
mod speaker;
pub mod stats;
pub mod transfer;
pub mod trial;

pub use peer::Sends;

use crate::{
    model::{
        CallId,
        call::{
            Action, CallView, IceServer, Media, Outcome, Seat, Side,
            group::{GroupView, Part},
            rooms::RoomCalls,
        },
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
use adaptation::Picture;
use board::{Board, Gathered, Place, Scene, Target};
use devices::{Devices, Power};
use feed::Feed;
use leptos::prelude::*;
use leptos_use_document_visibility::use_document_visibility;
use media::Wanted;
use others::{ONLY, Other, Others};
use peer::{News, Peer};
use safety::SafetyCode;
use speaker::Speaker;
use stats::Quality;
use transfer::ledger::{Transfer, Way};
use wasm_bindgen_futures::spawn_local;
use web_sys::{File, MediaStream, VisibilityState};

/// How long the server is given after a reconnect to tell which calls go on in rooms, in milliseconds.
const TOLD_ANEW: i32 = 3_000;

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
    }

    /// What is shown.
    #[must_use]
    pub fn scene(&self) -> Signal<Scene> {
        self.scene.into()
    }

    /// Somebody who calls beside what is shown.
    #[must_use]
    pub fn waiting(&self) -> Signal<Option<CallView>> {
        self.waiting.into()
    }

    /// What is known of one of the others; nothing while they are not there.
    #[must_use]
    pub fn other(&self, seat: Seat) -> Memo<Option<Other>> {
        let others = self.others;
        Memo::new(move |_| others.with(|others| others.get(&seat).cloned()))
    }

    /// How the path to the other page of a call between two stands.
    #[must_use]
    pub fn path(&self) -> Signal<Path> {
        let others = self.others;
        let only = move |others: &Others| others.get(&ONLY).map(|other| other.path);
        Signal::derive(move || others.with(only).unwrap_or_default())
    }

    /// What the other page of a call between two says that it sends; none before it said so.
    #[must_use]
    pub fn theirs(&self) -> Signal<Option<Sends>> {
        let others = self.others;
        Signal::derive(move || others.with(|others| others.get(&ONLY)?.sends))
    }

    /// How good the connection of a call between two is; none while there is none.
    #[must_use]
    pub fn quality(&self) -> Signal<Option<Quality>> {
        let others = self.others;
        Signal::derive(move || others.with(|others| others.get(&ONLY)?.quality.clone()))
    }

    /// Calls that go on in rooms.
    #[must_use]
    pub fn groups(&self) -> Signal<RoomCalls> {
        self.groups.into()
    }

    /// Who speaks, or spoke last, in a group call; nobody before anybody did.
    #[must_use]
    pub fn speaker(&self) -> Signal<Option<Seat>> {
        self.speaker.into()
    }

    /// Whether the camera's picture is not sent to somebody for now, to keep the sound.
    #[must_use]
    pub fn is_held(&self) -> Signal<bool> {
        let others = self.others;
        Signal::derive(move || others.with(|others| others.values().any(|other| other.held)))
    }

    /// What both can compare to know that nobody is between them; none before they are connected.
    #[must_use]
    pub fn safety(&self) -> Signal<Option<SafetyCode>> {
        self.safety.into()
    }

    /// Files of this call, or of the one that just ended.
    #[must_use]
    pub fn files(&self) -> Signal<Vec<Transfer>> {
        self.files.into()
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

    // Not `.clone()`, which JavaScript has as well: it makes a second stream of second tracks.

    /// What is heard of one of the others. Browser only.
    #[must_use]
    pub fn sound_of(&self, seat: Seat) -> Option<MediaStream> {
        others::at(seat).map(|peer| Clone::clone(peer.sound()))
    }

    /// What is seen of one of the others. Browser only.
    #[must_use]
    pub fn picture_of(&self, seat: Seat) -> Option<MediaStream> {
        others::at(seat).map(|peer| Clone::clone(peer.picture()))
    }

    /// The screen that one of the others shares. Browser only.
    #[must_use]
    pub fn screen_of(&self, seat: Seat) -> Option<MediaStream> {
        others::at(seat).map(|peer| Clone::clone(peer.screen()))
    }

    /// Offers a file to the other one. Browser only.
    pub fn offer_file(self, file: File) {
        if let Some(peer) = others::at(ONLY) {
            peer.courier().offer(file);
        }
    }

    /// Wants a file that was offered. Browser only.
    pub fn accept_file(self, id: u32) {
        if let Some(peer) = others::at(ONLY) {
            peer.courier().accept(id);
        }
    }

    /// Does not want a file that was offered, or does not send one any more; or takes one that is over off the list. Browser only.
    pub fn put_away_file(self, way: Way, id: u32) {
        let is_over = self.files.with_untracked(|files| {
            let file = files.iter().find(|file| (file.way, file.id) == (way, id));
            file.is_none_or(|file| file.stage.is_over())
        });
        match others::at(ONLY) {
            Some(peer) if is_over => peer.courier().dismiss(way, id),
            Some(peer) => peer.courier().give_up(way, id),
            None => self.files.update(|files| {
                for file in files.extract_if(.., |file| (file.way, file.id) == (way, id)) {
                    transfer::release(&file);
                }
            }),
        }
    }

    fn forget_files(self) {
        for file in self.files.get_untracked() {
            transfer::release(&file);
        }
        self.files.set(Vec::new());
    }

    /// Opens a look at oneself before calling somebody: what a Call button does.
    pub fn place(self, with: Person, media: Media) {
        self.look(Target::Person(with), media);
    }

    /// Opens a look at oneself before joining the call of a room, or starting it.
    pub fn join(self, place: Place) {
        self.look(Target::Room(place), Media::Video);
    }

    fn look(self, to: Target, media: Media) {
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
        if let Some(peer) = others::of(call, ONLY) {
            let (_, _, servers) = self.scene.with_untracked(connections);
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

    fn hear(self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Welcome { .. } => self.back(),
            ServerFrame::Call { call } => {
                self.change(|board| board.heard(call, browser::now()));
                if let (Some(leg), Some(peer)) = (&call.leg, others::of(call.id, ONLY)) {
                    peer.renew(&leg.ice_servers);
                }
            }
            ServerFrame::Signal { call, signal, from } => {
                if let Some(peer) = others::of(*call, from.unwrap_or(ONLY)) {
                    peer.hear(signal.clone());
                }
            }
            ServerFrame::GroupCall { group } => self.hear_group(group),
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
        let connection = self.groups.try_update(RoomCalls::doubt).unwrap_or_default();
        browser::after(TOLD_ANEW, move || {
            self.groups
                .update(|groups| groups.forget_doubtful(connection));
        });
        self.say_all(self.board.with_untracked(Board::to_say));
        if let Some(call) = self.answered() {
            let is_connected = others::of(call, ONLY).is_some_and(|peer| peer.is_connected());
            self.say(
                call,
                if is_connected {
                    Action::Connected
                } else {
                    Action::Lost
                },
            );
        }
        for (_, peer) in others::all() {
            peer.resume();
        }
    }

    fn hear_group(self, group: &GroupView) {
        let mut rooms = self.groups.get_untracked();
        let group = rooms.hear(group);
        if self.groups.with_untracked(|known| *known != rooms) {
            self.groups.set(rooms);
        }
        let say = self.change(|board| board.heard_group(&group));
        self.say_all(say);
        if let Some(Part::In { ice_servers, .. }) = &group.part
            && others::call() == Some(group.id)
        {
            for (_, peer) in others::all() {
                peer.renew(ice_servers);
            }
        }
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

    /// Makes a connection to everybody there has to be one to, and closes the others.
    fn settle_peers(self, scene: &Scene) {
        let (call, wanted, servers) = connections(scene);
        let is_new = others::call() != call;
        let (gone, missing) = others::settle(call, &wanted);
        if is_new {
            self.safety.set(None);
            self.speaker.set(None);
            if call.is_some() {
                self.forget_files();
            }
        }
        if !gone.is_empty() || !missing.is_empty() {
            self.others.update(|others| {
                others.retain(|seat, _| wanted.contains_key(seat) && !gone.contains(seat));
                others.extend(missing.iter().map(|(seat, _)| (*seat, Other::default())));
            });
        }
        if let Some(call) = call {
            for (seat, side) in &missing {
                self.prepare(call, *seat, *side, &servers);
            }
        }
        if !gone.is_empty() || !missing.is_empty() {
            self.peers.update(|peers| *peers = peers.wrapping_add(1));
        }
        if scene.answered().is_some() || scene.gathered().is_some() {
            // In a call of many each picture is one of many, and everybody makes one for each of the others.
            let most = Picture::among(wanted.len());
            for (_, peer) in others::all() {
                peer.answered(&servers);
                peer.at_most(most);
            }
        }
        if is_new && scene.gathered().is_some() {
            self.follow_speaker(call, Speaker::default());
        }
    }

    /// Gets a path ready.
    fn prepare(self, call: CallId, seat: Seat, side: Side, servers: &[IceServer]) {
        match Peer::new(side, servers, move |news| self.news(call, seat, news)) {
            Ok(peer) => others::add(seat, peer),
            Err(error) => {
                browser::warn(&format!("call: {error:?}"));
                let reason = "This browser cannot connect a call. Use a current browser, or ask who runs this site to check its list \
                              of ICE servers.";
                self.trouble.set(Some(reason.to_owned()));
            }
        }
    }

    /// Looks who speaks, now and then, for as long as the call goes on.
    fn follow_speaker(self, call: Option<CallId>, mut speaker: Speaker) {
        if others::call() != call
            || self
                .scene
                .with_untracked(|scene| scene.gathered().is_none())
        {
            return;
        }
        let levels: Vec<_> = others::all()
            .into_iter()
            .map(|(seat, peer)| (seat, peer.level().unwrap_or(0.0)))
            .collect();
        speaker.look(&levels, browser::now());
        if speaker.seat() != self.speaker.get_untracked() {
            self.speaker.set(speaker.seat());
        }
        browser::after(speaker::EVERY, move || self.follow_speaker(call, speaker));
    }

    /// The peer connection of a call has something to say.
    fn news(self, call: CallId, seat: Seat, news: News) {
        let of_two = seat == ONLY;
        match news {
            News::Say(signal) => {
                let to = Some(seat).filter(|_| !of_two);
                self.say(call, Action::Signal { signal, to });
            }
            News::Connected => {
                self.learn(seat, |other| other.path = Path::Found);
                self.trouble.set(None);
                if of_two {
                    self.find_safety_code(call);
                    self.report(call);
                }
            }
            News::Lost => {
                self.learn(seat, |other| other.path = Path::Lost);
                self.socket.suspect();
                // In a group call: what is needed to look for another path.
                if !of_two || self.answered() == Some(call) {
                    self.say(call, Action::Lost);
                }
            }
            News::Arrived => self.learn(seat, |other| {
                other.arrivals = other.arrivals.wrapping_add(1);
            }),
            News::Sends(sends) => self.learn(seat, |other| other.sends = Some(sends)),
            News::Quality(quality) => self.learn(seat, |other| other.quality = Some(quality)),
            News::Sending(picture) => {
                self.learn(seat, |other| other.held = picture == Picture::Held);
            }
            News::Files(files) => {
                if of_two {
                    self.files.set(files);
                }
            }
            // Of several, one who cannot be reached is shown as such, and the others go on.
            News::Trouble(reason) if of_two => self.trouble.set(Some(reason.to_owned())),
            News::Trouble(_) => self.learn(seat, |other| other.path = Path::Lost),
        }
    }

    fn learn(self, seat: Seat, what: impl FnOnce(&mut Other)) {
        self.others.update(|others| {
            if let Some(other) = others.get_mut(&seat) {
                what(other);
            }
        });
    }

    /// The call between two that this page holds a side of, once the server knows who has answered.
    fn answered(self) -> Option<CallId> {
        self.scene
            .with_untracked(|scene| scene.answered().map(|view| view.id))
    }

    /// Says that there is a path. One may be found before the server has told who answered; then it is said when it has.
    fn report(self, call: CallId) {
        if self.answered() == Some(call)
            && others::of(call, ONLY).is_some_and(|peer| peer.is_connected())
        {
            self.say(call, Action::Connected);
        }
    }

    fn find_safety_code(self, call: CallId) {
        let peer = others::of(call, ONLY);
        let Some((mine, theirs)) = peer.and_then(|peer| peer.descriptions()) else {
            return;
        };
        spawn_local(async move {
            let code = SafetyCode::of(&mine, &theirs).await;
            if others::of(call, ONLY).is_some() {
                self.safety.set(code);
            }
        });
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

/// Which call there have to be connections for, to whom, and with which servers they are found.
fn connections(scene: &Scene) -> (Option<CallId>, others::Wanted, Vec<IceServer>) {
    if let Some(Gathered { view, seat, .. }) = scene.gathered() {
        let others = view.members.iter().map(|member| member.seat);
        let others = others.filter(|other| other != seat).map(|other| {
            // Whoever came later calls.
            let side = if *seat > other {
                Side::Caller
            } else {
                Side::Callee
            };
            (other, side)
        });
        let servers = match &view.part {
            Some(Part::In { ice_servers, .. }) => ice_servers.clone(),
            Some(Part::Out) | None => Vec::new(),
        };
        return (Some(view.id), others.collect(), servers);
    }
    match scene.prepared() {
        Some(view) => {
            let servers = view.leg.as_ref().map(|leg| leg.ice_servers.clone());
            let only = others::Wanted::from([(ONLY, view.side)]);
            (Some(view.id), only, servers.unwrap_or_default())
        }
        None => (None, others::Wanted::new(), Vec::new()),
    }
}
