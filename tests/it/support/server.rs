//! The program, as a process.

use super::{
    PATIENCE, Person, SmallDisk,
    home::{Database, Home},
    within,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::OsStr,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    sync::Arc,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_rialto");
const LISTENING: &str = "listening on http://";
const CLAIM: &str = "become the administrator, once: ";

/// A server in a folder of its own. It is killed when this is dropped.
pub(crate) struct Server {
    running: Option<Running>,
    address: SocketAddr,
    home: Arc<Home>,
    /// What runs the program, if not this process.
    enter: Vec<String>,
    set: Box<dyn Fn(&mut Command) + Send + Sync>,
}

struct Running {
    process: Child,
    /// Every line that the program has printed so far.
    said: watch::Receiver<Vec<String>>,
}

impl Server {
    /// A server as it is without any settings.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A server with settings, which also hold for every later [`Self::restart`].
    pub(crate) async fn start_with(set: impl Fn(&mut Command) + Send + Sync + 'static) -> Self {
        Self::start_in(Home::new(), set).await
    }

    /// A server with a certain store.
    pub(crate) async fn start_in(
        home: Home,
        set: impl Fn(&mut Command) + Send + Sync + 'static,
    ) -> Self {
        Self::start_through(Vec::new(), Arc::new(home), set).await
    }

    /// A server whose data folder is a small disk.
    pub(crate) async fn start_on(disk: &SmallDisk) -> Self {
        Self::start_through(disk.enter(), disk.home().clone(), |_| {}).await
    }

    async fn start_through(
        enter: Vec<String>,
        home: Arc<Home>,
        set: impl Fn(&mut Command) + Send + Sync + 'static,
    ) -> Self {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let mut server = Self {
            running: None,
            address: any,
            home,
            enter,
            set: Box::new(set),
        };
        server.launch().await;
        server
    }

    /// Starts the program on the address it had before, so that clients find it again.
    async fn launch(&mut self) {
        let mut command = program_through(&self.enter);
        command
            .arg("serve")
            .arg("--listen")
            .arg(self.address.to_string());
        command.args(self.home.arguments());
        (self.set)(&mut command);
        command.stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let said = listen(&mut process);
        self.running = Some(Running { process, said });
        let line = self.line(LISTENING).await;
        self.address = line.parse().unwrap();
    }

    /// What follows a beginning in the first line that has it.
    pub(crate) async fn line(&self, beginning: &str) -> String {
        let running = self
            .running
            .as_ref()
            .expect("the server was stopped by the test");
        let mut said = running.said.clone();
        let has_it = |lines: &Vec<String>| lines.iter().any(|line| line.starts_with(beginning));
        let waited = tokio::time::timeout(PATIENCE, said.wait_for(has_it)).await;
        let found = match &waited {
            Ok(Ok(lines)) => lines
                .iter()
                .find_map(|line| line.strip_prefix(beginning))
                .map(str::to_owned),
            Ok(Err(_)) | Err(_) => None,
        };
        drop(waited);
        found.unwrap_or_else(|| {
            panic!(
                "the program did not say {beginning:?}, but {:?}",
                running.said.borrow()
            )
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder with the store and the files.
    pub(crate) fn data(&self) -> &Path {
        self.home.folder()
    }

    /// The path of the link that makes the administrator, as it was printed.
    pub(crate) async fn claim(&self) -> String {
        let link = self.line(CLAIM).await;
        let path = link
            .split_once("://")
            .and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()));
        path.unwrap_or_else(|| panic!("{link} is no link"))
    }

    /// Whether the link was printed at this start. To be asked after an answer to a request, which comes later than the link.
    pub(crate) fn has_offered_claim(&self) -> bool {
        let running = self.running.as_ref().expect("the server runs");
        running
            .said
            .borrow()
            .iter()
            .any(|line| line.starts_with(CLAIM))
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.process.kill().await.unwrap();
        }
    }

    /// SIGSTOP: it does nothing at all, until [`Self::thaw`].
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        let running = self.running.as_ref().expect("the server runs");
        running.process.id().expect("it was not waited for")
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut running = self.running.take().expect("the server runs");
        within("the program stops when asked to", running.process.wait())
            .await
            .unwrap()
    }

    /// The same data on the same address, after [`Self::kill`] or [`Self::stop`], or killed first.
    pub(crate) async fn restart(&mut self) {
        self.kill().await;
        self.launch().await;
    }

    /// From the next start on, the same folder with another store.
    pub(crate) fn move_to(&mut self, database: &Arc<Database>) {
        let home = Arc::get_mut(&mut self.home).expect("the home is this server's alone");
        home.move_to(database.clone());
    }

    /// The first administrator, made with the link that the server printed.
    pub(crate) async fn administrator(&self) -> Person {
        let claim = self.claim().await;
        let claim = claim
            .split_once("claim=")
            .map(|(_, claim)| claim.to_owned())
            .unwrap();
        let person = Person::nobody(self, "Dogaressa");
        let form = [
            ("claim", claim.as_str()),
            ("name", "Dogaressa"),
            ("password", PASSWORD),
        ];
        let answer = person.post("/fn/claim-admin", &form).await;
        assert!(
            answer.status().is_redirection(),
            "{}: {}",
            answer.status(),
            answer.text().await.unwrap()
        );
        person
    }

    /// Why a second program does not serve on the same data, in its words.
    pub(crate) async fn refuses_another(&self) -> String {
        refusal(&self.home, |_| {}).await
    }

    /// Runs the program's command line on this server's data.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Output {
        let mut command = program();
        command.args(arguments).args(self.home.arguments());
        within("the command line", command.output()).await.unwrap()
    }

    /// A new token for publishing, made on the command line.
    pub(crate) async fn token(&self, name: &str) -> String {
        let made = self.command(&["token", "create", name]).await;
        assert!(made.status.success(), "{made:?}");
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// Every file that people sent and that is kept, however it is filed.
    pub(crate) fn kept_files(&self) -> Vec<PathBuf> {
        files_in(&self.home.folder().join("files"))
    }
}

/// Every file below a folder, in the order of their names.
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

/// The administrator's password.
pub(crate) const PASSWORD: &str = "three thousand ducats";

/// Runs the program's command line with just these arguments.
pub(crate) async fn command(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    let mut command = program();
    command.args(arguments);
    within("the command line", command.output()).await.unwrap()
}

/// Why the program does not serve with these settings, in its words.
pub(crate) async fn refusal(home: &Home, set: impl Fn(&mut Command)) -> String {
    let mut command = program();
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(home.arguments());
    set(&mut command);
    let refused = within("the program gives up", command.output()).await;
    let refused = refused.unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    String::from_utf8(refused.stderr).unwrap()
}

/// The program, untouched by settings of whoever runs the tests.
fn program() -> Command {
    program_through(&[])
}

/// The same, run by another command.
fn program_through(enter: &[String]) -> Command {
    let mut line = enter.iter().map(String::as_str).chain([PROGRAM]);
    let mut command = Command::new(line.next().expect("there is always the program"));
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

/// Keeps reading what a program prints, so that it never waits for its reader.
fn listen(process: &mut Child) -> watch::Receiver<Vec<String>> {
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let (tell, said) = watch::channel(Vec::new());
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            // Shown when the test fails.
            if [" WARN ", " ERROR "].iter().any(|word| line.contains(word)) {
                eprintln!("{line}");
            }
            tell.send_modify(|lines: &mut Vec<String>| lines.push(line));
        }
    });
    said
}
