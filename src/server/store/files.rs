//! Files sent in messages: their metadata, and who may read them.

use super::{Store, Tx};
use crate::{
    model::{
        UserId,
        message::{Attachment, ImageSize, Message},
    },
    server::error::Result,
};

/// Metadata of a stored file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// SHA-256 as 64 lower-case hexadecimal digits.
    pub hash: String,
    /// In bytes.
    pub size: u64,
    /// Detected from the bytes: `application/octet-stream` unless an image.
    pub media_type: String,
    pub image: Option<ImageSize>,
}

/// Bytes of sent files; a file sent twice counts twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileUsage {
    pub person: u64,
    pub total: u64,
}

impl Store {
    /// Records that a message carries a stored file.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_attachment(
        &self,
        tx: &mut Tx,
        message: &Message,
        file: &Attachment,
        media_type: &str,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO files (hash, size, media_type, width, height, created_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (hash) DO NOTHING",
        )
        .bind(&file.hash)
        .bind(i64::try_from(file.size).unwrap_or(i64::MAX))
        .bind(media_type)
        .bind(file.image.map(|image| i64::from(image.width)))
        .bind(file.image.map(|image| i64::from(image.height)))
        .bind(message.at)
        .execute(&mut **tx)
        .await?;
        sqlx::query(
            "INSERT INTO attachments (message_id, room_id, hash, name) VALUES ($1, $2, $3, $4)",
        )
        .bind(message.id.to_string())
        .bind(message.room.to_string())
        .bind(&file.hash)
        .bind(&file.name)
        .execute(&mut **tx)
        .await?;
        sqlx::query(
            "INSERT INTO file_usage (user_id, bytes) VALUES ($1, $2)
             ON CONFLICT (user_id) DO UPDATE SET bytes = file_usage.bytes + excluded.bytes",
        )
        .bind(message.author.id.to_string())
        .bind(i64::try_from(file.size).unwrap_or(i64::MAX))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// How much files take.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_file_usage(&self, user: UserId) -> Result<FileUsage> {
        let (person, total): (i64, i64) = sqlx::query_as(
            "SELECT CAST(COALESCE(SUM(CASE WHEN user_id = $1 THEN bytes END), 0) AS BIGINT),
                    CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM file_usage",
        )
        .bind(user.to_string())
        .fetch_one(&self.read_pool)
        .await?;
        Ok(FileUsage {
            person: u64::try_from(person).unwrap_or_default(),
            total: u64::try_from(total).unwrap_or_default(),
        })
    }

    /// Finds a file sent to one of the reader's rooms.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_file(&self, hash: &str, reader: UserId) -> Result<Option<FileRow>> {
        let row: Option<(String, i64, String, Option<i64>, Option<i64>)> = sqlx::query_as(
            "SELECT files.hash, files.size, files.media_type, files.width, files.height FROM files
             WHERE files.hash = $1 AND EXISTS (
                 SELECT 1 FROM attachments JOIN memberships ON memberships.room_id = attachments.room_id
                 WHERE attachments.hash = files.hash AND memberships.user_id = $2)",
        )
        .bind(hash)
        .bind(reader.to_string())
        .fetch_optional(&self.read_pool)
        .await?;
        Ok(row.map(|(hash, size, media_type, width, height)| FileRow {
            hash,
            size: u64::try_from(size).unwrap_or_default(),
            media_type,
            image: image_size(width, height),
        }))
    }
}

fn image_size(width: Option<i64>, height: Option<i64>) -> Option<ImageSize> {
    Some(ImageSize {
        width: u32::try_from(width?).ok()?,
        height: u32::try_from(height?).ok()?,
    })
}
