//! Names of periodic backups, `rialto-20261129T043059Z.tar`, and which are due or surplus.

use crate::model::Millis;
use std::{fmt, time::Duration};
use time::{Date, Month, OffsetDateTime, Time, UtcOffset, macros::format_description};

const PREFIX: &str = "rialto-";
const SUFFIX: &str = ".tar";

/// Names a backup by the second in which it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BackupName {
    began_at: OffsetDateTime,
}

impl BackupName {
    pub(super) fn new(at: Millis) -> Self {
        let began_at = OffsetDateTime::from_unix_timestamp(at / 1_000);
        Self {
            began_at: began_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let number = |from: usize, to: usize| digits.get(from..to)?.parse::<u16>().ok();
        let small = |from| number(from, from + 2).and_then(|number| u8::try_from(number).ok());
        let month = Month::try_from(small(4)?).ok()?;
        let date = Date::from_calendar_date(number(0, 4)?.into(), month, small(6)?).ok()?;
        let time = Time::from_hms(small(9)?, small(11)?, small(13)?).ok()?;
        let parsed = Self {
            began_at: date.with_time(time).assume_offset(UtcOffset::UTC),
        };
        // Only exactly what this program writes.
        (parsed.to_string() == name).then_some(parsed)
    }

    pub(super) fn age(self, now: Millis) -> Duration {
        let began_at = self.began_at.unix_timestamp().saturating_mul(1_000);
        Duration::from_millis(now.saturating_sub(began_at).max(0).unsigned_abs())
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let at = self.began_at.format(&format).map_err(|_| fmt::Error)?;
        write!(f, "{PREFIX}{at}{SUFFIX}")
    }
}

pub(super) fn wait_until_due(newest: Option<BackupName>, every: Duration, now: Millis) -> Duration {
    newest.map_or(Duration::ZERO, |newest| {
        every.saturating_sub(newest.age(now))
    })
}

/// All but the newest.
pub(super) fn surplus(mut names: Vec<BackupName>, keep: u32) -> Vec<BackupName> {
    names.sort_unstable();
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    names.truncate(names.len().saturating_sub(keep));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Millis = 1_795_926_659_123;

    fn hours_before(hours: i64) -> BackupName {
        BackupName::new(AT - hours * 3_600_000)
    }

    #[test]
    fn a_name_is_the_time_in_utc_and_is_read_back() {
        let name = BackupName::new(AT);
        assert_eq!(name.to_string(), "rialto-20261129T043059Z.tar");
        assert_eq!(BackupName::parse(&name.to_string()), Some(name));
    }

    #[test]
    fn no_other_file_is_taken_for_a_periodic_backup() {
        for name in [
            "rialto.tar",
            "rialto-20261129T043059Z.tar.partial",
            "rialto-20261129T043059Z.sqlite",
            "rialto-20261329T043059Z.tar",
            "rialto-20261129 043059Z.tar",
            "rialto-2026112\u{e9}T04305Z.tar",
            "rialto-+0261129T043059Z.tar",
            "my-rialto-20261129T043059Z.tar",
            "rialto-before-upgrade-of-schema-3-1.sqlite",
        ] {
            assert_eq!(BackupName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_backup_is_due_when_the_newest_is_old_enough_or_there_is_none() {
        let day = Duration::from_hours(24);
        assert_eq!(wait_until_due(None, day, AT), Duration::ZERO);
        assert_eq!(
            wait_until_due(Some(hours_before(30)), day, AT),
            Duration::ZERO
        );
        let wait = wait_until_due(Some(hours_before(20)), day, AT);
        assert_eq!(wait.as_secs() / 60, 4 * 60 - 1);
        // A clock that was set back.
        assert_eq!(wait_until_due(Some(hours_before(-5)), day, AT), day);
    }

    #[test]
    fn the_newest_are_kept() {
        let all = vec![hours_before(3), hours_before(9), hours_before(1)];
        assert_eq!(surplus(all.clone(), 1), [hours_before(9), hours_before(3)]);
        assert_eq!(surplus(all.clone(), 3), []);
        assert_eq!(surplus(all, 7), []);
    }
}
