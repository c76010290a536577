//! A target of [`crate::fuzzing`].

use super::{
    archive::{Entry, Manifest},
    name::BackupName,
};
use std::path::{Component, Path};

/// Names and first entry of a backup: a name is written as it was read, and a path in an archive stays below its folder.
///
/// # Panics
/// If it does not.
pub fn backups(data: &[u8]) {
    let _ = serde_json::from_slice::<Manifest>(data);
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Some(name) = BackupName::parse(text) {
        assert_eq!(name.to_string(), text);
    }
    if let Some(entry) = Entry::parse(text) {
        assert_eq!(entry.path(), text);
        let mut parts = Path::new(text).components();
        assert!(
            parts.all(|part| matches!(part, Component::Normal(_))),
            "{text:?}"
        );
    }
}

/// Of each kind.
pub(crate) fn examples() -> Vec<Vec<u8>> {
    let hash = "ab".repeat(32);
    let mut all = [
        "rialto-20261129T043059Z.tar",
        "manifest.json",
        "rialto.sqlite",
        "SHA256SUMS",
        r#"{"format":1,"version":"0.1.0","schema":3,"epoch":"a","made_at":0,"store_sha256":"","files":0}"#,
    ].map(Vec::from).to_vec();
    all.push(format!("files/ab/{hash}").into_bytes());
    all
}
