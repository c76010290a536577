//! Starting servers and speaking for people.
//!
//! | module | what it holds |
//! |---|---|
//! | [`server`] | the program, as a process |
//! | [`person`] | somebody with a session: a browser without its pages |
//! | [`page`] | a WebSocket, as a page holds it |
//! | [`sse`] | a reader of the news |
//! | [`press`] | a program that publishes |
//! | [`raw`] | sockets that do not read |
//!
//! ```ignore
//! let server = Server::start().await;
//! let ada = Person::join(&server, "Ada").await;
//! let mut page = ada.page().await;
//! let seq = page.say(page.general(), "Good morning").await;
//! ```
//!
//! Everything waits for what it is told to wait for, and fails after [`PATIENCE`] with what was seen instead.

pub(crate) mod page;
pub(crate) mod person;
pub(crate) mod press;
pub(crate) mod raw;
pub(crate) mod server;
pub(crate) mod sse;

pub(crate) use page::{Greeting, Page};
pub(crate) use person::Person;
pub(crate) use press::Press;
pub(crate) use server::Server;
pub(crate) use sse::{News, Piece};

use rialto::model::{CallId, ClientId, MessageId};
use std::time::Duration;
use uuid::Uuid;

/// How long anything may take before a test fails: far more than it needs, so that a busy machine fails no test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for something, and fails in words when it takes too long.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
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
    rialto::server::secret::id()
}
