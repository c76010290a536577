//! A data folder that cannot be used is explained at once, by every command: path, user, owner and what to do.

use crate::support::{
    SmallDisk,
    server::{files_in, rialto_command, rialto_command_with_prefix},
    with_timeout,
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

/// A library's retries would take ten.
const AT_ONCE: Duration = Duration::from_secs(5);
const NOBODY: u32 = 65_534;

const COMMANDS: [&[&str]; 4] = [
    &["serve", "--listen", "127.0.0.1:0"],
    &["user", "list"],
    &["user", "role", "Ada", "editor"],
    &["token", "create", "Gazette"],
];

/// Of a program that obeys modes, also when it is started by root. `None` where that is not permitted.
async fn obeying_modes() -> Option<Vec<String>> {
    if !rustix::process::geteuid().is_root() {
        return Some(Vec::new());
    }
    let prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let mut probe = tokio::process::Command::new(prefix[0]);
    let tried = probe.arg(prefix[1]).arg("true").output().await;
    if tried.is_ok_and(|tried| tried.status.success()) {
        return Some(prefix.map(str::to_owned).to_vec());
    }
    println!("skipped: cannot drop capabilities here");
    None
}

async fn run(prefix: &[String], arguments: &[&str], data: &Path) -> Output {
    let mut command = rialto_command_with_prefix(prefix);
    command.args(arguments).arg("--data").arg(data);
    // A server that starts after all ends with the test.
    command.kill_on_drop(true);
    let began = Instant::now();
    let output = tokio::time::timeout(AT_ONCE * 4, command.output()).await;
    let output = output.expect("the command ends").unwrap();
    let took = began.elapsed();
    assert!(took < AT_ONCE, "{arguments:?} took {took:?}: {output:?}");
    output
}

/// The one line that every command prints.
async fn assert_refused(prefix: &[String], data: &Path, expected: &[&str]) {
    for arguments in COMMANDS {
        let output = run(prefix, arguments, data).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}: {stderr}");
        // The tests need no files for browsers.
        let lines = stderr.lines();
        let lines = lines.filter(|line| !line.contains(" WARN "));
        assert_eq!(lines.count(), 1, "{arguments:?}: {stderr}");
        for words in expected {
            assert!(stderr.contains(words), "{arguments:?}, {words:?}: {stderr}");
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// With a store, and no server on it.
async fn used_folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let made = run(&[], &["user", "list"], &data).await;
    assert!(made.status.success(), "{made:?}");
    (folder, data)
}

fn me() -> String {
    format!("(uid {})", rustix::process::geteuid().as_raw())
}

#[tokio::test]
async fn a_folder_that_cannot_be_created() {
    let Some(prefix) = obeying_modes().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    set_mode(folder.path(), 0o500);
    let data = folder.path().join("deep/data");
    let shown = data.display().to_string();
    let expected = [
        &shown,
        "cannot be created by the user",
        &me(),
        "0500",
        "--data",
    ];
    assert_refused(&prefix, &data, &expected).await;
    set_mode(folder.path(), 0o700);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written() {
    let Some(prefix) = obeying_modes().await else {
        return;
    };
    for mode in [0o500, 0o300, 0o000] {
        let (_folder, data) = used_folder().await;
        set_mode(&data, mode);
        let mode = format!("{mode:04o}");
        let shown = data.display().to_string();
        let expected = [
            &shown,
            "cannot be written by the user",
            &me(),
            &mode,
            "chmod",
        ];
        assert_refused(&prefix, &data, &expected).await;
        set_mode(&data, 0o700);
    }
}

#[tokio::test]
async fn a_store_that_may_only_be_read_or_not_even_that() {
    let Some(prefix) = obeying_modes().await else {
        return;
    };
    for mode in [0o400, 0o200] {
        let (_folder, data) = used_folder().await;
        let store = data.join("rialto.sqlite");
        set_mode(&store, mode);
        let mode = format!("{mode:04o}");
        let shown = store.display().to_string();
        let expected = [
            &shown,
            "cannot be written by the user",
            &me(),
            &mode,
            "chmod",
        ];
        assert_refused(&prefix, &data, &expected).await;
    }
}

#[tokio::test]
async fn a_store_or_a_folder_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give files away");
        return;
    }
    let Some(prefix) = obeying_modes().await else {
        return;
    };
    for (name, mode) in [("rialto.sqlite", 0o600), ("", 0o700)] {
        let (_folder, data) = used_folder().await;
        let path = if name.is_empty() {
            data.clone()
        } else {
            data.join(name)
        };
        set_mode(&path, mode);
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), NOBODY);
        let shown = path.display().to_string();
        let expected = [
            &shown,
            "by the user root (uid 0)",
            "belongs to the user",
            "(uid 65534)",
            "chown -R",
        ];
        assert_refused(&prefix, &data, &expected).await;
    }
}

#[tokio::test]
async fn a_file_where_the_folder_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    fs::write(&file, "").unwrap();
    let expected = format!("{} is a file, where a folder is needed", file.display());
    for data in [file.clone(), file.join("below")] {
        assert_refused(&[], &data, &[&expected, "--data"]).await;
        for arguments in [&["doctor"][..], &["news", "publish", "High water"]] {
            let output = run(&[], arguments, &data).await;
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(stderr.contains(&expected), "{arguments:?}: {stderr}");
        }
    }
}

#[tokio::test]
async fn a_store_that_is_no_database_or_is_damaged() {
    let (_folder, data) = used_folder().await;
    let store = data.join("rialto.sqlite");
    let whole = fs::read(&store).unwrap();
    fs::write(&store, "not a database ".repeat(1_000)).unwrap();
    let shown = store.display().to_string();
    assert_refused(
        &[],
        &data,
        &[&shown, "is not a SQLite database", "rialto restore"],
    )
    .await;
    // Its first page is whole, and what that page refers to is not.
    let mut damaged = whole;
    damaged[4_096..].fill(7);
    fs::write(&store, damaged).unwrap();
    assert_refused(&[], &data, &[&shown, "is damaged", "rialto restore"]).await;
}

#[tokio::test]
async fn a_file_system_that_is_full_or_read_only() {
    let Some(disk) = SmallDisk::mount(1).await else {
        return;
    };
    let prefix = disk.nsenter_command();
    let data = disk.storage().folder().to_owned();
    let shown = data.display().to_string();
    disk.fill();
    assert_refused(&prefix, &data, &[&shown, "Free some space"]).await;
    disk.free();
    disk.remount_read_only().await;
    assert_refused(&prefix, &data, &[&shown, "mounted read-only", "--data"]).await;
}

#[tokio::test]
async fn a_folder_that_becomes_usable_is_used() {
    let Some(prefix) = obeying_modes().await else {
        return;
    };
    let (_folder, data) = used_folder().await;
    set_mode(&data, 0o500);
    assert!(
        !run(&prefix, &["user", "list"], &data)
            .await
            .status
            .success()
    );
    set_mode(&data, 0o700);
    assert!(
        run(&prefix, &["user", "list"], &data)
            .await
            .status
            .success()
    );
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn other_users_of_the_machine_read_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = rialto_command();
    server
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data);
    let start = async |server: &mut tokio::process::Command| {
        let started = server.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = started.kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.starts_with("listening on ") {
                    return;
                }
            }
        };
        with_timeout("it listens", listening).await;
        program.kill().await.unwrap();
        let output = program.wait_with_output().await.unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    start(&mut server).await;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<PathBuf> = files_in(&data);
    assert!(files.contains(&data.join("rialto.sqlite")), "{files:?}");
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    set_mode(&data, 0o755);
    set_mode(&data.join("rialto.sqlite"), 0o644);
    let log = start(&mut server).await;
    assert_eq!(
        [mode(&data), mode(&data.join("rialto.sqlite"))],
        [0o700, 0o600]
    );
    for path in [
        "data was open to other users",
        "rialto.sqlite was open to other users",
    ] {
        assert!(log.contains(path), "{log}");
    }
}
