//! What is given up when the way to the other page is narrow: pictures before sound. Plain data, no browser in it.
//!
//! A browser fits its bit rate to the way by itself, down to pictures that nobody can make anything of, and takes from the sound what it
//! still sends of them. So the steps are ours: smaller pictures first, then none, and sound as long as there is a way at all. What was
//! given up is tried again, and the more often that failed, the later.

/// How much of the camera's picture is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum VideoQuality {
    /// None, to keep the sound.
    Paused,
    /// Small: what is left when six share a call.
    Quarter,
    /// Of medium size.
    Half,
    /// As the camera makes it.
    #[default]
    Full,
}

/// What an encoder is told (W3C `RTCRtpEncodingParameters`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::calls::client) struct EncodingLimits {
    /// Whether anything is sent.
    pub(in crate::calls::client) active: bool,
    /// The most, in bits a second.
    pub(in crate::calls::client) max_bitrate: u32,
    /// How many lines a picture has at most; none: as many as the camera makes.
    pub(in crate::calls::client) max_height: Option<f32>,
}

impl EncodingLimits {
    /// By how much width and height are divided of a picture with so many lines, where it may not have more than so many for now.
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

/// What was measured of the way out since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(in crate::calls::client) struct UplinkStats {
    /// Packets that did not arrive at the other one, in percent; the worst of sound and pictures.
    pub(in crate::calls::client) loss_percent: f64,
    /// How much the way takes, in kilobits a second, as far as the browser knows.
    pub(in crate::calls::client) available_kbps: Option<f64>,
}

impl VideoQuality {
    /// The most that is sent to each of so many others.
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

    /// Below so many kilobits a second, sound included, there is no room for it: sound takes about forty.
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

/// More loss than this is heard in the sound, and less than that is not seen in the pictures, in percent.
const HIGH_LOSS_PERCENT: f64 = 10.0;
const LOW_LOSS_PERCENT: f64 = 3.0;
/// After so many bad looks in a row less is sent.
const DOWNGRADE_SAMPLES: u32 = 2;
/// After so many good ones more is tried, the first time; twice as many after each try that failed, up to the bound.
const MIN_UPGRADE_SAMPLES: u32 = 4;
const MAX_UPGRADE_SAMPLES: u32 = 32;

/// What is sent now, and how it went lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) struct VideoAdaptation {
    quality: VideoQuality,
    /// The most that is sent at all: less in a call of many.
    max_quality: VideoQuality,
    bad_samples: u32,
    good_samples: u32,
    /// So many good looks it takes until more is tried.
    upgrade_samples: u32,
    /// What is sent is more than what was before.
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

    /// How much of the picture is sent.
    pub(in crate::calls::client) fn quality(&self) -> VideoQuality {
        self.quality
    }

    /// No more than this is sent from now on. True if that changes what is sent.
    pub(in crate::calls::client) fn set_max_quality(&mut self, max_quality: VideoQuality) -> bool {
        let before = self.quality;
        // Whoever sent all they might goes on doing so.
        if self.quality == self.max_quality {
            self.quality = max_quality;
        }
        self.max_quality = max_quality;
        self.quality = self.quality.min(max_quality);
        before != self.quality
    }

    /// Takes in how the way was. True if something else is to be sent from now on.
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
            // What is given up after it was tried was tried too early. One way that gets narrow takes several steps down, and they count
            // for nothing.
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
}
