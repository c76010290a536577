//! Connections whose statements have a deadline.
//!
//! An unanswered or cancelled statement leaves its connection in an unknown state, so the connection is closed.

#[cfg(test)]
pub(crate) mod faults;
#[cfg(test)]
pub(crate) mod simulated;

use crate::server::task;
use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Any, AnyPool, Connection as _, Either, Execute, Executor, SqlStr,
    any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo},
    pool::PoolConnection,
};
use std::{io::ErrorKind, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

/// PostgreSQL cancels a statement sooner (`statement_timeout`).
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(8);
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections may be in use, or their server may not answer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

type Row = Either<AnyQueryResult, AnyRow>;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    source: Source,
    #[cfg(test)]
    pub(super) faults: faults::Faults,
}

#[derive(Debug, Clone)]
enum Source {
    Database(AnyPool),
    #[cfg(test)]
    Simulated(simulated::SimulatedPool),
}

/// A connection, returned to its pool when dropped after complete statements.
#[derive(Debug)]
pub struct Connection {
    pooled: Pooled,
    state: State,
    #[cfg(test)]
    faults: faults::Faults,
}

#[derive(Debug)]
enum Pooled {
    Database(PoolConnection<Any>),
    #[cfg(test)]
    Simulated(simulated::SimulatedConnection),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Usable,
    /// A statement or transaction has not ended.
    Unusable,
}

/// Kind of statement, by which tests inject faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Begin,
    Statement,
    Commit,
    Rollback,
}

impl Pool {
    pub(super) fn new(pool: AnyPool) -> Self {
        Self {
            source: Source::Database(pool),
            #[cfg(test)]
            faults: faults::Faults::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn simulated(pool: simulated::SimulatedPool) -> Self {
        Self {
            source: Source::Simulated(pool),
            faults: faults::Faults::default(),
        }
    }

    /// Fails without a free connection in time.
    pub(super) async fn acquire(&self) -> Result<Connection, sqlx::Error> {
        let pooled = match &self.source {
            Source::Database(pool) => Pooled::Database(pool.acquire().await?),
            #[cfg(test)]
            Source::Simulated(pool) => Pooled::Simulated(pool.acquire().await?),
        };
        Ok(Connection {
            pooled,
            state: State::Usable,
            #[cfg(test)]
            faults: self.faults.clone(),
        })
    }

    /// Closes the pool within [`CLOSE_TIMEOUT`].
    pub(super) async fn close(&self) {
        match &self.source {
            Source::Database(pool) => {
                if timeout(CLOSE_TIMEOUT, pool.close()).await.is_err() {
                    tracing::warn!("connections to the store could not be closed in time");
                }
            }
            #[cfg(test)]
            Source::Simulated(pool) => pool.close(),
        }
    }
}

/// A pool's check of an idle connection. Fails without an answer in time.
pub(super) async fn ping(connection: &mut sqlx::AnyConnection) -> Result<(), sqlx::Error> {
    let answer = timeout(PING_TIMEOUT, connection.ping()).await;
    answer.unwrap_or_else(|_| Err(timed_out()))
}

fn timed_out() -> sqlx::Error {
    let reason = "the store did not answer in time";
    sqlx::Error::Io(std::io::Error::new(ErrorKind::TimedOut, reason))
}

impl Connection {
    /// Runs `BEGIN`, `COMMIT` or `ROLLBACK`.
    pub(super) async fn run(&mut self, step: Step, sql: &'static str) -> Result<(), sqlx::Error> {
        self.statement(step, sql).try_collect::<Vec<_>>().await?;
        Ok(())
    }

    /// None on a real database.
    #[cfg(test)]
    pub(super) fn try_simulated_lock(&self, key: i64, expiry: Duration) -> Option<bool> {
        match &self.pooled {
            Pooled::Database(_) => None,
            Pooled::Simulated(pooled) => Some(pooled.try_advisory_lock(key, expiry)),
        }
    }

    pub(super) fn close_on_drop(&mut self) {
        self.state = State::Unusable;
    }

    fn statement<'e, 'q: 'e>(
        &'e mut self,
        step: Step,
        query: impl Execute<'q, Any> + 'q,
    ) -> BoxStream<'e, Result<Row, sqlx::Error>> {
        let state = &mut self.state;
        *state = State::Unusable;
        let rows = match &mut self.pooled {
            Pooled::Database(pooled) => {
                let rows = (&mut **pooled).fetch_many(query);
                #[cfg(test)]
                let rows = self.faults.wrap(step, rows);
                rows
            }
            #[cfg(test)]
            Pooled::Simulated(pooled) => pooled.fetch_many(step, query, self.faults.clone()),
        };
        #[cfg(not(test))]
        let _ = step;
        #[cfg(test)]
        let statement_timeout = self.faults.statement_timeout();
        #[cfg(not(test))]
        let statement_timeout = STATEMENT_TIMEOUT;
        let deadline = Instant::now() + statement_timeout;
        stream::try_unfold((rows, state), move |(mut rows, state)| async move {
            match timeout_at(deadline, rows.try_next()).await {
                Ok(Ok(Some(row))) => Ok(Some((row, (rows, state)))),
                Ok(Ok(None)) => {
                    *state = State::Usable;
                    Ok(None)
                }
                Ok(Err(error)) => {
                    if matches!(error, sqlx::Error::Database(_)) {
                        *state = State::Usable;
                    }
                    Err(error)
                }
                Err(_) => Err(timed_out()),
            }
        })
        .boxed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        match &mut self.pooled {
            Pooled::Database(pooled) if self.state == State::Unusable => pooled.close_on_drop(),
            Pooled::Database(pooled) => {
                // The pool checks a returned connection without a deadline, and its place is taken meanwhile.
                let returned = pooled.return_to_pool();
                task::spawn(timeout(PING_TIMEOUT, returned));
            }
            #[cfg(test)]
            Pooled::Simulated(pooled) => pooled.release(self.state == State::Usable),
        }
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Row, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        self.statement(Step::Statement, query)
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<AnyRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        // Reads the whole answer, so that the connection stays usable.
        let rows = self.fetch_many(query);
        let first = rows.try_fold(None, |first: Option<AnyRow>, row| async move {
            Ok(first.or(row.right()))
        });
        first.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        match &mut self.pooled {
            Pooled::Database(pooled) => (&mut **pooled).prepare_with(sql, parameters),
            #[cfg(test)]
            Pooled::Simulated(_) => panic!("no statement is prepared by hand"),
        }
    }
}

impl<'p> Executor<'p> for &'p Pool {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Row, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let rows = async move {
            let mut connection = self.acquire().await?;
            let rows: Vec<_> = connection.fetch_many(query).try_collect().await?;
            Ok::<_, sqlx::Error>(stream::iter(rows).map(Ok))
        };
        stream::once(rows).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<AnyRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        async move { self.acquire().await?.fetch_optional(query).await }.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        async move { self.acquire().await?.prepare_with(sql, parameters).await }.boxed()
    }
}
