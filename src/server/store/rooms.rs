//! Rooms, and how each member sees them.

use super::{
    Engine, NewEvent, Store, Stream, Tx, can_be_stored, connection::Pool, parse,
    users::decode_person,
};
use crate::{
    model::{
        Epoch, Millis, RoomId, UserId, limits,
        room::{MembershipEvent, RoomKind, RoomName, RoomSummary},
    },
    server::error::{Error, Result},
};
use sqlx::AssertSqlSafe;
use std::collections::HashMap;

type RoomSummaryColumns = (
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    i64,
    i64,
    i64,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// Counts messages of others, except of people whom the user has blocked, up to [`limits::MAX_UNREAD_COUNT`], so that listings stay cheap after a long absence.
pub(super) fn unread_count_sql(of: &str) -> String {
    let most = limits::MAX_UNREAD_COUNT;
    format!(
        "(SELECT COUNT(*) FROM (SELECT 1 FROM messages
            WHERE messages.room_id = {of}.room_id AND messages.seq > {of}.read_seq AND messages.author_id <> {of}.user_id
              AND messages.counts
              AND NOT EXISTS (SELECT 1 FROM blocks
                WHERE blocks.blocker_id = {of}.user_id AND blocks.blocked_id = messages.author_id)
            LIMIT {most}) AS counted)"
    )
}

/// The `CASE` joins the other person in direct rooms only; a separate condition on the kind would scan every public room.
fn room_summaries_sql(condition: &str) -> String {
    format!(
        "SELECT mine.user_id, rooms.id, rooms.slug, rooms.name, rooms.kind, streams.epoch, streams.head, mine.read_seq,
            mine.hidden_seq, {unread}, users.id, users.name, users.role
         FROM memberships AS mine
         JOIN rooms ON rooms.id = mine.room_id
         JOIN streams ON streams.name = 'room:' || rooms.id
         LEFT JOIN memberships AS theirs
           ON theirs.room_id = CASE rooms.kind WHEN 'direct' THEN rooms.id END AND theirs.user_id <> mine.user_id
         LEFT JOIN users ON users.id = theirs.user_id
         WHERE {condition}",
        unread = unread_count_sql("mine")
    )
}

pub(super) fn decode_room_kind(word: &str) -> Result<RoomKind> {
    match word {
        "public" => Ok(RoomKind::Public),
        "direct" => Ok(RoomKind::Direct),
        other => Err(Error::corrupt(format!("a room of kind {other:?}"))),
    }
}

pub(super) async fn list_rooms(
    engine: Engine,
    read: Pool,
    users: Vec<UserId>,
) -> Result<HashMap<UserId, Vec<RoomSummary>>> {
    let sql = room_summaries_sql(&format!(
        "mine.user_id IN {} ORDER BY rooms.kind DESC, rooms.created_at, rooms.id",
        engine.placeholders(1, users.len())
    ));
    let mut query = sqlx::query_as::<_, RoomSummaryColumns>(AssertSqlSafe(sql));
    for user in users {
        query = query.bind(user.to_string());
    }
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for row in query.fetch_all(&read).await? {
        let member = parse(&row.0)?;
        found
            .entry(member)
            .or_default()
            .push(decode_room_summary(row)?);
    }
    Ok(found)
}

fn decode_room_summary(row: RoomSummaryColumns) -> Result<RoomSummary> {
    let (_, id, slug, name, kind, epoch, head, read, hidden, unread, with_id, with_name, with_role) =
        row;
    let kind = decode_room_kind(&kind)?;
    let with = match (with_id, with_name, with_role) {
        (Some(id), Some(name), Some(role)) => Some(decode_person((id, name, role))?),
        _ => None,
    };
    let title = with.as_ref().map_or(name, |with| with.name.to_string());
    Ok(RoomSummary {
        id: parse(&id)?,
        slug,
        title,
        kind,
        other_person: with,
        epoch: Epoch(epoch),
        head,
        read_seq: read,
        unread,
        is_hidden: head <= hidden,
    })
}

/// The same in either order.
fn direct_key(one: UserId, other: UserId) -> String {
    let (first, second) = (one.min(other), one.max(other));
    format!("{first}:{second}")
}

impl Store {
    /// Creates a public room with its stream and all users as members. Returns its event; none if the slug is taken.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_room(
        &self,
        id: RoomId,
        slug: &str,
        name: &RoomName,
        at: Millis,
    ) -> Result<Option<NewEvent>> {
        let mut tx = self.begin().await?;
        let made = sqlx::query(
            "INSERT INTO rooms (id, slug, name, kind, direct_key, created_at) VALUES ($1, $2, $3, 'public', NULL, $4)
             ON CONFLICT (slug) DO NOTHING",
        )
        .bind(id.to_string())
        .bind(slug)
        .bind(name.as_str())
        .bind(at)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(None);
        }
        self.create_stream(&mut tx, Stream::Room(id)).await?;
        self.create_memberships_for_all(&mut tx, id, at).await?;
        let joined = MembershipEvent::AllJoined { room: id };
        let event = self.append_membership_event(&mut tx, &joined, at).await?;
        tx.commit().await?;
        Ok(Some(event))
    }

    /// Two users' direct room.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_direct_room(&self, one: UserId, other: UserId) -> Result<Option<RoomId>> {
        let found: Option<(String,)> = sqlx::query_as("SELECT id FROM rooms WHERE direct_key = $1")
            .bind(direct_key(one, other))
            .fetch_optional(&self.read_pool)
            .await?;
        found.map(|(id,)| parse(&id)).transpose()
    }

    /// Finds or creates two users' direct room; returns the event of a new one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_or_create_direct_room(
        &self,
        new_id: RoomId,
        one: UserId,
        other: UserId,
        at: Millis,
    ) -> Result<(RoomId, Option<NewEvent>)> {
        let key = direct_key(one, other);
        let mut tx = self.begin().await?;
        let made = sqlx::query(
            "INSERT INTO rooms (id, slug, name, kind, direct_key, created_at) VALUES ($1, $1, '', 'direct', $2, $3)
             ON CONFLICT (direct_key) DO NOTHING",
        )
        .bind(new_id.to_string())
        .bind(&key)
        .bind(at)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            let (id,): (String,) = sqlx::query_as("SELECT id FROM rooms WHERE direct_key = $1")
                .bind(&key)
                .fetch_one(&mut *tx)
                .await?;
            tx.rollback().await?;
            return Ok((parse(&id)?, None));
        }
        self.create_stream(&mut tx, Stream::Room(new_id)).await?;
        for user in [one, other] {
            create_membership(&mut tx, new_id, user, at).await?;
        }
        let joined = MembershipEvent::Joined {
            room: new_id,
            room_kind: RoomKind::Direct,
            users: vec![one, other],
        };
        let event = self.append_membership_event(&mut tx, &joined, at).await?;
        tx.commit().await?;
        Ok((new_id, Some(event)))
    }

    async fn append_membership_event(
        &self,
        tx: &mut Tx,
        event: &MembershipEvent,
        at: Millis,
    ) -> Result<NewEvent> {
        let payload = serde_json::to_string(event)?;
        self.append_event(tx, Stream::Memberships, event.kind(), payload, at)
            .await
    }

    /// A user's rooms: public ones first, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_rooms(&self, user: UserId) -> Result<Vec<RoomSummary>> {
        Ok(self.room_loader.load(user).await?.unwrap_or_default())
    }

    /// Hides a direct room from one of its two, until something comes. False for other rooms and users.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn hide_direct_room(&self, room: RoomId, user: UserId) -> Result<bool> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "UPDATE memberships SET hidden_seq = (SELECT head FROM streams WHERE name = 'room:' || $1)
             WHERE room_id = $1 AND user_id = $2 AND EXISTS (SELECT 1 FROM rooms WHERE id = $1 AND kind = 'direct')",
        )
        .bind(room.to_string())
        .bind(user.to_string())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Shows a hidden room again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn show_room(&self, room: RoomId, user: UserId) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE memberships SET hidden_seq = -1 WHERE room_id = $1 AND user_id = $2")
            .bind(room.to_string())
            .bind(user.to_string())
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// A room as a user sees it; none for a non-member.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_room(&self, room: RoomId, user: UserId) -> Result<Option<RoomSummary>> {
        let sql = room_summaries_sql("mine.user_id = $1 AND rooms.id = $2");
        let row: Option<RoomSummaryColumns> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(user.to_string())
            .bind(room.to_string())
            .fetch_optional(&self.read_pool)
            .await?;
        row.map(decode_room_summary).transpose()
    }

    /// Finds a room's id by slug.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_room_id(&self, slug: &str) -> Result<Option<RoomId>> {
        if !can_be_stored(slug) {
            return Ok(None);
        }
        let row: Option<(String,)> = sqlx::query_as("SELECT id FROM rooms WHERE slug = $1")
            .bind(slug)
            .fetch_optional(&self.read_pool)
            .await?;
        row.map(|(id,)| parse(&id)).transpose()
    }

    /// Slug and name of a room; membership is not checked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_room_slug_and_name(&self, room: RoomId) -> Result<Option<(String, String)>> {
        let row = sqlx::query_as("SELECT slug, name FROM rooms WHERE id = $1")
            .bind(room.to_string())
            .fetch_optional(&self.read_pool)
            .await?;
        Ok(row)
    }
}

async fn create_membership(tx: &mut Tx, room: RoomId, user: UserId, at: Millis) -> Result<()> {
    sqlx::query(
        "INSERT INTO memberships (room_id, user_id, read_seq, joined_at) VALUES ($1, $2, 0, $3)",
    )
    .bind(room.to_string())
    .bind(user.to_string())
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
