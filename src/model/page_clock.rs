//! Time for a page's connections: monotonic, and it goes on while the device sleeps.

use super::Millis;

/// Gain of the wall clock on the monotonic clock, in milliseconds, that shows a sleep; less is a correction.
const MIN_SLEEP: Millis = 6_000;

/// Adds the device's sleep to a monotonic clock, which most browsers stop meanwhile.
///
/// A connection is dead after a sleep, and waiting for its timeout would show old news. Setting the wall clock forward by six seconds or
/// more costs a reconnect; setting it back changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageClock {
    /// Wall time less monotonic time, when last read.
    offset: Option<Millis>,
    slept: Millis,
}

impl PageClock {
    /// A clock that was not read yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            offset: None,
            slept: 0,
        }
    }

    /// Milliseconds since an arbitrary time, never less than before.
    pub fn read(&mut self, monotonic: Millis, wall: Millis) -> Millis {
        let offset = wall - monotonic;
        let ahead = offset - self.offset.replace(offset).unwrap_or(offset);
        if ahead >= MIN_SLEEP {
            self.slept += ahead;
        }
        monotonic + self.slept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Millis = 1_756_800_000_000;

    #[test]
    fn time_goes_on_while_the_device_sleeps() {
        let mut clock = PageClock::new();
        assert_eq!(clock.read(100, NOON), 100);
        assert_eq!(clock.read(600, NOON + 500), 600);
        assert_eq!(clock.read(650, NOON + 3_600_550), 3_600_650);
        assert_eq!(clock.read(1_150, NOON + 3_601_050), 3_601_150);
    }

    #[test]
    fn a_wall_clock_that_is_set_back_or_corrected_changes_nothing() {
        let mut clock = PageClock::new();
        assert_eq!(clock.read(100, NOON), 100);
        assert_eq!(clock.read(600, NOON - 86_400_000), 600);
        assert_eq!(clock.read(1_100, NOON - 86_395_000), 1_100);
        assert_eq!(clock.read(1_600, NOON - 86_394_500), 1_600);
    }
}
