//! A disk of a few megabytes, which a test fills and frees: a tmpfs in a mount namespace of its own.

use super::TestStorage;
use std::{path::PathBuf, process::Stdio, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A data folder on a small disk. Both are gone when this is dropped.
pub(crate) struct SmallDisk {
    storage: Arc<TestStorage>,
    /// Keeps the namespace, and does nothing.
    namespace_process: Child,
}

impl SmallDisk {
    /// A disk of so many megabytes under the folder of a storage. None where the system does not let one be mounted; the reason is printed.
    pub(crate) async fn mount(megabytes: u32) -> Option<Self> {
        // A full disk of PostgreSQL's is PostgreSQL's.
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
        println!("left out: a tmpfs cannot be mounted here (needs root or user namespaces)");
        None
    }

    pub(crate) fn storage(&self) -> &Arc<TestStorage> {
        &self.storage
    }

    /// What runs a command where the disk is mounted.
    pub(crate) fn nsenter_command(&self) -> Vec<String> {
        let mut nsenter_command = vec!["nsenter".to_owned(), "--mount".to_owned()];
        if !is_root() {
            nsenter_command.extend(["--user".to_owned(), "--preserve-credentials".to_owned()]);
        }
        let namespace_process = self.namespace_process.id().expect("it was not waited for");
        nsenter_command.extend([
            format!("--target={namespace_process}"),
            format!("--wdns={}", std::env::temp_dir().display()),
            "--".to_owned(),
        ]);
        nsenter_command
    }

    /// Takes all the space that is left.
    pub(crate) fn fill(&self) {
        use std::io::Write;
        let mut ballast = std::fs::File::create(self.ballast_path()).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }

    /// Gives back what [`Self::fill`] took.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.ballast_path()).unwrap();
    }

    /// A file on the disk, as seen from outside.
    fn ballast_path(&self) -> PathBuf {
        let namespace_process = self.namespace_process.id().expect("it was not waited for");
        let folder = self.storage.folder().strip_prefix("/").unwrap();
        PathBuf::from(format!("/proc/{namespace_process}/root"))
            .join(folder)
            .join("ballast")
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
