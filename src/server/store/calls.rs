//! One-to-one calls, which survive a restart.

use super::{
    Saved, Store, Term,
    lease::{AnyQuery, LeaderStatement, leader_statement},
    parse, parse_optional,
};
use crate::{
    model::{
        CallId, ClientId, Millis, RoomId, UserId,
        call::{Media, Outcome, State},
    },
    server::error::{Error, Result},
};
use sqlx::{FromRow, Row, any::AnyRow};

/// A one-to-one call as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRow {
    pub id: CallId,
    pub room: RoomId,
    pub caller: UserId,
    pub callee: UserId,
    pub media: Media,
    pub state: State,
    pub caller_client: ClientId,
    /// None before the answer.
    pub callee_client: Option<ClientId>,
    pub started_at: Millis,
    pub answered_at: Option<Millis>,
    /// When both clients first were connected.
    pub connected_at: Option<Millis>,
    pub ended_at: Option<Millis>,
}

fn encode_word<T: serde::Serialize>(value: &T) -> Result<String> {
    match serde_json::to_value(value)? {
        serde_json::Value::String(word) => Ok(word),
        other => Err(Error::corrupt(other)),
    }
}

fn decode_word<T: serde::de::DeserializeOwned>(word: String) -> Result<T> {
    Ok(serde_json::from_value(serde_json::Value::String(word))?)
}

fn encode_state(state: State) -> Result<(&'static str, Option<String>)> {
    Ok(match state {
        State::Dialing => ("dialing", None),
        State::Ringing => ("ringing", None),
        State::Connecting => ("connecting", None),
        State::Connected => ("connected", None),
        State::Reconnecting => ("reconnecting", None),
        State::Ended { outcome } => ("ended", Some(encode_word(&outcome)?)),
    })
}

fn decode_state(state: &str, outcome: Option<String>) -> Result<State> {
    Ok(match (state, outcome) {
        ("dialing", _) => State::Dialing,
        ("ringing", _) => State::Ringing,
        ("connecting", _) => State::Connecting,
        ("connected", _) => State::Connected,
        ("reconnecting", _) => State::Reconnecting,
        ("ended", Some(outcome)) => State::Ended {
            outcome: decode_word::<Outcome>(outcome)?,
        },
        (other, _) => return Err(Error::corrupt(format!("a call in state {other:?}"))),
    })
}

pub(super) struct CallColumns {
    id: String,
    room_id: String,
    caller_id: String,
    callee_id: String,
    media: String,
    state: String,
    outcome: Option<String>,
    caller_page: String,
    callee_page: Option<String>,
    started_at: i64,
    answered_at: Option<i64>,
    connected_at: Option<i64>,
    ended_at: Option<i64>,
}

impl FromRow<'_, AnyRow> for CallColumns {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            room_id: row.try_get("room_id")?,
            caller_id: row.try_get("caller_id")?,
            callee_id: row.try_get("callee_id")?,
            media: row.try_get("media")?,
            state: row.try_get("state")?,
            outcome: row.try_get("outcome")?,
            caller_page: row.try_get("caller_page")?,
            callee_page: row.try_get("callee_page")?,
            started_at: row.try_get("started_at")?,
            answered_at: row.try_get("answered_at")?,
            connected_at: row.try_get("connected_at")?,
            ended_at: row.try_get("ended_at")?,
        })
    }
}

impl CallColumns {
    pub(super) fn decode(self) -> Result<CallRow> {
        Ok(CallRow {
            id: parse(&self.id)?,
            room: parse(&self.room_id)?,
            caller: parse(&self.caller_id)?,
            callee: parse(&self.callee_id)?,
            media: decode_word(self.media)?,
            state: decode_state(&self.state, self.outcome)?,
            caller_client: parse(&self.caller_page)?,
            callee_client: parse_optional(self.callee_page)?,
            started_at: self.started_at,
            answered_at: self.answered_at,
            connected_at: self.connected_at,
            ended_at: self.ended_at,
        })
    }
}

const SAVE_CALL: LeaderStatement = leader_statement!(
    "INSERT INTO calls (id, room_id, caller_id, callee_id, media, state, outcome, caller_page, callee_page,
                        started_at, answered_at, connected_at, ended_at)
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13",
    "ON CONFLICT (id) DO UPDATE SET state = excluded.state, outcome = excluded.outcome,
         caller_page = excluded.caller_page, callee_page = excluded.callee_page,
         answered_at = excluded.answered_at, connected_at = excluded.connected_at, ended_at = excluded.ended_at
     WHERE calls.state <> 'ended'",
    "$14",
    "$15"
);

impl Store {
    /// Saves a call, checking its leader's term in the same statement.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn save_call(&self, term: Term, call: &CallRow) -> Result<Saved> {
        let (state, outcome) = encode_state(call.state)?;
        let media = encode_word(&call.media)?;
        let bind = |query: AnyQuery<'static>| {
            query
                .bind(call.id.to_string())
                .bind(call.room.to_string())
                .bind(call.caller.to_string())
                .bind(call.callee.to_string())
                .bind(media)
                .bind(state)
                .bind(outcome)
                .bind(call.caller_client.to_string())
                .bind(call.callee_client.map(|page| page.to_string()))
                .bind(call.started_at)
                .bind(call.answered_at)
                .bind(call.connected_at)
                .bind(call.ended_at)
        };
        self.execute_in_term(term, &SAVE_CALL, bind).await
    }

    /// Finds a call.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_call(&self, id: CallId) -> Result<Option<CallRow>> {
        let row: Option<CallColumns> = sqlx::query_as("SELECT * FROM calls WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.read_pool)
            .await?;
        row.map(CallColumns::decode).transpose()
    }

    /// Whether a call or group call has ended; false for an unknown one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_call_ended(&self, id: CallId) -> Result<bool> {
        let ended: Option<i64> = sqlx::query_scalar(
            "SELECT CAST(1 AS BIGINT) FROM calls WHERE id = $1 AND state = 'ended'
             UNION ALL SELECT CAST(1 AS BIGINT) FROM group_calls WHERE id = $1 AND ended_at IS NOT NULL",
        )
        .bind(id.to_string())
        .fetch_optional(&self.read_pool)
        .await?;
        Ok(ended.is_some())
    }

    /// Open calls, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_open_calls(&self) -> Result<Vec<CallRow>> {
        let rows: Vec<CallColumns> =
            sqlx::query_as("SELECT * FROM calls WHERE state <> 'ended' ORDER BY started_at, id")
                .fetch_all(&self.read_pool)
                .await?;
        rows.into_iter().map(CallColumns::decode).collect()
    }

    /// Calls that ended since then without a posted outcome.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_unposted_calls(&self, since: Millis) -> Result<Vec<CallRow>> {
        let rows: Vec<CallColumns> = sqlx::query_as(
            "SELECT * FROM calls WHERE ended_at >= $1
             AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.id = calls.id) ORDER BY ended_at, id",
        )
        .bind(since)
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter().map(CallColumns::decode).collect()
    }

    /// A user's ended calls, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_ended_calls(&self, user: UserId, most: i64) -> Result<Vec<CallRow>> {
        let rows: Vec<CallColumns> = sqlx::query_as(
            "SELECT * FROM calls WHERE state = 'ended' AND (caller_id = $1 OR callee_id = $1)
             ORDER BY started_at DESC, id DESC LIMIT $2",
        )
        .bind(user.to_string())
        .bind(most)
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter().map(CallColumns::decode).collect()
    }
}
