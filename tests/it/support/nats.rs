//! A NATS server that a test stops and starts.

use super::{eventually, programs::find_server_program};
use std::{net::SocketAddr, path::PathBuf, process::Stdio};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

/// On its own port; killed on drop.
pub(crate) struct Nats {
    port: u16,
    /// `None` allows every client.
    credentials: Option<[&'static str; 2]>,
    process: Option<Child>,
}

impl Nats {
    pub(crate) async fn start() -> Self {
        Self::start_with_credentials(None).await
    }

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

    /// For `--bus`, without credentials.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// On the port it had before.
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

    pub(crate) async fn kill(&mut self) {
        let mut running = self.process.take().expect("NATS is running");
        running.kill().await.unwrap();
    }
}

fn find_nats_server() -> PathBuf {
    find_server_program("nats-server")
        .expect("nats-server not found: install Debian's nats-server package, as scripts/bootstrap.sh test does")
}
