//! The open tracks of this page.

use super::{capture::LocalTrack, microphone_level::Meter, problem::CaptureDevice};

#[derive(Default)]
pub(super) struct LocalTracks {
    pub(super) microphone: Option<LocalTrack>,
    pub(super) camera: Option<LocalTrack>,
    pub(super) screen: Option<LocalTrack>,
    pub(super) screen_audio: Option<LocalTrack>,
    pub(super) meter: Option<Meter>,
    pub(super) is_group_call: bool,
    /// For microphone and camera; results of older requests are dropped.
    pub(super) reopen_generations: (u32, u32),
    pub(super) meter_generation: u32,
    /// Devices requested before the latest release close on arrival.
    pub(super) release_generation: u32,
}

impl LocalTracks {
    pub(super) fn track_mut(&mut self, device: CaptureDevice) -> &mut Option<LocalTrack> {
        match device {
            CaptureDevice::Microphone => &mut self.microphone,
            CaptureDevice::Camera => &mut self.camera,
        }
    }

    pub(super) fn reopen_generation_mut(&mut self, device: CaptureDevice) -> &mut u32 {
        match device {
            CaptureDevice::Microphone => &mut self.reopen_generations.0,
            CaptureDevice::Camera => &mut self.reopen_generations.1,
        }
    }
}
