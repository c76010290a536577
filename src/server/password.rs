//! Password hashing: argon2id (RFC 9106), off the async threads and bounded.

use super::error::{Error, Result};
use crate::protocol::failure::Failure;
use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Each hash uses 19 MiB.
static HASHING_PERMITS: Semaphore = Semaphore::const_new(2);
/// Hashes that run or wait: a few seconds of work.
static QUEUE_PLACES: Semaphore = Semaphore::const_new(64);
/// Told to who finds no place.
const RETRY_INTERVAL: Duration = Duration::from_secs(3);

/// Hashes with a new salt, in PHC string format.
///
/// # Errors
/// [`Failure::RateLimited`] when too many wait, otherwise when hashing fails for lack of memory.
pub async fn hash(password: String) -> Result<String> {
    run_blocking(move || {
        let hash = Argon2::default()
            .hash_password(password.as_bytes())
            .map_err(internal)?;
        Ok(hash.to_string())
    })
    .await
}

/// Whether a password matches. Does the same work without a hash, so that timing does not reveal whether an account
/// exists.
///
/// # Errors
/// [`Failure::RateLimited`] when too many wait, otherwise when the stored hash cannot be read.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    run_blocking(move || {
        let Some(hash) = hash else {
            Argon2::default()
                .hash_password(password.as_bytes())
                .map_err(internal)?;
            return Ok(false);
        };
        let hash = PasswordHash::new(&hash).map_err(Error::corrupt)?;
        Ok(Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok())
    })
    .await
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let place = QUEUE_PLACES.try_acquire();
    let _place = place.map_err(|_| Failure::rate_limited(RETRY_INTERVAL))?;
    let _permit = HASHING_PERMITS.acquire().await.map_err(internal)?;
    tokio::task::spawn_blocking(work).await.map_err(internal)?
}

fn internal(why: impl std::fmt::Display) -> Error {
    Error::Internal(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let hashed = hash("correct horse".into()).await.unwrap();
        assert!(hashed.starts_with("$argon2id$"));
        assert!(
            verify("correct horse".into(), Some(hashed.clone()))
                .await
                .unwrap()
        );
        assert!(!verify("battery staple".into(), Some(hashed)).await.unwrap());
        assert!(!verify("correct horse".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_told_to_come_back() {
        let tries = (0..100).map(|_| verify("a guess".into(), None));
        let outcomes = futures::future::join_all(tries).await;
        let refused = outcomes.iter().filter_map(|tried| tried.as_ref().err());
        let refused: Vec<String> = refused.map(ToString::to_string).collect();
        assert_eq!(refused.len(), 36);
        assert!(refused[0].contains("Wait 3 seconds"), "{}", refused[0]);
        verify("a guess".into(), None).await.unwrap();
    }
}
