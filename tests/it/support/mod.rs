//! Servers and clients for the tests. Every wait fails after [`WAIT_TIMEOUT`] and prints what was received.
//!
//! ```ignore
//! let server = Server::start().await;
//! let ada = Browser::join(&server, "Ada").await;
//! let mut ws = ada.connect().await;
//! let seq = ws.send_message(ws.general(), "Good morning").await;
//! ```

pub(crate) mod browser;
pub(crate) mod certificate;
pub(crate) mod cluster;
pub(crate) mod http_proxy;
pub(crate) mod latencies;
pub(crate) mod nats;
pub(crate) mod node_log;
pub(crate) mod postgres;
pub(crate) mod programs;
pub(crate) mod proxy;
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
pub(crate) use node_log::NodeLog;
pub(crate) use publisher::Publisher;
pub(crate) use server::Server;
pub(crate) use small_disk::SmallDisk;
pub(crate) use sse::{SseClient, SseItem};
pub(crate) use test_storage::{TestDatabase, TestStorage};
pub(crate) use ws_client::{HelloFrame, WsClient};

use rialto::model::{CallId, ClientId, MessageId};
use std::time::Duration;
use uuid::Uuid;

/// Skips a test that needs PostgreSQL when the tests run on SQLite.
macro_rules! needs_postgresql {
    () => {
        if std::env::var("RIALTO_TEST_STORE").as_deref() != Ok("postgres") {
            println!(
                "skipped: needs PostgreSQL; run it with: scripts/postgres.sh with cargo nextest run"
            );
            return;
        }
    };
}
pub(crate) use needs_postgresql;

/// Enough for a busy machine.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Panics with `what` after [`WAIT_TIMEOUT`].
pub(crate) async fn with_timeout<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(WAIT_TIMEOUT, work).await;
    done.unwrap_or_else(|_| panic!("{what}: not within {WAIT_TIMEOUT:?}"))
}

/// Polls; panics with `what` after [`WAIT_TIMEOUT`].
pub(crate) async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    with_timeout(what, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

pub(crate) fn message_id() -> MessageId {
    MessageId(uuid())
}

pub(crate) fn client_id() -> ClientId {
    ClientId(uuid())
}

pub(crate) fn call_id() -> CallId {
    CallId(uuid())
}

fn uuid() -> Uuid {
    rialto::server::random::new_id()
}
