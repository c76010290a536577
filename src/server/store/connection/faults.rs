//! Faults that tests inject into statements.

use super::{Row, STATEMENT_TIMEOUT, Step};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use std::{
    future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Fails without reaching the database.
    Fails,
    /// Takes effect, but the connection breaks before the answer.
    LosesAnswer,
    /// Has no answer and no effect.
    Hangs,
    /// Takes effect without an answer.
    HangsAfter,
    /// A simulated `COMMIT` takes effect after the client has given up.
    CommitsLate,
}

/// Faults of the next statements of each kind, in order; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug)]
struct Plan {
    next: Vec<(Step, Fault)>,
    statement_timeout: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            next: Vec::new(),
            statement_timeout: STATEMENT_TIMEOUT,
        }
    }
}

impl Faults {
    pub(crate) fn inject(&self, step: Step, fault: Fault) {
        self.lock().next.push((step, fault));
    }

    pub(crate) fn set_statement_timeout(&self, timeout: Duration) {
        self.lock().statement_timeout = timeout;
    }

    pub(super) fn statement_timeout(&self) -> Duration {
        self.lock().statement_timeout
    }

    /// Forgets pending faults and returns their number.
    pub(crate) fn clear(&self) -> usize {
        std::mem::take(&mut self.lock().next).len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().next.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self, step: Step) -> Option<Fault> {
        let next = &mut self.lock().next;
        let at = next.iter().position(|(of, _)| *of == step)?;
        Some(next.remove(at).1)
    }

    pub(super) fn wrap<'e>(
        &self,
        step: Step,
        rows: BoxStream<'e, Result<Row, sqlx::Error>>,
    ) -> BoxStream<'e, Result<Row, sqlx::Error>> {
        let hanging = || stream::once(future::pending());
        match self.take(step) {
            None => rows,
            Some(Fault::Fails) => stream::once(future::ready(Err(lost_connection()))).boxed(),
            Some(Fault::Hangs | Fault::CommitsLate) => hanging().boxed(),
            Some(Fault::LosesAnswer) => stream::once(async move {
                rows.try_collect::<Vec<_>>().await?;
                Err(lost_connection())
            })
            .boxed(),
            Some(Fault::HangsAfter) => stream::once(async move {
                rows.try_collect::<Vec<_>>().await?;
                Ok::<_, sqlx::Error>(())
            })
            .map_ok(move |()| hanging())
            .try_flatten()
            .boxed(),
        }
    }
}

pub(super) fn lost_connection() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())
}
