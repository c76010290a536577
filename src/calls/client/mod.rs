//! Calls in the browser, behind one handle: [`CallsClient`].
//!
//! A frame or a user action changes the state machine; `CallsClient::update_machine` then adapts the browser side.

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
mod stats;
pub mod track_slot;
pub mod transfer;

pub use peer::event::MediaState;

use crate::{
    model::{
        CallId,
        call::{CallView, ClientAction, Media, Outcome, Seat, known_group_calls::KnownGroupCalls},
        user::PersonalSettings,
    },
    protocol::ws::{ClientFrame, ServerFrame},
    ui::{
        browser, browser_apis,
        browser_state::BrowserState,
        build::BuildTracker,
        page_visibility::use_page_visibility,
        socket::{Socket, SocketStatus},
    },
};
use devices::{DeviceRequest, DeviceState, Devices};
use leptos::prelude::*;
use peers::{PeerStatuses, PeerTable, SOLE_PEER};
use ringer::Ringer;
use safety_code::SafetyCode;
use state::{
    CallTarget, ClientCallState, machine::ClientCallMachine, retransmit_timers::RetransmitTimers,
};
use track_slot::TrackSlot;
use transfer::state::FileTransfer;

/// The calls of this page; provided once by the app.
#[derive(Debug, Clone, Copy)]
pub struct CallsClient {
    socket: Socket,
    machine: RwSignal<ClientCallMachine>,
    state: Memo<ClientCallState>,
    waiting_call: Memo<Option<CallView>>,
    peer_statuses: RwSignal<PeerStatuses>,
    group_calls: Memo<KnownGroupCalls>,
    active_speaker: RwSignal<Option<Seat>>,
    safety_code: RwSignal<Option<SafetyCode>>,
    transfers: RwSignal<Vec<FileTransfer>>,
    /// Incremented when peer connections are added or removed.
    peers_version: RwSignal<u32>,
    error_message: RwSignal<Option<String>>,
    ended_count: RwSignal<u32>,
    devices: Devices,
    ringer: Ringer,
    peers: BrowserState<PeerTable>,
    retransmit_timers: StoredValue<RetransmitTimers>,
    settings: RwSignal<PersonalSettings>,
    /// Of blocked people in the group call: they and the user neither see nor hear each other.
    blocked_seats: Memo<Vec<Seat>>,
}

/// The calls of this page.
///
/// # Panics
/// Panics outside the app.
#[must_use]
pub fn use_calls() -> CallsClient {
    expect_context()
}

impl CallsClient {
    /// Provides the client, inactive, to the whole app. `BuildTracker` must be provided first, to block reloads during
    /// a call.
    pub fn provide(socket: Socket) -> Self {
        let machine = RwSignal::new(ClientCallMachine::default());
        let state = Memo::new(move |_| machine.with(|machine| machine.state.clone()));
        let settings = RwSignal::new(PersonalSettings::default());
        let calls = Self {
            socket,
            machine,
            state,
            waiting_call: Memo::new(move |_| machine.with(|machine| machine.waiting_call.clone())),
            peer_statuses: RwSignal::default(),
            group_calls: Memo::new(move |_| machine.with(|machine| machine.group_calls.clone())),
            active_speaker: RwSignal::default(),
            safety_code: RwSignal::default(),
            transfers: RwSignal::default(),
            peers_version: RwSignal::default(),
            error_message: RwSignal::default(),
            ended_count: RwSignal::default(),
            devices: Devices::new(),
            ringer: Ringer::new(),
            peers: BrowserState::default(),
            retransmit_timers: StoredValue::default(),
            settings,
            blocked_seats: Memo::new(move |_| {
                settings.with(|settings| state.with(|state| state.blocked_seats(settings)))
            }),
        };
        if let Some(build) = use_context::<BuildTracker>() {
            build.block_reload_while(Signal::derive(move || {
                state.with(|state| state.call_id().is_some())
            }));
        }
        provide_context(calls);
        calls
    }

    /// Applies the buffered frames and subscribes to further ones. Browser only, once.
    pub(super) fn activate(self, frames: Vec<ServerFrame>) {
        let is_webrtc_missing = !browser_apis::supports_calls();
        self.machine
            .update(|machine| machine.is_webrtc_missing = is_webrtc_missing);
        self.socket.on_frame(move |frame| self.on_frame(frame));
        self.devices.watch();
        // Local tracks follow the devices and the set of peers.
        Effect::new(move || {
            self.peers_version.track();
            self.devices.tracks_version().track();
            let media_state = MediaState {
                microphone: self.devices.is_microphone_live(),
                camera: self.devices.is_camera_on(),
                screen: self.devices.screen().get() == DeviceState::On,
                is_video_paused: false,
            };
            for (seat, peer) in self.all_peers() {
                let is_blocked = self.is_blocked(seat);
                for slot in TrackSlot::ALL {
                    let track = self.devices.track(slot).filter(|_| !is_blocked);
                    peer.set_track(slot, track);
                }
                peer.send_media_state(if is_blocked {
                    MediaState::default()
                } else {
                    media_state
                });
            }
        });
        // A sign-out, perhaps on another page, ends the call here.
        Effect::new(move || {
            if matches!(self.socket.status().get(), SocketStatus::Closed(_))
                && self
                    .state
                    .with_untracked(|state| state.call_id().is_some() || state.needs_devices())
            {
                self.leave();
            }
        });
        // If this frame is lost, the closed socket tells the server.
        window_event_listener(leptos::ev::pagehide, move |_| {
            if self.state.with_untracked(ClientCallState::is_in_call) {
                self.leave();
            }
        });
        let is_visible = use_page_visibility();
        Effect::new(move || {
            if !is_visible.get() {
                return;
            }
            let ringing = self
                .state
                .with_untracked(|state| Some(state.ringing_call()?.id));
            if let Some(peer) = ringing.and_then(|call| self.peer_in_call(call, SOLE_PEER)) {
                peer.send_pranswer();
            }
        });
        window_event_listener(leptos::ev::beforeunload, move |event| {
            if self.state.with_untracked(|state| {
                state.answered_call().is_some() || state.active_group_call().is_some()
            }) {
                event.prevent_default();
            }
        });
        for frame in frames {
            self.on_frame(&frame);
        }
    }

    pub(super) fn open_preview(self, target: CallTarget, media: Media) {
        let is_group_call = matches!(target, CallTarget::Room(_));
        if self.update_machine(|machine| machine.open_preview(target, media)) {
            if !self.can_connect() {
                return;
            }
            // The camera may be open from an earlier preview.
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
                "You are already in a call. Leave it before you start another.".to_owned(),
            ));
        }
    }

    /// Starts the previewed call.
    pub fn start_call(self) {
        let guest = self
            .state
            .with_untracked(|state| match &state.preview()?.target {
                CallTarget::Room(room) => room.guest_call_id,
                CallTarget::Person(_) => None,
            });
        let id = guest.unwrap_or_else(|| CallId(browser::new_uuid()));
        let actions = self.update_machine(|machine| machine.start_call(id));
        self.send_actions(actions);
    }

    /// Accepts the ringing call.
    pub fn accept(self, camera: bool) {
        let Some((call, accept)) = self
            .machine
            .with_untracked(|machine| machine.clone().accept())
        else {
            return;
        };
        // First, because rendering takes time and the peer's signals must follow the acceptance.
        self.send_action(call, accept);
        let servers = self
            .state
            .with_untracked(|state| state.ringing_call()?.ice_servers.clone());
        if let (Some(peer), Some(servers)) = (self.peer_in_call(call, SOLE_PEER), servers) {
            peer.start_connecting(&servers);
        }
        self.update_machine(ClientCallMachine::accept);
        self.devices.open_devices(DeviceRequest {
            microphone: true,
            camera,
            is_group_call: false,
        });
    }

    /// Leaves the current call for the waiting one; an open camera stays on.
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

    /// Declines the waiting call.
    pub fn decline_waiting_call(self) {
        let actions = self.update_machine(ClientCallMachine::decline_waiting_call);
        self.send_actions(actions);
    }

    /// Ends calls with people who are blocked from now on.
    fn apply_settings(self, settings: &PersonalSettings) {
        self.settings.set(settings.clone());
        let now = browser::monotonic_now();
        let actions = self.update_machine(|machine| machine.leave_blocked(settings, now));
        self.send_actions(actions);
    }

    /// Declines, cancels, hangs up or closes the summary.
    pub fn leave(self) {
        let actions = self.update_machine(|machine| machine.leave(browser::monotonic_now()));
        self.send_actions(actions);
    }

    fn update_machine<T>(self, change: impl FnOnce(&mut ClientCallMachine) -> T) -> T {
        let before = self.machine.get_untracked();
        let mut machine = before.clone();
        let result = change(&mut machine);
        let reports = machine.ringing_reports(&before);
        let (before, after) = (before.state, machine.state.clone());
        if self.machine.with_untracked(|known| *known != machine) {
            self.machine.set(machine);
        }
        self.send_actions(reports);
        if before != after {
            self.apply_transition(&before, &after);
        }
        self.schedule_retransmit();
        result
    }

    fn apply_transition(self, before: &ClientCallState, after: &ClientCallState) {
        // A failed call's error message stays while its end is shown.
        let is_failure_shown = matches!(after, ClientCallState::Ended(ended_call) if ended_call.outcome == Outcome::Failed);
        let was_ended_closed = matches!(before, ClientCallState::Ended(_))
            && !matches!(after, ClientCallState::Ended(_));
        if was_ended_closed || (before.call_id() != after.call_id() && !is_failure_shown) {
            self.error_message.set(None);
        }
        let can_connect = self.can_connect();
        if let (ClientCallState::Ringing(view), true) = (after, can_connect) {
            self.ringer
                .start(view.caller.name.as_str(), view.media.label());
        } else {
            self.ringer.stop();
        }
        // Received files stay while the call's end is shown.
        if was_ended_closed {
            self.discard_transfers();
        }
        if !after.needs_devices() {
            self.devices.release();
        }
        if can_connect {
            self.sync_peers(after);
        }
        if let (None, Some(view)) = (before.answered_call(), after.answered_call()) {
            self.report_connected(view.id);
        }
        self.socket.set_urgent(after.is_in_call());
        if matches!(after, ClientCallState::Ended(_)) {
            self.ended_count
                .update(|count| *count = count.wrapping_add(1));
        }
    }

    fn send_actions(self, all: impl IntoIterator<Item = (CallId, ClientAction)>) {
        for (call, action) in all {
            self.send_action(call, action);
        }
    }

    /// Unsent actions follow on reconnect (`on_welcome`); [`retransmit`] repeats lost ones.
    fn send_action(self, call: CallId, action: ClientAction) {
        self.socket.send(&ClientFrame::Call { call, action });
    }
}
