//! The log of a node.

use super::eventually;
use std::{fs::File, path::PathBuf, process::Stdio};
use tempfile::TempDir;
use tokio::process::Command;

/// What a node writes to standard error.
pub(crate) struct NodeLog {
    _folder: TempDir,
    path: PathBuf,
}

impl NodeLog {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        Self {
            _folder: folder,
            path,
        }
    }

    pub(crate) fn capture(&self) -> impl Fn(&mut Command) + Send + Sync + 'static {
        let path = self.path.clone();
        move |command| {
            command.stderr(Stdio::from(File::create(&path).unwrap()));
        }
    }

    pub(crate) async fn wait_for(&self, words: &str) {
        eventually(words, async || {
            let log = std::fs::read_to_string(&self.path).unwrap();
            log.contains(words)
        })
        .await;
    }

    /// How often the words have been written.
    pub(crate) fn count(&self, words: &str) -> usize {
        let log = std::fs::read_to_string(&self.path).unwrap();
        log.matches(words).count()
    }
}
