//! The store's mark in the data folder, `store-mark.json`: how far the store had come.
//!
//! A copy put in the store's place by hand has the same epochs and fewer events: clients would resume past events they never saw. Opening a
//! store behind its mark therefore renews the epochs. The mark holds only what is committed: a crash never leaves it ahead of the store.

use super::{
    AppState, data_folder,
    data_folder::Action,
    error::Result,
    random,
    store::{Store, StorePosition},
};
use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

const MARK_INTERVAL: Duration = Duration::from_secs(5);
const MARK_FILE: &str = "store-mark.json";

/// What the mark says about the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// At or ahead of the mark, or another store.
    Plausible,
    /// Events are gone that clients may have seen.
    WentBack {
        /// Events at the mark.
        marked: i64,
    },
    /// A store marked once was copied here without its mark.
    MarkMissing,
}

/// A mark as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundMark {
    Position(StorePosition),
    /// Damaged, or unreadable for this user.
    Unreadable(String),
    None,
}

/// Whether a store was ever marked in its data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkHistory {
    Marked,
    /// Never, or several data folders share the store.
    Unknown,
}

/// Compares a mark with the store's position, which was read after it.
#[must_use]
pub fn compare(mark: &FoundMark, found: &StorePosition, history: MarkHistory) -> Verdict {
    match (mark, history) {
        (FoundMark::Position(mark), _)
            if mark.epoch == found.epoch && mark.events > found.events =>
        {
            Verdict::WentBack {
                marked: mark.events,
            }
        }
        (FoundMark::None, MarkHistory::Marked) => Verdict::MarkMissing,
        (FoundMark::Position(_) | FoundMark::Unreadable(_), _)
        | (FoundMark::None, MarkHistory::Unknown) => Verdict::Plausible,
    }
}

/// Reads a data folder's mark.
#[must_use]
pub fn read(data: &Path) -> FoundMark {
    match fs::read(data.join(MARK_FILE)) {
        Ok(json) => match serde_json::from_slice(&json) {
            Ok(mark) => FoundMark::Position(mark),
            Err(why) => FoundMark::Unreadable(why.to_string()),
        },
        Err(why) if why.kind() == ErrorKind::NotFound => FoundMark::None,
        Err(why) => FoundMark::Unreadable(why.to_string()),
    }
}

/// Replaces the mark durably. All users may read it: it holds no secret, and the server must read it.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(data: &Path, position: &StorePosition) -> Result<()> {
    let path = data.join(MARK_FILE);
    let new = data.join(format!("{MARK_FILE}.{}", random::new_id()));
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        serde_json::to_writer(&file, position).map_err(std::io::Error::other)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        data_folder::sync(data)
    };
    write().map_err(|why| {
        let _ = fs::remove_file(&new);
        data_folder::describe(&path, Action::Write, &why)
    })
}

/// Marks the store every few seconds if it moved, until aborted.
pub async fn run(app: Arc<AppState>) {
    let mut marked = None;
    loop {
        update(&app.store, &app.config.store.data, &mut marked).await;
        tokio::time::sleep(MARK_INTERVAL).await;
    }
}

/// Marks the store's position if it moved. Logs a failure: the next mark may succeed.
pub async fn update(store: &Store, data: &Path, marked: &mut Option<StorePosition>) {
    let found = match store.find_position().await {
        Ok(Some(found)) if marked.as_ref() != Some(&found) => found,
        Ok(_) => return,
        Err(error) => {
            tracing::warn!(%error, "the position of the store could not be read");
            return;
        }
    };
    match write(data, &found) {
        Ok(()) => *marked = Some(found),
        Err(error) => tracing::warn!(%error, "the store could not be marked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Epoch;

    fn at(epoch: &str, events: i64) -> StorePosition {
        StorePosition {
            epoch: Epoch(epoch.to_owned()),
            events,
        }
    }

    fn verdict(mark: FoundMark, found: &StorePosition) -> Verdict {
        compare(&mark, found, MarkHistory::Marked)
    }

    #[test]
    fn a_store_at_its_mark_or_ahead_of_it_is_plausible() {
        for events in [6, 7, 1_000] {
            let mark = FoundMark::Position(at("a", 6));
            assert_eq!(verdict(mark, &at("a", events)), Verdict::Plausible);
        }
    }

    #[test]
    fn a_store_behind_its_mark_went_back() {
        let mark = FoundMark::Position(at("a", 6));
        assert_eq!(verdict(mark, &at("a", 5)), Verdict::WentBack { marked: 6 });
    }

    #[test]
    fn a_store_of_another_epoch_needs_no_new_one() {
        let mark = FoundMark::Position(at("a", 6));
        assert_eq!(verdict(mark, &at("b", 3)), Verdict::Plausible);
    }

    #[test]
    fn a_missing_mark_tells_only_of_a_store_that_had_one() {
        assert_eq!(verdict(FoundMark::None, &at("a", 3)), Verdict::MarkMissing);
        assert_eq!(
            compare(&FoundMark::None, &at("a", 3), MarkHistory::Unknown),
            Verdict::Plausible
        );
    }

    #[test]
    fn a_mark_that_cannot_be_read_accuses_no_store() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &at("a", 6)).unwrap();
        assert_eq!(read(folder.path()), FoundMark::Position(at("a", 6)));
        fs::write(folder.path().join(MARK_FILE), "{\"epoch\":").unwrap();
        let found = read(folder.path());
        assert!(matches!(found, FoundMark::Unreadable(_)), "{found:?}");
        assert_eq!(verdict(found, &at("a", 0)), Verdict::Plausible);
    }
}
