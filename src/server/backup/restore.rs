//! `rialto restore`: a backup into an empty data folder, or an empty database.
//!
//! Everything is first extracted into its own folder and checked. The store gets its place last: a failed restore leaves none.

use super::{
    Temporary,
    archive::{self, FORMAT, Manifest},
    count,
};
use crate::server::{
    config::DataConfig,
    data_folder::{self, Action, STORE_FILE},
    data_lock::{DataLock, Sharing},
    error::{Error, Result},
    files::Files,
    store::{restoring, snapshot},
    store_mark,
};
use clap::Args;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// In the data folder.
const EXTRACTED: &str = "restore.partial";
/// Entries of a data folder that hold no data.
const IGNORED: [&str; 3] = [EXTRACTED, "lock", "lost+found"];

/// Options of `rialto restore`.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// File of the backup.
    pub file: PathBuf,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on the type; a doc comment here would become the help text"
    )]
    pub data: DataConfig,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreSummary {
    pub files: usize,
    /// SHA-256 of the store's files that the backup lacks.
    pub missing: Vec<String>,
}

/// Restores a backup and prints what to do next.
///
/// # Errors
/// A message for the user.
pub async fn run(args: &RestoreArgs) -> std::result::Result<(), String> {
    let restored = restore(&args.data, &args.file)
        .await
        .map_err(|why| why.to_string())?;
    let place = args.data.store.location();
    println!(
        "Restored into {place}: the store and {}. Every page fetches its news and rooms anew. Next: start \"rialto serve\" with the same \
         settings",
        count(restored.files, "file")
    );
    for hash in &restored.missing {
        eprintln!("rialto: the file {hash} was missing when the backup was made");
    }
    Ok(())
}

/// Restores a backup.
///
/// # Errors
/// [`Error::InvalidSetting`] when the backup is damaged or newer than this program, or folder or database are unusable or not empty; others
/// when files cannot be written.
pub async fn restore(data: &DataConfig, backup: &Path) -> Result<RestoreSummary> {
    let file =
        File::open(backup).map_err(|why| data_folder::describe(backup, Action::Read, &why))?;
    let folder = &data.store.data;
    data_folder::prepare(folder)?;
    let _lock = DataLock::acquire(folder, Sharing::Exclusive)?;
    check_empty(folder)?;
    let extracted_dir = folder.join(EXTRACTED);
    // Left by a killed restore.
    let _ = fs::remove_dir_all(&extracted_dir);
    create_private_dir(&extracted_dir)
        .map_err(|why| data_folder::describe(&extracted_dir, Action::Create, &why))?;
    let _extracted_guard = Temporary::new(&extracted_dir);

    let into = extracted_dir.clone();
    let extracting =
        tokio::task::spawn_blocking(move || archive::extract(&file, &into, check_manifest));
    let extracted = extracting
        .await
        .map_err(|lost| Error::Internal(lost.to_string()))?
        .map_err(|error| in_words(&extracted_dir, backup, error))?;
    let position = restoring::prepare_snapshot(&extracted.store).await?;
    let contents = snapshot::read_contents(&extracted.store).await?;
    let missing = contents
        .files
        .iter()
        .filter(|stored| !extracted.files.contains_key(&stored.hash))
        .map(|stored| stored.hash.clone());
    let summary = RestoreSummary {
        files: extracted.files.len(),
        missing: missing.collect(),
    };

    put_files(data, &extracted.files).await?;
    if let Some(url) = &data.store.database_url {
        restoring::copy_snapshot(&extracted.store, url).await?;
    } else {
        File::open(&extracted.store)?.sync_all()?;
        fs::rename(&extracted.store, folder.join(STORE_FILE))?;
        data_folder::sync(folder)?;
    }
    if let Some(position) = position {
        store_mark::write(folder, &position)?;
    }
    Ok(summary)
}

fn in_words(folder: &Path, backup: &Path, error: Error) -> Error {
    match error {
        Error::Io(why) => data_folder::describe(folder, Action::Write, &why),
        Error::InvalidSetting(why) => Error::InvalidSetting(format!(
            "{}: {why}",
            data_folder::absolute(backup).display()
        )),
        other => other,
    }
}

fn check_manifest(manifest: &Manifest) -> Result<()> {
    let known = restoring::newest_schema();
    if manifest.format <= FORMAT && manifest.schema <= known {
        return Ok(());
    }
    Err(Error::InvalidSetting(format!(
        "this backup was made by Rialto {}, which is newer than this program: its format is version {} and its schema version {}; this \
         program knows {FORMAT} and {known}. Restore it with that version of Rialto or a newer one",
        manifest.version, manifest.format, manifest.schema
    )))
}

fn check_empty(folder: &Path) -> Result<()> {
    let first =
        find_file(folder).map_err(|why| data_folder::describe(folder, Action::Read, &why))?;
    let Some(first) = first else {
        return Ok(());
    };
    Err(Error::InvalidSetting(format!(
        "the data folder {} is not empty: it contains {}. A backup is restored into an empty folder: name a new one with --data, or move \
         this one away",
        data_folder::absolute(folder).display(),
        first.display()
    )))
}

/// Empty folders hold no data.
fn find_file(folder: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if IGNORED.iter().any(|ignored| entry.file_name() == *ignored) {
            continue;
        }
        if !entry.file_type()?.is_dir() {
            return Ok(Some(entry.file_name().into()));
        }
        if let Some(found) = find_file(&entry.path())? {
            return Ok(Some(Path::new(&entry.file_name()).join(found)));
        }
    }
    Ok(None)
}

fn create_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(path)
}

async fn put_files(data: &DataConfig, extracted: &BTreeMap<String, PathBuf>) -> Result<()> {
    let files = Files::open_at(&data.store.data, data.files.as_deref()).await?;
    let folder = match &data.files {
        Some(_) => None,
        None => Some(data.store.data.join("files")),
    };
    let mut moved_to = BTreeSet::new();
    for (hash, path) in extracted {
        if let Some(folder) = &folder
            && let Some(target) = move_file(folder, hash, path)?
        {
            moved_to.insert(target);
        } else {
            // A bucket may have it already.
            files.put(hash, File::open(path)?).await?;
        }
    }
    for folder in moved_to {
        data_folder::sync(&folder)?;
    }
    Ok(())
}

/// Returns the target folder; none if that is on another file system.
fn move_file(folder: &Path, hash: &str, path: &Path) -> Result<Option<PathBuf>> {
    let target = folder.join(hash.get(..2).unwrap_or_default());
    fs::create_dir_all(&target)?;
    match fs::rename(path, target.join(hash)) {
        Ok(()) => Ok(Some(target)),
        Err(why) if why.kind() == io::ErrorKind::CrossesDevices => Ok(None),
        Err(why) => Err(data_folder::describe(&target, Action::Write, &why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(format: u32, schema: i64) -> Manifest {
        Manifest {
            format,
            version: "9.1.0".to_owned(),
            schema,
            epoch: None,
            made_at: 0,
            store_sha256: String::new(),
            files: 0,
        }
    }

    #[test]
    fn a_backup_of_a_newer_program_is_refused_by_its_version() {
        let known = restoring::newest_schema();
        check_manifest(&manifest(FORMAT, known)).unwrap();
        check_manifest(&manifest(FORMAT, 1)).unwrap();
        for newer in [manifest(FORMAT + 1, known), manifest(FORMAT, known + 1)] {
            let refused = check_manifest(&newer).unwrap_err().to_string();
            assert!(refused.contains("Rialto 9.1.0"), "{refused}");
        }
    }

    #[test]
    fn only_a_folder_without_files_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("files/ab")).unwrap();
        fs::write(folder.path().join("lock"), "1").unwrap();
        check_empty(folder.path()).unwrap();
        fs::write(folder.path().join("files/ab/abc"), "").unwrap();
        let refused = check_empty(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("it contains files/ab/abc"), "{refused}");
    }
}
