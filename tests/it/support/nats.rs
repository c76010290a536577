//! A NATS server of a test's own, which it stops and starts.

use super::eventually;
use std::{path::PathBuf, process::Stdio};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

/// A server on a port of its own. It is killed when this is dropped.
pub(crate) struct Nats {
    port: u16,
    /// Who may connect, and with which password; anybody otherwise.
    credentials: Option<[&'static str; 2]>,
    process: Option<Child>,
}

impl Nats {
    pub(crate) async fn start() -> Self {
        Self::start_with_credentials(None).await
    }

    /// One that asks who connects.
    pub(crate) async fn start_with_credentials(account: Option<[&'static str; 2]>) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut nats = Self {
            port,
            credentials: account,
            process: None,
        };
        nats.launch().await;
        nats
    }

    /// What a server is told of it.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it on the port it had before.
    pub(crate) async fn launch(&mut self) {
        let running = Command::new(find_nats_server())
            .args(["--addr", "127.0.0.1", "--port", &self.port.to_string()])
            .args(
                self.credentials
                    .iter()
                    .flat_map(|[user, password]| ["--user", user, "--pass", password]),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.process = Some(running.unwrap());
        eventually("NATS starts", async || {
            TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
        })
        .await;
    }

    /// Kills it.
    pub(crate) async fn kill(&mut self) {
        let mut running = self.process.take().expect("it runs");
        running.kill().await.unwrap();
    }
}

/// Debian puts it where only root looks.
fn find_nats_server() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/bin".into()])
        .map(|folder| folder.join("nats-server"))
        .find(|program| program.is_file())
        .expect("no nats-server: install Debian's package of that name, as scripts/bootstrap.sh test does")
}
