//! A TCP proxy that a test tells to lose what passes, or to cut its clients off.

use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

/// What the proxy does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passing {
    Everything,
    /// Closes all connections, and new ones at once.
    Closed,
    /// Keeps connections open and holds their bytes back, like a route that is gone.
    Nothing,
    /// Passes on what is sent until the next `COMMIT`, then closes that connection without its answer.
    UntilCommit,
    /// Holds bytes back until that connection is closed.
    LosingCommit,
    /// Passes on what is sent until the next `COMMIT`, then holds all bytes back, also its answer.
    NothingAfterCommit,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    passing: Arc<watch::Sender<Passing>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let passing = Arc::new(watch::channel(Passing::Everything).0);
        let told = passing.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, target.clone(), told.clone()));
            }
        });
        Self {
            address,
            passing,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A database's URL with the proxy's address.
    pub(crate) fn url_of(&self, url: &str) -> String {
        let (credentials, rest) = url.rsplit_once('@').unwrap();
        let (_, database) = rest.split_once('/').unwrap();
        format!("{credentials}@{}/{database}", self.address)
    }

    pub(crate) fn pass(&self, passing: Passing) {
        self.passing.send_replace(passing);
    }

    /// Returns once a commit has lost its answer.
    pub(crate) async fn lose_commit(&self) {
        let mut passing = self.passing.subscribe();
        self.pass(Passing::UntilCommit);
        let lost = |passing: &Passing| *passing == Passing::Everything;
        super::with_timeout("a commit is lost", passing.wait_for(lost))
            .await
            .unwrap();
    }
}

/// The address in a database's URL.
pub(crate) fn address_of(url: &str) -> String {
    let (_, rest) = url.rsplit_once('@').unwrap();
    rest.split_once('/').unwrap().0.to_owned()
}

async fn connect(client: TcpStream, target: String, passing: Arc<watch::Sender<Passing>>) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut told = passing.subscribe();
    tokio::select! {
        biased;
        _ = told.wait_for(|passing| *passing == Passing::Closed) => {}
        () = copy(from_client, to_server, passing.clone(), Direction::ToServer) => {}
        () = copy(from_server, to_client, passing.clone(), Direction::ToClient) => {}
    }
    // Both halves are closed.
    passing.send_if_modified(|passing| {
        let has_lost_commit = *passing == Passing::LosingCommit;
        if has_lost_commit {
            *passing = Passing::Everything;
        }
        has_lost_commit
    });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    passing: Arc<watch::Sender<Passing>>,
    direction: Direction,
) {
    let mut told = passing.subscribe();
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let is_open = |passing: &Passing| {
            use Passing::{Everything, NothingAfterCommit, UntilCommit};
            matches!(passing, Everything | UntilCommit | NothingAfterCommit)
        };
        let Ok(now) = told.wait_for(is_open).await.map(|now| *now) else {
            return;
        };
        let is_commit = bytes[..count].windows(6).any(|word| word == b"COMMIT");
        let commits = direction == Direction::ToServer && is_commit;
        let loses_answer = commits && now == Passing::UntilCommit;
        if loses_answer {
            passing.send_replace(Passing::LosingCommit);
        } else if commits && now == Passing::NothingAfterCommit {
            passing.send_replace(Passing::Nothing);
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
        if loses_answer {
            // For the commit to take effect; its answer cannot be seen.
            tokio::time::sleep(Duration::from_millis(200)).await;
            return;
        }
    }
}
