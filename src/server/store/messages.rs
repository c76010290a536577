//! Messages.

use super::{Store, Tx, parse, users::person};
use crate::{
    model::{MessageId, Millis, RoomId, Seq, UserId, message::Message},
    server::error::Result,
};

type MessageRow = (String, String, i64, i64, String, String, String, String);

fn message(row: MessageRow) -> Result<Message> {
    let (id, room, seq, at, content, author_id, author_name, author_role) = row;
    Ok(Message {
        id: parse(&id)?,
        room: parse(&room)?,
        seq,
        author: person((author_id, author_name, author_role))?,
        at,
        content: serde_json::from_str(&content)?,
    })
}

/// What is remembered of a message by its id: enough to answer a repeated send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// Where it is.
    pub room: RoomId,
    /// Who wrote it.
    pub author: UserId,
    /// Its place in the room's stream.
    pub seq: Seq,
    /// When it was committed.
    pub at: Millis,
}

impl Store {
    /// Writes a message under a sequence taken in the same transaction.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_message(&self, tx: &mut Tx, message: &Message) -> Result<()> {
        sqlx::query(
            "INSERT INTO messages (id, room_id, seq, author_id, at, content, counts)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(message.id.to_string())
        .bind(message.room.to_string())
        .bind(message.seq)
        .bind(message.author.id.to_string())
        .bind(message.at)
        .bind(serde_json::to_string(&message.content)?)
        .bind(message.content.counts_as_unread())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// What was committed under an id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_posted(&self, id: MessageId) -> Result<Option<Posted>> {
        let row: Option<(String, String, i64, i64)> =
            sqlx::query_as("SELECT room_id, author_id, seq, at FROM messages WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(&self.read)
                .await?;
        row.map(|(room, author, seq, at)| {
            Ok(Posted {
                room: parse(&room)?,
                author: parse(&author)?,
                seq,
                at,
            })
        })
        .transpose()
    }

    /// The newest messages of a room before a sequence, oldest first, `most` of them at most.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_messages(
        &self,
        room: RoomId,
        before: Seq,
        most: i64,
    ) -> Result<Vec<Message>> {
        let rows: Vec<MessageRow> = sqlx::query_as(
            "SELECT messages.id, messages.room_id, messages.seq, messages.at, messages.content,
                    users.id, users.name, users.role
             FROM messages JOIN users ON users.id = messages.author_id
             WHERE messages.room_id = $1 AND messages.seq < $2 ORDER BY messages.seq DESC LIMIT $3",
        )
        .bind(room.to_string())
        .bind(before)
        .bind(most)
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().rev().map(message).collect()
    }
}
