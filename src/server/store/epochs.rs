//! The store's position, and new epochs for a store that went back.

use super::{Engine, Result, Store};
use crate::{model::Epoch, server::random};
use serde::{Deserialize, Serialize};
use sqlx::{Any, AnyConnection, Connection, Executor};

/// How far a store has come. Within an epoch, `events` never decreases: streams are never deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorePosition {
    /// Of the news: identifies the store.
    pub epoch: Epoch,
    /// Events ever appended, in all streams.
    pub events: i64,
}

/// What became of the epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    Renewed,
    /// Another program was first.
    Superseded,
}

impl Store {
    /// The position; none before the news exist.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_position(&self) -> Result<Option<StorePosition>> {
        find_position(&self.read_pool).await
    }
}

pub(super) async fn find_position<'e>(
    store: impl Executor<'e, Database = Any>,
) -> Result<Option<StorePosition>> {
    let row: Option<(String, i64)> = sqlx::query_as(
        "SELECT epoch, CAST((SELECT SUM(head) FROM streams) AS BIGINT) FROM streams WHERE name = 'news'",
    )
    .fetch_optional(store)
    .await?;
    Ok(row.map(|(epoch, events)| StorePosition {
        epoch: Epoch(epoch),
        events,
    }))
}

/// Gives every stream a new epoch, if the news still have the expected one.
pub(super) async fn renew_epochs(
    store: &mut AnyConnection,
    engine: Engine,
    expected: &Epoch,
) -> Result<Renewal> {
    let mut tx = store
        .begin_with(match engine {
            Engine::SQLite => "BEGIN IMMEDIATE",
            Engine::PostgreSQL => "BEGIN",
        })
        .await?;
    // Locks the stream: of several nodes, one renews.
    let news: Option<(String,)> =
        sqlx::query_as("UPDATE streams SET head = head WHERE name = 'news' RETURNING epoch")
            .fetch_optional(&mut *tx)
            .await?;
    if news.is_none_or(|(epoch,)| epoch != expected.0) {
        return Ok(Renewal::Superseded);
    }
    let streams: Vec<(String,)> = sqlx::query_as("SELECT name FROM streams ORDER BY name")
        .fetch_all(&mut *tx)
        .await?;
    for (name,) in streams {
        sqlx::query("UPDATE streams SET epoch = $2 WHERE name = $1")
            .bind(name)
            .bind(random::new_epoch().0)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(Renewal::Renewed)
}
