//! The microphone, the camera and the shared screen of this page: what is on, what is asked for, and what stands in the way.

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

/// Whether a device is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceState {
    /// Closed: its light is off.
    #[default]
    Off,
    /// The browser is asked for it; perhaps it asks the person.
    Requesting,
    /// Open.
    On,
}

/// The devices of this page. A handle: copy it freely.
#[derive(Debug, Clone, Copy)]
pub struct Devices {
    microphone: RwSignal<DeviceState>,
    camera: RwSignal<DeviceState>,
    screen: RwSignal<DeviceState>,
    muted: RwSignal<bool>,
    /// Changes with what is sent from now on.
    tracks_version: RwSignal<u32>,
    selection: DeviceSelection,
    /// What just happened to a device, in words.
    notice: RwSignal<Option<String>>,
    /// How loud the microphone is, from 0 to 100.
    microphone_level: RwSignal<u8>,
    microphone_activity: RwSignal<MicrophoneActivity>,
    microphone_problem: RwSignal<Option<DeviceProblem>>,
    camera_problem: RwSignal<Option<DeviceProblem>>,
}

/// What is open. Lives outside the reactive graph, because it holds handles of the browser, and is never touched on the server.
#[derive(Default)]
struct LocalTracks {
    microphone: Option<LocalTrack>,
    camera: Option<LocalTrack>,
    screen: Option<LocalTrack>,
    screen_audio: Option<LocalTrack>,
    meter: Option<Meter>,
    /// The camera's picture is one of many.
    is_group_call: bool,
    /// Counts exchanges of the microphone and of the camera: what was asked for before the last one comes too late.
    reopen_generations: (u32, u32),
    /// Counts meters: who looks at a former one stops.
    meter_generation: u32,
    /// Counts releases: what was asked for before the last one is given back at once when it comes.
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

    /// Follows what is connected. Browser only, once.
    pub(super) fn watch(self) {
        self.selection.watch();
    }

    /// Whether a device is open.
    #[must_use]
    pub fn device_state(&self, device: CaptureDevice) -> Signal<DeviceState> {
        self.state_signal(device).into()
    }

    /// Whether the other one hears: the microphone is open and not muted.
    #[must_use]
    pub fn is_microphone_live(&self) -> bool {
        self.microphone.get() == DeviceState::On && !self.muted.get()
    }

    /// Whether the microphone is open, and muted. Browser only.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.microphone.get_untracked() == DeviceState::On && self.muted.get_untracked()
    }

    /// How loud the microphone is, from 0 to 100, whether it is muted or not.
    #[must_use]
    pub fn microphone_level(&self) -> Signal<u8> {
        self.microphone_level.into()
    }

    /// Whether somebody talks while they are muted.
    #[must_use]
    pub fn is_talking_while_muted(&self) -> bool {
        self.microphone_activity
            .with(|ear| ear.is_talking_while_muted())
    }

    /// Whether the microphone is on and hears nothing at all.
    #[must_use]
    pub fn is_microphone_silent(&self) -> bool {
        self.microphone_activity.with(|ear| ear.is_silent())
    }

    /// Whether the other one sees: the camera is open.
    #[must_use]
    pub fn is_camera_on(&self) -> bool {
        self.camera.get() == DeviceState::On
    }

    /// Whether a screen is shared.
    #[must_use]
    pub fn screen(&self) -> Signal<DeviceState> {
        self.screen.into()
    }

    /// Changes with what is sent from now on.
    #[must_use]
    pub fn tracks_version(&self) -> Signal<u32> {
        self.tracks_version.into()
    }

    /// Which devices there are, and which were chosen.
    #[must_use]
    pub fn selection(&self) -> DeviceSelection {
        self.selection
    }

    /// What just happened to a device, in words.
    #[must_use]
    pub fn notice(&self) -> Signal<Option<String>> {
        self.notice.into()
    }

    /// Why a device cannot be used, if it was asked for and cannot.
    #[must_use]
    pub fn problem(&self, device: CaptureDevice) -> Signal<Option<DeviceProblem>> {
        self.problem_signal(device).into()
    }

    /// Mutes or unmutes; with no microphone open, asks for one. Browser only.
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

    /// Turns the camera off, its light with it, or on again. Browser only.
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

    /// Whether this browser can share a screen. Browser only.
    #[must_use]
    pub fn can_share_screen() -> bool {
        capture::can_share_screen()
    }

    /// Shares a screen, a window or a tab: which, the browser asks. Or stops. Browser only.
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
                        "The screen could not be shared: the browser or the system does not let it be seen. Allow the browser to record \
                         the screen in the system's settings, then share again."
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

    /// Uses this device from now on, also where another one is in use. None: whichever the browser chooses. Browser only.
    pub fn select_device(self, kind: DeviceKind, id: Option<String>) {
        self.selection.select(kind, id);
        self.notice.set(None);
        match kind {
            DeviceKind::Microphone => self.reopen_device(CaptureDevice::Microphone),
            DeviceKind::Camera => self.reopen_device(CaptureDevice::Camera),
            // Whatever sounds follows the choice by itself.
            DeviceKind::Speaker => {}
        }
    }

    /// Treats the sound of the microphone so, or not. Browser only.
    pub fn set_audio_processing(self, treatment: AudioProcessing, is_on: bool) {
        self.selection.set_processing(treatment, is_on);
        self.reopen_device(CaptureDevice::Microphone);
    }

    /// Opens a device anew, with what was chosen by now, if it is open. The former one is closed first: a phone opens one camera at a time.
    /// The other one hears and sees nothing of it but a moment of silence.
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

    /// Asks for what is wanted and not open yet. Browser only.
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
        // What was connected long before is not news.
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
            // Dropped, what comes too late is stopped.
            if with_local_tracks(|sources| sources.release_generation) == generation {
                self.store_opened(opened);
            }
        });
    }

    /// Closes the camera, and forgets what stood in its way. One that was only asked for is given back when it comes. Browser
    /// only.
    pub(super) fn close_camera(self) {
        self.close_device(CaptureDevice::Camera);
        self.problem_signal(CaptureDevice::Camera).set(None);
    }

    fn store_opened(self, opened: OpenedDevices) {
        for (device, result) in [
            (CaptureDevice::Microphone, opened.microphone),
            (CaptureDevice::Camera, opened.camera),
        ] {
            // It was closed before it came: dropped, it is stopped.
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
        // Now that one may be used, the browser says what they are called.
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

    /// Something else is sent from now on.
    fn bump_tracks_version(self) {
        self.tracks_version
            .update(|tracks| *tracks = tracks.wrapping_add(1));
    }

    /// Closes all of it, lights off, and forgets what stood in the way. Browser only.
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

    /// What is sent. Browser only.
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
                // Not `.clone()`, which JavaScript has as well: it makes a second track that mutes and stops by itself.
                .map(|source| Clone::clone(source.track()))
        })
    }

    /// What the camera sees, to be shown to oneself; none while it is off. Browser only.
    #[must_use]
    pub fn camera_stream(self) -> Option<MediaStream> {
        let track = Self::track(TrackSlot::Camera)?;
        // An empty stream can always be made.
        let stream = MediaStream::new().ok()?;
        stream.add_track(&track);
        Some(stream)
    }

    /// Looks how loud it is, now and then, for as long as the microphone is open.
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
        // Another one is looked at now.
        let Some(level) = level else { return };
        let muted = self.muted.get_untracked();
        let mut activity = self.microphone_activity.get_untracked();
        let before = activity;
        activity.update(level, muted);
        // What nobody could see change is not told.
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

    /// A device went away by itself: another one takes its place if there is one, and both is said.
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
