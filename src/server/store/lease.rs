//! Leases: of the nodes that share a store, one holds a lease and leads for a term.
//!
//! An advisory lock elects the holder. PostgreSQL ends a session that is idle for [`LEASE_EXPIRY`], which releases its lock: no node's
//! clock has to be right. The term fences writes of former holders.

use super::{Engine, Store, connection::Connection};
use crate::server::error::Result;
#[cfg(test)]
use crate::server::simulation::node;
use sqlx::{Any, AssertSqlSafe, Executor, any::AnyArguments, query::Query};
use std::time::Duration;
use tokio::time::timeout;

/// The database releases a lease not renewed for this long.
pub const LEASE_EXPIRY: Duration = Duration::from_secs(5);
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(3);

/// `idle_session_timeout` is [`LEASE_EXPIRY`].
const LEASE_SESSION_SQL: &str = "SET idle_session_timeout = '5s';
    SET idle_in_transaction_session_timeout = '5s';
    SET lock_timeout = '2s';
    SET statement_timeout = '3s'";

/// Milliseconds since 1970, by the database's clock.
fn database_now(engine: Engine) -> String {
    #[cfg(test)]
    if let Some(now) = node::true_time() {
        return now.to_string();
    }
    match engine {
        Engine::PostgreSQL => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        Engine::SQLite => "CAST(unixepoch('subsec') * 1000 AS BIGINT)",
    }
    .to_owned()
}

/// 1 if claimed in the last two seconds, else 0. Claims repeat more often.
fn is_claimed(engine: Engine) -> String {
    let now = database_now(engine);
    format!("CAST(CASE WHEN claimed_at > {now} - 2000 THEN 1 ELSE 0 END AS BIGINT)")
}

/// A lease's name and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseName {
    pub name: &'static str,
    /// Of the advisory lock; unique in the database.
    pub key: i64,
}

/// Term that a leader's writes are checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// Of the only node: nothing is checked.
    Sole,
    /// The number grows with each takeover.
    Held { lease: &'static str, number: i64 },
}

pub(super) type AnyQuery<'q> = Query<'q, Any, AnyArguments>;

/// A leader's statement. If checked, the lease's name and the term's number are its last parameters.
pub(super) struct LeaderStatement {
    pub(super) unchecked: &'static str,
    /// A takeover waits for the share lock, so the next leader reads this write.
    pub(super) checked_on_postgres: &'static str,
    /// The transaction has locked everything.
    pub(super) checked_on_sqlite: &'static str,
}

/// A [`LeaderStatement`] of `INSERT … SELECT` without `FROM`, `ON CONFLICT …` and the last two parameters.
macro_rules! leader_statement {
    ($insert:literal, $on_conflict:literal, $lease:literal, $number:literal) => {
        $crate::server::store::lease::LeaderStatement {
            unchecked: concat!($insert, " WHERE TRUE ", $on_conflict),
            checked_on_postgres: leader_statement!(@checked $insert, $on_conflict, $lease, $number, " FOR SHARE"),
            checked_on_sqlite: leader_statement!(@checked $insert, $on_conflict, $lease, $number, ""),
        }
    };
    (@checked $insert:literal, $on_conflict:literal, $lease:literal, $number:literal, $lock:literal) => {
        concat!(
            "WITH held AS (SELECT 1 FROM leases WHERE name = ", $lease, " AND term = ", $number, $lock, ") ",
            $insert, " FROM held WHERE TRUE ", $on_conflict
        )
    };
}
pub(super) use leader_statement;

/// What became of a leader's write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    Written,
    /// The stored call has ended.
    AlreadyEnded,
    /// A newer term has begun.
    TermOver,
}

/// Whether a node reaches the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connectivity {
    Connected,
    CutOff,
}

/// Result of renewing a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    Held,
    /// Held, but a connected node wants it.
    Claimed,
    Lost,
}

/// A lease, held until dropped or expired.
#[derive(Debug)]
pub struct Lease {
    connection: Connection,
    engine: Engine,
    name: &'static str,
    number: i64,
    /// As stored.
    connectivity: Connectivity,
}

impl Term {
    /// The term's number; zero for the only node.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Sole => 0,
            Self::Held { number, .. } => number,
        }
    }
}

impl Lease {
    /// The term of this lease.
    #[must_use]
    pub fn term(&self) -> Term {
        let (lease, number) = (self.name, self.number);
        Term::Held { lease, number }
    }

    /// Extends the lease by [`LEASE_EXPIRY`]. Waits three seconds at most.
    pub async fn renew(&mut self, connectivity: Connectivity) -> Renewal {
        let renewed = timeout(RENEWAL_TIMEOUT, self.try_renew(connectivity)).await;
        match renewed {
            Ok(Ok(renewal)) => renewal,
            Ok(Err(_)) | Err(_) => Renewal::Lost,
        }
    }

    async fn try_renew(&mut self, connectivity: Connectivity) -> Result<Renewal, sqlx::Error> {
        if connectivity != self.connectivity {
            self.update_connectivity(connectivity).await?;
        }
        let select = format!(
            "SELECT {} FROM leases WHERE name = $1 AND term = $2",
            is_claimed(self.engine)
        );
        let is_claimed: Option<(i64,)> = sqlx::query_as(AssertSqlSafe(select))
            .bind(self.name)
            .bind(self.number)
            .fetch_optional(&mut self.connection)
            .await?;
        Ok(match (is_claimed, connectivity) {
            (None, _) => Renewal::Lost,
            (Some((1,)), Connectivity::CutOff) => Renewal::Claimed,
            (Some(_), _) => Renewal::Held,
        })
    }

    async fn update_connectivity(&mut self, connectivity: Connectivity) -> Result<(), sqlx::Error> {
        let cut_off_at = match connectivity {
            Connectivity::Connected => "NULL".to_owned(),
            Connectivity::CutOff => database_now(self.engine),
        };
        let update =
            format!("UPDATE leases SET cut_off_at = {cut_off_at} WHERE name = $1 AND term = $2");
        sqlx::query(AssertSqlSafe(update))
            .bind(self.name)
            .bind(self.number)
            .execute(&mut self.connection)
            .await?;
        self.connectivity = connectivity;
        Ok(())
    }

    /// Waits for begun writes of the former term.
    async fn begin_term(&mut self, holder: &str) -> Result<(), sqlx::Error> {
        if self.engine == Engine::PostgreSQL {
            (&mut self.connection).execute(LEASE_SESSION_SQL).await?;
        }
        let (number,): (i64,) = sqlx::query_as(
            "INSERT INTO leases (name, term, holder) VALUES ($1, 1, $2)
             ON CONFLICT (name) DO UPDATE SET term = leases.term + 1, holder = excluded.holder,
                 cut_off_at = NULL, claimed_at = NULL
             RETURNING term",
        )
        .bind(self.name)
        .bind(holder)
        .fetch_one(&mut self.connection)
        .await?;
        self.number = number;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Closing releases the lock; the pool would keep it.
        self.connection.close_on_drop();
    }
}

impl Store {
    /// Acquires a lease and begins its next term; none while another holds it. PostgreSQL only (manual: "Advisory Locks").
    ///
    /// A connected node claims the lease of a cut-off holder; a cut-off node leaves a claimed lease to the claimant.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn acquire_lease(
        &self,
        lease: LeaseName,
        holder: &str,
        connectivity: Connectivity,
    ) -> Result<Option<Lease>> {
        match connectivity {
            Connectivity::CutOff if self.is_lease_claimed(lease.name).await? => return Ok(None),
            Connectivity::Connected | Connectivity::CutOff => {}
        }
        if let Some(mut lease) = self.lock_lease(lease).await? {
            lease.begin_term(holder).await?;
            return Ok(Some(lease));
        }
        match connectivity {
            Connectivity::Connected => self.claim_lease(lease.name).await?,
            Connectivity::CutOff => {}
        }
        Ok(None)
    }

    async fn lock_lease(&self, lease: LeaseName) -> Result<Option<Lease>> {
        let mut connection = self.read_pool.acquire().await?;
        #[cfg(test)]
        if let Some(is_free) = connection.try_simulated_lock(lease.key, LEASE_EXPIRY) {
            return Ok(is_free.then(|| self.new_lease(connection, lease)));
        }
        let (is_free,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_lock($1)")
            .bind(lease.key)
            .fetch_one(&mut connection)
            .await?;
        Ok(is_free.then(|| self.new_lease(connection, lease)))
    }

    fn new_lease(&self, connection: Connection, lease: LeaseName) -> Lease {
        Lease {
            connection,
            engine: self.engine,
            name: lease.name,
            number: 0,
            connectivity: Connectivity::Connected,
        }
    }

    async fn is_lease_claimed(&self, lease: &str) -> Result<bool> {
        let select = format!(
            "SELECT {} FROM leases WHERE name = $1",
            is_claimed(self.engine)
        );
        let row: Option<(i64,)> = sqlx::query_as(AssertSqlSafe(select))
            .bind(lease)
            .fetch_optional(&self.read_pool)
            .await?;
        Ok(row == Some((1,)))
    }

    /// Affects only the lease of a cut-off holder.
    async fn claim_lease(&self, lease: &str) -> Result<()> {
        let update = format!(
            "UPDATE leases SET claimed_at = {} WHERE name = $1 AND cut_off_at IS NOT NULL",
            database_now(self.engine)
        );
        sqlx::query(AssertSqlSafe(update))
            .bind(lease)
            .execute(&self.write_pool)
            .await?;
        Ok(())
    }

    /// `bind` binds the statement's own parameters.
    pub(super) async fn execute_in_term<'q>(
        &self,
        term: Term,
        statement: &LeaderStatement,
        bind: impl FnOnce(AnyQuery<'q>) -> AnyQuery<'q>,
    ) -> Result<Saved> {
        let query = match (term, self.engine) {
            (Term::Sole, _) => bind(sqlx::query(statement.unchecked)),
            (Term::Held { lease, number }, engine) => {
                let checked = match engine {
                    Engine::PostgreSQL => statement.checked_on_postgres,
                    Engine::SQLite => statement.checked_on_sqlite,
                };
                bind(sqlx::query(checked)).bind(lease).bind(number)
            }
        };
        let written = query.execute(&self.write_pool).await?;
        if written.rows_affected() > 0 {
            return Ok(Saved::Written);
        }
        self.unwritten(term).await
    }

    /// Why a leader's write changed nothing.
    async fn unwritten(&self, term: Term) -> Result<Saved> {
        let Term::Held { lease, number } = term else {
            return Ok(Saved::AlreadyEnded);
        };
        let row: Option<(i64,)> =
            sqlx::query_as("SELECT term FROM leases WHERE name = $1 AND term = $2")
                .bind(lease)
                .bind(number)
                .fetch_optional(&self.write_pool)
                .await?;
        Ok(match row {
            Some(_) => Saved::AlreadyEnded,
            None => Saved::TermOver,
        })
    }
}
