//! Streams and their events: the event log.

use super::{Engine, Store, Tx, parse};
use crate::{
    model::{Epoch, Millis, RoomId, Seq},
    server::{error::Result, random},
};
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
};

const MAX_QUERY_STREAMS: usize = 256;

/// A stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    News,
    Room(RoomId),
    /// Who joined which room; only nodes read it.
    Memberships,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::News => f.write_str("news"),
            Self::Room(room) => write!(f, "room:{room}"),
            Self::Memberships => f.write_str("memberships"),
        }
    }
}

impl FromStr for Stream {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        match name {
            "news" => Ok(Self::News),
            "memberships" => Ok(Self::Memberships),
            name => name
                .strip_prefix("room:")
                .and_then(|id| id.parse().ok())
                .map(Self::Room)
                .ok_or_else(|| format!("{name:?} is not the name of a stream")),
        }
    }
}

/// Epoch and range of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    pub epoch: Epoch,
    /// Newest sequence, or 0.
    pub head: Seq,
    /// `head + 1` if none is kept.
    pub oldest: Seq,
}

/// An event as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    pub seq: Seq,
    /// JSON.
    pub payload: String,
}

/// An event to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub stream: Stream,
    pub row: EventRow,
    pub kind: &'static str,
}

/// How to treat rows locked by another transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockedRows {
    /// Until the lock timeout.
    Wait,
    Skip,
}

impl Store {
    /// Creates a stream with a new epoch, unless it exists.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_stream(&self, tx: &mut Tx, stream: Stream) -> Result<()> {
        sqlx::query("INSERT INTO streams (name, epoch, head, oldest) VALUES ($1, $2, 0, 1) ON CONFLICT (name) DO NOTHING")
            .bind(stream.to_string())
            .bind(random::new_epoch().0)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    /// Locks at most 128 streams until the transaction ends, and returns their newest sequences; new ones are then committed in order,
    /// without holes. Leaves out missing streams and, with [`LockedRows::Skip`], those locked elsewhere.
    ///
    /// # Errors
    /// When the store fails or a lock times out.
    pub async fn lock_streams(
        &self,
        tx: &mut Tx,
        streams: &[Stream],
        locked: LockedRows,
    ) -> Result<BTreeMap<Stream, Seq>> {
        if streams.is_empty() {
            return Ok(BTreeMap::new());
        }
        // The same order everywhere prevents deadlocks. On SQLite the transaction has locked everything.
        let lock = match (self.engine, locked) {
            (Engine::SQLite, LockedRows::Wait | LockedRows::Skip) => "",
            (Engine::PostgreSQL, LockedRows::Wait) => {
                r#" ORDER BY name COLLATE "C" FOR NO KEY UPDATE"#
            }
            (Engine::PostgreSQL, LockedRows::Skip) => {
                r#" ORDER BY name COLLATE "C" FOR NO KEY UPDATE SKIP LOCKED"#
            }
        };
        let sql = format!(
            "SELECT name, head FROM streams WHERE name IN {}{lock}",
            self.engine.placeholders(1, streams.len())
        );
        let mut query = sqlx::query_as::<_, (String, i64)>(AssertSqlSafe(sql));
        for stream in streams {
            query = query.bind(stream.to_string());
        }
        let rows = query.fetch_all(&mut **tx).await?;
        rows.into_iter()
            .map(|(name, head)| Ok((parse(&name)?, head)))
            .collect()
    }

    /// Sets the newest sequences of locked streams.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn update_heads(&self, tx: &mut Tx, heads: &BTreeMap<Stream, Seq>) -> Result<()> {
        if heads.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = (0..heads.len())
            .map(|at| format!("(${}, CAST(${} AS BIGINT))", 2 * at + 1, 2 * at + 2))
            .collect();
        // Both engines name VALUES columns like this.
        let sql = format!(
            "UPDATE streams SET head = moved.column2 FROM (VALUES {}) AS moved WHERE streams.name = moved.column1",
            rows.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (stream, head) in heads {
            query = query.bind(stream.to_string()).bind(head);
        }
        query.execute(&mut **tx).await?;
        Ok(())
    }

    /// Inserts events under sequences allocated in this transaction.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_events(&self, tx: &mut Tx, events: &[NewEvent], at: Millis) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO events (stream, seq, kind, payload, at) VALUES {}",
            self.engine.placeholders(events.len(), 5)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for NewEvent { stream, row, kind } in events {
            query = query
                .bind(stream.to_string())
                .bind(row.seq)
                .bind(*kind)
                .bind(&row.payload)
                .bind(at);
        }
        query.execute(&mut **tx).await?;
        Ok(())
    }

    /// Appends an event; a missing stream is created.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn append_event(
        &self,
        tx: &mut Tx,
        stream: Stream,
        kind: &'static str,
        payload: String,
        at: Millis,
    ) -> Result<NewEvent> {
        self.create_stream(tx, stream).await?;
        let mut heads = self.lock_streams(tx, &[stream], LockedRows::Wait).await?;
        let head = heads.entry(stream).or_default();
        *head += 1;
        let row = EventRow {
            seq: *head,
            payload,
        };
        let event = NewEvent { stream, row, kind };
        self.create_events(tx, std::slice::from_ref(&event), at)
            .await?;
        self.update_heads(tx, &heads).await?;
        Ok(event)
    }

    /// Epoch and range of a stream.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
    pub async fn find_stream(&self, stream: Stream) -> Result<StreamState> {
        let (epoch, head, oldest): (String, i64, i64) =
            sqlx::query_as("SELECT epoch, head, oldest FROM streams WHERE name = $1")
                .bind(stream.to_string())
                .fetch_one(&self.read_pool)
                .await?;
        Ok(StreamState {
            epoch: Epoch(epoch),
            head,
            oldest,
        })
    }

    /// Events after a sequence, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_events(
        &self,
        stream: Stream,
        after: Seq,
        most: i64,
    ) -> Result<Vec<EventRow>> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT seq, payload FROM events WHERE stream = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(stream.to_string())
        .bind(after)
        .bind(most)
        .fetch_all(&self.read_pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(seq, payload)| EventRow { seq, payload })
            .collect())
    }

    /// Newest sequences of existing streams.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_heads(&self, streams: &[Stream]) -> Result<HashMap<Stream, Seq>> {
        let mut heads = HashMap::with_capacity(streams.len());
        for streams in streams.chunks(MAX_QUERY_STREAMS) {
            let sql = format!(
                "SELECT name, head FROM streams WHERE name IN {}",
                self.engine.placeholders(1, streams.len())
            );
            let mut query = sqlx::query_as::<_, (String, i64)>(AssertSqlSafe(sql));
            for stream in streams {
                query = query.bind(stream.to_string());
            }
            for (name, head) in query.fetch_all(&self.read_pool).await? {
                heads.insert(parse(&name)?, head);
            }
        }
        Ok(heads)
    }
}
