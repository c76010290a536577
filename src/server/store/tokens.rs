//! Bearer tokens for publishing (RFC 6750).

use super::{Store, parse};
use crate::{
    model::{Millis, TokenId},
    server::error::Result,
};

/// A valid token of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: TokenId,
    /// Also the byline of its stories.
    pub name: String,
}

/// A token as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    pub id: TokenId,
    pub name: String,
    pub created_at: Millis,
    /// To the minute; none if never used.
    pub used_at: Option<Millis>,
    pub revoked_at: Option<Millis>,
}

const TOKEN_USE_INTERVAL: Millis = 60_000;

impl Store {
    /// Stores a token by its hash.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_token(
        &self,
        id: TokenId,
        name: &str,
        hash: &str,
        at: Millis,
    ) -> Result<()> {
        sqlx::query("INSERT INTO tokens (id, name, hash, created_at) VALUES ($1, $2, $3, $4)")
            .bind(id.to_string())
            .bind(name)
            .bind(hash)
            .bind(at)
            .execute(&self.write_pool)
            .await?;
        Ok(())
    }

    /// Finds an unrevoked token. Records its use, at most once a minute.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn use_token(&self, hash: &str, at: Millis) -> Result<Option<Token>> {
        let row: Option<(String, String, Option<Millis>)> = sqlx::query_as(
            "SELECT id, name, used_at FROM tokens WHERE hash = $1 AND revoked_at IS NULL",
        )
        .bind(hash)
        .fetch_optional(&self.read_pool)
        .await?;
        let Some((id, name, used_at)) = row else {
            return Ok(None);
        };
        // Spares a second write for every story.
        if used_at.is_none_or(|used_at| at - used_at >= TOKEN_USE_INTERVAL) {
            sqlx::query("UPDATE tokens SET used_at = $2 WHERE id = $1")
                .bind(&id)
                .bind(at)
                .execute(&self.write_pool)
                .await?;
        }
        Ok(Some(Token {
            id: parse(&id)?,
            name,
        }))
    }

    /// All tokens, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_tokens(&self) -> Result<Vec<TokenRow>> {
        let rows: Vec<(String, String, i64, Option<i64>, Option<i64>)> =
            sqlx::query_as("SELECT id, name, created_at, used_at, revoked_at FROM tokens ORDER BY created_at DESC, id DESC")
                .fetch_all(&self.read_pool)
                .await?;
        rows.into_iter()
            .map(|(id, name, created_at, used_at, revoked_at)| {
                Ok(TokenRow {
                    id: parse(&id)?,
                    name,
                    created_at,
                    used_at,
                    revoked_at,
                })
            })
            .collect()
    }

    /// Revokes a token; false if missing or revoked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke_token(&self, id: TokenId, at: Millis) -> Result<bool> {
        let done =
            sqlx::query("UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
                .bind(id.to_string())
                .bind(at)
                .execute(&self.write_pool)
                .await?;
        Ok(done.rows_affected() == 1)
    }
}
