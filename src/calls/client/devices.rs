//! The microphone, camera and shared screen of this page: their state, requests and problems.

mod capture;
mod media_devices;
mod microphone_level;
pub mod problem;
pub mod selection;

pub use capture::DeviceRequest;

use super::track_slot::TrackSlot;
use crate::ui::browser;
use capture::{LocalTrack, OpenedDevices};
use leptos::prelude::*;
use microphone_level::{Meter, MicrophoneActivity};
use problem::{CaptureDevice, DeviceProblem};
use selection::{AudioProcessing, DeviceKind, DeviceSelection};
use std::cell::RefCell;
use wasm_bindgen_futures::spawn_local;
use web_sys::{MediaStream, MediaStreamTrack};

/// State of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceState {
    /// Closed, with its indicator light off.
    #[default]
    Off,
    /// Requested from the browser, which may be prompting for permission.
    Requesting,
    /// Open.
    On,
}

/// The devices of this page. A `Copy` handle.
#[derive(Debug, Clone, Copy)]
pub struct Devices {
    microphone: RwSignal<DeviceState>,
    camera: RwSignal<DeviceState>,
    screen: RwSignal<DeviceState>,
    muted: RwSignal<bool>,
    /// Incremented when a sent track changes.
    tracks_version: RwSignal<u32>,
    selection: DeviceSelection,
    /// The latest device event, as text.
    notice: RwSignal<Option<String>>,
    /// Level of the microphone, from 0 to 100.
    microphone_level: RwSignal<u8>,
    microphone_activity: RwSignal<MicrophoneActivity>,
    microphone_problem: RwSignal<Option<DeviceProblem>>,
    camera_problem: RwSignal<Option<DeviceProblem>>,
}

/// The open tracks. Outside the reactive graph, because they are browser handles. Unused on the server.
#[derive(Default)]
struct LocalTracks {
    microphone: Option<LocalTrack>,
    camera: Option<LocalTrack>,
    screen: Option<LocalTrack>,
    screen_audio: Option<LocalTrack>,
    meter: Option<Meter>,
    /// Whether the call is a group call, where smaller video is enough.
    is_group_call: bool,
    /// Generations of reopening the microphone and the camera; results of older requests are dropped.
    reopen_generations: (u32, u32),
    /// Generation of the meter; polls of older meters end.
    meter_generation: u32,
    /// Generation of releases; devices requested before the latest release are closed when they arrive.
    release_generation: u32,
}

thread_local! {
    static LOCAL_TRACKS: RefCell<LocalTracks> = RefCell::default();
}

fn with_local_tracks<T>(then: impl FnOnce(&mut LocalTracks) -> T) -> T {
    LOCAL_TRACKS.with_borrow_mut(then)
}

impl LocalTracks {
    fn track_mut(&mut self, device: CaptureDevice) -> &mut Option<LocalTrack> {
        match device {
            CaptureDevice::Microphone => &mut self.microphone,
            CaptureDevice::Camera => &mut self.camera,
        }
    }

    fn reopen_generation_mut(&mut self, device: CaptureDevice) -> &mut u32 {
        match device {
            CaptureDevice::Microphone => &mut self.reopen_generations.0,
            CaptureDevice::Camera => &mut self.reopen_generations.1,
        }
    }
}

impl Devices {
    pub(super) fn new() -> Self {
        Self {
            microphone: RwSignal::default(),
            camera: RwSignal::default(),
            screen: RwSignal::default(),
            muted: RwSignal::default(),
            tracks_version: RwSignal::default(),
            selection: DeviceSelection::new(),
            notice: RwSignal::default(),
            microphone_level: RwSignal::default(),
            microphone_activity: RwSignal::default(),
            microphone_problem: RwSignal::default(),
            camera_problem: RwSignal::default(),
        }
    }

    /// Starts following device changes. Browser only, once.
    pub(super) fn watch(self) {
        self.selection.watch();
    }

    /// State of the microphone.
    #[must_use]
    pub fn device_state(&self, device: CaptureDevice) -> Signal<DeviceState> {
        self.state_signal(device).into()
    }

    /// Whether the microphone is open and not muted.
    #[must_use]
    pub fn is_microphone_live(&self) -> bool {
        self.microphone.get() == DeviceState::On && !self.muted.get()
    }

    /// Whether the microphone is open and muted. Browser only.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.microphone.get_untracked() == DeviceState::On && self.muted.get_untracked()
    }

    /// Level of the microphone, from 0 to 100, muted or not.
    #[must_use]
    pub fn microphone_level(&self) -> Signal<u8> {
        self.microphone_level.into()
    }

    /// Whether the person talks while muted.
    #[must_use]
    pub fn is_talking_while_muted(&self) -> bool {
        self.microphone_activity
            .with(|ear| ear.is_talking_while_muted())
    }

    /// Whether the microphone is on but completely silent.
    #[must_use]
    pub fn is_microphone_silent(&self) -> bool {
        self.microphone_activity.with(|ear| ear.is_silent())
    }

    /// Whether the camera is open.
    #[must_use]
    pub fn is_camera_on(&self) -> bool {
        self.camera.get() == DeviceState::On
    }

    /// State of the shared screen.
    #[must_use]
    pub fn screen(&self) -> Signal<DeviceState> {
        self.screen.into()
    }

    /// Incremented when a sent track changes.
    #[must_use]
    pub fn tracks_version(&self) -> Signal<u32> {
        self.tracks_version.into()
    }

    /// The available devices and the selection among them.
    #[must_use]
    pub fn selection(&self) -> DeviceSelection {
        self.selection
    }

    /// The latest device event, as text.
    #[must_use]
    pub fn notice(&self) -> Signal<Option<String>> {
        self.notice.into()
    }

    /// Why a requested device is not available.
    #[must_use]
    pub fn problem(&self, device: CaptureDevice) -> Signal<Option<DeviceProblem>> {
        self.problem_signal(device).into()
    }

    /// Mutes or unmutes; requests a microphone if none is open. Browser only.
    pub fn toggle_microphone(self) {
        match self.microphone.get_untracked() {
            DeviceState::On => self.set_muted(!self.muted.get_untracked()),
            DeviceState::Requesting => {}
            DeviceState::Off => {
                self.muted.set(false);
                self.open_devices(DeviceRequest {
                    microphone: true,
                    ..DeviceRequest::default()
                });
            }
        }
    }

    /// Turns the camera, with its indicator light, off or on. Browser only.
    pub fn toggle_camera(self) {
        match self.camera.get_untracked() {
            DeviceState::On => self.close_device(CaptureDevice::Camera),
            DeviceState::Requesting => {}
            DeviceState::Off => self.open_devices(DeviceRequest {
                camera: true,
                is_group_call: with_local_tracks(|sources| sources.is_group_call),
                ..DeviceRequest::default()
            }),
        }
    }

    /// Whether this browser supports screen sharing. Browser only.
    #[must_use]
    pub fn can_share_screen() -> bool {
        capture::can_share_screen()
    }

    /// Starts sharing a screen, window or tab chosen in the browser's prompt, or stops. Browser only.
    pub fn toggle_screen(self) {
        match self.screen.get_untracked() {
            DeviceState::On => self.stop_screen(),
            DeviceState::Requesting => {}
            DeviceState::Off => self.share_screen(),
        }
    }

    fn share_screen(self) {
        self.screen.set(DeviceState::Requesting);
        self.notice.set(None);
        let generation = with_local_tracks(|sources| sources.release_generation);
        spawn_local(async move {
            let shared = capture::capture_screen(move || self.stop_screen()).await;
            if with_local_tracks(|sources| sources.release_generation) != generation {
                return;
            }
            match shared {
                Ok(Some((screen, sound))) => {
                    with_local_tracks(|sources| {
                        sources.screen = Some(screen);
                        sources.screen_audio = sound;
                    });
                    self.screen.set(DeviceState::On);
                    self.bump_tracks_version();
                }
                Ok(None) => self.screen.set(DeviceState::Off),
                Err(_) => {
                    self.screen.set(DeviceState::Off);
                    self.notice.set(Some(
                        "Your screen could not be shared: the browser or the system blocks it. Allow the browser to record the screen in \
                         the system settings, then share again."
                            .to_owned(),
                    ));
                }
            }
        });
    }

    fn stop_screen(self) {
        with_local_tracks(|sources| (sources.screen, sources.screen_audio) = (None, None));
        self.screen.set(DeviceState::Off);
        self.bump_tracks_version();
    }

    /// Selects a device, also during a call; `None` leaves the choice to the browser. Browser only.
    pub fn select_device(self, kind: DeviceKind, id: Option<String>) {
        self.selection.select(kind, id);
        self.notice.set(None);
        match kind {
            DeviceKind::Microphone => self.reopen_device(CaptureDevice::Microphone),
            DeviceKind::Camera => self.reopen_device(CaptureDevice::Camera),
            // The audio elements follow the selected speaker themselves.
            DeviceKind::Speaker => {}
        }
    }

    /// Turns an audio processing option on or off. Browser only.
    pub fn set_audio_processing(self, treatment: AudioProcessing, is_on: bool) {
        self.selection.set_processing(treatment, is_on);
        self.reopen_device(CaptureDevice::Microphone);
    }

    /// Reopens an open device with the current preferences. The old track is closed first, because a phone opens only
    /// one camera at a time; the peer notices a short gap at most.
    fn reopen_device(self, device: CaptureDevice) {
        if self.state_signal(device).get_untracked() != DeviceState::On {
            return;
        }
        Self::drop_track(device);
        let chosen = self.selection.current_preferences();
        let requested_generations = with_local_tracks(|sources| {
            *sources.reopen_generation_mut(device) += 1;
            (
                sources.release_generation,
                *sources.reopen_generation_mut(device),
            )
        });
        spawn_local(async move {
            let on_lost = move |device| self.on_device_lost(device);
            let opened = capture::open_devices(
                DeviceRequest::single(device, with_local_tracks(|sources| sources.is_group_call)),
                &chosen,
                on_lost,
            )
            .await;
            let current_generations = with_local_tracks(|sources| {
                (
                    sources.release_generation,
                    *sources.reopen_generation_mut(device),
                )
            });
            let is_current = current_generations == requested_generations;
            if is_current && self.state_signal(device).get_untracked() == DeviceState::On {
                self.store_opened(opened);
            }
        });
    }

    /// Requests the wanted devices that are not open. Browser only.
    pub(super) fn open_devices(self, wanted: DeviceRequest) {
        let wanted = DeviceRequest {
            microphone: wanted.microphone && self.microphone.get_untracked() == DeviceState::Off,
            camera: wanted.camera && self.camera.get_untracked() == DeviceState::Off,
            ..wanted
        };
        if !wanted.microphone && !wanted.camera {
            return;
        }
        if wanted.camera {
            with_local_tracks(|sources| sources.is_group_call = wanted.is_group_call);
        }
        // A device offered long ago is no longer new.
        self.selection.dismiss_new_device();
        for device in [CaptureDevice::Microphone, CaptureDevice::Camera]
            .into_iter()
            .filter(|device| wanted.includes(*device))
        {
            self.state_signal(device).set(DeviceState::Requesting);
            self.problem_signal(device).set(None);
        }
        let chosen = self.selection.current_preferences();
        let generation = with_local_tracks(|sources| sources.release_generation);
        spawn_local(async move {
            let opened =
                capture::open_devices(wanted, &chosen, move |device| self.on_device_lost(device))
                    .await;
            // Tracks that arrive after a release are stopped by being dropped.
            if with_local_tracks(|sources| sources.release_generation) == generation {
                self.store_opened(opened);
            }
        });
    }

    /// Closes the camera and clears its problem. A pending request is closed when it arrives. Browser only.
    pub(super) fn close_camera(self) {
        self.close_device(CaptureDevice::Camera);
        self.problem_signal(CaptureDevice::Camera).set(None);
    }

    fn store_opened(self, opened: OpenedDevices) {
        for (device, result) in [
            (CaptureDevice::Microphone, opened.microphone),
            (CaptureDevice::Camera, opened.camera),
        ] {
            // The device was closed before it arrived; dropping the track stops it.
            if self.state_signal(device).get_untracked() == DeviceState::Off {
                continue;
            }
            match result {
                None => {}
                Some(Ok(source)) => self.install_track(device, source),
                Some(Err(problem)) => {
                    self.state_signal(device).set(DeviceState::Off);
                    self.problem_signal(device).set(Some(problem));
                    self.bump_tracks_version();
                }
            }
        }
        // With permission granted, the browser reveals the device labels.
        self.selection.refresh(false);
    }

    fn install_track(self, device: CaptureDevice, source: LocalTrack) {
        let is_microphone = device == CaptureDevice::Microphone;
        let mut meter_generation = 0;
        if is_microphone {
            source.track().set_enabled(!self.muted.get_untracked());
            let meter = Meter::new(source.track());
            meter_generation = with_local_tracks(|sources| {
                sources.meter = meter;
                sources.meter_generation += 1;
                sources.meter_generation
            });
        }
        with_local_tracks(|sources| *sources.track_mut(device) = Some(source));
        self.state_signal(device).set(DeviceState::On);
        self.bump_tracks_version();
        if is_microphone {
            self.poll_microphone_level(meter_generation);
        }
    }

    /// Signals that a sent track changed.
    fn bump_tracks_version(self) {
        self.tracks_version
            .update(|tracks| *tracks = tracks.wrapping_add(1));
    }

    /// Closes all devices and clears their problems. Browser only.
    pub(super) fn release(self) {
        with_local_tracks(|sources| {
            *sources = LocalTracks {
                release_generation: sources.release_generation + 1,
                meter_generation: sources.meter_generation,
                reopen_generations: sources.reopen_generations,
                ..LocalTracks::default()
            };
        });
        for device in [CaptureDevice::Microphone, CaptureDevice::Camera] {
            self.state_signal(device).set(DeviceState::Off);
            self.problem_signal(device).set(None);
        }
        self.screen.set(DeviceState::Off);
        self.notice.set(None);
        self.selection.dismiss_new_device();
        self.muted.set(false);
        self.bump_tracks_version();
    }

    /// The local track of a slot. Browser only.
    pub(super) fn track(slot: TrackSlot) -> Option<MediaStreamTrack> {
        with_local_tracks(|sources| {
            let source = match slot {
                TrackSlot::Microphone => &sources.microphone,
                TrackSlot::Camera => &sources.camera,
                TrackSlot::Screen => &sources.screen,
                TrackSlot::ScreenAudio => &sources.screen_audio,
            };
            source
                .as_ref()
                // Not `.clone()`: JavaScript's `MediaStreamTrack.clone` would create an independent track.
                .map(|source| Clone::clone(source.track()))
        })
    }

    /// The camera's stream for the self view; `None` while the camera is off. Browser only.
    #[must_use]
    pub fn camera_stream(self) -> Option<MediaStream> {
        let track = Self::track(TrackSlot::Camera)?;
        // Creating an empty stream cannot fail.
        let stream = MediaStream::new().ok()?;
        stream.add_track(&track);
        Some(stream)
    }

    /// Polls the level while the microphone is open.
    fn poll_microphone_level(self, meter_generation: u32) {
        let level = with_local_tracks(|sources| {
            if sources.meter_generation != meter_generation {
                return Some(None);
            }
            sources.meter.as_ref().map(|meter| Some(meter.level()))
        });
        let Some(level) = level else {
            self.microphone_level.set(0);
            self.microphone_activity.set(MicrophoneActivity::default());
            return;
        };
        // A newer meter is polled instead.
        let Some(level) = level else { return };
        let muted = self.muted.get_untracked();
        let mut activity = self.microphone_activity.get_untracked();
        let before = activity;
        activity.update(level, muted);
        // The signal is set only if the value changes.
        if activity != before {
            self.microphone_activity.set(activity);
        }
        let percent = microphone_level::level_percent(level);
        if percent != self.microphone_level.get_untracked() {
            self.microphone_level.set(percent);
        }
        browser::run_after(microphone_level::LEVEL_POLL_INTERVAL, move || {
            self.poll_microphone_level(meter_generation);
        });
    }

    fn set_muted(self, muted: bool) {
        if let Some(track) = Self::track(TrackSlot::Microphone) {
            track.set_enabled(!muted);
        }
        self.muted.set(muted);
    }

    fn close_device(self, device: CaptureDevice) {
        Self::drop_track(device);
        self.state_signal(device).set(DeviceState::Off);
        self.bump_tracks_version();
    }

    fn drop_track(device: CaptureDevice) {
        with_local_tracks(|sources| {
            *sources.track_mut(device) = None;
            if device == CaptureDevice::Microphone {
                sources.meter = None;
            }
        });
    }

    /// Handles the loss of a device: opens a replacement if there is one, and reports it.
    fn on_device_lost(self, device: CaptureDevice) {
        Self::drop_track(device);
        let mut chosen = self.selection.current_preferences();
        chosen.select(device.into(), None);
        let generation = with_local_tracks(|sources| sources.release_generation);
        spawn_local(async move {
            let on_lost = move |device| self.on_device_lost(device);
            let mut opened = capture::open_devices(
                DeviceRequest::single(device, with_local_tracks(|sources| sources.is_group_call)),
                &chosen,
                on_lost,
            )
            .await;
            let is_current = with_local_tracks(|sources| sources.release_generation) == generation;
            if !is_current || self.state_signal(device).get_untracked() != DeviceState::On {
                return;
            }
            let result = match device {
                CaptureDevice::Microphone => opened.microphone.take(),
                CaptureDevice::Camera => opened.camera.take(),
            };
            if let Some(Ok(source)) = result {
                let name = source.track().label();
                self.install_track(device, source);
                self.notice.set(Some(device.replaced_text(&name)));
            } else {
                self.close_device(device);
                self.notice.set(None);
                self.problem_signal(device).set(Some(DeviceProblem::Lost));
            }
            self.selection.refresh(false);
        });
    }

    fn state_signal(self, device: CaptureDevice) -> RwSignal<DeviceState> {
        match device {
            CaptureDevice::Microphone => self.microphone,
            CaptureDevice::Camera => self.camera,
        }
    }

    fn problem_signal(self, device: CaptureDevice) -> RwSignal<Option<DeviceProblem>> {
        match device {
            CaptureDevice::Microphone => self.microphone_problem,
            CaptureDevice::Camera => self.camera_problem,
        }
    }
}
