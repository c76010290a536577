//! What is done to a store before it is used: refuse a newer one and upgrade an older one. On a connection of its own.

use super::{Engine, Error, Result, migrations};
use crate::server::config::StoreConfig;
use sqlx::{AnyConnection, migrate::MigrateError};

pub(super) async fn prepare(
    store: &mut AnyConnection,
    engine: Engine,
    config: &StoreConfig,
) -> Result<()> {
    upgrade(store, engine, config).await
}

/// The newest migration that was applied; none in an empty database.
pub(super) async fn find_schema(store: &mut AnyConnection, engine: Engine) -> Result<Option<i64>> {
    let exists = match engine {
        Engine::SQLite => {
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'"
        }
        Engine::PostgreSQL => {
            "SELECT COUNT(*) FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_name = '_sqlx_migrations'"
        }
    };
    let (tables,): (i64,) = sqlx::query_as(exists).fetch_one(&mut *store).await?;
    if tables == 0 {
        return Ok(None);
    }
    let (newest,): (i64,) =
        sqlx::query_as("SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM _sqlx_migrations")
            .fetch_one(store)
            .await?;
    Ok(Some(newest).filter(|newest| *newest > 0))
}

/// [`Error::InvalidSetting`] if a newer program has upgraded the store.
pub(super) fn check_schema(found: i64, place: &str) -> Result<()> {
    let known = migrations::newest();
    if found <= known {
        return Ok(());
    }
    Err(Error::InvalidSetting(format!(
        "the store in {place} was upgraded by a newer Rialto: its schema is version {found}, and this program knows {known}. Run that \
         newer program, or restore a backup that was made before the upgrade into an empty folder or database (\"rialto restore\")"
    )))
}

/// Upgrades a store that nobody uses yet.
pub(super) async fn upgrade_unused(
    store: &mut AnyConnection,
    engine: Engine,
    place: &str,
) -> Result<()> {
    if let Some(found) = find_schema(store, engine).await? {
        check_schema(found, place)?;
    }
    Ok(migrations::of(engine).run(store).await?)
}

/// The database's error in an error of opening; otherwise the latter.
pub(super) fn database_error(error: Error) -> Result<sqlx::Error, Error> {
    match error {
        Error::Store(error)
        | Error::Migration(
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
        ) => Ok(error),
        other => Err(other),
    }
}

async fn upgrade(store: &mut AnyConnection, engine: Engine, config: &StoreConfig) -> Result<()> {
    if let Some(found) = find_schema(store, engine).await? {
        check_schema(found, &config.location())?;
    }
    match migrations::of(engine).run(store).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMismatch(version)) => Err(Error::InvalidSetting(format!(
            "the store in {} was made by another build of Rialto: its migration {version} differs from this program's. Run the program \
             that made it",
            config.location()
        ))),
        Err(other) => Err(other.into()),
    }
}
