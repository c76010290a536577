//! Values that all nodes share: generated secrets, and the mark of the latest session change.

use super::{Store, Tx};
use crate::server::{error::Result, random};

/// Named by an earlier build.
const SESSION_CHANGE_SETTING: &str = "role_change";

impl Store {
    /// Marks that this transaction ends a session, or changes its user's name or role.
    pub(super) async fn mark_session_change(tx: &mut Tx) -> Result<()> {
        sqlx::query(
            "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(SESSION_CHANGE_SETTING)
        .bind(random::new_id().to_string())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// The latest mark; none before the first change.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_session_change(&self) -> Result<Option<String>> {
        let found: Option<(String,)> = sqlx::query_as("SELECT value FROM settings WHERE name = $1")
            .bind(SESSION_CHANGE_SETTING)
            .fetch_optional(&self.read_pool)
            .await?;
        Ok(found.map(|(mark,)| mark))
    }

    /// The stored value, or a new one. All nodes get the same.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_or_create_setting(
        &self,
        name: &str,
        make: impl FnOnce() -> String,
    ) -> Result<String> {
        let find = "SELECT value FROM settings WHERE name = $1";
        let found: Option<(String,)> = sqlx::query_as(find)
            .bind(name)
            .fetch_optional(&self.read_pool)
            .await?;
        if let Some((value,)) = found {
            return Ok(value);
        }
        sqlx::query("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(make())
            .execute(&self.write_pool)
            .await?;
        let (value,): (String,) = sqlx::query_as(find)
            .bind(name)
            .fetch_one(&self.write_pool)
            .await?;
        Ok(value)
    }
}
