//! Starting servers and speaking for people.
//!
//! | module | what it holds |
//! |---|---|
//! | [`server`] | the program, as a process |
//! | [`home`] | where a server's store is: a folder, and on PostgreSQL a database |
//! | [`postgres`] | a PostgreSQL that a test stops and starts |
//! | [`nats`] | a NATS server that a test stops and starts |
//! | [`s3`] | an S3 server that a test stops and starts |
//! | [`certificate`] | a certificate of a test's own |
//! | [`cluster`] | several nodes that share a database and a NATS server |
//! | [`small_disk`] | a disk that a test fills and frees |
//! | [`person`] | somebody with a session: a browser without its pages |
//! | [`page`] | a WebSocket, as a page holds it |
//! | [`sse`] | a reader of the news |
//! | [`press`] | a program that publishes |
//! | [`raw`] | sockets that do not read |
//! | [`delays`] | how long deliveries take |
//!
//! ```ignore
//! let server = Server::start().await;
//! let ada = Person::join(&server, "Ada").await;
//! let mut page = ada.page().await;
//! let seq = page.say(page.general(), "Good morning").await;
//! ```
//!
//! Everything waits for what it is told to wait for, and fails after [`PATIENCE`] with what was seen instead.

pub(crate) mod browser;
pub(crate) mod certificate;
pub(crate) mod cluster;
pub(crate) mod latencies;
pub(crate) mod nats;
pub(crate) mod postgres;
pub(crate) mod publisher;
pub(crate) mod s3;
pub(crate) mod server;
pub(crate) mod small_disk;
pub(crate) mod sse;
pub(crate) mod stuck_reader;
#[path = "../../../src/server/store/testing.rs"]
pub(crate) mod test_storage;
pub(crate) mod ws_client;

pub(crate) use browser::Browser;
pub(crate) use certificate::Certificate;
pub(crate) use cluster::Cluster;
pub(crate) use publisher::Publisher;
pub(crate) use server::Server;
pub(crate) use small_disk::SmallDisk;
pub(crate) use sse::{SseClient, SseItem};
pub(crate) use test_storage::{TestDatabase, TestStorage};
pub(crate) use ws_client::{HelloFrame, WsClient};

use rialto::model::{CallId, ClientId, MessageId};
use std::time::Duration;
use uuid::Uuid;

/// Ends a test that only PostgreSQL can pass where there is none, and says so. `make unit` runs all tests on both.
macro_rules! needs_postgresql {
    () => {
        if std::env::var("RIALTO_TEST_STORE").as_deref() != Ok("postgres") {
            println!(
                "left out: needs PostgreSQL, as in: scripts/postgres.sh with cargo nextest run"
            );
            return;
        }
    };
}
pub(crate) use needs_postgresql;

/// How long anything may take before a test fails: far more than it needs, so that a busy machine fails no test.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits for something, and fails in words when it takes too long.
pub(crate) async fn with_timeout<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(WAIT_TIMEOUT, work).await;
    done.unwrap_or_else(|_| panic!("{what}: not within {WAIT_TIMEOUT:?}"))
}

/// Waits until something is so, and fails in words when it takes too long.
pub(crate) async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    with_timeout(what, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// An id as clients make them.
pub(crate) fn message_id() -> MessageId {
    MessageId(uuid())
}

/// An id as clients make them.
pub(crate) fn client_id() -> ClientId {
    ClientId(uuid())
}

/// An id as clients make them.
pub(crate) fn call_id() -> CallId {
    CallId(uuid())
}

fn uuid() -> Uuid {
    rialto::server::random::new_id()
}
