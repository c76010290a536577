//! A disk that a test fills and frees: a tmpfs in its own mount namespace.

use super::TestStorage;
use std::{path::PathBuf, process::Stdio, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A data folder, removed on drop.
pub(crate) struct SmallDisk {
    storage: Arc<TestStorage>,
    /// Sleeps, and keeps the mount namespace alive.
    namespace_process: Child,
}

impl SmallDisk {
    /// `None` where mounting is not permitted.
    pub(crate) async fn mount(megabytes: u32) -> Option<Self> {
        // PostgreSQL's files would not be on this disk.
        let storage = Arc::new(TestStorage::with_database(None));
        let mut command = Command::new("unshare");
        if !is_root() {
            command.arg("--map-root-user");
        }
        command.args(["--mount", "sh", "-ec"]);
        command.arg("mount -t tmpfs -o size=$1m small \"$0\"; echo mounted; exec sleep 600");
        command.arg(storage.folder()).arg(megabytes.to_string());
        command.stdout(Stdio::piped()).kill_on_drop(true);
        if let Ok(mut namespace_process) = command.spawn() {
            let mut lines = BufReader::new(namespace_process.stdout.take()?).lines();
            if let Ok(Some(_)) = lines.next_line().await {
                return Some(Self {
                    storage,
                    namespace_process,
                });
            }
        }
        println!("skipped: cannot mount a tmpfs here (needs root or user namespaces)");
        None
    }

    pub(crate) fn storage(&self) -> &Arc<TestStorage> {
        &self.storage
    }

    /// Enters the mount namespace.
    pub(crate) fn nsenter_command(&self) -> Vec<String> {
        let mut command = vec!["nsenter".to_owned(), "--mount".to_owned()];
        if !is_root() {
            command.extend(["--user".to_owned(), "--preserve-credentials".to_owned()]);
        }
        let pid = self
            .namespace_process
            .id()
            .expect("the process has not been waited for");
        command.extend([
            format!("--target={pid}"),
            format!("--wdns={}", std::env::temp_dir().display()),
            "--".to_owned(),
        ]);
        command
    }

    pub(crate) fn fill(&self) {
        use std::io::Write;
        let mut ballast = std::fs::File::create(self.ballast_path()).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }

    pub(crate) fn free(&self) {
        std::fs::remove_file(self.ballast_path()).unwrap();
    }

    pub(crate) async fn remount_read_only(&self) {
        let line = self.nsenter_command();
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).args(["mount", "-o", "remount,ro"]);
        let done = command.arg(self.storage.folder()).status().await;
        assert!(done.unwrap().success());
    }

    /// From outside the namespace.
    fn ballast_path(&self) -> PathBuf {
        let pid = self
            .namespace_process
            .id()
            .expect("the process has not been waited for");
        let folder = self.storage.folder().strip_prefix("/").unwrap();
        PathBuf::from(format!("/proc/{pid}/root"))
            .join(folder)
            .join("ballast")
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
