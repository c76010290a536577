//! What is given up when the way to the other page is narrow: pictures before sound. Plain data, no browser in it.
//!
//! A browser fits its bit rate to the way by itself, down to pictures that nobody can make anything of, and takes from the sound what it
//! still sends of them. So the steps are ours: smaller pictures first, then none, and sound as long as there is a way at all. What was
//! given up is tried again, and the more often that failed, the later.

/// How much of the camera's picture is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Picture {
    /// None, to keep the sound.
    Held,
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
pub(super) struct Limits {
    /// Whether anything is sent.
    pub(super) active: bool,
    /// The most, in bits a second.
    pub(super) bits: u32,
    /// How many lines a picture has at most; none: as many as the camera makes.
    pub(super) lines: Option<f32>,
}

impl Limits {
    /// By how much width and height are divided of a picture with so many lines, where it may not have more than so many for now.
    pub(super) fn scale(self, lines: f32, for_now: Option<f32>) -> f32 {
        let most = self.lines.into_iter().chain(for_now).reduce(f32::min);
        most.map_or(1.0, |most| (lines / most).max(1.0))
    }
}

/// What was measured of the way out since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Strain {
    /// Packets that did not arrive at the other one, in percent; the worst of sound and pictures.
    pub(super) loss: f64,
    /// How much the way takes, in kilobits a second, as far as the browser knows.
    pub(super) room: Option<f64>,
}

impl Picture {
    /// The most that is sent to each of so many others.
    pub(super) fn among(others: usize) -> Self {
        match others {
            0 | 1 => Self::Full,
            2 | 3 => Self::Half,
            _ => Self::Quarter,
        }
    }

    pub(super) fn limits(self) -> Limits {
        let (bits, lines) = match self {
            Self::Full => (1_800_000, None),
            Self::Half => (600_000, Some(360.0)),
            Self::Quarter => (200_000, Some(180.0)),
            Self::Held => (100_000, Some(180.0)),
        };
        Limits {
            active: self != Self::Held,
            bits,
            lines,
        }
    }

    /// Below so many kilobits a second, sound included, there is no room for it: sound takes about forty.
    fn needs(self) -> f64 {
        match self {
            Self::Full => 290.0,
            Self::Half => 160.0,
            Self::Quarter => 90.0,
            Self::Held => 0.0,
        }
    }

    fn smaller(self) -> Self {
        match self {
            Self::Full => Self::Half,
            Self::Half => Self::Quarter,
            Self::Quarter | Self::Held => Self::Held,
        }
    }

    fn larger(self) -> Self {
        match self {
            Self::Held => Self::Quarter,
            Self::Quarter => Self::Half,
            Self::Half | Self::Full => Self::Full,
        }
    }
}

/// More loss than this is heard in the sound, and less than that is not seen in the pictures, in percent.
const MUCH: f64 = 10.0;
const LITTLE: f64 = 3.0;
/// After so many bad looks in a row less is sent.
const BAD: u32 = 2;
/// After so many good ones more is tried, the first time; twice as many after each try that failed, up to the bound.
const GOOD: u32 = 4;
const MOST_GOOD: u32 = 32;

/// What is sent now, and how it went lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Adaptation {
    picture: Picture,
    /// The most that is sent at all: less in a call of many.
    most: Picture,
    bad: u32,
    good: u32,
    /// So many good looks it takes until more is tried.
    patience: u32,
    /// What is sent is more than what was before.
    tried: bool,
}

impl Adaptation {
    pub(super) fn new(most: Picture) -> Self {
        Self {
            picture: most,
            most,
            bad: 0,
            good: 0,
            patience: GOOD,
            tried: false,
        }
    }

    /// How much of the picture is sent.
    pub(super) fn picture(&self) -> Picture {
        self.picture
    }

    /// No more than this is sent from now on. True if that changes what is sent.
    pub(super) fn at_most(&mut self, most: Picture) -> bool {
        let before = self.picture;
        // Whoever sent all they might goes on doing so.
        if self.picture == self.most {
            self.picture = most;
        }
        self.most = most;
        self.picture = self.picture.min(most);
        before != self.picture
    }

    /// Takes in how the way was. True if something else is to be sent from now on.
    pub(super) fn look(&mut self, strain: Strain) -> bool {
        let narrow = strain.room.is_some_and(|room| room < self.picture.needs());
        if strain.loss > MUCH || narrow {
            self.good = 0;
            self.bad += 1;
        } else if strain.loss < LITTLE {
            self.bad = 0;
            self.good += 1;
        } else {
            (self.bad, self.good) = (0, 0);
        }
        if self.bad >= BAD && self.picture > Picture::Held {
            self.picture = self.picture.smaller();
            // What is given up after it was tried was tried too early. One way that gets narrow takes several steps down, and they count
            // for nothing.
            if std::mem::take(&mut self.tried) {
                self.patience = (self.patience * 2).min(MOST_GOOD);
            }
            self.bad = 0;
            return true;
        }
        if self.good >= self.patience && self.picture < self.most {
            self.picture = self.picture.larger();
            self.tried = true;
            self.good = 0;
            return true;
        }
        if self.picture == self.most && self.good >= MOST_GOOD {
            self.patience = GOOD;
            self.tried = false;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD_WAY: Strain = Strain {
        loss: 0.0,
        room: Some(3_000.0),
    };
    const LOSSY: Strain = Strain {
        loss: 25.0,
        room: None,
    };

    fn looks(adaptation: &mut Adaptation, strain: Strain, times: u32) -> Picture {
        for _ in 0..times {
            adaptation.look(strain);
        }
        adaptation.picture()
    }

    #[test]
    fn pictures_get_smaller_and_then_wait_and_one_bad_look_changes_nothing() {
        let mut sent = Adaptation::new(Picture::Full);
        assert_eq!(looks(&mut sent, LOSSY, 1), Picture::Full);
        assert_eq!(looks(&mut sent, GOOD_WAY, 1), Picture::Full);
        assert_eq!(looks(&mut sent, LOSSY, 1), Picture::Full);
        assert_eq!(looks(&mut sent, LOSSY, 1), Picture::Half);
        assert_eq!(looks(&mut sent, LOSSY, 4), Picture::Held);
        assert_eq!(looks(&mut sent, LOSSY, 9), Picture::Held);
        assert!(!Picture::Held.limits().active && Picture::Quarter.limits().active);
    }

    #[test]
    fn a_way_that_takes_little_is_given_little() {
        let room = |kilobits| Strain {
            loss: 0.0,
            room: Some(kilobits),
        };
        let mut sent = Adaptation::new(Picture::Full);
        assert_eq!(looks(&mut sent, room(100.0), 15), Picture::Quarter);
        assert_eq!(looks(&mut sent, room(40.0), 2), Picture::Held);
    }

    #[test]
    fn what_was_given_up_comes_back_and_later_each_time_it_fails() {
        let mut sent = Adaptation::new(Picture::Full);
        looks(&mut sent, LOSSY, 2);
        let tries = |sent: &mut Adaptation| (1..100).find(|_| sent.look(GOOD_WAY)).unwrap_or(0);
        let first = tries(&mut sent);
        assert_eq!(sent.picture(), Picture::Full);
        looks(&mut sent, LOSSY, 2);
        assert!(tries(&mut sent) > first);
        looks(&mut sent, GOOD_WAY, MOST_GOOD + 1);
        looks(&mut sent, LOSSY, 2);
        assert_eq!(tries(&mut sent), GOOD, "a good while counts for something");
    }

    #[test]
    fn a_way_that_was_narrow_once_is_tried_again_soon() {
        let mut sent = Adaptation::new(Picture::Full);
        assert_eq!(looks(&mut sent, LOSSY, 6), Picture::Held);
        assert_eq!(looks(&mut sent, GOOD_WAY, GOOD), Picture::Quarter);
        assert_eq!(looks(&mut sent, GOOD_WAY, 2 * GOOD), Picture::Full);
    }

    #[test]
    fn a_picture_is_made_smaller_and_never_larger() {
        for (picture, lines, scale) in [
            (Picture::Half, 720.0, 2.0),
            (Picture::Half, 360.0, 1.0),
            (Picture::Half, 240.0, 1.0),
            (Picture::Full, 1_080.0, 1.0),
            (Picture::Quarter, 720.0, 4.0),
        ] {
            let found: f32 = picture.limits().scale(lines, None);
            assert!(
                (found - scale).abs() < 0.01,
                "{picture:?}, {lines}: {found}"
            );
        }
    }

    #[test]
    fn no_more_is_sent_than_a_call_of_many_can_take() {
        let mut sent = Adaptation::new(Picture::Full);
        assert!(sent.at_most(Picture::Quarter));
        assert_eq!(looks(&mut sent, GOOD_WAY, 100), Picture::Quarter);
        assert!(sent.at_most(Picture::Full), "who leaves makes room");
        looks(&mut sent, LOSSY, 2);
        assert!(!sent.at_most(Picture::Half) && sent.picture() == Picture::Half);
    }
}
