//! Adapts the camera's video to a narrow uplink.
//!
//! Browsers reduce the bit rate to unusable video that still takes bandwidth from the audio. This controller reduces
//! the resolution, then pauses video, and never limits audio.

use crate::model::Millis;

/// Quality of the sent camera video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum VideoQuality {
    /// No video, to protect the audio.
    Paused,
    Quarter,
    Half,
    #[default]
    Full,
}

/// W3C `RTCRtpEncodingParameters`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::calls::client) struct EncodingLimits {
    pub(in crate::calls::client) active: bool,
    /// Bits per second.
    pub(in crate::calls::client) max_bitrate: u32,
    /// Lines; `None` for no limit.
    pub(in crate::calls::client) max_height: Option<f32>,
}

impl EncodingLimits {
    /// Divisor of width and height; ramp-up adds a limit.
    pub(in crate::calls::client) fn scale_down_by(
        self,
        height: f32,
        ramp_up_height: Option<f32>,
    ) -> f32 {
        let max_height = self
            .max_height
            .into_iter()
            .chain(ramp_up_height)
            .reduce(f32::min);
        max_height.map_or(1.0, |most| (height / most).max(1.0))
    }
}

/// Since the previous sample.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(in crate::calls::client) struct UplinkStats {
    /// Reported by the peer; the worse of audio and video.
    pub(in crate::calls::client) loss_percent: f64,
    pub(in crate::calls::client) available_kbps: Option<f64>,
}

impl VideoQuality {
    pub(in crate::calls::client) fn for_peer_count(peer_count: usize) -> Self {
        match peer_count {
            0 | 1 => Self::Full,
            2 | 3 => Self::Half,
            _ => Self::Quarter,
        }
    }

    pub(in crate::calls::client) fn encoding_limits(self) -> EncodingLimits {
        let (bits, lines) = match self {
            Self::Full => (1_800_000, None),
            Self::Half => (600_000, Some(360.0)),
            Self::Quarter => (200_000, Some(180.0)),
            Self::Paused => (100_000, Some(180.0)),
        };
        EncodingLimits {
            active: self != Self::Paused,
            max_bitrate: bits,
            max_height: lines,
        }
    }

    /// Includes audio, about 40.
    fn min_kbps(self) -> f64 {
        match self {
            Self::Full => 290.0,
            Self::Half => 160.0,
            Self::Quarter => 90.0,
            Self::Paused => 0.0,
        }
    }

    fn smaller(self) -> Self {
        match self {
            Self::Full => Self::Half,
            Self::Half => Self::Quarter,
            Self::Quarter | Self::Paused => Self::Paused,
        }
    }

    fn larger(self) -> Self {
        match self {
            Self::Paused => Self::Quarter,
            Self::Quarter => Self::Half,
            Self::Half | Self::Full => Self::Full,
        }
    }
}

/// Loss above the high mark is audible; below the low mark, it is invisible.
const HIGH_LOSS_PERCENT: f64 = 10.0;
const LOW_LOSS_PERCENT: f64 = 3.0;
/// Consecutive bad samples before a downgrade.
const DOWNGRADE_SAMPLES: u32 = 2;
/// Good samples before an upgrade; doubled after each failed one, up to the maximum.
const MIN_UPGRADE_SAMPLES: u32 = 4;
const MAX_UPGRADE_SAMPLES: u32 = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) struct VideoAdaptation {
    quality: VideoQuality,
    max_quality: VideoQuality,
    bad_samples: u32,
    good_samples: u32,
    upgrade_samples: u32,
    is_upgrade_tentative: bool,
}

impl VideoAdaptation {
    pub(in crate::calls::client) fn new(max_quality: VideoQuality) -> Self {
        Self {
            quality: max_quality,
            max_quality,
            bad_samples: 0,
            good_samples: 0,
            upgrade_samples: MIN_UPGRADE_SAMPLES,
            is_upgrade_tentative: false,
        }
    }

    pub(in crate::calls::client) fn quality(&self) -> VideoQuality {
        self.quality
    }

    /// True if the current quality changes.
    pub(in crate::calls::client) fn set_max_quality(&mut self, max_quality: VideoQuality) -> bool {
        let before = self.quality;
        // A sender at the maximum stays there.
        if self.quality == self.max_quality {
            self.quality = max_quality;
        }
        self.max_quality = max_quality;
        self.quality = self.quality.min(max_quality);
        before != self.quality
    }

    /// True if the quality changes.
    pub(in crate::calls::client) fn update(&mut self, uplink: UplinkStats) -> bool {
        let narrow = uplink
            .available_kbps
            .is_some_and(|room| room < self.quality.min_kbps());
        if uplink.loss_percent > HIGH_LOSS_PERCENT || narrow {
            self.good_samples = 0;
            self.bad_samples += 1;
        } else if uplink.loss_percent < LOW_LOSS_PERCENT {
            self.bad_samples = 0;
            self.good_samples += 1;
        } else {
            (self.bad_samples, self.good_samples) = (0, 0);
        }
        if self.bad_samples >= DOWNGRADE_SAMPLES && self.quality > VideoQuality::Paused {
            self.quality = self.quality.smaller();
            // The upgrade came too early. Further downgrades do not count.
            if std::mem::take(&mut self.is_upgrade_tentative) {
                self.upgrade_samples = (self.upgrade_samples * 2).min(MAX_UPGRADE_SAMPLES);
            }
            self.bad_samples = 0;
            return true;
        }
        if self.good_samples >= self.upgrade_samples && self.quality < self.max_quality {
            self.quality = self.quality.larger();
            self.is_upgrade_tentative = true;
            self.good_samples = 0;
            return true;
        }
        if self.quality == self.max_quality && self.good_samples >= MAX_UPGRADE_SAMPLES {
            self.upgrade_samples = MIN_UPGRADE_SAMPLES;
            self.is_upgrade_tentative = false;
        }
        false
    }
}

/// What the path allows, whatever the quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) enum VideoRamp {
    /// Small frames, because a new path's bandwidth estimate starts low.
    Starting { since: Millis },
    /// Frames of any size.
    Finished,
    /// Nothing arrives from the peer.
    Suspended,
}

impl VideoRamp {
    /// Milliseconds.
    pub(in crate::calls::client) const DURATION: i32 = 2_000;
    /// Lines.
    const MAX_HEIGHT: f32 = 360.0;

    fn max_height(self) -> Option<f32> {
        match self {
            Self::Starting { .. } => Some(Self::MAX_HEIGHT),
            Self::Finished | Self::Suspended => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::calls::client) struct EncoderSettings {
    pub(in crate::calls::client) active: bool,
    pub(in crate::calls::client) max_bitrate: u32,
    pub(in crate::calls::client) scale_down_by: f32,
}

impl EncoderSettings {
    /// `frame_height` is in lines.
    pub(in crate::calls::client) fn new(
        quality: VideoQuality,
        ramp: VideoRamp,
        frame_height: f32,
    ) -> Self {
        let limits = quality.encoding_limits();
        Self {
            active: limits.active && ramp != VideoRamp::Suspended,
            max_bitrate: limits.max_bitrate,
            scale_down_by: limits.scale_down_by(frame_height, ramp.max_height()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD_UPLINK: UplinkStats = UplinkStats {
        loss_percent: 0.0,
        available_kbps: Some(3_000.0),
    };
    const LOSSY_UPLINK: UplinkStats = UplinkStats {
        loss_percent: 25.0,
        available_kbps: None,
    };

    fn update_times(
        adaptation: &mut VideoAdaptation,
        uplink: UplinkStats,
        times: u32,
    ) -> VideoQuality {
        for _ in 0..times {
            adaptation.update(uplink);
        }
        adaptation.quality()
    }

    #[test]
    fn video_gets_smaller_and_then_pauses_and_one_bad_sample_changes_nothing() {
        let mut sent = VideoAdaptation::new(VideoQuality::Full);
        assert_eq!(update_times(&mut sent, LOSSY_UPLINK, 1), VideoQuality::Full);
        assert_eq!(update_times(&mut sent, GOOD_UPLINK, 1), VideoQuality::Full);
        assert_eq!(update_times(&mut sent, LOSSY_UPLINK, 1), VideoQuality::Full);
        assert_eq!(update_times(&mut sent, LOSSY_UPLINK, 1), VideoQuality::Half);
        assert_eq!(
            update_times(&mut sent, LOSSY_UPLINK, 4),
            VideoQuality::Paused
        );
        assert_eq!(
            update_times(&mut sent, LOSSY_UPLINK, 9),
            VideoQuality::Paused
        );
        assert!(
            !VideoQuality::Paused.encoding_limits().active
                && VideoQuality::Quarter.encoding_limits().active
        );
    }

    #[test]
    fn a_narrow_uplink_is_given_little() {
        let uplink = |kilobits| UplinkStats {
            loss_percent: 0.0,
            available_kbps: Some(kilobits),
        };
        let mut sent = VideoAdaptation::new(VideoQuality::Full);
        assert_eq!(
            update_times(&mut sent, uplink(100.0), 15),
            VideoQuality::Quarter
        );
        assert_eq!(
            update_times(&mut sent, uplink(40.0), 2),
            VideoQuality::Paused
        );
    }

    #[test]
    fn what_was_given_up_comes_back_and_later_each_time_it_fails() {
        let mut sent = VideoAdaptation::new(VideoQuality::Full);
        update_times(&mut sent, LOSSY_UPLINK, 2);
        let tries =
            |sent: &mut VideoAdaptation| (1..100).find(|_| sent.update(GOOD_UPLINK)).unwrap_or(0);
        let first = tries(&mut sent);
        assert_eq!(sent.quality(), VideoQuality::Full);
        update_times(&mut sent, LOSSY_UPLINK, 2);
        assert!(tries(&mut sent) > first);
        update_times(&mut sent, GOOD_UPLINK, MAX_UPGRADE_SAMPLES + 1);
        update_times(&mut sent, LOSSY_UPLINK, 2);
        assert_eq!(
            tries(&mut sent),
            MIN_UPGRADE_SAMPLES,
            "a good while counts for something"
        );
    }

    #[test]
    fn an_uplink_that_was_narrow_once_is_tried_again_soon() {
        let mut sent = VideoAdaptation::new(VideoQuality::Full);
        assert_eq!(
            update_times(&mut sent, LOSSY_UPLINK, 6),
            VideoQuality::Paused
        );
        assert_eq!(
            update_times(&mut sent, GOOD_UPLINK, MIN_UPGRADE_SAMPLES),
            VideoQuality::Quarter
        );
        assert_eq!(
            update_times(&mut sent, GOOD_UPLINK, 2 * MIN_UPGRADE_SAMPLES),
            VideoQuality::Full
        );
    }

    #[test]
    fn video_is_scaled_down_and_never_up() {
        for (quality, lines, scale) in [
            (VideoQuality::Half, 720.0, 2.0),
            (VideoQuality::Half, 360.0, 1.0),
            (VideoQuality::Half, 240.0, 1.0),
            (VideoQuality::Full, 1_080.0, 1.0),
            (VideoQuality::Quarter, 720.0, 4.0),
        ] {
            let found: f32 = quality.encoding_limits().scale_down_by(lines, None);
            assert!(
                (found - scale).abs() < 0.01,
                "{quality:?}, {lines}: {found}"
            );
        }
    }

    #[test]
    fn no_more_is_sent_than_a_group_call_allows() {
        let mut sent = VideoAdaptation::new(VideoQuality::Full);
        assert!(sent.set_max_quality(VideoQuality::Quarter));
        assert_eq!(
            update_times(&mut sent, GOOD_UPLINK, 100),
            VideoQuality::Quarter
        );
        assert!(
            sent.set_max_quality(VideoQuality::Full),
            "who leaves makes room"
        );
        update_times(&mut sent, LOSSY_UPLINK, 2);
        assert!(!sent.set_max_quality(VideoQuality::Half) && sent.quality() == VideoQuality::Half);
    }

    #[test]
    fn a_new_path_starts_with_small_frames_and_a_silent_one_gets_none() {
        let settings = |ramp| {
            let settings = EncoderSettings::new(VideoQuality::Full, ramp, 720.0);
            (settings.active, settings.scale_down_by)
        };
        assert_eq!(settings(VideoRamp::Starting { since: 0 }), (true, 2.0));
        assert_eq!(settings(VideoRamp::Finished), (true, 1.0));
        assert_eq!(settings(VideoRamp::Suspended), (false, 1.0));
        let paused = EncoderSettings::new(VideoQuality::Paused, VideoRamp::Finished, 720.0);
        assert!(!paused.active, "to protect the audio");
    }
}
