//! The microphone, camera and shared screen of this page.

mod capture;
mod level_polling;
mod local_tracks;
mod media_devices;
mod microphone_level;
mod opening;
pub mod preferences;
pub mod problem;
mod screen;
pub mod selection;

pub use capture::DeviceRequest;

use super::track_slot::TrackSlot;
use crate::ui::{browser_apis, browser_state::BrowserState};
use leptos::prelude::*;
use local_tracks::LocalTracks;
use microphone_level::MicrophoneActivity;
use preferences::{AudioProcessing, DeviceKind};
use problem::{CaptureDevice, DeviceProblem};
use selection::DeviceSelection;
use web_sys::{MediaStream, MediaStreamTrack};

/// State of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceState {
    #[default]
    Off,
    /// The browser may be prompting for permission.
    Requesting,
    On,
}

/// The devices of this page.
#[derive(Debug, Clone, Copy)]
pub struct Devices {
    microphone: RwSignal<DeviceState>,
    camera: RwSignal<DeviceState>,
    screen: RwSignal<DeviceState>,
    muted: RwSignal<bool>,
    tracks_version: RwSignal<u32>,
    selection: DeviceSelection,
    local_tracks: BrowserState<LocalTracks>,
    notice: RwSignal<Option<String>>,
    microphone_level: RwSignal<u8>,
    microphone_activity: RwSignal<MicrophoneActivity>,
    microphone_problem: RwSignal<Option<DeviceProblem>>,
    camera_problem: RwSignal<Option<DeviceProblem>>,
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
            local_tracks: BrowserState::default(),
            notice: RwSignal::default(),
            microphone_level: RwSignal::default(),
            microphone_activity: RwSignal::default(),
            microphone_problem: RwSignal::default(),
            camera_problem: RwSignal::default(),
        }
    }

    /// Browser only, once.
    pub(super) fn watch(self) {
        self.selection.watch();
    }

    /// State of the microphone or camera.
    #[must_use]
    pub fn device_state(&self, device: CaptureDevice) -> Signal<DeviceState> {
        self.state_signal(device).into()
    }

    /// Whether the microphone is open and unmuted.
    #[must_use]
    pub fn is_microphone_live(&self) -> bool {
        self.microphone.get() == DeviceState::On && !self.muted.get()
    }

    /// Whether the microphone is open and muted. Browser only.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.microphone.get_untracked() == DeviceState::On && self.muted.get_untracked()
    }

    /// Level from 0 to 100, also while muted.
    #[must_use]
    pub fn microphone_level(&self) -> Signal<u8> {
        self.microphone_level.into()
    }

    /// Whether the person talks while muted.
    #[must_use]
    pub fn is_talking_while_muted(&self) -> bool {
        self.microphone_activity
            .with(|activity| activity.is_talking_while_muted())
    }

    /// Whether the open microphone is completely silent, as if dead.
    #[must_use]
    pub fn is_microphone_silent(&self) -> bool {
        self.microphone_activity
            .with(|activity| activity.is_silent())
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

    /// The available devices and the selection.
    #[must_use]
    pub fn selection(&self) -> DeviceSelection {
        self.selection
    }

    /// The latest device event.
    #[must_use]
    pub fn notice(&self) -> Signal<Option<String>> {
        self.notice.into()
    }

    /// Why a requested device is not available.
    #[must_use]
    pub fn problem(&self, device: CaptureDevice) -> Signal<Option<DeviceProblem>> {
        self.problem_signal(device).into()
    }

    /// Mutes, unmutes or requests a microphone. Browser only.
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

    /// Turns the camera off or on. Browser only.
    pub fn toggle_camera(self) {
        match self.camera.get_untracked() {
            DeviceState::On => self.close_device(CaptureDevice::Camera),
            DeviceState::Requesting => {}
            DeviceState::Off => self.open_devices(DeviceRequest {
                camera: true,
                is_group_call: self
                    .local_tracks
                    .with_or_default(|tracks| tracks.is_group_call),
                ..DeviceRequest::default()
            }),
        }
    }

    /// Whether this browser supports screen sharing. Browser only.
    #[must_use]
    pub fn can_share_screen() -> bool {
        browser_apis::supports_screen_capture()
    }

    /// Starts or stops screen sharing. Browser only.
    pub fn toggle_screen(self) {
        match self.screen.get_untracked() {
            DeviceState::On => self.stop_screen(),
            DeviceState::Requesting => {}
            DeviceState::Off => self.share_screen(),
        }
    }

    /// Selects a device, also during a call; `None` leaves it to the browser. Browser only.
    pub fn select_device(self, kind: DeviceKind, id: Option<String>) {
        self.selection.select(kind, id);
        self.notice.set(None);
        match kind {
            DeviceKind::Microphone => self.reopen_device(CaptureDevice::Microphone),
            DeviceKind::Camera => self.reopen_device(CaptureDevice::Camera),
            // The audio elements follow the selection themselves.
            DeviceKind::Speaker => {}
        }
    }

    /// Turns an audio processing option on or off. Browser only.
    pub fn set_audio_processing(self, processing: AudioProcessing, is_on: bool) {
        self.selection.set_processing(processing, is_on);
        self.reopen_device(CaptureDevice::Microphone);
    }

    /// A requested camera closes on arrival.
    pub(super) fn close_camera(self) {
        self.close_device(CaptureDevice::Camera);
        self.problem_signal(CaptureDevice::Camera).set(None);
    }

    fn bump_tracks_version(self) {
        self.tracks_version
            .update(|version| *version = version.wrapping_add(1));
    }

    pub(super) fn release(self) {
        self.local_tracks.with_or_default(|tracks| {
            *tracks = LocalTracks {
                release_generation: tracks.release_generation + 1,
                meter_generation: tracks.meter_generation,
                reopen_generations: tracks.reopen_generations,
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

    pub(super) fn track(self, slot: TrackSlot) -> Option<MediaStreamTrack> {
        self.local_tracks.with_or_default(|tracks| {
            let track = match slot {
                TrackSlot::Microphone => &tracks.microphone,
                TrackSlot::Camera => &tracks.camera,
                TrackSlot::Screen => &tracks.screen,
                TrackSlot::ScreenAudio => &tracks.screen_audio,
            };
            track
                .as_ref()
                // Not `.clone()`: JavaScript's `MediaStreamTrack.clone` creates an independent track.
                .map(|track| Clone::clone(track.track()))
        })
    }

    /// The camera's stream, for the self view. Browser only.
    #[must_use]
    pub fn camera_stream(self) -> Option<MediaStream> {
        let track = self.track(TrackSlot::Camera)?;
        // Creating an empty stream cannot fail.
        let stream = MediaStream::new().ok()?;
        stream.add_track(&track);
        Some(stream)
    }

    fn set_muted(self, muted: bool) {
        if let Some(track) = self.track(TrackSlot::Microphone) {
            track.set_enabled(!muted);
        }
        self.muted.set(muted);
    }

    fn close_device(self, device: CaptureDevice) {
        self.drop_track(device);
        self.state_signal(device).set(DeviceState::Off);
        self.bump_tracks_version();
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
