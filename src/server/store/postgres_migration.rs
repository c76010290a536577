//! `rialto migrate-store`: copies the SQLite store into a PostgreSQL database.
//!
//! One transaction copies all tables and compares both sides; any difference rolls it back.

use super::{
    DatabaseUrl, Engine, Error, Result,
    copy::{check_same_tables, copy_tables, list_tables, lock_empty_tables},
    engine, opening,
};
use crate::server::{
    config::StoreConfig,
    data_folder::STORE_FILE,
    data_lock::{DataLock, Sharing},
};
use sqlx::{AnyConnection, Connection};

pub use super::copy::CopiedTable;

/// Copies a data folder's SQLite store into an empty database.
///
/// # Errors
/// [`Error::InvalidSetting`] when no database is given, the folder has no store or is in use, or the database is unusable, not empty or
/// differs after the copy. Leaves at most empty tables.
pub async fn migrate_to_postgres(config: &StoreConfig) -> Result<Vec<CopiedTable>> {
    let folder = config.data.display();
    let Some(url) = &config.database_url else {
        return setting_error(
            "no target database. Set --database-url postgres://user:password@host:5432/database (or RIALTO_DATABASE_URL)",
        );
    };
    let file = config.data.join(STORE_FILE);
    if !tokio::fs::try_exists(&file).await? {
        return setting_error(format!(
            "there is no SQLite store in {folder}. Set its folder with --data"
        ));
    }
    // A running server's writes would be missing.
    let _lock = DataLock::acquire(&config.data, Sharing::Exclusive)?;
    let from = StoreConfig {
        database_url: None,
        ..config.clone()
    };
    let mut source = engine::connect_embedded(&from).await?;
    // Keeps other programs from writing.
    let copied = match source.begin_with("BEGIN IMMEDIATE").await {
        Ok(mut source) => copy_into_database(&mut source, url).await,
        Err(why) => setting_error(format!(
            "another program is writing to the store in {folder}: {why}. Stop it, then try again"
        )),
    };
    let _ = source.close().await;
    copied
}

/// Copies an upgraded SQLite store into an empty database.
pub(super) async fn copy_into_database(
    source: &mut AnyConnection,
    url: &DatabaseUrl,
) -> Result<Vec<CopiedTable>> {
    let mut database = engine::connect_postgres(url).await?;
    let place = url.to_string();
    opening::upgrade_unused(&mut database, Engine::PostgreSQL, &place).await?;
    let mut target = database.begin().await?;
    let tables = list_tables(source).await?;
    check_same_tables(&tables, &mut target).await?;
    lock_empty_tables(&tables, &mut target, &place).await?;
    let copied = copy_tables(&tables, source, &mut target, Engine::PostgreSQL, &place).await?;
    // Fails in a failed transaction, unlike `COMMIT`.
    sqlx::query("SELECT 1").execute(&mut *target).await?;
    target.commit().await?;
    let _ = database.close().await;
    Ok(copied)
}

fn setting_error<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::InvalidSetting(why.into()))
}
