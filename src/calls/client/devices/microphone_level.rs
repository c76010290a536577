//! The microphone's level: meter, talking while muted, and silence.

use crate::ui::browser_apis;
use web_sys::{
    AnalyserNode, AudioContext, MediaStream, MediaStreamAudioSourceNode, MediaStreamTrack,
};

/// Milliseconds.
pub(super) const LEVEL_POLL_INTERVAL: i32 = 100;
/// Root mean squares of samples from -1 to 1. Speech is above the first; below the second, the microphone is dead: no room is so quiet.
const SPEECH_LEVEL: f32 = 0.02;
const SILENCE_LEVEL: f32 = 0.000_05;
/// A cough is shorter.
const MIN_TALKING_POLLS: u32 = 5;
/// Six seconds.
const MIN_SILENT_POLLS: u32 = 60;
const FFT_SIZE: u32 = 1_024;
const FFT_SIZE_F32: f32 = 1_024.0;

/// Neither plays nor records the audio.
pub(super) struct Meter {
    context: AudioContext,
    analyser: AnalyserNode,
    source: MediaStreamAudioSourceNode,
    /// Never muted: a muted track measures silence.
    track: MediaStreamTrack,
}

impl Meter {
    /// `None` without Web Audio.
    pub(super) fn new(track: &MediaStreamTrack) -> Option<Self> {
        let track = MediaStreamTrack::clone(track);
        track.set_enabled(true);
        let stream = MediaStream::new().ok()?;
        stream.add_track(&track);
        let context = browser_apis::audio_context()?;
        let analyser = context.create_analyser().ok()?;
        analyser.set_fft_size(FFT_SIZE);
        let source = context.create_media_stream_source(&stream).ok()?;
        source.connect_with_audio_node(&analyser).ok()?;
        Some(Self {
            context,
            analyser,
            source,
            track,
        })
    }

    /// Root mean square, from 0 to 1.
    pub(super) fn level(&self) -> f32 {
        let mut samples = vec![0.0; FFT_SIZE as usize];
        self.analyser.get_float_time_domain_data(&mut samples);
        let sum: f32 = samples.iter().map(|sample| sample * sample).sum();
        (sum / FFT_SIZE_F32).sqrt()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // The context may already be closed.
        let _ = self.source.disconnect();
        let _ = self.context.close();
        self.track.stop();
    }
}

/// From 0 to 100, linear in decibels (from -60 to 0).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between 0 and 100"
)]
pub(super) fn level_percent(level: f32) -> u8 {
    let decibels = 20.0 * level.max(0.000_001).log10();
    (100.0 * (1.0 + decibels / 60.0)).clamp(0.0, 100.0) as u8
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct MicrophoneActivity {
    talking_polls: u32,
    silent_polls: u32,
}

impl MicrophoneActivity {
    pub(super) fn update(&mut self, level: f32, muted: bool) {
        self.silent_polls = if level < SILENCE_LEVEL && !muted {
            self.silent_polls.saturating_add(1)
        } else {
            0
        };
        self.talking_polls = if muted && level > SPEECH_LEVEL {
            (self.talking_polls + 1).min(2 * MIN_TALKING_POLLS)
        } else if muted {
            self.talking_polls.saturating_sub(1)
        } else {
            0
        };
    }

    pub(super) fn is_talking_while_muted(self) -> bool {
        self.talking_polls >= MIN_TALKING_POLLS
    }

    pub(super) fn is_silent(self) -> bool {
        self.silent_polls >= MIN_SILENT_POLLS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_talks_while_muted_is_noticed_and_a_cough_is_not() {
        let mut activity = MicrophoneActivity::default();
        (0..3).for_each(|_| activity.update(0.3, true));
        (0..3).for_each(|_| activity.update(0.001, true));
        assert!(!activity.is_talking_while_muted(), "a cough");
        (0..6).for_each(|_| activity.update(0.1, true));
        assert!(activity.is_talking_while_muted());
        activity.update(0.1, false);
        assert!(!activity.is_talking_while_muted(), "it was heard");
    }

    #[test]
    fn a_meter_shows_what_it_sounds_like() {
        assert_eq!([0.0, 0.001, 0.1, 1.0].map(level_percent), [0, 0, 66, 100]);
    }

    #[test]
    fn a_microphone_that_hears_nothing_is_noticed_and_a_quiet_room_is_not() {
        let mut activity = MicrophoneActivity::default();
        (0..200).for_each(|_| activity.update(0.001, false));
        assert!(!activity.is_silent());
        (0..200).for_each(|_| activity.update(0.0, true));
        assert!(!activity.is_silent(), "muted is silent on purpose");
        (0..MIN_SILENT_POLLS).for_each(|_| activity.update(0.0, false));
        assert!(activity.is_silent());
        activity.update(0.001, false);
        assert!(!activity.is_silent());
    }
}
