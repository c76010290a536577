//! Values generated once, such as the secret of TURN credentials.

use super::Store;
use crate::server::error::Result;

impl Store {
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
