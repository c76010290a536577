//! Stateless TURN credentials: the user name has expiry and user, and the password is its HMAC under a secret of all
//! nodes (draft-uberti-behave-turn-rest-00, coturn's `use-auth-secret`).

use crate::model::{CallId, Millis, UserId};
use base64::{Engine, prelude::BASE64_STANDARD};
use ring::hmac;
use std::fmt;
use uuid::Uuid;

/// Lifetime in milliseconds. An allocation may outlive its credential.
pub const CREDENTIAL_TTL: Millis = 10 * 60 * 1_000;

/// The key that signs credentials.
#[derive(Clone)]
pub struct TurnSecret(hmac::Key);

/// User name and password for one user in one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// `<expiry in seconds since 1970>:<user>/<call>`.
    pub username: String,
    /// HMAC-SHA1 of the user name, in Base64 (RFC 2104, RFC 4648).
    pub password: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CredentialError {
    Expired,
    Invalid,
}

impl TurnSecret {
    /// Creates the key from the secret.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let algorithm = hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;
        Self(hmac::Key::new(algorithm, text.as_bytes()))
    }

    /// Issues a credential, valid for [`CREDENTIAL_TTL`] from `now`.
    #[must_use]
    pub fn issue(&self, user: UserId, call: CallId, now: Millis) -> Credential {
        let expires = (now + CREDENTIAL_TTL) / 1_000;
        let username = format!("{expires}:{}/{}", user.0, call.0);
        let password = self.password_for(&username);
        Credential { username, password }
    }

    pub(super) fn parse_username(
        &self,
        username: &str,
        now: Millis,
    ) -> Result<(UserId, String), CredentialError> {
        let parts = username
            .split_once(':')
            .and_then(|(expires, whose)| Some((expires, whose.split_once('/')?.0)));
        let (expires, user) = parts.ok_or(CredentialError::Invalid)?;
        let expires: Millis = expires.parse().map_err(|_| CredentialError::Invalid)?;
        let user: Uuid = user.parse().map_err(|_| CredentialError::Invalid)?;
        if expires.saturating_mul(1_000) < now {
            return Err(CredentialError::Expired);
        }
        Ok((UserId(user), self.password_for(username)))
    }

    fn password_for(&self, username: &str) -> String {
        BASE64_STANDARD.encode(hmac::sign(&self.0, username.as_bytes()))
    }
}

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_800_000_000_000;

    fn issued() -> (TurnSecret, Credential) {
        let secret = TurnSecret::new("a secret");
        let user = UserId(Uuid::from_u128(1));
        let call = CallId(Uuid::from_u128(2));
        let credential = secret.issue(user, call, NOW);
        (secret, credential)
    }

    #[test]
    fn a_credential_is_good_for_some_minutes() {
        let (secret, credential) = issued();
        let good = Ok((UserId(Uuid::from_u128(1)), credential.password.clone()));
        assert_eq!(secret.parse_username(&credential.username, NOW), good);
        assert_eq!(
            secret.parse_username(&credential.username, NOW + CREDENTIAL_TTL),
            good
        );
        let late = secret.parse_username(&credential.username, NOW + CREDENTIAL_TTL + 1_000);
        assert_eq!(late, Err(CredentialError::Expired));
    }

    #[test]
    fn another_secret_or_another_name_makes_another_password() {
        let (secret, credential) = issued();
        let (_, password) = TurnSecret::new("another")
            .parse_username(&credential.username, NOW)
            .unwrap();
        assert_ne!(password, credential.password);
        let longer = credential.username.replacen('1', "2", 1);
        let (_, password) = secret.parse_username(&longer, NOW).unwrap();
        assert_ne!(password, credential.password);
    }

    #[test]
    fn what_is_not_ours_is_not_known() {
        let (secret, _) = issued();
        for name in ["", "somebody", "9999999999", "9999999999:somebody", "x:y/z"] {
            assert_eq!(
                secret.parse_username(name, NOW),
                Err(CredentialError::Invalid),
                "{name}"
            );
        }
    }

    /// From `printf '1800000600:…/…' | openssl dgst -sha1 -hmac 'a secret' -binary | base64`.
    #[test]
    fn other_servers_find_the_same_password() {
        let (_, credential) = issued();
        assert_eq!(
            credential.username,
            "1800000600:00000000-0000-0000-0000-000000000001/00000000-0000-0000-0000-000000000002"
        );
        assert_eq!(credential.password, "8sDNsSXjhUernUawiIplsmTDEW4=");
    }
}
