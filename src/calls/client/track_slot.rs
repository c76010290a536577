//! What goes from page to page: sound and pictures, each in a place of its own.

/// A stream of sound or pictures from one page to the other. Each has a transceiver (WebRTC 1.0 section 5.4) from the first offer on, in
/// the same place on both sides, with or without something behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackSlot {
    /// What the microphone hears.
    Microphone,
    /// What the camera sees.
    Camera,
    /// What a screen, a window or a tab shows.
    Screen,
    /// What is heard with it, where the browser hands that out.
    ScreenAudio,
}

impl TrackSlot {
    /// All of them, in the order in which they stand in an offer.
    pub const ALL: [Self; 4] = [
        Self::Microphone,
        Self::Camera,
        Self::Screen,
        Self::ScreenAudio,
    ];

    /// Where it stands among them.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Microphone => 0,
            Self::Camera => 1,
            Self::Screen => 2,
            Self::ScreenAudio => 3,
        }
    }

    /// What a media section of it is called (RFC 8866 section 5.14).
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
