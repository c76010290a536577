//! What people have chosen about others: blocks, whose calls they accept, and whether their calls use only the relay.

use super::{Store, parse, users::decode_person};
use crate::{
    model::{
        Millis, RoomId, UserId,
        limits::MAX_BLOCKED_PEOPLE,
        user::{CallsFrom, Person},
    },
    server::error::Result,
};

/// `RTCIceTransportPolicy` (WebRTC 1.0 section 4.2.6).
pub(super) const RELAY_POLICY: &str = "relay";
const ALL_POLICY: &str = "all";

/// [`PersonalSettings`](crate::model::user::PersonalSettings) without the defaults of the site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredSettings {
    pub calls_from: CallsFrom,
    /// None leaves it to the site.
    pub relay_only: Option<bool>,
    /// In order.
    pub blocked: Vec<UserId>,
}

/// Who of two people has blocked the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// The one who asks, perhaps both.
    BySelf,
    ByOther,
}

fn decode_block(blockers: &[String], own: UserId) -> Option<Block> {
    let own = own.to_string();
    if blockers.contains(&own) {
        Some(Block::BySelf)
    } else {
        (!blockers.is_empty()).then_some(Block::ByOther)
    }
}

impl Store {
    /// Blocks a user. False if the blocker has blocked [`MAX_BLOCKED_PEOPLE`] others.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_block(&self, blocker: UserId, person: UserId, at: Millis) -> Result<bool> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO blocks (blocker_id, blocked_id, blocked_at)
             SELECT users.id, $2, $3 FROM users
             WHERE users.id = $1 AND (SELECT COUNT(*) FROM blocks WHERE blocker_id = $1) < $4
             ON CONFLICT (blocker_id, blocked_id) DO NOTHING",
        )
        .bind(blocker.to_string())
        .bind(person.to_string())
        .bind(at)
        .bind(i64::try_from(MAX_BLOCKED_PEOPLE).unwrap_or(i64::MAX))
        .execute(&mut *tx)
        .await?;
        let found: Option<(i64,)> = sqlx::query_as(
            "SELECT blocked_at FROM blocks WHERE blocker_id = $1 AND blocked_id = $2",
        )
        .bind(blocker.to_string())
        .bind(person.to_string())
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(found.is_some())
    }

    /// Ends a block, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_block(&self, blocker: UserId, person: UserId) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM blocks WHERE blocker_id = $1 AND blocked_id = $2")
            .bind(blocker.to_string())
            .bind(person.to_string())
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// The people whom a user has blocked, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_blocked_people(&self, blocker: UserId) -> Result<Vec<Person>> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT users.id, users.name, users.role FROM blocks JOIN users ON users.id = blocks.blocked_id
             WHERE blocks.blocker_id = $1 ORDER BY users.name",
        )
        .bind(blocker.to_string())
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter().map(decode_person).collect()
    }

    /// Whether one of the two people of a direct room has blocked the other; `own` is the one who asks.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_block_in_room(&self, room: RoomId, own: UserId) -> Result<Option<Block>> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT blocks.blocker_id FROM rooms
             JOIN memberships AS others ON others.room_id = rooms.id AND others.user_id <> $2
             JOIN blocks ON blocks.blocker_id = $2 AND blocks.blocked_id = others.user_id
                         OR blocks.blocker_id = others.user_id AND blocks.blocked_id = $2
             WHERE rooms.id = $1 AND rooms.kind = 'direct'",
        )
        .bind(room.to_string())
        .bind(own.to_string())
        .fetch_all(&self.read_pool)
        .await?;
        let blockers: Vec<_> = rows.into_iter().map(|(blocker,)| blocker).collect();
        Ok(decode_block(&blockers, own))
    }

    /// Whether one of two people has blocked the other, and whose calls the other accepts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_acceptance(
        &self,
        own: UserId,
        other: UserId,
    ) -> Result<(Option<Block>, CallsFrom)> {
        let rows: Vec<(String, Option<String>)> = sqlx::query_as(
            "SELECT users.calls_from, blocks.blocker_id FROM users
             LEFT JOIN blocks ON blocks.blocker_id = $1 AND blocks.blocked_id = users.id
                              OR blocks.blocker_id = users.id AND blocks.blocked_id = $1
             WHERE users.id = $2",
        )
        .bind(own.to_string())
        .bind(other.to_string())
        .fetch_all(&self.read_pool)
        .await?;
        let calls_from = rows.first().map(|(from, _)| parse(from)).transpose()?;
        let blockers: Vec<_> = rows
            .into_iter()
            .filter_map(|(_, blocker)| blocker)
            .collect();
        Ok((decode_block(&blockers, own), calls_from.unwrap_or_default()))
    }

    /// Sets whose calls a user accepts, and whether their own use only the relay.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn update_call_settings(
        &self,
        user: UserId,
        calls_from: CallsFrom,
        relay_only: bool,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE users SET calls_from = $2, ice_transport_policy = $3 WHERE id = $1")
            .bind(user.to_string())
            .bind(calls_from.as_str())
            .bind(if relay_only { RELAY_POLICY } else { ALL_POLICY })
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// What a user has chosen; the defaults for an unknown one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_settings(&self, user: UserId) -> Result<StoredSettings> {
        let rows: Vec<(String, Option<String>, Option<String>)> = sqlx::query_as(
            "SELECT users.calls_from, users.ice_transport_policy, blocks.blocked_id
             FROM users LEFT JOIN blocks ON blocks.blocker_id = users.id WHERE users.id = $1",
        )
        .bind(user.to_string())
        .fetch_all(&self.read_pool)
        .await?;
        let mut settings = StoredSettings::default();
        for (calls_from, policy, blocked) in rows {
            settings.calls_from = parse(&calls_from)?;
            settings.relay_only = decode_policy(policy);
            settings
                .blocked
                .extend(blocked.as_deref().map(parse::<UserId>).transpose()?);
        }
        settings.blocked.sort_unstable();
        Ok(settings)
    }
}

pub(super) fn decode_policy(policy: Option<String>) -> Option<bool> {
    policy.map(|policy| policy == RELAY_POLICY)
}
