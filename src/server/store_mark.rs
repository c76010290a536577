//! Mark of the store in the data folder, `store-mark.json`: how far the store had come.
//!
//! A copy that was put in its place by hand has the epochs of the store it replaces and fewer events, so clients would
//! resume past events that they never saw. When a store is opened and the mark is ahead of it, every stream gets a new
//! epoch. The mark holds only what is committed, so a crash leaves it at or behind the store.

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

/// Between two marks of a running server.
const MARK_INTERVAL: Duration = Duration::from_secs(5);
const MARK_FILE: &str = "store-mark.json";

/// What the mark says about the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The store is where it was or further, or it is another one.
    Plausible,
    /// Events are gone that clients may have seen.
    WentBack {
        /// Number of events at the mark.
        marked: i64,
    },
    /// The store had a mark once: it was copied here without.
    MarkMissing,
}

/// A mark as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundMark {
    Position(StorePosition),
    /// Damaged, or not readable by this user.
    Unreadable(String),
    None,
}

/// Whether a store has ever been marked in its data folder.
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

/// Reads the mark of a data folder.
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

/// Replaces the mark durably. All users may read it: it holds no secret, and a mark that the server cannot read is of no use.
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
            .mode(0o644)
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

/// Marks the store every few seconds in which it moved. Runs until it is aborted.
pub async fn run(app: Arc<AppState>) {
    let mut marked = None;
    loop {
        update(&app.store, &app.config.store.data, &mut marked).await;
        tokio::time::sleep(MARK_INTERVAL).await;
    }
}

/// Marks the position of the store, unless it is marked already. A failure is logged: the next mark may succeed.
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
