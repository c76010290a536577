//! Following the level of the open microphone.

use super::{
    Devices,
    microphone_level::{self, MicrophoneActivity},
};
use crate::ui::browser;
use leptos::prelude::*;

impl Devices {
    pub(super) fn poll_microphone_level(self, meter_generation: u32) {
        let level = self.local_tracks.with_or_default(|tracks| {
            if tracks.meter_generation != meter_generation {
                return Some(None);
            }
            tracks.meter.as_ref().map(|meter| Some(meter.level()))
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
        // A signal set to an equal value would notify.
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
}
