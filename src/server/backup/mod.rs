//! Backups: store and files in one archive, made while servers run (docs/decisions/0025-backups-in-one-archive.md).

mod archive;
pub mod check;
pub mod create;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod name;
pub mod periodic;
pub mod restore;

use std::path::{Path, PathBuf};

/// Suffixes of a running backup's files; it holds a lock on the first.
const PARTIAL: &str = ".partial";
const SNAPSHOT: &str = ".snapshot";

/// Removes a file or folder when dropped, unless kept.
struct Temporary(Option<PathBuf>);

impl Temporary {
    fn new(path: &Path) -> Self {
        Self(Some(path.to_owned()))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let Some(path) = &self.0 else {
            return;
        };
        // A leftover does no harm.
        let _ = if path.is_dir() {
            std::fs::remove_dir_all(path)
        } else {
            std::fs::remove_file(path)
        };
    }
}

fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}
