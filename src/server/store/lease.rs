//! A lease: what only one of the nodes that share a store may do at a time.

use super::Store;
use crate::server::error::Result;
use sqlx::{Any, Connection, pool::PoolConnection};
use std::time::Duration;
use tokio::time::timeout;

/// How long the store may take to say that a lease is held.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// The key of the desk's lock: any number that nothing else in the database uses.
const CALL_LEADER_LOCK_KEY: i64 = 0x5249_414c_544f;

/// Held for as long as it is kept and its connection to the store lives. PostgreSQL ends it with the connection, so a node that
/// dies gives it up at once, and no clock has to be right.
#[derive(Debug)]
pub struct Lease {
    connection: PoolConnection<Any>,
}

impl Lease {
    /// Whether it is still held: asks the store, through the connection that holds it.
    pub async fn is_held(&mut self) -> bool {
        let ping = timeout(PING_TIMEOUT, self.connection.ping()).await;
        ping.is_ok_and(|answer| answer.is_ok())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The lock belongs to the connection, which therefore must not go back into the pool.
        self.connection.close_on_drop();
    }
}

impl Store {
    /// The lease of the desk, unless another node holds it. Only a store that several nodes share has one (PostgreSQL, "Advisory
    /// Locks").
    ///
    /// # Errors
    /// When the store fails.
    pub async fn acquire_call_leader_lease(&self) -> Result<Option<Lease>> {
        let mut connection = self.read_pool.acquire().await?;
        let (held,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_lock($1)")
            .bind(CALL_LEADER_LOCK_KEY)
            .fetch_one(&mut *connection)
            .await?;
        Ok(held.then_some(Lease { connection }))
    }
}
