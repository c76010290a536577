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

mod accessors;
pub mod connection_test;
pub mod devices;
pub mod lazy;
mod on_frame;
mod peer;
mod peer_sync;
pub mod peers;
mod retransmit;
pub mod ringer;
pub mod safety_code;
pub mod state;
pub mod stats;
pub mod track_slot;
pub mod transfer;

pub use peer::MediaState;

use crate::{
    model::{
        CallId,
        call::{CallView, ClientAction, Media, Outcome, Seat, known_group_calls::KnownGroupCalls},
    },
    protocol::ws::{ClientFrame, ServerFrame},
    ui::{
        browser,
        build::BuildTracker,
        socket::{Socket, SocketStatus},
    },
};
use devices::{DeviceRequest, DeviceState, Devices};
use leptos::prelude::*;
use leptos_use_document_visibility::use_document_visibility;
use peers::{PeerStatuses, SOLE_PEER};
use safety_code::SafetyCode;
use state::{CallTarget, ClientCallState, machine::ClientCallMachine};
use track_slot::TrackSlot;
use transfer::state::FileTransfer;
use web_sys::VisibilityState;

/// The calls of this page. A handle: copy it freely. Provided once, by the app.
#[derive(Debug, Clone, Copy)]
pub struct CallsClient {
    socket: Socket,
    machine: RwSignal<ClientCallMachine>,
    state: Memo<ClientCallState>,
    waiting_call: Memo<Option<CallView>>,
    /// What is known of the others of the call.
    peer_statuses: RwSignal<PeerStatuses>,
    /// Calls that go on in rooms.
    group_calls: RwSignal<KnownGroupCalls>,
    /// Who speaks, of several.
    active_speaker: RwSignal<Option<Seat>>,
    safety_code: RwSignal<Option<SafetyCode>>,
    transfers: RwSignal<Vec<FileTransfer>>,
    /// Changes with each peer connection.
    peers_version: RwSignal<u32>,
    error_message: RwSignal<Option<String>>,
    /// How many calls this page knows to have ended: the history follows it.
    ended_count: RwSignal<u32>,
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
        let machine = RwSignal::new(ClientCallMachine::default());
        let state = Memo::new(move |_| machine.with(|board| board.state.clone()));
        let calls = Self {
            socket,
            machine,
            state,
            waiting_call: Memo::new(move |_| machine.with(|board| board.waiting_call.clone())),
            peer_statuses: RwSignal::default(),
            group_calls: RwSignal::default(),
            active_speaker: RwSignal::default(),
            safety_code: RwSignal::default(),
            transfers: RwSignal::default(),
            peers_version: RwSignal::default(),
            error_message: RwSignal::default(),
            ended_count: RwSignal::default(),
            devices: Devices::new(),
        };
        if let Some(build) = use_context::<BuildTracker>() {
            build.block_reload_while(Signal::derive(move || {
                state.with(|scene| scene.call_id().is_some())
            }));
        }
        provide_context(calls);
        calls
    }

    /// Takes up what the server has said of calls, and listens from now on. Browser only, once.
    pub(super) fn activate(self, frames: Vec<ServerFrame>) {
        self.socket.on_frame(move |frame| self.on_frame(frame));
        self.devices.watch();
        // What is sent follows the devices and the peer connection, whichever changes.
        Effect::new(move || {
            self.peers_version.track();
            self.devices.tracks_version().track();
            let media_state = MediaState {
                microphone: self.devices.is_microphone_live(),
                camera: self.devices.is_camera_on(),
                screen: self.devices.screen().get() == DeviceState::On,
                is_video_paused: false,
            };
            for (_, peer) in peers::all() {
                for slot in TrackSlot::ALL {
                    peer.set_track(slot, Devices::track(slot));
                }
                peer.send_media_state(media_state);
            }
        });
        // Signed out, perhaps on another page: nobody here is in a call any more.
        Effect::new(move || {
            if matches!(self.socket.status().get(), SocketStatus::Closed(_))
                && self
                    .state
                    .with_untracked(|state| state.call_id().is_some() || state.needs_devices())
            {
                self.leave();
            }
        });
        // A page that goes takes its call with it. If this is not heard any more, the close of its connection says it.
        window_event_listener(leptos::ev::pagehide, move |_| {
            if self.state.with_untracked(ClientCallState::is_in_call) {
                self.leave();
            }
        });
        let visibility = use_document_visibility();
        Effect::new(move || {
            if visibility.get() == VisibilityState::Hidden {
                return;
            }
            let ringing = self
                .state
                .with_untracked(|scene| Some(scene.ringing_call()?.id));
            if let Some(peer) = ringing.and_then(|call| peers::find_in_call(call, SOLE_PEER)) {
                peer.send_pranswer();
            }
        });
        window_event_listener(leptos::ev::beforeunload, move |event| {
            if self.state.with_untracked(|scene| {
                scene.answered_call().is_some() || scene.active_group_call().is_some()
            }) {
                event.prevent_default();
            }
        });
        for frame in frames {
            self.on_frame(&frame);
        }
    }

    /// Opens a look at oneself.
    pub(super) fn open_preview(self, target: CallTarget, media: Media) {
        let is_group_call = matches!(target, CallTarget::Room(_));
        if self.update_machine(|machine| machine.open_preview(target, media)) {
            // It may be open from a look at oneself before: a voice call shows nobody.
            if media == Media::Voice {
                self.devices.close_camera();
            }
            self.devices.open_devices(DeviceRequest {
                microphone: true,
                camera: media == Media::Video,
                is_group_call,
            });
        } else {
            self.error_message.set(Some(
                "You are in a call. Leave it first, then begin another.".to_owned(),
            ));
        }
    }

    /// Starts the call that was looked forward to.
    pub fn start_call(self) {
        let guest = self
            .state
            .with_untracked(|state| match &state.preview()?.target {
                CallTarget::Room(place) => place.guest_call_id,
                CallTarget::Person(_) => None,
            });
        let id = guest.unwrap_or_else(|| CallId(browser::new_uuid()));
        let actions = self.update_machine(|machine| machine.start_call(id));
        self.send_actions(actions);
    }

    /// Accepts the call that rings, with or without the camera.
    pub fn accept(self, camera: bool) {
        let Some((call, accept)) = self.machine.with_untracked(|board| board.clone().accept())
        else {
            return;
        };
        // What others have to do with it comes first: it takes a page some time to show the call. What its peer says follows on the heels of
        // the acceptance, so the server knows by then who has answered.
        self.send_action(call, accept);
        let servers = self
            .state
            .with_untracked(|state| state.ringing_call()?.ice_servers.clone());
        if let (Some(peer), Some(servers)) = (peers::find_in_call(call, SOLE_PEER), servers) {
            peer.start_connecting(&servers);
        }
        self.update_machine(ClientCallMachine::accept);
        self.devices.open_devices(DeviceRequest {
            microphone: true,
            camera,
            is_group_call: false,
        });
    }

    /// Leaves the call that is shown for the one that waits, with the camera if that is on.
    pub fn switch_to_waiting_call(self) {
        let actions = self.update_machine(ClientCallMachine::switch_to_waiting_call);
        if !actions.is_empty() {
            self.devices.open_devices(DeviceRequest {
                microphone: true,
                ..DeviceRequest::default()
            });
        }
        self.send_actions(actions);
    }

    /// Declines the call that waits.
    pub fn decline_waiting_call(self) {
        let actions = self.update_machine(ClientCallMachine::decline_waiting_call);
        self.send_actions(actions);
    }

    /// Declines, cancels, hangs up, or closes what is left of a call, whichever it is.
    pub fn leave(self) {
        let actions = self.update_machine(|machine| machine.leave(browser::now()));
        self.send_actions(actions);
    }

    /// Changes the board, then makes the browser's part fit it.
    fn update_machine<T>(self, change: impl FnOnce(&mut ClientCallMachine) -> T) -> T {
        let mut machine = self.machine.get_untracked();
        let old_waiting_id = machine.waiting_call.as_ref().map(|view| view.id);
        let before = machine.state.clone();
        let result = change(&mut machine);
        let after = machine.state.clone();
        let new_waiting_id = machine.waiting_call.as_ref().map(|view| view.id);
        if self.machine.with_untracked(|known| *known != machine) {
            self.machine.set(machine);
        }
        if before != after {
            self.apply_transition(&before, &after);
        }
        if let Some(id) = new_waiting_id.filter(|_| new_waiting_id != old_waiting_id) {
            self.send_action(id, ClientAction::Ringing);
        }
        self.schedule_retransmit();
        result
    }

    fn apply_transition(self, before: &ClientCallState, after: &ClientCallState) {
        // Of a call that failed, what is left says why.
        let is_failure_shown = matches!(after, ClientCallState::Ended(ended_call) if ended_call.outcome == Outcome::Failed);
        let was_ended_closed = matches!(before, ClientCallState::Ended(_))
            && !matches!(after, ClientCallState::Ended(_));
        if was_ended_closed || (before.call_id() != after.call_id() && !is_failure_shown) {
            self.error_message.set(None);
        }
        if let ClientCallState::Ringing(view) = after {
            ringer::start(view.caller.name.as_str(), view.media.label());
            if before.call_id() != Some(view.id) {
                self.send_action(view.id, ClientAction::Ringing);
            }
        } else {
            ringer::stop();
        }
        // What came in a call that is over can be kept for as long as its end is shown.
        if was_ended_closed {
            self.discard_transfers();
        }
        if !after.needs_devices() {
            self.devices.release();
        }
        self.sync_peers(after);
        if let (None, Some(view)) = (before.answered_call(), after.answered_call()) {
            self.report_connected(view.id);
        }
        self.socket.set_urgent(after.is_in_call());
        if matches!(after, ClientCallState::Ended(_)) {
            self.ended_count.update(|over| *over = over.wrapping_add(1));
        }
    }

    fn send_actions(self, all: impl IntoIterator<Item = (CallId, ClientAction)>) {
        for (call, action) in all {
            self.send_action(call, action);
        }
    }

    /// What cannot be said now is said when the connection is back: see [`Self::back`]; what is lost, again: see [`again`].
    fn send_action(self, call: CallId, action: ClientAction) {
        self.socket.send(&ClientFrame::Call { call, action });
    }
}
