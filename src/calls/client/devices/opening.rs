//! Opening, replacing and losing microphone and camera.

use super::{
    DeviceRequest, DeviceState, Devices,
    capture::{self, LocalTrack, OpenedDevices},
    microphone_level::Meter,
    problem::{CaptureDevice, DeviceProblem},
};
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

impl Devices {
    /// The old track closes first: a phone opens only one camera at a time.
    pub(super) fn reopen_device(self, device: CaptureDevice) {
        if self.state_signal(device).get_untracked() != DeviceState::On {
            return;
        }
        self.drop_track(device);
        let preferences = self.selection.current_preferences();
        let requested_generations = self.local_tracks.with_or_default(|tracks| {
            *tracks.reopen_generation_mut(device) += 1;
            (
                tracks.release_generation,
                *tracks.reopen_generation_mut(device),
            )
        });
        spawn_local(async move {
            let on_lost = move |device| self.on_device_lost(device);
            let opened = capture::open_devices(
                DeviceRequest::single(
                    device,
                    self.local_tracks
                        .with_or_default(|tracks| tracks.is_group_call),
                ),
                &preferences,
                on_lost,
            )
            .await;
            let current_generations = self.local_tracks.with_or_default(|tracks| {
                (
                    tracks.release_generation,
                    *tracks.reopen_generation_mut(device),
                )
            });
            let is_current = current_generations == requested_generations;
            if is_current && self.state_signal(device).get_untracked() == DeviceState::On {
                self.store_opened(opened);
            }
        });
    }

    pub(in crate::calls::client) fn open_devices(self, request: DeviceRequest) {
        let request = DeviceRequest {
            microphone: request.microphone && self.microphone.get_untracked() == DeviceState::Off,
            camera: request.camera && self.camera.get_untracked() == DeviceState::Off,
            ..request
        };
        if !request.microphone && !request.camera {
            return;
        }
        if request.camera {
            self.local_tracks
                .with_or_default(|tracks| tracks.is_group_call = request.is_group_call);
        }
        // An earlier offer of a new device is outdated.
        self.selection.dismiss_new_device();
        for device in [CaptureDevice::Microphone, CaptureDevice::Camera]
            .into_iter()
            .filter(|device| request.includes(*device))
        {
            self.state_signal(device).set(DeviceState::Requesting);
            self.problem_signal(device).set(None);
        }
        let preferences = self.selection.current_preferences();
        let generation = self
            .local_tracks
            .with_or_default(|tracks| tracks.release_generation);
        spawn_local(async move {
            let opened = capture::open_devices(request, &preferences, move |device| {
                self.on_device_lost(device);
            })
            .await;
            // Dropping tracks that arrive after a release stops them.
            if self
                .local_tracks
                .with_or_default(|tracks| tracks.release_generation)
                == generation
            {
                self.store_opened(opened);
            }
        });
    }

    fn store_opened(self, opened: OpenedDevices) {
        for (device, result) in [
            (CaptureDevice::Microphone, opened.microphone),
            (CaptureDevice::Camera, opened.camera),
        ] {
            // Closed before the device arrived.
            if self.state_signal(device).get_untracked() == DeviceState::Off {
                continue;
            }
            match result {
                None => {}
                Some(Ok(track)) => self.install_track(device, track),
                Some(Err(problem)) => {
                    self.state_signal(device).set(DeviceState::Off);
                    self.problem_signal(device).set(Some(problem));
                    self.bump_tracks_version();
                }
            }
        }
        // With permission, the browser reveals device labels.
        self.selection.refresh(false);
    }

    fn install_track(self, device: CaptureDevice, track: LocalTrack) {
        let is_microphone = device == CaptureDevice::Microphone;
        let mut meter_generation = 0;
        if is_microphone {
            track.track().set_enabled(!self.muted.get_untracked());
            let meter = Meter::new(track.track());
            meter_generation = self.local_tracks.with_or_default(|tracks| {
                tracks.meter = meter;
                tracks.meter_generation += 1;
                tracks.meter_generation
            });
        }
        self.local_tracks
            .with_or_default(|tracks| *tracks.track_mut(device) = Some(track));
        self.state_signal(device).set(DeviceState::On);
        self.bump_tracks_version();
        if is_microphone {
            self.poll_microphone_level(meter_generation);
        }
    }

    pub(super) fn drop_track(self, device: CaptureDevice) {
        self.local_tracks.with_or_default(|tracks| {
            *tracks.track_mut(device) = None;
            if device == CaptureDevice::Microphone {
                tracks.meter = None;
            }
        });
    }

    fn on_device_lost(self, device: CaptureDevice) {
        self.drop_track(device);
        let mut preferences = self.selection.current_preferences();
        preferences.select(device.into(), None);
        let generation = self
            .local_tracks
            .with_or_default(|tracks| tracks.release_generation);
        spawn_local(async move {
            let on_lost = move |device| self.on_device_lost(device);
            let mut opened = capture::open_devices(
                DeviceRequest::single(
                    device,
                    self.local_tracks
                        .with_or_default(|tracks| tracks.is_group_call),
                ),
                &preferences,
                on_lost,
            )
            .await;
            let is_current = self
                .local_tracks
                .with_or_default(|tracks| tracks.release_generation)
                == generation;
            if !is_current || self.state_signal(device).get_untracked() != DeviceState::On {
                return;
            }
            let result = match device {
                CaptureDevice::Microphone => opened.microphone.take(),
                CaptureDevice::Camera => opened.camera.take(),
            };
            if let Some(Ok(track)) = result {
                let name = track.track().label();
                self.install_track(device, track);
                self.notice.set(Some(device.replaced_text(&name)));
            } else {
                self.close_device(device);
                self.notice.set(None);
                self.problem_signal(device).set(Some(DeviceProblem::Lost));
            }
            self.selection.refresh(false);
        });
    }
}
