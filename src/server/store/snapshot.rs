//! A snapshot: a consistent copy of the store as one SQLite file, while programs write.
//!
//! One read transaction copies the store: repeatable-read on PostgreSQL, `VACUUM INTO` on SQLite, whose backup API would start over at
//! each write.

use super::{
    DatabaseUrl, Engine, Error, Result,
    copy::{check_same_tables, copy_tables, list_tables},
    engine,
    epochs::find_position,
    migrations, opening,
    sqlite::{self, OpenMode},
};
use crate::{
    model::Epoch,
    server::{
        config::StoreConfig,
        data_folder::{self, Action, STORE_FILE},
    },
};
use sqlx::{AnyConnection, Connection};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// A file that messages refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// SHA-256 as 64 lower-case hexadecimal digits.
    pub hash: String,
    /// In bytes.
    pub size: u64,
}

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotContents {
    /// Number of the newest migration.
    pub schema: i64,
    /// Of the news; none in an unused store.
    pub epoch: Option<Epoch>,
    pub files: Vec<StoredFile>,
}

/// Writes a snapshot into a new file of mode 0600. It holds everything that was committed before.
///
/// # Errors
/// [`Error::InvalidSetting`] when there is no store or a newer one, or the file exists or cannot be written.
pub async fn write(config: &StoreConfig, into: &Path) -> Result<()> {
    // SQLite fills an empty file and keeps its mode.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
        .open(into)
        .map_err(|why| data_folder::describe(into, Action::Create, &why))?;
    match &config.database_url {
        Some(url) => copy_from_postgres(url, into).await,
        None => copy_embedded(config, into).await,
    }
}

/// As [`write()`], under its name once complete and on disk.
///
/// # Errors
/// As [`write()`].
pub async fn write_durably(config: &StoreConfig, path: &Path) -> Result<()> {
    let partial = path.with_extension("partial");
    let written = write(config, &partial).await;
    let finished = written.and_then(|()| {
        File::open(&partial)?.sync_all()?;
        std::fs::rename(&partial, path)?;
        if let Some(folder) = path.parent() {
            data_folder::sync(folder)?;
        }
        Ok(())
    });
    if finished.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    finished
}

async fn copy_embedded(config: &StoreConfig, into: &Path) -> Result<()> {
    let (file, mut source) = connect_existing(config).await?;
    let place = config.location();
    let copied = async {
        if let Some(schema) = opening::find_schema(&mut source, Engine::SQLite).await? {
            opening::check_schema(schema, &place)?;
        }
        sqlx::query("VACUUM INTO $1")
            .bind(into.to_string_lossy().into_owned())
            .execute(&mut source)
            .await?;
        Ok(())
    };
    let copied = copied.await;
    let _ = source.close().await;
    copied.map_err(|error| sqlite::in_words(&file, error))
}

/// Opens a data folder's SQLite store for reading, also beside a server.
pub(super) async fn connect_existing(
    config: &StoreConfig,
) -> Result<(std::path::PathBuf, AnyConnection)> {
    data_folder::check_readable(&config.data)?;
    let file = config.data.join(STORE_FILE);
    if !file.exists() {
        return Err(Error::InvalidSetting(format!(
            "there is no Rialto data in {}. Set its folder with --data (RIALTO_DATA), or its database with --database-url \
             (RIALTO_DATABASE_URL)",
            data_folder::absolute(&config.data).display()
        )));
    }
    let connection = sqlite::connect(&file, OpenMode::Read).await?;
    Ok((file, connection))
}

async fn copy_from_postgres(url: &DatabaseUrl, into: &Path) -> Result<()> {
    let mut source = engine::connect_postgres(url).await?;
    let mut source_tx = source
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let place = url.to_string();
    let Some(schema) = opening::find_schema(&mut source_tx, Engine::PostgreSQL).await? else {
        return Err(Error::InvalidSetting(format!(
            "there is no Rialto data in {place}. Start \"rialto serve\" once, or set another database with --database-url"
        )));
    };
    opening::check_schema(schema, &place)?;
    let mut copy = sqlite::connect(into, OpenMode::Create).await?;
    let copied = async {
        migrations::up_to(Engine::SQLite, schema)
            .run(&mut copy)
            .await?;
        let mut target = copy.begin().await?;
        let tables = list_tables(&mut target).await?;
        check_same_tables(&tables, &mut source_tx).await?;
        copy_tables(
            &tables,
            &mut source_tx,
            &mut target,
            Engine::SQLite,
            "the backup",
        )
        .await?;
        target.commit().await?;
        Ok(())
    };
    let copied = copied.await;
    let _ = copy.close().await;
    drop(source_tx);
    let _ = source.close().await;
    copied
}

/// Reads what a snapshot holds.
///
/// # Errors
/// [`Error::InvalidSetting`] when the file is not a snapshot.
pub async fn read_contents(snapshot: &Path) -> Result<SnapshotContents> {
    let mut store = sqlite::connect(snapshot, OpenMode::Read).await?;
    let read = async {
        let schema = opening::find_schema(&mut store, Engine::SQLite).await?;
        let schema = schema.ok_or_else(|| Error::corrupt("a snapshot without a schema"))?;
        let epoch = find_position(&mut store).await?.map(|found| found.epoch);
        let files = list_files(&mut store).await?;
        Ok(SnapshotContents {
            schema,
            epoch,
            files,
        })
    };
    let read = read.await;
    let _ = store.close().await;
    read.map_err(|error| sqlite::in_words(snapshot, error))
}

pub(super) async fn list_files(store: &mut AnyConnection) -> Result<Vec<StoredFile>> {
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT hash, size FROM files ORDER BY hash")
        .fetch_all(store)
        .await?;
    let files = rows.into_iter().map(|(hash, size)| {
        let size = u64::try_from(size).map_err(Error::corrupt)?;
        Ok(StoredFile { hash, size })
    });
    files.collect()
}
