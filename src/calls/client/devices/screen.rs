//! Sharing a screen, window or tab.

use super::{DeviceState, Devices, capture};
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

impl Devices {
    pub(super) fn share_screen(self) {
        self.screen.set(DeviceState::Requesting);
        self.notice.set(None);
        let generation = self.local_tracks.with(|tracks| tracks.release_generation);
        spawn_local(async move {
            let shared = capture::capture_screen(move || self.stop_screen()).await;
            if self.local_tracks.with(|tracks| tracks.release_generation) != generation {
                return;
            }
            match shared {
                Ok(Some((screen, sound))) => {
                    self.local_tracks.with(|tracks| {
                        tracks.screen = Some(screen);
                        tracks.screen_audio = sound;
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

    pub(super) fn stop_screen(self) {
        self.local_tracks
            .with(|tracks| (tracks.screen, tracks.screen_audio) = (None, None));
        self.screen.set(DeviceState::Off);
        self.bump_tracks_version();
    }
}
