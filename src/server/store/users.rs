//! Users, sessions and one-time secrets.

use super::{
    Engine, Store, Tx,
    connection::Pool,
    is_unique_violation, parse,
    personal_settings::{StoredSettings, decode_policy},
};
use crate::{
    model::{
        Millis, UserId,
        user::{Person, Role, UserName},
    },
    server::{error::Result, name_skeleton::skeletons},
};
use sqlx::AssertSqlSafe;
use std::collections::HashMap;

/// A user with their password hash.
#[derive(Debug, Clone)]
pub struct Account {
    pub person: Person,
    /// Argon2, in PHC string format; none for a guest.
    pub password_hash: Option<String>,
}

/// A session with its user.
#[derive(Debug, Clone)]
pub struct Session {
    pub person: Person,
    pub has_password: bool,
    pub settings: StoredSettings,
    expires_at: Millis,
}

pub(super) async fn find_sessions(
    engine: Engine,
    read: Pool,
    hashes: Vec<String>,
) -> Result<HashMap<String, Session>> {
    // One row for each blocked person.
    let sql = format!(
        "SELECT sessions.token_hash, sessions.expires_at, users.id, users.name, users.role, users.password_hash,
                users.calls_from, users.ice_transport_policy, blocks.blocked_id
         FROM sessions JOIN users ON users.id = sessions.user_id LEFT JOIN blocks ON blocks.blocker_id = users.id
         WHERE sessions.token_hash IN {}",
        engine.placeholders(1, hashes.len())
    );
    let mut query = sqlx::query_as::<_, SessionColumns>(AssertSqlSafe(sql));
    for hash in hashes {
        query = query.bind(hash);
    }
    let mut found: HashMap<String, Session> = HashMap::new();
    for (hash, expires_at, id, name, role, password_hash, calls_from, policy, blocked) in
        query.fetch_all(&read).await?
    {
        let blocked = blocked.as_deref().map(parse).transpose()?;
        if let Some(session) = found.get_mut(&hash) {
            session.settings.blocked.extend(blocked);
            continue;
        }
        let session = Session {
            person: decode_person((id, name, role))?,
            has_password: password_hash.is_some(),
            settings: StoredSettings {
                calls_from: parse(&calls_from)?,
                relay_only: decode_policy(policy),
                blocked: blocked.into_iter().collect(),
            },
            expires_at,
        };
        found.insert(hash, session);
    }
    for session in found.values_mut() {
        session.settings.blocked.sort_unstable();
    }
    Ok(found)
}

type SessionColumns = (
    String,
    i64,
    String,
    String,
    String,
    Option<String>,
    String,
    Option<String>,
    Option<String>,
);

type PersonColumns = (String, String, String);

pub(super) fn decode_person((id, name, role): PersonColumns) -> Result<Person> {
    Ok(Person {
        id: parse(&id)?,
        name: UserName::from_stored(name),
        role: parse(&role)?,
    })
}

/// "Ada" and "ADA" are one name.
fn name_key(name: &UserName) -> String {
    name.as_str().to_lowercase()
}

impl Store {
    /// Creates a user; false if the name, or one that looks like it, is taken. The transaction is then to be rolled back.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_user(
        &self,
        tx: &mut Tx,
        person: &Person,
        password_hash: Option<&str>,
        at: Millis,
    ) -> Result<bool> {
        let made = sqlx::query(
            "INSERT INTO users (id, name, name_key, role, password_hash, created_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (name_key) DO NOTHING",
        )
        .bind(person.id.to_string())
        .bind(person.name.as_str())
        .bind(name_key(&person.name))
        .bind(person.role.as_str())
        .bind(password_hash)
        .bind(at)
        .execute(&mut **tx)
        .await?;
        Ok(made.rows_affected() == 1 && self.create_skeletons(tx, person.id, &person.name).await?)
    }

    /// False if a name that looks like this one is taken.
    async fn create_skeletons(&self, tx: &mut Tx, user: UserId, name: &UserName) -> Result<bool> {
        let [one, other] = skeletons(name);
        let made = sqlx::query(
            "INSERT INTO name_skeletons (skeleton, user_id) VALUES ($1, $3), ($2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(one)
        .bind(other)
        .bind(user.to_string())
        .execute(&mut **tx)
        .await?;
        Ok(made.rows_affected() == 2)
    }

    /// Stores what the names of users from before look like. Of names that look alike, the oldest user's counts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_missing_skeletons(&self) -> Result<()> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT id, name FROM users WHERE NOT EXISTS (SELECT 1 FROM name_skeletons WHERE user_id = users.id)
             ORDER BY created_at, id",
        )
        .fetch_all(&self.read_pool)
        .await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        for (id, name) in rows {
            let name = UserName::from_stored(name);
            self.create_skeletons(&mut tx, parse(&id)?, &name).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Finds a user.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_user(&self, id: UserId) -> Result<Option<Person>> {
        sqlx::query_as("SELECT id, name, role FROM users WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.read_pool)
            .await?
            .map(decode_person)
            .transpose()
    }

    /// Finds an account by name, ignoring case.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_account(&self, name: &UserName) -> Result<Option<Account>> {
        let row: Option<(String, String, String, Option<String>)> =
            sqlx::query_as("SELECT id, name, role, password_hash FROM users WHERE name_key = $1")
                .bind(name_key(name))
                .fetch_optional(&self.read_pool)
                .await?;
        row.map(|(id, name, role, password_hash)| {
            Ok(Account {
                person: decode_person((id, name, role))?,
                password_hash,
            })
        })
        .transpose()
    }

    /// Users, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_users(&self, most: i64) -> Result<Vec<Person>> {
        let rows: Vec<PersonColumns> = sqlx::query_as(
            "SELECT id, name, role FROM users ORDER BY created_at DESC, id DESC LIMIT $1",
        )
        .bind(most)
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter().map(decode_person).collect()
    }

    /// Changes a user's role; false without such a user.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn update_role(&self, id: UserId, role: Role) -> Result<bool> {
        let mut tx = self.begin().await?;
        let done = sqlx::query("UPDATE users SET role = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(role.as_str())
            .execute(&mut *tx)
            .await?;
        Self::mark_session_change(&mut tx).await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Renames a user; false if the name, or one that looks like it, is taken, or the user missing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn update_name(&self, id: UserId, name: &UserName) -> Result<bool> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "UPDATE users SET name = $2, name_key = $3
             WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM users WHERE name_key = $3 AND id <> $1)",
        )
        .bind(id.to_string())
        .bind(name.as_str())
        .bind(name_key(name))
        .execute(&mut *tx)
        .await;
        let is_renamed = match done {
            // Taken concurrently.
            Err(error) if is_unique_violation(&error) => false,
            done => done?.rows_affected() == 1,
        };
        if !is_renamed {
            return Ok(false);
        }
        sqlx::query("DELETE FROM name_skeletons WHERE user_id = $1")
            .bind(id.to_string())
            .execute(&mut *tx)
            .await?;
        if !self.create_skeletons(&mut tx, id, name).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        Self::mark_session_change(&mut tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Hash of a user's password; none without a password.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_password_hash(&self, id: UserId) -> Result<Option<String>> {
        let row: Option<(Option<String>,)> =
            sqlx::query_as("SELECT password_hash FROM users WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(&self.read_pool)
                .await?;
        Ok(row.and_then(|(hash,)| hash))
    }

    /// Replaces the password with hash `known`; false if it has another. A guest becomes a member. Deletes the user's
    /// sessions but that with token hash `keep`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn update_password(
        &self,
        id: UserId,
        known: Option<&str>,
        hash: &str,
        keep: &str,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        let updated = sqlx::query(
            "UPDATE users SET password_hash = $2, role = CASE role WHEN 'guest' THEN 'member' ELSE role END \
             WHERE id = $1 AND COALESCE(password_hash, '') = $3",
        )
        .bind(id.to_string())
        .bind(hash)
        .bind(known.unwrap_or_default())
        .execute(&mut *tx)
        .await?;
        if updated.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2")
            .bind(id.to_string())
            .bind(keep)
            .execute(&mut *tx)
            .await?;
        Self::mark_session_change(&mut tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Creates a session.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_session(
        &self,
        tx: &mut Tx,
        token_hash: &str,
        user: UserId,
        at: Millis,
        expires: Millis,
    ) -> Result<()> {
        sqlx::query("INSERT INTO sessions (token_hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(token_hash)
            .bind(user.to_string())
            .bind(at)
            .bind(expires)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    /// A session; none once expired.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_session(&self, token_hash: &str, at: Millis) -> Result<Option<Session>> {
        let found = self.session_loader.load(token_hash.to_owned()).await?;
        Ok(found.filter(|session| session.expires_at > at))
    }

    /// Deletes a session.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_session(&self, token_hash: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM sessions WHERE token_hash = $1")
            .bind(token_hash)
            .execute(&mut *tx)
            .await?;
        Self::mark_session_change(&mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// Deletes expired sessions.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_expired_sessions(&self, at: Millis) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
            .bind(at)
            .execute(&self.write_pool)
            .await?;
        Ok(())
    }

    /// Whether any user is an administrator.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_admin(&self) -> Result<bool> {
        let row: Option<(i64,)> =
            sqlx::query_as("SELECT CAST(1 AS BIGINT) FROM users WHERE role = 'admin' LIMIT 1")
                .fetch_optional(&self.read_pool)
                .await?;
        Ok(row.is_some())
    }

    /// Replaces a purpose's one-time secret.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn replace_secret(&self, purpose: &str, hash: &str, at: Millis) -> Result<()> {
        sqlx::query(
            "INSERT INTO secrets (purpose, hash, created_at) VALUES ($1, $2, $3)
             ON CONFLICT (purpose) DO UPDATE SET hash = excluded.hash, created_at = excluded.created_at",
        )
        .bind(purpose)
        .bind(hash)
        .bind(at)
        .execute(&self.write_pool)
        .await?;
        Ok(())
    }

    /// Whether the secret's hash matches.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_secret(&self, purpose: &str, hash: &str) -> Result<bool> {
        let row: Option<(String,)> =
            sqlx::query_as("SELECT hash FROM secrets WHERE purpose = $1 AND hash = $2")
                .bind(purpose)
                .bind(hash)
                .fetch_optional(&self.read_pool)
                .await?;
        Ok(row.is_some())
    }

    /// Consumes the one-time secret and makes the user administrator, unless there is an administrator. True for exactly one caller.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim_admin(
        &self,
        tx: &mut Tx,
        purpose: &str,
        hash: &str,
        user: UserId,
    ) -> Result<bool> {
        // Waits for a concurrent delete; the row is then gone.
        let deleted = sqlx::query(
            "DELETE FROM secrets WHERE purpose = $1 AND hash = $2
             AND NOT EXISTS (SELECT 1 FROM users WHERE role = 'admin')",
        )
        .bind(purpose)
        .bind(hash)
        .execute(&mut **tx)
        .await?;
        if deleted.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("UPDATE users SET role = 'admin' WHERE id = $1")
            .bind(user.to_string())
            .execute(&mut **tx)
            .await?;
        Ok(true)
    }
}
