//! Leases: of the nodes that share a store, one holds a lease and leads.

use super::{Store, connection::Connection};
use crate::server::error::Result;

/// Name and key of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseName {
    pub name: &'static str,
    /// Key of the advisory lock; unique in the database.
    pub key: i64,
}

/// A session-level advisory lock, held until dropped. PostgreSQL releases it with the connection, so a crashed node
/// loses it at once and no clock has to be right.
#[derive(Debug)]
pub struct Lease {
    connection: Connection,
}

impl Lease {
    /// Pings over the lease's connection.
    pub async fn is_held(&mut self) -> bool {
        self.connection.is_alive().await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The lock belongs to the connection, which must not return to the pool.
        self.connection.close_on_drop();
    }
}

impl Store {
    /// Acquires a lease; none while another node holds it. PostgreSQL only (manual: "Advisory Locks").
    ///
    /// # Errors
    /// When the store fails.
    pub async fn acquire_lease(&self, lease: LeaseName) -> Result<Option<Lease>> {
        let mut connection = self.read_pool.acquire().await?;
        let (held,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_lock($1)")
            .bind(lease.key)
            .fetch_one(&mut connection)
            .await?;
        Ok(held.then_some(Lease { connection }))
    }
}
