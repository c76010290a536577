//! Stateless TURN credentials: the user name has expiry and user, and the password is its HMAC under a secret of all
//! nodes (draft-uberti-behave-turn-rest-00, coturn's `use-auth-secret`).

use crate::model::{
    CallId, Millis, UserId,
    user::{Person, Role},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use ring::hmac;
use std::{fmt, str::FromStr};

/// Lifetime in milliseconds. An allocation may outlive its credential, and ends with its call.
pub const CREDENTIAL_TTL: Millis = 10 * 60 * 1_000;
/// As [`CREDENTIAL_TTL`], of a connection test.
pub const TEST_CREDENTIAL_TTL: Millis = 60 * 1_000;

/// Who may open relays, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayUser {
    pub user: UserId,
    pub purpose: RelayPurpose,
}

/// What a credential is for: guests and tests may open fewer relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayPurpose {
    MemberCall(CallId),
    GuestCall(CallId),
    Test,
}

impl RelayPurpose {
    /// The call, unless it is a test.
    #[must_use]
    pub fn call(self) -> Option<CallId> {
        match self {
            Self::MemberCall(call) | Self::GuestCall(call) => Some(call),
            Self::Test => None,
        }
    }
}

impl RelayUser {
    /// A participant of a call.
    #[must_use]
    pub fn in_call(person: &Person, call: CallId) -> Self {
        let purpose = match person.role {
            Role::Guest => RelayPurpose::GuestCall(call),
            Role::Member | Role::Editor | Role::Admin => RelayPurpose::MemberCall(call),
        };
        let user = person.id;
        Self { user, purpose }
    }

    /// Somebody who tests the connection.
    #[must_use]
    pub fn testing(user: UserId) -> Self {
        let purpose = RelayPurpose::Test;
        Self { user, purpose }
    }
}

impl fmt::Display for RelayUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.0;
        match self.purpose {
            RelayPurpose::MemberCall(call) => write!(f, "{user}/{}", call.0),
            RelayPurpose::GuestCall(call) => write!(f, "{user}/{}/guest", call.0),
            RelayPurpose::Test => write!(f, "{user}/test"),
        }
    }
}

impl FromStr for RelayUser {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Self, CredentialError> {
        let invalid = |_| CredentialError::Invalid;
        let call = |text: &str| text.parse().map(CallId).map_err(invalid);
        let (user, purpose) = text.split_once('/').ok_or(CredentialError::Invalid)?;
        let purpose = match purpose.split_once('/') {
            None if purpose == "test" => RelayPurpose::Test,
            None => RelayPurpose::MemberCall(call(purpose)?),
            Some((of, "guest")) => RelayPurpose::GuestCall(call(of)?),
            Some(_) => return Err(CredentialError::Invalid),
        };
        let user = UserId(user.parse().map_err(invalid)?);
        Ok(Self { user, purpose })
    }
}

/// The key that signs credentials.
#[derive(Clone)]
pub struct TurnSecret(hmac::Key);

/// User name and password of one [`RelayUser`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// `<expiry in seconds since 1970>:<user>/<call>`, with `/guest` for a guest, or `<expiry>:<user>/test`.
    pub username: String,
    /// HMAC-SHA1 of the user name, in Base64 (RFC 2104, RFC 4648).
    pub password: String,
}

/// Why a user name opens no relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialError {
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

    /// Issues a credential, valid for [`CREDENTIAL_TTL`] or [`TEST_CREDENTIAL_TTL`] from `now`.
    #[must_use]
    pub fn issue(&self, user: RelayUser, now: Millis) -> Credential {
        let ttl = match user.purpose {
            RelayPurpose::MemberCall(_) | RelayPurpose::GuestCall(_) => CREDENTIAL_TTL,
            RelayPurpose::Test => TEST_CREDENTIAL_TTL,
        };
        let expires = (now + ttl) / 1_000;
        let username = format!("{expires}:{user}");
        let password = self.password_for(&username);
        Credential { username, password }
    }

    pub(super) fn parse_username(
        &self,
        username: &str,
        now: Millis,
    ) -> Result<(RelayUser, String), CredentialError> {
        let (expires, user) = username.split_once(':').ok_or(CredentialError::Invalid)?;
        let expires: Millis = expires.parse().map_err(|_| CredentialError::Invalid)?;
        let user = user.parse()?;
        if expires.saturating_mul(1_000) < now {
            return Err(CredentialError::Expired);
        }
        Ok((user, self.password_for(username)))
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
    use uuid::Uuid;

    const NOW: Millis = 1_800_000_000_000;

    fn user(purpose: RelayPurpose) -> RelayUser {
        let user = UserId(Uuid::from_u128(1));
        RelayUser { user, purpose }
    }

    fn call() -> CallId {
        CallId(Uuid::from_u128(2))
    }

    fn issued() -> (TurnSecret, Credential) {
        let secret = TurnSecret::new("a secret");
        let credential = secret.issue(user(RelayPurpose::MemberCall(call())), NOW);
        (secret, credential)
    }

    #[test]
    fn a_credential_says_what_it_is_for() {
        let secret = TurnSecret::new("a secret");
        for (purpose, ttl) in [
            (RelayPurpose::MemberCall(call()), CREDENTIAL_TTL),
            (RelayPurpose::GuestCall(call()), CREDENTIAL_TTL),
            (RelayPurpose::Test, TEST_CREDENTIAL_TTL),
        ] {
            let credential = secret.issue(user(purpose), NOW);
            let parse = |now| secret.parse_username(&credential.username, now);
            let good = Ok((user(purpose), credential.password.clone()));
            assert_eq!(parse(NOW + ttl), good);
            assert_eq!(parse(NOW + ttl + 1_000), Err(CredentialError::Expired));
        }
    }

    #[test]
    fn a_credential_is_good_for_some_minutes() {
        let (secret, credential) = issued();
        let member = user(RelayPurpose::MemberCall(call()));
        let good = Ok((member, credential.password.clone()));
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
