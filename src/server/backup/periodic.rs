//! Backups of the running server, every `--backup-every` into `--backup-folder`.

use super::{
    PARTIAL, SNAPSHOT,
    create::{self, BackupSummary},
    name::{BackupName, surplus, wait_until_due},
};
use crate::{
    model::finding::Finding,
    server::{
        AppState, clock,
        config::{Config, DataConfig},
        data_folder::{self, Action},
        error::{Error, Result},
    },
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{runtime::Handle, task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

/// After a failure; doubles up to the interval of backups.
const MIN_RETRY_DELAY: Duration = Duration::from_secs(30);

/// Status of periodic backups.
#[derive(Debug, Default)]
pub struct BackupStatus {
    state: Mutex<State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    newest: Option<BackupName>,
    /// Of the latest attempt.
    failure: Option<String>,
}

impl BackupStatus {
    /// Age of the newest backup in the folder.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        Some(self.get().newest?.age(clock::now()))
    }

    fn get(&self) -> State {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clone()
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Makes backups until aborted; returns at once without a folder.
pub async fn run(app: Arc<AppState>) {
    let config = &app.config;
    let Some(folder) = &config.store.backup_folder else {
        return;
    };
    let mut delay = MIN_RETRY_DELAY.min(config.backup_every);
    loop {
        let newest = match list(folder) {
            Ok(names) => names.into_iter().max(),
            // The backup fails, and says why.
            Err(_) => None,
        };
        let failure = app.backups.get().failure;
        app.backups.set(State { newest, failure });
        sleep(wait_until_due(newest, config.backup_every, clock::now())).await;
        match make(config, folder).await {
            Ok(name) => {
                delay = MIN_RETRY_DELAY.min(config.backup_every);
                app.backups.set(State {
                    newest: Some(name),
                    failure: None,
                });
            }
            Err(error) => {
                let failure = error.to_string();
                tracing::error!(%error, retry_seconds = delay.as_secs(), "the backup failed");
                app.backups.set(State {
                    newest,
                    failure: Some(failure),
                });
                sleep(delay).await;
                delay = (delay * 2).min(config.backup_every);
            }
        }
    }
}

async fn make(config: &Config, folder: &Path) -> Result<BackupName> {
    fs::create_dir_all(folder)
        .map_err(|why| data_folder::describe(folder, Action::Create, &why))?;
    remove_temporary(folder);
    let name = BackupName::new(clock::now());
    let file = folder.join(name.to_string());
    let made = create_in_thread(config.data(), file.clone()).await?;
    for skipped in &made.skipped {
        tracing::warn!(%skipped, "not in the backup; see \"rialto check\"");
    }
    tracing::info!(file = %file.display(), bytes = made.bytes, files = made.files, "backup made");
    for old in surplus(list(folder)?, config.backup_keep) {
        let old = folder.join(old.to_string());
        if let Err(why) = fs::remove_file(&old) {
            tracing::warn!(%why, file = %old.display(), "an old backup could not be deleted");
        }
    }
    Ok(name)
}

/// Writes in a blocking thread. Dropping the future ends the backup.
async fn create_in_thread(data: DataConfig, file: PathBuf) -> Result<BackupSummary> {
    let stopping = CancellationToken::new();
    let stopped = stopping.clone();
    let _stop_on_drop = stopping.drop_guard();
    let runtime = Handle::current();
    let creating = spawn_blocking(move || {
        runtime.block_on(async {
            tokio::select! {
                made = create::create(&data, &file) => made,
                () = stopped.cancelled() => Err(Error::Internal("the server stops".to_owned())),
            }
        })
    });
    creating
        .await
        .map_err(|lost| Error::Internal(lost.to_string()))?
}

/// Lists periodic backups only.
fn list(folder: &Path) -> io::Result<Vec<BackupName>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().to_str().and_then(BackupName::parse));
    }
    Ok(names)
}

/// A file that another node still writes is locked.
fn remove_temporary(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let backup = name.to_str().and_then(|name| name.strip_suffix(PARTIAL));
        let Some(backup) = backup.filter(|backup| BackupName::parse(backup).is_some()) else {
            continue;
        };
        let is_abandoned = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if is_abandoned {
            // Otherwise the next backup tries again.
            let _ = fs::remove_file(entry.path());
            let _ = fs::remove_file(folder.join(format!("{backup}{SNAPSHOT}")));
        }
    }
}

/// For the doctor.
#[must_use]
pub fn check(app: &AppState) -> Finding {
    const CHECK_NAME: &str = "Backup";
    let Some(folder) = &app.config.store.backup_folder else {
        return Finding::warning(
            CHECK_NAME,
            "This server makes no periodic backups.",
            "Set --backup-folder to a folder on another disk, or run \"rialto backup\" regularly.",
        );
    };
    let folder = folder.display();
    let State { newest, failure } = app.backups.get();
    let age = newest.map(|newest| newest.age(clock::now()));
    let newest = age.map_or_else(
        || format!("There is none in {folder} yet"),
        |age| {
            format!(
                "The newest in {folder} is {} minutes old",
                age.as_secs() / 60
            )
        },
    );
    match failure {
        Some(why) => Finding::problem(
            CHECK_NAME,
            format!("{newest}, and the latest failed: {why}."),
            "Mend what the message says; the server tries again by itself.",
        ),
        None => Finding::ok(CHECK_NAME, format!("{newest}.")),
    }
}
