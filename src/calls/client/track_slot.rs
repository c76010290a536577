//! The media tracks that pages exchange, each in a fixed slot.

/// One media track in each direction; its transceiver (WebRTC 1.0 section 5.4) has the same index on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackSlot {
    Microphone,
    Camera,
    /// Also a window or a tab.
    Screen,
    ScreenAudio,
}

impl TrackSlot {
    /// All slots, in the order of media sections.
    pub const ALL: [Self; 4] = [
        Self::Microphone,
        Self::Camera,
        Self::Screen,
        Self::ScreenAudio,
    ];

    /// The index in [`Self::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Microphone => 0,
            Self::Camera => 1,
            Self::Screen => 2,
            Self::ScreenAudio => 3,
        }
    }

    /// Media type of the SDP section (RFC 8866 section 5.14).
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Microphone | Self::ScreenAudio => "audio",
            Self::Camera | Self::Screen => "video",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_track_slot_stands_at_its_index() {
        for (index, slot) in TrackSlot::ALL.into_iter().enumerate() {
            assert_eq!(slot.index(), index);
        }
    }
}
