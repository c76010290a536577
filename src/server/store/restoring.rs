//! Puts a snapshot into the place of a store.

use super::{
    DatabaseUrl, Engine, Error, Result,
    epochs::{StorePosition, find_position, renew_epochs},
    migrations, opening,
    postgres_migration::copy_into_database,
    sqlite::{self, OpenMode},
};
use sqlx::Connection;
use std::path::Path;

/// Version of this program's schema.
#[must_use]
pub fn newest_schema() -> i64 {
    migrations::newest()
}

/// Checks and upgrades a snapshot, and renews its epochs: clients may have seen events that it lacks. Returns its position.
///
/// # Errors
/// [`Error::InvalidSetting`] when it is damaged or newer than this program.
pub async fn prepare_snapshot(snapshot: &Path) -> Result<Option<StorePosition>> {
    let mut store = sqlite::connect(snapshot, OpenMode::Create).await?;
    let prepared = async {
        let (verdict,): (String,) = sqlx::query_as("PRAGMA quick_check(1)")
            .fetch_one(&mut store)
            .await?;
        if verdict != "ok" {
            return Err(Error::InvalidSetting(format!(
                "the store in the backup is damaged: {verdict}. Restore another backup"
            )));
        }
        opening::upgrade_unused(&mut store, Engine::SQLite, "the backup").await?;
        if let Some(found) = find_position(&mut store).await? {
            renew_epochs(&mut store, Engine::SQLite, &found.epoch).await?;
        }
        find_position(&mut store).await
    };
    let prepared = prepared.await;
    let _ = store.close().await;
    prepared.map_err(|error| sqlite::in_words(snapshot, error))
}

/// Copies a prepared snapshot into an empty database, in one transaction.
///
/// # Errors
/// [`Error::InvalidSetting`] when the database cannot be used or is not empty. Leaves at most empty tables.
pub async fn copy_snapshot(snapshot: &Path, url: &DatabaseUrl) -> Result<()> {
    let mut store = sqlite::connect(snapshot, OpenMode::Read).await?;
    let copied = copy_into_database(&mut store, url).await;
    let _ = store.close().await;
    copied.map(|_| ())
}
