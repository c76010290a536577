//! Prepares a store for use, on its own connection: refuses a newer one, upgrades an older one, renews the epochs of one that went back.

use super::{
    Engine, Error, Result,
    epochs::{Renewal, find_position, renew_epochs},
    migrations, snapshot,
};
use crate::server::{
    clock,
    config::StoreConfig,
    data_folder::{self, Action},
    store_mark::{self, FoundMark, MarkHistory, Verdict},
};
use sqlx::{AnyConnection, migrate::MigrateError};
use std::{fs, path::PathBuf};

/// Set once the store is marked in its data folder.
const MARK_SETTING: &str = "store_mark";
/// In the data folder, for copies before an upgrade.
const UPGRADE_COPIES: &str = "backups";

pub(super) async fn prepare(
    store: &mut AnyConnection,
    engine: Engine,
    config: &StoreConfig,
) -> Result<()> {
    upgrade(store, engine, config).await?;
    check_mark(store, engine, config).await
}

/// Newest applied migration; none in an empty database.
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

/// [`Error::InvalidSetting`] for a newer store.
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

/// The database's error, or the other error as it is.
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
        if found < migrations::newest() {
            copy_before_upgrade(engine, config, found).await?;
        }
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

/// None for PostgreSQL without a backup folder.
fn upgrade_copy_path(engine: Engine, config: &StoreConfig, schema: i64) -> Option<PathBuf> {
    let folder = match (&config.backup_folder, engine) {
        (Some(folder), Engine::SQLite | Engine::PostgreSQL) => folder.clone(),
        (None, Engine::SQLite) => config.data.join(UPGRADE_COPIES),
        (None, Engine::PostgreSQL) => return None,
    };
    Some(folder.join(format!(
        "rialto-before-upgrade-of-schema-{schema}-{}.sqlite",
        clock::now()
    )))
}

async fn copy_before_upgrade(engine: Engine, config: &StoreConfig, schema: i64) -> Result<()> {
    let Some(path) = upgrade_copy_path(engine, config, schema) else {
        tracing::warn!(
            "upgrading the database without a copy of it, because --backup-folder (RIALTO_BACKUP_FOLDER) is not set"
        );
        return Ok(());
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .map_err(|why| data_folder::describe(folder, Action::Create, &why))?;
    }
    snapshot::write_durably(config, &path)
        .await
        .map_err(|why| {
            Error::InvalidSetting(format!(
                "the store in {} was not upgraded, because the copy before that failed: {why}",
                config.location()
            ))
        })?;
    tracing::info!(copy = %path.display(), schema, "the store was copied before its upgrade");
    Ok(())
}

/// Renews the epochs of a store that went back, and marks its position.
async fn check_mark(store: &mut AnyConnection, engine: Engine, config: &StoreConfig) -> Result<()> {
    // Read first: a running server may move both.
    let mark = store_mark::read(&config.data);
    let Some(mut found) = find_position(&mut *store).await? else {
        return Ok(());
    };
    let history = match engine {
        Engine::SQLite => find_history(store).await?,
        Engine::PostgreSQL => MarkHistory::Unknown,
    };
    let went_back = match store_mark::compare(&mark, &found, history) {
        Verdict::Plausible => None,
        Verdict::WentBack { marked } => Some(format!(
            "the store has {} events, and had {marked} before",
            found.events
        )),
        Verdict::MarkMissing => {
            Some("the store was copied into this data folder without its mark".to_owned())
        }
    };
    if let Some(why) = went_back {
        match renew_epochs(store, engine, &found.epoch).await? {
            Renewal::Renewed => {
                tracing::warn!(%why, "the store went back: every page fetches its news and rooms anew");
            }
            Renewal::Superseded => {}
        }
        if let Some(renewed) = find_position(&mut *store).await? {
            found = renewed;
        }
    }
    if !config.data.is_dir() {
        return Ok(());
    }
    let marked = if mark == FoundMark::Position(found.clone()) {
        Ok(())
    } else {
        store_mark::write(&config.data, &found)
    };
    let saved = match (marked, engine, history) {
        (Ok(()), Engine::SQLite, MarkHistory::Unknown) => save_history(store).await,
        (marked, Engine::SQLite | Engine::PostgreSQL, _) => marked,
    };
    if let Err(error) = saved {
        tracing::warn!(%error, "the store could not be marked");
    }
    Ok(())
}

async fn find_history(store: &mut AnyConnection) -> Result<MarkHistory> {
    let row: Option<(String,)> = sqlx::query_as("SELECT value FROM settings WHERE name = $1")
        .bind(MARK_SETTING)
        .fetch_optional(store)
        .await?;
    Ok(match row {
        Some(_) => MarkHistory::Marked,
        None => MarkHistory::Unknown,
    })
}

async fn save_history(store: &mut AnyConnection) -> Result<()> {
    sqlx::query("INSERT INTO settings (name, value) VALUES ($1, '') ON CONFLICT DO NOTHING")
        .bind(MARK_SETTING)
        .execute(store)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
