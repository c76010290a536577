//! A PostgreSQL server that a test stops and starts, as durable as a real one.

use super::with_timeout;
use std::{process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

const POSTGRES_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres.sh");

/// In its own folder; killed on drop.
pub(crate) struct Postgres {
    folder: TempDir,
    password: String,
    port: u16,
    process: Option<Child>,
}

impl Postgres {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // PostgreSQL may run as another user, who must be able to enter the folder.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let made = Command::new(POSTGRES_SCRIPT)
            .arg("init")
            .arg(folder.path().join("data"))
            .output();
        let made = made.await.unwrap();
        assert!(made.status.success(), "{made:?}");
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut postgres = Self {
            folder,
            password: String::from_utf8(made.stdout).unwrap().trim().to_owned(),
            port: free.local_addr().unwrap().port(),
            process: None,
        };
        drop(free);
        postgres.launch().await;
        postgres
    }

    /// The database `postgres` always exists.
    pub(crate) fn url(&self) -> String {
        let Self { password, port, .. } = self;
        format!("postgres://rialto:{password}@127.0.0.1:{port}/postgres")
    }

    /// On the port it had before.
    pub(crate) async fn launch(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let running = Command::new(POSTGRES_SCRIPT)
            .arg("run")
            .arg(self.folder.path().join("data"))
            .arg(self.port.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        self.process = Some(running.unwrap());
        let ready = async {
            // The port opens before connections are accepted.
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let url = self.url();
            while super::test_storage::run_statement(&url, "SELECT 1".to_owned()).is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // Crash recovery may take a while.
        let started = tokio::time::timeout(Duration::from_mins(1), ready).await;
        started.expect("PostgreSQL starts");
    }

    /// SIGQUIT: no checkpoint, and clients are not notified. Committed transactions are on disk.
    pub(crate) async fn shutdown_immediate(&mut self) {
        let mut running = self.process.take().expect("PostgreSQL is running");
        let id = running
            .id()
            .expect("the process has not been waited for")
            .cast_signed();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::QUIT).unwrap();
        with_timeout("PostgreSQL stops", running.wait())
            .await
            .unwrap();
    }
}
