//! The program as a child process.

use super::{
    Browser, SmallDisk, WAIT_TIMEOUT,
    test_storage::{TestDatabase, TestStorage},
    with_timeout,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::OsStr,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};

const RIALTO_BIN: &str = env!("CARGO_BIN_EXE_rialto");
const LISTENING_PREFIX: &str = "listening on http://";
const CLAIM_PREFIX: &str = "one-time link to become administrator: ";

/// With its own storage; killed on drop.
pub(crate) struct Server {
    process: Option<ServerProcess>,
    address: SocketAddr,
    storage: Arc<TestStorage>,
    /// Such as `nsenter`; empty if none.
    command_prefix: Vec<String>,
    configure: Box<dyn Fn(&mut Command) + Send + Sync>,
}

struct ServerProcess {
    child: Child,
    /// Printed so far.
    stdout_lines: watch::Receiver<Vec<String>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Settings are kept across [`Self::restart`].
    pub(crate) async fn start_with(
        configure: impl Fn(&mut Command) + Send + Sync + 'static,
    ) -> Self {
        Self::start_in(TestStorage::new(), configure).await
    }

    pub(crate) async fn start_in(
        storage: TestStorage,
        configure: impl Fn(&mut Command) + Send + Sync + 'static,
    ) -> Self {
        Self::start_with_prefix(Vec::new(), Arc::new(storage), configure).await
    }

    pub(crate) async fn start_on_disk(disk: &SmallDisk) -> Self {
        Self::start_on_disk_with(disk, |_| {}).await
    }

    pub(crate) async fn start_on_disk_with(
        disk: &SmallDisk,
        configure: impl Fn(&mut Command) + Send + Sync + 'static,
    ) -> Self {
        let (prefix, storage) = (disk.nsenter_command(), disk.storage().clone());
        let configure = move |command: &mut Command| {
            command.env("RIALTO_DISK_RESERVE", "0");
            configure(command);
        };
        Self::start_with_prefix(prefix, storage, configure).await
    }

    async fn start_with_prefix(
        command_prefix: Vec<String>,
        storage: Arc<TestStorage>,
        set: impl Fn(&mut Command) + Send + Sync + 'static,
    ) -> Self {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let mut server = Self {
            process: None,
            address: any,
            storage,
            command_prefix,
            configure: Box::new(set),
        };
        server.launch().await;
        server
    }

    /// On the address it had before, so that clients can reconnect.
    async fn launch(&mut self) {
        let mut command = rialto_command_with_prefix(&self.command_prefix);
        command
            .arg("serve")
            .arg("--listen")
            .arg(self.address.to_string());
        command.args(self.storage.arguments());
        (self.configure)(&mut command);
        command.stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let stdout_lines = collect_stdout(&mut child);
        self.process = Some(ServerProcess {
            child,
            stdout_lines,
        });
        let line = self.wait_for_line(LISTENING_PREFIX).await;
        self.address = line.parse().unwrap();
    }

    /// Returns the rest of the line.
    pub(crate) async fn wait_for_line(&self, prefix: &str) -> String {
        let running = self.process.as_ref().expect("the server is running");
        let mut stdout_lines = running.stdout_lines.clone();
        let has_it = |lines: &Vec<String>| lines.iter().any(|line| line.starts_with(prefix));
        let waited = tokio::time::timeout(WAIT_TIMEOUT, stdout_lines.wait_for(has_it)).await;
        let found = match &waited {
            Ok(Ok(lines)) => lines
                .iter()
                .find_map(|line| line.strip_prefix(prefix))
                .map(str::to_owned),
            Ok(Err(_)) | Err(_) => None,
        };
        drop(waited);
        found.unwrap_or_else(|| {
            panic!(
                "no line with the prefix {prefix:?} in {:?}",
                running.stdout_lines.borrow()
            )
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// That name its storage to a command.
    pub(crate) fn storage_arguments(&self) -> Vec<String> {
        self.storage.arguments()
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.storage.folder()
    }

    /// Of the printed link that creates the administrator.
    pub(crate) async fn claim_path(&self) -> String {
        let link = self.wait_for_line(CLAIM_PREFIX).await;
        let path = link
            .split_once("://")
            .and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()));
        path.unwrap_or_else(|| panic!("{link} is not a link"))
    }

    /// In this start, before any response.
    pub(crate) fn has_printed_claim(&self) -> bool {
        let running = self.process.as_ref().expect("the server is running");
        running
            .stdout_lines
            .borrow()
            .iter()
            .any(|line| line.starts_with(CLAIM_PREFIX))
    }

    /// SIGKILL: nothing is flushed.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut running) = self.process.take() {
            running.child.kill().await.unwrap();
        }
    }

    /// SIGSTOP, until [`Self::thaw`].
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().cast_signed()).unwrap(), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        let running = self.process.as_ref().expect("the server is running");
        running
            .child
            .id()
            .expect("the process has not been waited for")
    }

    /// SIGTERM; waits for the exit.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.stop_within(WAIT_TIMEOUT).await
    }

    /// As [`Self::stop`], with another bound.
    pub(crate) async fn stop_within(&mut self, bound: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut running = self.process.take().expect("the server is running");
        let ended = tokio::time::timeout(bound, running.child.wait()).await;
        let ended = ended.unwrap_or_else(|_| panic!("no exit within {bound:?} after SIGTERM"));
        ended.unwrap()
    }

    /// On the same data and address; kills a running program first.
    pub(crate) async fn restart(&mut self) {
        self.kill().await;
        self.launch().await;
    }

    /// The same folder with another database, from the next start on.
    pub(crate) fn use_database(&mut self, database: &Arc<TestDatabase>) {
        let storage = Arc::get_mut(&mut self.storage).expect("no other server uses this storage");
        storage.move_to(database.clone());
    }

    /// Through the printed link.
    pub(crate) async fn create_administrator(&self) -> Browser {
        let claim = self.claim_path().await;
        let claim = claim
            .split_once("claim=")
            .map(|(_, claim)| claim.to_owned())
            .unwrap();
        let browser = Browser::anonymous(self, "Dogaressa");
        let form = [
            ("claim", claim.as_str()),
            ("name", "Dogaressa"),
            ("password", ADMIN_PASSWORD),
        ];
        let response = browser.post("/fn/claim-admin", &form).await;
        assert!(
            response.status().is_redirection(),
            "{}: {}",
            response.status(),
            response.text().await.unwrap()
        );
        browser
    }

    /// Of a second program on the same storage.
    pub(crate) async fn second_start_error(&self) -> String {
        startup_error(&self.storage, |_| {}).await
    }

    /// A command of the program, on this server's data.
    pub(crate) async fn run_cli(&self, arguments: &[&str]) -> Output {
        let mut command = rialto_command();
        command.args(arguments).args(self.storage.arguments());
        with_timeout("the command line", command.output())
            .await
            .unwrap()
    }

    /// On the command line.
    pub(crate) async fn create_token(&self, name: &str) -> String {
        let made = self.run_cli(&["token", "create", name]).await;
        assert!(made.status.success(), "{made:?}");
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn stored_files(&self) -> Vec<PathBuf> {
        files_in(&self.storage.folder().join("files"))
    }
}

/// Sorted by path.
pub(crate) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
        {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                found.push(entry);
            }
        }
    }
    found.sort();
    found
}

pub(crate) const ADMIN_PASSWORD: &str = "three thousand ducats";

/// With exactly these arguments.
pub(crate) async fn run_cli(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    let mut command = rialto_command();
    command.args(arguments);
    with_timeout("the command line", command.output())
        .await
        .unwrap()
}

/// Of a server that must fail to start.
pub(crate) async fn startup_error(storage: &TestStorage, set: impl Fn(&mut Command)) -> String {
    let mut command = rialto_command();
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(storage.arguments());
    set(&mut command);
    let refused = with_timeout("the program fails to start", command.output()).await;
    let refused = refused.unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    String::from_utf8(refused.stderr).unwrap()
}

/// Without `RIALTO_` and `AWS_` variables of the environment.
pub(crate) fn rialto_command() -> Command {
    rialto_command_with_prefix(&[])
}

/// Such as `nsenter` with its options.
pub(crate) fn rialto_command_with_prefix(command_prefix: &[String]) -> Command {
    let mut line = command_prefix
        .iter()
        .map(String::as_str)
        .chain([RIALTO_BIN]);
    let mut command = Command::new(line.next().expect("the line ends with the program"));
    command.args(line);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("RIALTO_") || name.starts_with("AWS_") {
            command.env_remove(&*name);
        }
    }
    command.env("RIALTO_LOG", "warn").stdin(Stdio::null());
    command
}

/// Keeps the program from blocking on a full pipe.
fn collect_stdout(process: &mut Child) -> watch::Receiver<Vec<String>> {
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let (lines_tx, lines_rx) = watch::channel(Vec::new());
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            // The test harness shows stderr when a test fails.
            if [" WARN ", " ERROR "].iter().any(|word| line.contains(word)) {
                eprintln!("{line}");
            }
            lines_tx.send_modify(|lines: &mut Vec<String>| lines.push(line));
        }
    });
    lines_rx
}
