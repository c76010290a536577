//! `rialto backup`, `rialto restore` and `rialto check`, beside a running server and without one.

mod check;
mod kills;
mod periodic;

use crate::{
    files,
    support::{
        Browser, HelloFrame, Publisher, Server, TestDatabase, TestStorage, needs_postgresql,
        s3::S3,
        server::{ADMIN_PASSWORD, files_in, rialto_command},
        with_timeout,
    },
};
use rialto::{
    model::{Cursor, room::RoomSummary},
    protocol::ws::ServerFrame,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
    sync::Arc,
};
use tempfile::TempDir;
use tokio::process::Command;

pub(super) fn output_text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A command with a file, on a test's storage.
pub(super) async fn run_with_file(
    command: &str,
    file: &Path,
    storage: &[String],
    configure: impl Fn(&mut Command),
) -> Output {
    let mut program = rialto_command();
    program.arg(command).arg(file).args(storage);
    configure(&mut program);
    with_timeout(command, program.output()).await.unwrap()
}

pub(super) async fn run_check(storage: &[String], configure: impl Fn(&mut Command)) -> Output {
    let mut program = rialto_command();
    program.arg("check").args(storage);
    configure(&mut program);
    with_timeout("check", program.output()).await.unwrap()
}

pub(super) fn data_arguments(data: &Path) -> Vec<String> {
    vec!["--data".to_owned(), data.display().to_string()]
}

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", output_text(output));
}

fn assert_refused(output: &Output, words: &str) {
    let text = output_text(output);
    assert!(!output.status.success() && text.contains(words), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

/// A community with a message, a file, a story and an administrator.
struct Community {
    server: Server,
    ada: Browser,
    general: RoomSummary,
    /// Download path.
    file: String,
    story: String,
}

const FILE_CONTENT: &[u8] = b"the plans of the bridge";

impl Community {
    async fn new(storage: TestStorage) -> Self {
        Self::with(storage, |_| {}).await
    }

    async fn with(
        storage: TestStorage,
        configure: impl Fn(&mut Command) + Send + Sync + 'static,
    ) -> Self {
        let server = Server::start_in(storage, configure).await;
        server.create_administrator().await;
        let ada = Browser::join(&server, "Ada").await;
        let mut ws = ada.connect().await;
        let general = ws.room("general").clone();
        ws.send_message(general.id, "čau, ☕").await;
        let sent = files::upload(&mut ws, general.id, "bridge.txt", FILE_CONTENT).await;
        let file = files::download_path(files::attachment_of(&sent));
        let story = Publisher::create(&server)
            .await
            .publish("The doge resigns")
            .await;
        Self {
            server,
            ada,
            general,
            file,
            story: format!("/news/{}", story.slug),
        }
    }

    /// Everything that was acknowledged is there, and a page that saw it fetches anew.
    async fn assert_restored_on(&self, restored: &Server) {
        let ada = self.ada.at_node(restored);
        let mut ws = ada
            .connect_with(HelloFrame::with_cursor(
                self.general.id,
                Cursor {
                    epoch: self.general.epoch.clone(),
                    seq: 1,
                },
            ))
            .await;
        let frames = ws.frames_until_pong().await;
        let recovered = frames.iter().find_map(|frame| match frame {
            ServerFrame::Resumed { recovered, .. } => Some(*recovered),
            _ => None,
        });
        assert_eq!(recovered, Some(false), "{frames:?}");
        let general = ws.room("general").clone();
        assert_eq!((general.id, general.head), (self.general.id, 2));
        assert_ne!(general.epoch, self.general.epoch);
        assert!(ada.html("/chat/general").await.contains("čau, ☕"));
        let content = ada.get(&self.file).await.bytes().await.unwrap();
        assert!(content == FILE_CONTENT);
        assert!(ada.html(&self.story).await.contains("The doge resigns"));
        assert!(!restored.has_printed_claim(), "an administrator exists");
        let dogaressa = Browser::anonymous(restored, "Dogaressa");
        let form = [
            ("name", "Dogaressa"),
            ("password", ADMIN_PASSWORD),
            ("next", "/"),
        ];
        dogaressa.post("/fn/sign-in", &form).await;
        assert!(dogaressa.cookie().is_some(), "the password is as it was");
        assert_eq!(ws.send_message(general.id, "and on").await, 3);
    }
}

/// With the database of the same engine.
fn empty_storage() -> TestStorage {
    TestStorage::new()
}

#[tokio::test]
async fn a_backup_beside_a_running_server_restores_all_that_was_acknowledged() {
    let community = Community::new(TestStorage::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.tar");
    let storage = community.server.storage_arguments();
    let made = run_with_file("backup", &file, &storage, |_| {}).await;
    assert_success(&made);
    assert!(output_text(&made).contains("the store and 1 file"));
    let permissions = fs::metadata(&file).unwrap().permissions();
    assert_eq!(permissions.mode() & 0o777, 0o600);
    assert_eq!(
        files_in(folder.path()),
        [file.as_path()],
        "nothing else is left"
    );
    let again = run_with_file("backup", &file, &storage, |_| {}).await;
    assert_refused(&again, "exists, and a backup overwrites nothing");

    let restored = empty_storage();
    let done = run_with_file("restore", &file, &restored.arguments(), |_| {}).await;
    assert_success(&done);
    let checked = run_check(&restored.arguments(), |_| {}).await;
    assert_success(&checked);
    assert!(
        output_text(&checked).contains("with 4 events, and 1 file"),
        "{checked:?}"
    );
    let restored = Server::start_in(restored, |_| {}).await;
    community.assert_restored_on(&restored).await;
    assert_success(&run_check(&restored.storage_arguments(), |_| {}).await);
}

#[tokio::test]
async fn a_backup_without_a_server_takes_what_a_kill_left_in_the_log() {
    let mut community = Community::new(TestStorage::new()).await;
    community.server.kill().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.tar");
    // What a backup leaves that is killed.
    fs::write(folder.path().join("backup.tar.partial"), "half").unwrap();
    fs::write(folder.path().join("backup.tar.snapshot"), "half").unwrap();
    let storage = community.server.storage_arguments();
    assert_success(&run_with_file("backup", &file, &storage, |_| {}).await);
    assert_eq!(files_in(folder.path()), [file.as_path()]);
    let restored = empty_storage();
    assert_success(&run_with_file("restore", &file, &restored.arguments(), |_| {}).await);
    let restored = Server::start_in(restored, |_| {}).await;
    community.assert_restored_on(&restored).await;
}

#[tokio::test]
async fn a_backup_of_either_engine_is_restored_into_the_other() {
    needs_postgresql!();
    let embedded = || TestStorage::with_database(None);
    let postgres = || TestStorage::with_database(Some(Arc::new(TestDatabase::new())));
    for (from, into) in [(embedded(), postgres()), (postgres(), embedded())] {
        let community = Community::new(from).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backup.tar");
        let storage = community.server.storage_arguments();
        assert_success(&run_with_file("backup", &file, &storage, |_| {}).await);
        assert_success(&run_with_file("restore", &file, &into.arguments(), |_| {}).await);
        let restored = Server::start_in(into, |_| {}).await;
        community.assert_restored_on(&restored).await;
        assert_success(&run_check(&restored.storage_arguments(), |_| {}).await);
    }
}

#[tokio::test]
async fn files_in_a_bucket_are_backed_up_and_restored_into_one() {
    let s3 = S3::start().await;
    let community = Community::with(TestStorage::new(), s3.settings()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.tar");
    let storage = community.server.storage_arguments();
    assert_success(&run_with_file("backup", &file, &storage, s3.settings()).await);
    assert_success(&run_check(&storage, s3.settings()).await);

    let other = S3::start().await;
    let restored = empty_storage();
    let arguments = restored.arguments();
    assert_success(&run_with_file("restore", &file, &arguments, other.settings()).await);
    assert_eq!(files_in(&other.objects_dir()).len(), 1);
    let restored = Server::start_in(restored, other.settings()).await;
    community.assert_restored_on(&restored).await;
    for object in files_in(&other.objects_dir()) {
        fs::remove_file(object).unwrap();
    }
    let checked = run_check(&restored.storage_arguments(), other.settings()).await;
    assert!(output_text(&checked).contains("is missing"), "{checked:?}");
}

async fn backup_of(community: &Community) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.tar");
    let storage = community.server.storage_arguments();
    assert_success(&run_with_file("backup", &file, &storage, |_| {}).await);
    (folder, file)
}

#[tokio::test]
async fn nothing_is_restored_into_a_place_that_is_in_use() {
    let community = Community::new(TestStorage::new()).await;
    let (_folder, file) = backup_of(&community).await;
    let storage = community.server.storage_arguments();
    let refused = run_with_file("restore", &file, &storage, |_| {}).await;
    assert_refused(&refused, "is in use by another Rialto");
    let mut server = community.server;
    server.stop().await;
    let before = files_in(server.data_dir());
    let refused = run_with_file("restore", &file, &storage, |_| {}).await;
    assert_refused(&refused, "is not empty: it contains");
    assert_eq!(files_in(server.data_dir()), before);
}

#[tokio::test]
async fn nothing_is_restored_into_a_database_that_is_in_use() {
    needs_postgresql!();
    let community = Community::new(TestStorage::new()).await;
    let (_folder, file) = backup_of(&community).await;
    let empty = tempfile::tempdir().unwrap();
    let mut storage = community.server.storage_arguments();
    storage[1] = empty.path().display().to_string();
    let refused = run_with_file("restore", &file, &storage, |_| {}).await;
    assert_refused(&refused, "is not empty: the table");
}

#[tokio::test]
async fn a_backup_that_is_damaged_restores_nothing() {
    let community = Community::new(TestStorage::new()).await;
    let (folder, file) = backup_of(&community).await;
    let whole = fs::read(&file).unwrap();
    let at = whole
        .windows(FILE_CONTENT.len())
        .position(|window| window == FILE_CONTENT)
        .unwrap();
    let mut changed = whole.clone();
    changed[at] ^= 1;
    for (bytes, why) in [
        (&changed[..], "differs. Use another backup"),
        (&whole[..at], "not a whole backup"),
        (b"no backup", "not a whole backup"),
    ] {
        let damaged = folder.path().join("damaged.tar");
        fs::write(&damaged, bytes).unwrap();
        let data = tempfile::tempdir().unwrap();
        let storage = data_arguments(data.path());
        let refused = run_with_file("restore", &damaged, &storage, |_| {}).await;
        assert_refused(&refused, why);
        let left = files_in(data.path());
        assert!(left.iter().all(|path| path.ends_with("lock")), "{left:?}");
        // The whole one is restored into the same folder.
        assert_success(&run_with_file("restore", &file, &storage, |_| {}).await);
    }
}

#[tokio::test]
async fn what_cannot_be_backed_up_or_restored_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let (file, nowhere) = (folder.path().join("backup.tar"), folder.path().join("no"));
    let storage = data_arguments(&nowhere);
    let refused = run_with_file("backup", &file, &storage, |_| {}).await;
    assert_refused(&refused, "does not exist");
    let refused = run_with_file("restore", &file, &storage, |_| {}).await;
    assert_refused(&refused, "does not exist");
    let refused = run_check(&storage, |_| {}).await;
    assert_refused(&refused, "does not exist");
    let storage = data_arguments(folder.path());
    let refused = run_with_file("backup", &file, &storage, |_| {}).await;
    assert_refused(&refused, "there is no Rialto data in");
    assert_eq!(files_in(folder.path()), Vec::<PathBuf>::new());
    let community = Community::new(TestStorage::with_database(None)).await;
    let storage = community.server.storage_arguments();
    let deep = nowhere.join("backup.tar");
    let refused = run_with_file("backup", &deep, &storage, |_| {}).await;
    assert_refused(&refused, "does not exist. Create it");
}

#[tokio::test]
async fn two_backups_do_not_write_into_one_file() {
    let community = Community::new(TestStorage::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.tar");
    let storage = community.server.storage_arguments();
    let partial = fs::File::create(folder.path().join("backup.tar.partial")).unwrap();
    partial.lock().unwrap();
    let refused = run_with_file("backup", &file, &storage, |_| {}).await;
    assert_refused(&refused, "another backup is being written");
    drop(partial);
    assert_success(&run_with_file("backup", &file, &storage, |_| {}).await);
}
