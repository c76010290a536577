//! Who belongs to which room, and how far each has read.

use super::{
    Engine, Store, Tx,
    connection::Pool,
    parse,
    rooms::{decode_room_kind, unread_count_sql},
    users::decode_person,
};
use crate::{
    model::{
        Millis, RoomId, Seq, UserId,
        room::{ReadCursor, RoomKind},
        user::Person,
    },
    server::error::Result,
};
use sqlx::AssertSqlSafe;
use std::collections::HashMap;

#[derive(Debug, Clone, Copy)]
enum MembershipLock {
    OneUser,
    Everybody,
}

pub(super) async fn list_memberships(
    engine: Engine,
    read: Pool,
    users: Vec<UserId>,
) -> Result<HashMap<UserId, Vec<(RoomId, RoomKind)>>> {
    let sql = format!(
        "SELECT memberships.user_id, rooms.id, rooms.kind
         FROM memberships JOIN rooms ON rooms.id = memberships.room_id WHERE memberships.user_id IN {}",
        engine.placeholders(1, users.len())
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

impl Store {
    /// Joins a user to all public rooms, with existing messages read.
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

    /// Existing messages count as read.
    pub(super) async fn create_memberships_for_all(
        &self,
        tx: &mut Tx,
        room: RoomId,
        at: Millis,
    ) -> Result<()> {
        self.lock_memberships(tx, MembershipLock::Everybody).await?;
        sqlx::query(
            "INSERT INTO memberships (room_id, user_id, read_seq, joined_at)
             SELECT rooms.id, users.id, streams.head, $2
             FROM rooms JOIN streams ON streams.name = 'room:' || rooms.id CROSS JOIN users
             WHERE rooms.id = $1 AND rooms.kind = 'public'
             ON CONFLICT (room_id, user_id) DO NOTHING",
        )
        .bind(room.to_string())
        .bind(at)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// For users who did not join when created.
    #[cfg(test)]
    pub(crate) async fn join_everybody(&self, room: RoomId) {
        let mut tx = self.begin().await.unwrap();
        self.create_memberships_for_all(&mut tx, room, 0)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// A user and a public room created concurrently do not see each other, so new users share this lock and new rooms take it exclusively.
    /// SQLite has a single writer.
    async fn lock_memberships(&self, tx: &mut Tx, joining: MembershipLock) -> Result<()> {
        if self.engine == Engine::PostgreSQL {
            // Key 1 is used for nothing else.
            let lock = match joining {
                MembershipLock::OneUser => "SELECT pg_advisory_xact_lock_shared(1)",
                MembershipLock::Everybody => "SELECT pg_advisory_xact_lock(1)",
            };
            sqlx::query(lock).execute(&mut **tx).await?;
        }
        Ok(())
    }

    /// A user's rooms with their kinds, in no order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_memberships(&self, user: UserId) -> Result<Vec<(RoomId, RoomKind)>> {
        Ok(self.membership_loader.load(user).await?.unwrap_or_default())
    }

    /// Whether a user belongs to a room.
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

    /// Members of a room, by name.
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

    /// Moves a read cursor forward, never past the head. Returns it with the unread count, at most
    /// [`MAX_UNREAD_COUNT`](crate::model::limits::MAX_UNREAD_COUNT); none for a non-member.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn update_read_cursor(
        &self,
        tx: &mut Tx,
        room: RoomId,
        user: UserId,
        seq: Seq,
    ) -> Result<Option<ReadCursor>> {
        let sql = format!(
            "UPDATE memberships SET read_seq = CASE
                 WHEN read_seq >= $3 THEN read_seq
                 WHEN $3 > (SELECT head FROM streams WHERE name = 'room:' || $1)
                   THEN (SELECT head FROM streams WHERE name = 'room:' || $1)
                 ELSE $3 END
             WHERE room_id = $1 AND user_id = $2
             RETURNING read_seq, {}, (SELECT head FROM streams WHERE name = 'room:' || $1)",
            unread_count_sql("memberships")
        );
        let row: Option<(i64, i64, i64)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(room.to_string())
            .bind(user.to_string())
            .bind(seq)
            .fetch_optional(&mut **tx)
            .await?;
        Ok(row.map(|(seq, unread, head)| ReadCursor { seq, unread, head }))
    }
}
