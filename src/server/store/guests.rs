//! Guest links, which admit people without an account to one group call. Tokens are stored as hashes.

use super::{Store, parse, users::decode_person};
use crate::{
    model::{
        CallId, GuestLinkId, Millis, RoomId, UserId,
        user::{Person, Role, UserName},
    },
    server::error::Result,
};
use sqlx::AssertSqlSafe;

/// A link to an open group call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestLink {
    pub id: GuestLinkId,
    pub call: CallId,
    pub created_by: Person,
    pub created_at: Millis,
    /// Guests who joined before may stay.
    pub expires_at: Millis,
}

/// A guest, until the link is revoked or the call ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallGuest {
    /// The id is shaped like a user's; the guest gave the name.
    pub person: Person,
    pub link: GuestLinkId,
    pub call: CallId,
    pub room: RoomId,
}

type GuestLinkColumns = (String, String, i64, i64, String, String, String);

fn decode_guest_link(
    (id, call, created_at, expires_at, by, name, role): GuestLinkColumns,
) -> Result<GuestLink> {
    Ok(GuestLink {
        id: parse(&id)?,
        call: parse(&call)?,
        created_by: decode_person((by, name, role))?,
        created_at,
        expires_at,
    })
}

impl Store {
    /// Stores a link under its token's hash.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_guest_link(&self, link: &GuestLink, token_hash: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO guest_links (id, token_hash, call_id, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(link.id.to_string())
        .bind(token_hash)
        .bind(link.call.to_string())
        .bind(link.created_by.id.to_string())
        .bind(link.created_at)
        .bind(link.expires_at)
        .execute(&self.write_pool)
        .await?;
        Ok(())
    }

    /// Finds a link, even if expired, unless revoked or its call has ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_guest_link(&self, token_hash: &str) -> Result<Option<GuestLink>> {
        sqlx::query_as(
            "SELECT guest_links.id, guest_links.call_id, guest_links.created_at, guest_links.expires_at, users.id, users.name, users.role
             FROM guest_links JOIN users ON users.id = guest_links.created_by JOIN group_calls ON group_calls.id = guest_links.call_id
             WHERE guest_links.token_hash = $1 AND guest_links.revoked_at IS NULL AND group_calls.ended_at IS NULL",
        )
        .bind(token_hash)
        .fetch_optional(&self.read_pool)
        .await?
        .map(decode_guest_link)
        .transpose()
    }

    /// A call's unrevoked links, also expired ones, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_guest_links(&self, call: CallId) -> Result<Vec<GuestLink>> {
        let rows: Vec<GuestLinkColumns> = sqlx::query_as(
            "SELECT guest_links.id, guest_links.call_id, guest_links.created_at, guest_links.expires_at, users.id, users.name, users.role
             FROM guest_links JOIN users ON users.id = guest_links.created_by
             WHERE guest_links.call_id = $1 AND guest_links.revoked_at IS NULL ORDER BY guest_links.id DESC",
        )
        .bind(call.to_string())
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter().map(decode_guest_link).collect()
    }

    /// Revokes a link and returns its guests' token hashes; none if it is missing or revoked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke_guest_link(
        &self,
        call: CallId,
        link: GuestLinkId,
        at: Millis,
    ) -> Result<Option<Vec<String>>> {
        let done = sqlx::query(
            "UPDATE guest_links SET revoked_at = $3 WHERE id = $1 AND call_id = $2 AND revoked_at IS NULL",
        )
        .bind(link.to_string())
        .bind(call.to_string())
        .bind(at)
        .execute(&self.write_pool)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT token_hash FROM call_guests WHERE link_id = $1")
                .bind(link.to_string())
                .fetch_all(&self.read_pool)
                .await?;
        Ok(Some(rows.into_iter().map(|(hash,)| hash).collect()))
    }

    /// Stores a guest.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_call_guest(
        &self,
        guest: &Person,
        token_hash: &str,
        link: GuestLinkId,
        at: Millis,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO call_guests (id, token_hash, link_id, name, created_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(guest.id.to_string())
        .bind(token_hash)
        .bind(link.to_string())
        .bind(guest.name.as_str())
        .bind(at)
        .execute(&self.write_pool)
        .await?;
        Ok(())
    }

    /// Finds a guest of an unrevoked link and an open call.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_call_guest(&self, token_hash: &str) -> Result<Option<CallGuest>> {
        let row: Option<(String, String, String, String, String)> = sqlx::query_as(
            "SELECT call_guests.id, call_guests.name, guest_links.id, group_calls.id, group_calls.room_id
             FROM call_guests JOIN guest_links ON guest_links.id = call_guests.link_id
             JOIN group_calls ON group_calls.id = guest_links.call_id
             WHERE call_guests.token_hash = $1 AND guest_links.revoked_at IS NULL AND group_calls.ended_at IS NULL",
        )
        .bind(token_hash)
        .fetch_optional(&self.read_pool)
        .await?;
        row.map(|(id, name, link, call, room)| {
            Ok(CallGuest {
                person: decode_guest(&id, &name)?,
                link: parse(&link)?,
                call: parse(&call)?,
                room: parse(&room)?,
            })
        })
        .transpose()
    }

    /// A call's guests with unrevoked links, in order of joining.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_call_guests(&self, call: CallId) -> Result<Vec<(GuestLinkId, Person)>> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT guest_links.id, call_guests.id, call_guests.name FROM call_guests
             JOIN guest_links ON guest_links.id = call_guests.link_id
             WHERE guest_links.call_id = $1 AND guest_links.revoked_at IS NULL ORDER BY call_guests.id",
        )
        .bind(call.to_string())
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter()
            .map(|(link, id, name)| Ok((parse(&link)?, decode_guest(&id, &name)?)))
            .collect()
    }

    /// Finds a guest, even if the link is revoked or the call has ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_guest(&self, id: UserId) -> Result<Option<Person>> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT id, name FROM call_guests WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(&self.read_pool)
                .await?;
        row.map(|(id, name)| decode_guest(&id, &name)).transpose()
    }

    /// Deletes ended calls' links and guests; returns the guests' token hashes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_ended_guest_links(&self) -> Result<Vec<String>> {
        const ENDED_LINKS_SQL: &str = "SELECT guest_links.id FROM guest_links JOIN group_calls ON group_calls.id = guest_links.call_id
             WHERE group_calls.ended_at IS NOT NULL";
        let mut tx = self.begin().await?;
        let guests: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(format!(
            "DELETE FROM call_guests WHERE link_id IN ({ENDED_LINKS_SQL}) RETURNING token_hash"
        )))
        .fetch_all(&mut *tx)
        .await?;
        sqlx::query(AssertSqlSafe(format!(
            "DELETE FROM guest_links WHERE id IN ({ENDED_LINKS_SQL})"
        )))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(guests.into_iter().map(|(hash,)| hash).collect())
    }
}

fn decode_guest(id: &str, name: &str) -> Result<Person> {
    Ok(Person {
        id: parse(id)?,
        name: UserName::from_stored(name.to_owned()),
        role: Role::Guest,
    })
}
