//! The operations behind the server functions.

mod personal_settings;

pub use personal_settings::{block, list_blocked_people, set_call_settings, unblock};

use super::api::types::{AdminOverview, TokenSummary, password_exists};
use crate::{
    model::{
        RoomId, TokenId, UserId, limits,
        user::{Person, Role, UserName},
    },
    protocol::failure::Failure,
    server::{
        AppState, Error, Result, clock, known_device, password, random,
        rate_limit::{Bound, Charge, Key},
        session::{self, SignedInUser},
        store::{Account, Stream, Tx},
    },
};
use axum::http::{HeaderName, HeaderValue, header};
use axum_extra::extract::cookie::{Cookie, SameSite};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use std::sync::Arc;

const ADMIN_CLAIM_PURPOSE: &str = "claim-admin";
/// The theme cookie.
pub const THEME_COOKIE: &str = "rialto_theme";
/// The length of a UUID.
const MIN_FORM_SECRET_CHARS: usize = 36;
const NAME_TAKEN_MESSAGE: &str = "That name is taken, or looks like one that is. Choose another; if it is yours, sign in with its password.";
const WRONG_PASSWORD_MESSAGE: &str = "Wrong name or password.";

/// Creates a guest in every public room, and returns the session's `Set-Cookie` value.
///
/// The session token is derived from the form's secret `request`, because a browser that submits twice discards the first cookie. It is
/// random if `request` is too short.
///
/// # Errors
///
/// [`Failure::Invalid`] for an invalid or taken name.
pub async fn create_guest(app: &AppState, name: &str, request: &str) -> Result<HeaderValue> {
    let token = if request.len() < MIN_FORM_SECRET_CHARS {
        random::new_token()
    } else {
        random::sha256_hex(request)
    };
    let mut tx = app.store.begin().await?;
    let made = match create_user(app, &mut tx, name, Role::Guest, None).await {
        Ok(guest) => session::create(app, &mut tx, guest.id, &token).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(()) => tx.commit().await?,
        Err(error) => {
            // The first of two submissions has created the session.
            match error {
                Error::User(_) => tx.rollback().await?,
                _ => drop(tx),
            }
            let earlier = app
                .store
                .find_session(&random::sha256_hex(&token), clock::now())
                .await?;
            let is_theirs = UserName::new(name)
                .is_ok_and(|name| earlier.is_some_and(|earlier| earlier.person.name == name));
            if !is_theirs {
                return Err(error);
            }
        }
    }
    Ok(session::session_cookie(app, token))
}

/// Creates the administrator's account from a one-time link.
///
/// # Errors
///
/// [`Failure::NotAllowed`] for a used or replaced link, [`Failure::Invalid`] for an invalid name or password.
pub async fn create_admin(
    app: &AppState,
    claim: &str,
    name: &str,
    password: String,
) -> Result<Person> {
    check_strength(&password)?;
    let claim = random::sha256_hex(claim);
    let used = || {
        Failure::NotAllowed {
        reason: "This link was already used or replaced by a newer one. If there is no administrator yet, restart the server to \
                 get a new link."
            .to_owned(),
    }
    };
    if !app.store.has_secret(ADMIN_CLAIM_PURPOSE, &claim).await? {
        return Err(used().into());
    }
    let hash = password::hash(password).await?;
    let mut tx = app.store.begin().await?;
    let admin = create_user(app, &mut tx, name, Role::Member, Some(&hash)).await?;
    let is_admin = app
        .store
        .claim_admin(&mut tx, ADMIN_CLAIM_PURPOSE, &claim, admin.id)
        .await?;
    tx.commit().await?;
    // Of concurrent claims, only one succeeds; the others create members.
    if !is_admin {
        return Err(used().into());
    }
    Ok(Person {
        role: Role::Admin,
        ..admin
    })
}

async fn create_user(
    app: &AppState,
    tx: &mut Tx,
    name: &str,
    role: Role,
    password_hash: Option<&str>,
) -> Result<Person> {
    let name = UserName::new(name).map_err(Failure::invalid)?;
    let person = Person {
        id: UserId(random::new_id()),
        name,
        role,
    };
    let now = clock::now();
    if !app
        .store
        .create_user(tx, &person, password_hash, now)
        .await?
    {
        return Err(Failure::invalid(NAME_TAKEN_MESSAGE).into());
    }
    app.store.join_public_rooms(tx, person.id, now).await?;
    Ok(person)
}

/// The user with this name and password.
///
/// # Errors
///
/// [`Failure::Invalid`]; it does not reveal which is wrong. [`Failure::RateLimited`] after too many wrong ones.
pub async fn check_password(app: &AppState, name: &str, password: String) -> Result<Person> {
    // An account may be older than a rule for names.
    let name = UserName::new(name).unwrap_or_else(|_| UserName::from_stored(name.to_owned()));
    let account = app.store.find_account(&name).await?;
    let device = match &account {
        Some(account) => known_device::find(app, account.person.id).await?,
        None => None,
    };
    let charges = password_charges(&name, device.as_deref())?;
    app.limits.take(charges.clone()).map_err(Failure::from)?;
    let person = verify_account(account, password).await?;
    app.limits.give_back(charges);
    Ok(person)
}

/// Only guesses in unknown browsers count for the account as a whole: they do not lock its owner out of known ones.
fn password_charges(name: &UserName, device: Option<&str>) -> Result<Vec<Charge>, Failure> {
    let Some(device) = device else {
        let at_address = Key::account_at(name, session::client_address()?);
        return Ok(vec![
            Charge::new(Bound::Passwords, at_address),
            Charge::new(Bound::AccountPasswords, Key::account(name)),
        ]);
    };
    Ok(vec![Charge::new(Bound::Passwords, Key::device(device))])
}

async fn verify_account(account: Option<Account>, password: String) -> Result<Person> {
    let hash = account
        .as_ref()
        .and_then(|account| account.password_hash.clone());
    let fits =
        password.len() <= limits::MAX_PASSWORD_BYTES && password::verify(password, hash).await?;
    match account {
        Some(account) if fits => Ok(account.person),
        Some(_) | None => Err(Failure::invalid(WRONG_PASSWORD_MESSAGE).into()),
    }
}

/// Opens a session for who knows the password, sets its cookie and redirects to `next`. The account knows this browser from now on.
///
/// # Errors
///
/// When the store fails.
pub async fn start_session(app: &AppState, user: UserId, next: &str) -> Result<(), Failure> {
    let cookie = session::open(app, user).await?;
    known_device::remember(app, user).await?;
    redirect_with_session(cookie, next);
    Ok(())
}

/// Sets a session's cookie and redirects to `next`.
pub fn redirect_with_session(cookie: HeaderValue, next: &str) {
    session::add_header(header::SET_COOKIE, cookie);
    leptos_axum::redirect(&local_path(next));
}

/// Ends the session, clears its cookie and redirects.
///
/// # Errors
///
/// When the store fails.
pub async fn end_session(app: &AppState) -> Result<(), Failure> {
    if let Some(signed) = session::current_user() {
        let cookie = session::close(app, &signed).await?;
        session::add_header(header::SET_COOKIE, cookie);
        // Files of the account are cached for a year (W3C Clear Site Data). Drafts stay for their author, under their id.
        let cached = HeaderValue::from_static(r#""cache""#);
        session::add_header(HeaderName::from_static("clear-site-data"), cached);
    }
    leptos_axum::redirect("/");
    Ok(())
}

/// `/` unless `next` is a path on this site, against open redirects; percent-encoded for a header (RFC 9110).
pub(crate) fn local_path(next: &str) -> String {
    let local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(['\\', '\n', '\r', '\t']);
    if local {
        utf8_percent_encode(next, CONTROLS).to_string()
    } else {
        "/".to_owned()
    }
}

/// Changes a user's display name.
///
/// # Errors
///
/// [`Failure::Invalid`] for an invalid or taken name.
pub async fn change_name(app: &AppState, user: UserId, name: &str) -> Result<()> {
    let name = UserName::new(name).map_err(Failure::invalid)?;
    if app.store.update_name(user, &name).await? {
        app.connections.reconnect_user(user);
        Ok(())
    } else {
        Err(Failure::invalid(NAME_TAKEN_MESSAGE).into())
    }
}

/// Sets a password and ends the user's other sessions and connections.
///
/// # Errors
///
/// [`password_exists`] without a current password, [`Failure::Invalid`] for a wrong current or an invalid new one.
pub async fn set_password(
    app: &AppState,
    signed: &SignedInUser,
    current: String,
    new: String,
) -> Result<()> {
    check_strength(&new)?;
    let known = app.store.find_password_hash(signed.person.id).await?;
    if let Some(hash) = &known {
        if current.is_empty() {
            return Err(password_exists().into());
        }
        if !password::verify(current, Some(hash.clone())).await? {
            return Err(wrong_password().into());
        }
    }
    let hash = password::hash(new).await?;
    let updated = app
        .store
        .update_password(
            signed.person.id,
            known.as_deref(),
            &hash,
            &signed.token_hash,
        )
        .await?;
    if !updated {
        return Err(known
            .map_or_else(password_exists, |_| wrong_password())
            .into());
    }
    app.connections
        .close_other_sessions(signed.person.id, &signed.token_hash);
    known_device::remember(app, signed.person.id).await
}

fn wrong_password() -> Failure {
    Failure::invalid("The current password is wrong.")
}

fn check_strength(password: &str) -> Result<(), Failure> {
    if password.chars().count() < limits::MIN_PASSWORD_CHARS {
        return Err(Failure::invalid(format!(
            "A password needs at least {} characters.",
            limits::MIN_PASSWORD_CHARS
        )));
    }
    if password.len() > limits::MAX_PASSWORD_BYTES {
        return Err(Failure::invalid(format!(
            "A password can be at most {} bytes long.",
            limits::MAX_PASSWORD_BYTES
        )));
    }
    Ok(())
}

/// Stores the theme in a cookie.
///
/// # Errors
///
/// [`Failure::Invalid`] for an unknown theme.
pub fn set_theme(app: &AppState, theme: &str) -> Result<(), Failure> {
    if !["system", "light", "dark"].contains(&theme) {
        return Err(Failure::invalid(
            "A theme is \"system\", \"light\" or \"dark\".",
        ));
    }
    let cookie = Cookie::build((THEME_COOKIE, theme.to_owned()))
        .path("/")
        .same_site(SameSite::Lax)
        .secure(app.config.is_https())
        .http_only(true)
        .max_age(time::Duration::days(365))
        .build();
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        session::add_header(header::SET_COOKIE, value);
    }
    Ok(())
}

/// The server's state and the administrator.
///
/// # Errors
///
/// [`Failure::NotSignedIn`] or [`Failure::NotAllowed`].
pub fn signed_in_admin() -> Result<(Arc<AppState>, Person), Failure> {
    let (app, signed) = session::signed_in()?;
    if signed.person.role == Role::Admin {
        Ok((app, signed.person))
    } else {
        Err(Failure::NotAllowed {
            reason: "Only administrators can do that.".to_owned(),
        })
    }
}

/// The newest 200 users and all tokens.
///
/// # Errors
///
/// When the store fails.
pub async fn find_admin_overview(app: &AppState) -> Result<AdminOverview> {
    let tokens = app.store.list_tokens().await?;
    let tokens = tokens.into_iter().map(|token| TokenSummary {
        id: token.id,
        name: token.name,
        used_at: token.used_at,
        is_revoked: token.revoked_at.is_some(),
    });
    Ok(AdminOverview {
        people: app.store.list_users(200).await?,
        tokens: tokens.collect(),
    })
}

/// Changes another user's role. Administrators keep their own, so that one remains.
///
/// # Errors
///
/// [`Failure::Invalid`] for the own or an unknown role, [`Failure::NotFound`] for an unknown user.
pub async fn set_role(app: &AppState, admin: &Person, user: UserId, role: &str) -> Result<()> {
    if admin.id == user {
        return Err(Failure::invalid(
            "You cannot change your own role. Ask another administrator.",
        )
        .into());
    }
    let role: Role = role.parse().map_err(Failure::invalid)?;
    if app.store.update_role(user, role).await? {
        app.connections.reconnect_user(user);
        Ok(())
    } else {
        Err(Failure::not_found("That person").into())
    }
}

/// Revokes a publishing token.
///
/// # Errors
///
/// [`Failure::NotFound`] for an unknown or revoked token.
pub async fn revoke_token(app: &AppState, token: TokenId) -> Result<()> {
    if app.store.revoke_token(token, clock::now()).await? {
        Ok(())
    } else {
        Err(Failure::not_found("That token").into())
    }
}

/// Creates a publishing token and returns its secret.
///
/// # Errors
///
/// [`Failure::Invalid`] for an invalid name.
pub async fn create_token(store: &crate::server::store::Store, name: &str) -> Result<String> {
    let name = UserName::new(name).map_err(Failure::invalid)?;
    let token = random::new_token();
    store
        .create_token(
            TokenId(random::new_id()),
            name.as_str(),
            &random::sha256_hex(&token),
            clock::now(),
        )
        .await?;
    Ok(token)
}

/// Creates missing streams, the room General and what names look like, and deletes expired sessions.
///
/// # Errors
///
/// When the store fails.
pub async fn seed_store(app: &AppState) -> Result<()> {
    let mut tx = app.store.begin().await?;
    for stream in [Stream::News, Stream::Memberships] {
        app.store.create_stream(&mut tx, stream).await?;
    }
    tx.commit().await?;
    // Memberships are read from here on.
    app.event_log.position(Stream::Memberships).await?;
    let name = crate::model::room::RoomName::new("General").map_err(Error::corrupt)?;
    let id = RoomId(random::new_id());
    app.event_log
        .create_room(id, "general".to_owned(), name, clock::now())
        .await?;
    app.store.create_missing_skeletons().await?;
    app.store.delete_expired_sessions(clock::now()).await
}

/// Replaces the one-time administrator link; `None` if there is an administrator.
///
/// # Errors
///
/// When the store fails.
pub async fn create_admin_claim_path(app: &AppState) -> Result<Option<String>> {
    if app.store.has_admin().await? {
        return Ok(None);
    }
    let token = random::new_token();
    app.store
        .replace_secret(
            ADMIN_CLAIM_PURPOSE,
            &random::sha256_hex(&token),
            clock::now(),
        )
        .await?;
    Ok(Some(format!("/signin?claim={token}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::user::PersonalSettings,
        server::{config::Config, store::testing::TestStorage},
    };
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        config: Config,
    }

    #[tokio::test]
    async fn who_changed_their_name_meanwhile_still_needs_the_current_password() {
        let storage = TestStorage::new();
        let given = std::iter::once("rialto".to_owned()).chain(storage.arguments());
        let config = Arguments::parse_from(given).config;
        let (app, _) = AppState::new(config, "test".into()).await.unwrap();
        let person = Person {
            id: UserId(random::new_id()),
            name: UserName::new("Ada").unwrap(),
            role: Role::Guest,
        };
        let mut tx = app.store.begin().await.unwrap();
        let made = app.store.create_user(&mut tx, &person, None, 0).await;
        assert!(made.unwrap());
        tx.commit().await.unwrap();
        let signed = SignedInUser {
            person,
            has_password: false,
            settings: PersonalSettings::default(),
            token_hash: "session".to_owned(),
        };
        let set = async |current: &str, new: &str| {
            set_password(&app, &signed, current.to_owned(), new.to_owned()).await
        };
        set("", "three thousand ducats").await.unwrap();
        let name = UserName::new("Beatrice").unwrap();
        assert!(
            app.store
                .update_name(signed.person.id, &name)
                .await
                .unwrap()
        );
        assert!(set("", "four thousand ducats").await.is_err());
        assert!(set("a guess", "four thousand ducats").await.is_err());
        set("three thousand ducats", "four thousand ducats")
            .await
            .unwrap();
    }

    #[test]
    fn next_never_leads_to_another_site() {
        assert_eq!(local_path("/chat/general?a=b"), "/chat/general?a=b");
        assert_eq!(local_path("/chat/ä\u{1}"), "/chat/%C3%A4%01");
        for elsewhere in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "evil",
            "",
            "/\t/evil.example",
        ] {
            assert_eq!(local_path(elsewhere), "/", "{elsewhere}");
        }
    }
}
