//! `rialto backup`: first a snapshot of the store, then the files it refers to.
//!
//! Files are stored before the messages that carry them and never change, so the archive is consistent despite concurrent writes. It holds
//! all that was acknowledged before the snapshot.

use super::{
    PARTIAL, SNAPSHOT, Temporary,
    archive::{AppendError, ArchiveWriter, Entry, FORMAT, Manifest},
    count,
};
use crate::server::{
    clock,
    config::DataConfig,
    data_folder::{self, Action},
    error::{Error, Result},
    files::Files,
    store::snapshot::{self, SnapshotContents, StoredFile},
};
use bytes::Bytes;
use clap::Args;
use futures::Stream;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

const COPY_BYTES: usize = 256 * 1024;

/// Options of `rialto backup`.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// New file for the backup.
    pub file: PathBuf,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on the type; a doc comment here would become the help text"
    )]
    pub data: DataConfig,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSummary {
    /// Size of the archive.
    pub bytes: u64,
    pub files: usize,
    /// Missing or damaged files of the store, in words.
    pub skipped: Vec<String>,
}

/// Makes a backup and prints what it holds.
///
/// # Errors
/// A message for the user.
pub async fn run(args: &BackupArgs) -> std::result::Result<(), String> {
    let made = create(&args.data, &args.file)
        .await
        .map_err(|why| why.to_string())?;
    println!(
        "{}: the store and {}, {} bytes",
        args.file.display(),
        count(made.files, "file"),
        made.bytes
    );
    for skipped in &made.skipped {
        eprintln!("rialto: not in the backup: {skipped}");
    }
    if !made.skipped.is_empty() {
        eprintln!("rialto: \"rialto check\" says what to do about these files");
    }
    Ok(())
}

/// Writes a backup into a new file of mode 0600, which gets its name once complete and on disk.
///
/// # Errors
/// [`Error::InvalidSetting`] when the file exists or cannot be written, or there is no store; others when store or files are unreadable.
pub async fn create(data: &DataConfig, file: &Path) -> Result<BackupSummary> {
    check_unused(file)?;
    let partial = with_suffix(file, PARTIAL);
    let archive = create_partial(&partial)?;
    let partial_guard = Temporary::new(&partial);
    let snapshot = with_suffix(file, SNAPSHOT);
    // Left by a killed backup; the lock on the partial file says that none runs.
    let _ = fs::remove_file(&snapshot);
    let _snapshot_guard = Temporary::new(&snapshot);
    let made_at = clock::now();
    snapshot::write(&data.store, &snapshot).await?;
    let contents = snapshot::read_contents(&snapshot).await?;
    let files = Files::open_existing(&data.store.data, data.files.as_deref()).await?;

    let in_words = |error| match error {
        Error::Io(why) => data_folder::describe(&partial, Action::Write, &why),
        other => other,
    };
    let mut writer = ArchiveWriter::new(archive.try_clone()?, made_at);
    append_store(&mut writer, &snapshot, &contents, made_at)
        .await
        .map_err(in_words)?;
    let mut summary = BackupSummary {
        bytes: 0,
        files: 0,
        skipped: Vec::new(),
    };
    for stored in &contents.files {
        match append_file(&mut writer, files.as_ref(), stored)
            .await
            .map_err(in_words)?
        {
            None => summary.files += 1,
            Some(why) => summary.skipped.push(why),
        }
    }
    summary.bytes = writer.finish().await.map_err(in_words)?;
    check_unused(file)?;
    fs::rename(&partial, file).map_err(|why| data_folder::describe(file, Action::Create, &why))?;
    partial_guard.keep();
    data_folder::sync(folder_of(file))?;
    Ok(summary)
}

fn check_unused(file: &Path) -> Result<()> {
    if fs::symlink_metadata(file).is_err() {
        return Ok(());
    }
    Err(Error::InvalidSetting(format!(
        "{} exists, and a backup overwrites nothing. Name a new file, or move that one away",
        data_folder::absolute(file).display()
    )))
}

fn folder_of(file: &Path) -> &Path {
    file.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Takes over a killed backup's file, but not a running one's.
fn create_partial(path: &Path) -> Result<File> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        let missing = fs::metadata(folder).err();
        let why = missing.unwrap_or_else(|| io::ErrorKind::NotADirectory.into());
        return Err(data_folder::describe(folder, Action::Read, &why));
    }
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|why| data_folder::describe(path, Action::Create, &why))?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Err(Error::InvalidSetting(format!(
            "another backup is being written to {}. Wait for it, or name another file",
            path.display()
        )));
    }
    // Some network file systems have no locks.
    file.set_len(0)?;
    Ok(file)
}

async fn append_store(
    writer: &mut ArchiveWriter,
    snapshot: &Path,
    contents: &SnapshotContents,
    made_at: i64,
) -> Result<()> {
    let size = fs::metadata(snapshot)?.len();
    let hashed = snapshot.to_owned();
    let hashing = tokio::task::spawn_blocking(move || hash_file(&hashed));
    let store_sha256 = hashing
        .await
        .map_err(|lost| Error::Internal(lost.to_string()))??;
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        schema: contents.schema,
        epoch: contents.epoch.clone(),
        made_at,
        store_sha256: store_sha256.clone(),
        files: contents.files.len(),
    };
    let json = serde_json::to_vec_pretty(&manifest)?;
    writer.append_bytes(&Entry::Manifest, json).await?;
    let content = stream_file(tokio::fs::File::open(snapshot).await?);
    let appended = writer.append(&Entry::Store, size, Some(&store_sha256), content);
    match appended.await {
        Ok(()) => Ok(()),
        Err(AppendError::Content(why)) => Err(Error::Internal(format!(
            "the snapshot of the store changed: {why}"
        ))),
        Err(AppendError::Failed(why)) => Err(why),
    }
}

fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        match buffer.get(..read) {
            Some(bytes) if !bytes.is_empty() => hasher.update(bytes),
            Some(_) | None => return Ok(hex::encode(hasher.finalize())),
        }
    }
}

fn stream_file(file: tokio::fs::File) -> impl Stream<Item = io::Result<Bytes>> {
    use tokio::io::AsyncReadExt;
    futures::stream::try_unfold(file, |mut file| async move {
        let mut buffer = vec![0; COPY_BYTES];
        let read = file.read(&mut buffer).await?;
        buffer.truncate(read);
        Ok((read > 0).then(|| (Bytes::from(buffer), file)))
    })
}

/// Returns why the file was not added. An unavailable bucket fails the backup.
async fn append_file(
    writer: &mut ArchiveWriter,
    files: Option<&Files>,
    stored: &StoredFile,
) -> Result<Option<String>> {
    let StoredFile { hash, size } = stored;
    let missing = Some(format!("the file {hash} is missing"));
    let Some(files) = files else {
        return Ok(missing);
    };
    let content = match files.read(hash, None).await {
        Ok(content) => content,
        Err(Error::Files(object_store::Error::NotFound { .. })) => return Ok(missing),
        Err(why) => return Err(why),
    };
    let entry = Entry::File(hash.clone());
    match writer.append(&entry, *size, Some(hash), content).await {
        Ok(()) => Ok(None),
        Err(AppendError::Content(why)) => Ok(Some(format!("the file {hash} is damaged: {why}"))),
        Err(AppendError::Failed(why)) => Err(why),
    }
}
