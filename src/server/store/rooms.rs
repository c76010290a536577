//! Rooms and memberships.

use super::{Engine, Store, Stream, Tx, can_be_stored, parse, placeholders, users::decode_person};
use crate::{
    model::{
        Epoch, Millis, RoomId, Seq, UserId, limits,
        room::{RoomKind, RoomName, RoomSummary},
        user::Person,
    },
    server::error::{Error, Result},
};
use sqlx::{AnyPool, AssertSqlSafe};
use std::collections::HashMap;

/// A room as one member sees it: member, room, stream, read cursor, unread count and, in a direct room, the other
/// person.
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
    Option<String>,
    Option<String>,
    Option<String>,
);

/// Counts the messages of others after a member's read cursor, up to [`limits::MAX_UNREAD_COUNT`].
fn unread_count_sql(of: &str) -> String {
    let most = limits::MAX_UNREAD_COUNT;
    format!(
        "(SELECT COUNT(*) FROM (SELECT 1 FROM messages
            WHERE messages.room_id = {of}.room_id AND messages.seq > {of}.read_seq AND messages.author_id <> {of}.user_id
              AND messages.counts LIMIT {most}) AS counted)"
    )
}

/// Selects the rooms of the memberships (`mine`) that meet a condition.
///
/// Joins the other person in direct rooms only. With the kind as a separate condition, every public room would be
/// scanned.
fn room_summaries_sql(condition: &str) -> String {
    format!(
        "SELECT mine.user_id, rooms.id, rooms.slug, rooms.name, rooms.kind, streams.epoch, streams.head, mine.read_seq, {unread},
            users.id, users.name, users.role
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

fn decode_room_kind(word: &str) -> Result<RoomKind> {
    match word {
        "public" => Ok(RoomKind::Public),
        "direct" => Ok(RoomKind::Direct),
        other => Err(Error::corrupt(format!("a room of kind {other:?}"))),
    }
}

/// As [`Store::list_rooms`], for several users.
pub(super) async fn list_rooms(
    read: AnyPool,
    users: Vec<UserId>,
) -> Result<HashMap<UserId, Vec<RoomSummary>>> {
    let sql = room_summaries_sql(&format!(
        "mine.user_id IN {} ORDER BY rooms.kind DESC, rooms.created_at, rooms.id",
        placeholders(1, users.len())
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

/// As [`Store::list_memberships`], for several users.
pub(super) async fn list_memberships(
    read: AnyPool,
    users: Vec<UserId>,
) -> Result<HashMap<UserId, Vec<(RoomId, RoomKind)>>> {
    let sql = format!(
        "SELECT memberships.user_id, rooms.id, rooms.kind
         FROM memberships JOIN rooms ON rooms.id = memberships.room_id WHERE memberships.user_id IN {}",
        placeholders(1, users.len())
    );
    let mut query = sqlx::query_as::<_, (String, String, String)>(AssertSqlSafe(sql));
    for user in users {
        query = query.bind(user.to_string());
    }
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for (member, room, kind) in query.fetch_all(&read).await? {
        let rooms = found.entry(parse(&member)?).or_default();
        rooms.push((parse(&room)?, decode_room_kind(&kind)?));
    }
    Ok(found)
}

fn decode_room_summary(row: RoomSummaryColumns) -> Result<RoomSummary> {
    let (_, id, slug, name, kind, epoch, head, read, unread, with_id, with_name, with_role) = row;
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
    })
}

impl Store {
    /// Creates a public room with its stream. Returns false and writes nothing if the slug is taken.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_room(
        &self,
        id: RoomId,
        slug: &str,
        name: &RoomName,
        at: Millis,
    ) -> Result<bool> {
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
            return Ok(false);
        }
        self.create_stream(&mut tx, Stream::Room(id)).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The direct room of two users, created with its stream and both memberships if missing. True if it was created now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_or_create_direct_room(
        &self,
        new_id: RoomId,
        one: UserId,
        other: UserId,
        at: Millis,
    ) -> Result<(RoomId, bool)> {
        let key = if one < other {
            format!("{one}:{other}")
        } else {
            format!("{other}:{one}")
        };
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
            return Ok((parse(&id)?, false));
        }
        self.create_stream(&mut tx, Stream::Room(new_id)).await?;
        for user in [one, other] {
            create_membership(&mut tx, new_id, user, at).await?;
        }
        tx.commit().await?;
        Ok((new_id, true))
    }

    /// Makes a user a member of every public room, with all existing messages read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn join_public_rooms(&self, tx: &mut Tx, user: UserId, at: Millis) -> Result<()> {
        self.lock_memberships(tx, MembershipLock::OneUser).await?;
        sqlx::query(
            "INSERT INTO memberships (room_id, user_id, read_seq, joined_at)
             SELECT rooms.id, $1, streams.head, $2 FROM rooms JOIN streams ON streams.name = 'room:' || rooms.id
             WHERE rooms.kind = 'public'
             ON CONFLICT (room_id, user_id) DO NOTHING",
        )
        .bind(user.to_string())
        .bind(at)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Makes every user a member of a public room, with all existing messages read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_memberships_for_all(&self, room: RoomId, at: Millis) -> Result<()> {
        let mut tx = self.begin().await?;
        self.lock_memberships(&mut tx, MembershipLock::Everybody)
            .await?;
        sqlx::query(
            "INSERT INTO memberships (room_id, user_id, read_seq, joined_at)
             SELECT rooms.id, users.id, streams.head, $2
             FROM rooms JOIN streams ON streams.name = 'room:' || rooms.id CROSS JOIN users
             WHERE rooms.id = $1 AND rooms.kind = 'public'
             ON CONFLICT (room_id, user_id) DO NOTHING",
        )
        .bind(room.to_string())
        .bind(at)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Joins a user and a public room that are created concurrently. New users share this lock; joining everybody to a
    /// room takes it exclusively. SQLite has a single writer.
    async fn lock_memberships(&self, tx: &mut Tx, joining: MembershipLock) -> Result<()> {
        if self.engine == Engine::PostgreSQL {
            // Rialto uses key 1 for nothing else.
            let lock = match joining {
                MembershipLock::OneUser => "SELECT pg_advisory_xact_lock_shared(1)",
                MembershipLock::Everybody => "SELECT pg_advisory_xact_lock(1)",
            };
            sqlx::query(lock).execute(&mut **tx).await?;
        }
        Ok(())
    }

    /// The rooms that a user is a member of: public ones first, in order of creation.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_rooms(&self, user: UserId) -> Result<Vec<RoomSummary>> {
        Ok(self.room_loader.load(user).await?.unwrap_or_default())
    }

    /// Ids and kinds of the rooms that a user is a member of, in no particular order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_memberships(&self, user: UserId) -> Result<Vec<(RoomId, RoomKind)>> {
        Ok(self.membership_loader.load(user).await?.unwrap_or_default())
    }

    /// A room as a user sees it; none if they are not a member.
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

    /// Id of the room with this slug.
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

    /// Every public room as id, slug and name, in order of creation.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_public_rooms(&self) -> Result<Vec<(RoomId, String, String)>> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT id, slug, name FROM rooms WHERE kind = 'public' ORDER BY created_at, id",
        )
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter()
            .map(|(id, slug, name)| Ok((parse(&id)?, slug, name)))
            .collect()
    }

    /// Slug and name of a room, without a check of membership.
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

    /// Whether a user is a member of a room.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_member(&self, room: RoomId, user: UserId) -> Result<bool> {
        let row: Option<(i64,)> =
            sqlx::query_as("SELECT read_seq FROM memberships WHERE room_id = $1 AND user_id = $2")
                .bind(room.to_string())
                .bind(user.to_string())
                .fetch_optional(&self.read_pool)
                .await?;
        Ok(row.is_some())
    }

    /// The members of a room, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_members(&self, room: RoomId) -> Result<Vec<Person>> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT users.id, users.name, users.role FROM memberships JOIN users ON users.id = memberships.user_id
             WHERE memberships.room_id = $1 ORDER BY users.name",
        )
        .bind(room.to_string())
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter().map(decode_person).collect()
    }

    /// Moves a member's read cursor forward, never past the head. Returns it and the messages of others after it, at
    /// most [`limits::MAX_UNREAD_COUNT`]; none if the user is not a member.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn update_read_cursor(
        &self,
        tx: &mut Tx,
        room: RoomId,
        user: UserId,
        seq: Seq,
    ) -> Result<Option<(Seq, i64)>> {
        let sql = format!(
            "UPDATE memberships SET read_seq = CASE
                 WHEN read_seq >= $3 THEN read_seq
                 WHEN $3 > (SELECT head FROM streams WHERE name = 'room:' || $1)
                   THEN (SELECT head FROM streams WHERE name = 'room:' || $1)
                 ELSE $3 END
             WHERE room_id = $1 AND user_id = $2
             RETURNING read_seq, {}",
            unread_count_sql("memberships")
        );
        let row: Option<(i64, i64)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(room.to_string())
            .bind(user.to_string())
            .bind(seq)
            .fetch_optional(&mut **tx)
            .await?;
        Ok(row)
    }
}

/// Which memberships a transaction is about to create.
#[derive(Debug, Clone, Copy)]
enum MembershipLock {
    /// Those of one user, in every public room.
    OneUser,
    /// Those of every user, in one room.
    Everybody,
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
