//! Group calls in rooms, which survive a restart.

use super::{
    Saved, Store, Term,
    lease::{AnyQuery, LeaderStatement, leader_statement},
    parse,
};
use crate::{
    model::{CallId, Millis, RoomId, UserId, call::group::Participant},
    server::error::{Error, Result},
};
use sqlx::{FromRow, Row, any::AnyRow};

/// A group call as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCallRow {
    pub id: CallId,
    pub room: RoomId,
    pub started_by: UserId,
    pub started_at: Millis,
    /// When the last participant left.
    pub ended_at: Option<Millis>,
    pub next_seat: u32,
    pub members: Vec<Participant>,
    pub ever_joined: Vec<UserId>,
}

pub(super) struct GroupCallColumns {
    id: String,
    room_id: String,
    started_by: String,
    started_at: i64,
    ended_at: Option<i64>,
    next_seat: i64,
    members: String,
    took_part: String,
}

impl FromRow<'_, AnyRow> for GroupCallColumns {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            room_id: row.try_get("room_id")?,
            started_by: row.try_get("started_by")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
            next_seat: row.try_get("next_seat")?,
            members: row.try_get("members")?,
            took_part: row.try_get("took_part")?,
        })
    }
}

impl GroupCallColumns {
    pub(super) fn decode(self) -> Result<GroupCallRow> {
        Ok(GroupCallRow {
            id: parse(&self.id)?,
            room: parse(&self.room_id)?,
            started_by: parse(&self.started_by)?,
            started_at: self.started_at,
            ended_at: self.ended_at,
            next_seat: u32::try_from(self.next_seat).map_err(Error::corrupt)?,
            members: serde_json::from_str(&self.members)?,
            ever_joined: serde_json::from_str(&self.took_part)?,
        })
    }
}

const SAVE_GROUP_CALL: LeaderStatement = leader_statement!(
    "INSERT INTO group_calls (id, room_id, started_by, started_at, ended_at, next_seat, members, took_part)
     SELECT $1, $2, $3, $4, $5, $6, $7, $8",
    "ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, next_seat = excluded.next_seat,
         members = excluded.members, took_part = excluded.took_part
     WHERE group_calls.ended_at IS NULL",
    "$9",
    "$10"
);

impl Store {
    /// Saves a group call, checking its leader's term in the same statement.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn save_group_call(&self, term: Term, call: &GroupCallRow) -> Result<Saved> {
        let members = serde_json::to_string(&call.members)?;
        let ever_joined = serde_json::to_string(&call.ever_joined)?;
        let bind = |query: AnyQuery<'static>| {
            query
                .bind(call.id.to_string())
                .bind(call.room.to_string())
                .bind(call.started_by.to_string())
                .bind(call.started_at)
                .bind(call.ended_at)
                .bind(i64::from(call.next_seat))
                .bind(members)
                .bind(ever_joined)
        };
        self.execute_in_term(term, &SAVE_GROUP_CALL, bind).await
    }

    /// Finds a group call.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_group_call(&self, id: CallId) -> Result<Option<GroupCallRow>> {
        let row: Option<GroupCallColumns> =
            sqlx::query_as("SELECT * FROM group_calls WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(&self.read_pool)
                .await?;
        row.map(GroupCallColumns::decode).transpose()
    }

    /// Open group calls, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_open_group_calls(&self) -> Result<Vec<GroupCallRow>> {
        let rows: Vec<GroupCallColumns> = sqlx::query_as(
            "SELECT * FROM group_calls WHERE ended_at IS NULL ORDER BY started_at, id",
        )
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter().map(GroupCallColumns::decode).collect()
    }

    /// Group calls that ended since then without a posted outcome.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_unposted_group_calls(&self, since: Millis) -> Result<Vec<GroupCallRow>> {
        let rows: Vec<GroupCallColumns> = sqlx::query_as(
            "SELECT * FROM group_calls WHERE ended_at >= $1
             AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.id = group_calls.id) ORDER BY ended_at, id",
        )
        .bind(since)
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter().map(GroupCallColumns::decode).collect()
    }
}
