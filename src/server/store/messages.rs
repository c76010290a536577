//! Chat messages.

use super::{Store, Tx, parse, users::decode_person};
use crate::{
    model::{MessageId, Millis, RoomId, Seq, UserId, message::Message},
    server::error::Result,
};
use sqlx::AssertSqlSafe;
use std::collections::HashMap;

pub(super) type MessageColumns = (String, String, i64, i64, String, String, String, String);

pub(super) fn decode_message(row: MessageColumns) -> Result<Message> {
    let (id, room, seq, at, content, author_id, author_name, author_role) = row;
    Ok(Message {
        id: parse(&id)?,
        room: parse(&room)?,
        seq,
        author: decode_person((author_id, author_name, author_role))?,
        at,
        content: serde_json::from_str(&content)?,
    })
}

/// Answer to a repeated send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostedMessage {
    pub room: RoomId,
    pub author: UserId,
    pub seq: Seq,
    pub at: Millis,
}

fn decode_posted_message(room: &str, author: &str, seq: Seq, at: Millis) -> Result<PostedMessage> {
    Ok(PostedMessage {
        room: parse(room)?,
        author: parse(author)?,
        seq,
        at,
    })
}

impl Store {
    /// Whether somebody knows the other person of a direct room: they have written there, or answered a call.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_taken_part(&self, room: RoomId, user: UserId) -> Result<bool> {
        let found: Option<(i64,)> = sqlx::query_as(
            "SELECT CAST(1 AS BIGINT) WHERE EXISTS (SELECT 1 FROM messages WHERE room_id = $1 AND author_id = $2)
             OR EXISTS (SELECT 1 FROM calls WHERE room_id = $1 AND answered_at IS NOT NULL)",
        )
        .bind(room.to_string())
        .bind(user.to_string())
        .fetch_optional(&self.read_pool)
        .await?;
        Ok(found.is_some())
    }

    /// Inserts messages under sequences allocated in this transaction.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_messages(&self, tx: &mut Tx, messages: &[Message]) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO messages (id, room_id, seq, author_id, at, content, counts) VALUES {}",
            self.engine.placeholders(messages.len(), 7)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for message in messages {
            query = query
                .bind(message.id.to_string())
                .bind(message.room.to_string())
                .bind(message.seq)
                .bind(message.author.id.to_string())
                .bind(message.at)
                .bind(serde_json::to_string(&message.content)?)
                .bind(message.content.counts_as_unread());
        }
        query.execute(&mut **tx).await?;
        Ok(())
    }

    /// Stored messages by id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_posted_messages(
        &self,
        tx: &mut Tx,
        ids: &[MessageId],
    ) -> Result<HashMap<MessageId, PostedMessage>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = format!(
            "SELECT id, room_id, author_id, seq, at FROM messages WHERE id IN {}",
            self.engine.placeholders(1, ids.len())
        );
        let mut query = sqlx::query_as::<_, (String, String, String, i64, i64)>(AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(id.to_string());
        }
        let rows = query.fetch_all(&mut **tx).await?;
        rows.into_iter()
            .map(|(id, room, author, seq, at)| {
                Ok((parse(&id)?, decode_posted_message(&room, &author, seq, at)?))
            })
            .collect()
    }

    /// Finds a stored message.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_posted_message(&self, id: MessageId) -> Result<Option<PostedMessage>> {
        let row: Option<(String, String, i64, i64)> =
            sqlx::query_as("SELECT room_id, author_id, seq, at FROM messages WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(&self.read_pool)
                .await?;
        row.map(|(room, author, seq, at)| decode_posted_message(&room, &author, seq, at))
            .transpose()
    }

    /// The newest messages before a sequence, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_messages(
        &self,
        room: RoomId,
        before: Seq,
        most: i64,
    ) -> Result<Vec<Message>> {
        let rows: Vec<MessageColumns> = sqlx::query_as(
            "SELECT messages.id, messages.room_id, messages.seq, messages.at, messages.content,
                    users.id, users.name, users.role
             FROM messages JOIN users ON users.id = messages.author_id
             WHERE messages.room_id = $1 AND messages.seq < $2 ORDER BY messages.seq DESC LIMIT $3",
        )
        .bind(room.to_string())
        .bind(before)
        .bind(most)
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter().rev().map(decode_message).collect()
    }
}
