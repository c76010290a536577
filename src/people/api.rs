//! Server functions for accounts and administration. A plain form is redirected when done.

pub(super) mod types;

pub use types::{AdminOverview, TokenSummary, password_exists};

#[cfg(feature = "ssr")]
use super::server as people;
#[cfg(feature = "ssr")]
use crate::server::{
    plain_form::redirect_plain_form,
    session::{signed_in, use_app},
};
use crate::{
    model::{TokenId, UserId, finding::Finding, user::Person},
    protocol::failure::Failure,
};
use leptos::prelude::*;
use server_fn::codec::GetUrl;

/// Creates a guest and a session. The secret `request` makes submitting twice harmless.
///
/// # Errors
///
/// [`Failure::Invalid`] for an invalid or taken name, [`Failure::RateLimited`].
#[server(endpoint = "pick-name")]
pub async fn pick_name(
    name: String,
    next: String,
    #[server(default)] request: String,
) -> Result<(), Failure> {
    let app = use_app()?;
    let cookie = people::create_guest(&app, &name, &request).await?;
    people::redirect_with_session(cookie, &next);
    Ok(())
}

/// Opens a session for an account.
///
/// # Errors
///
/// [`Failure::Invalid`] for a wrong name or password, [`Failure::RateLimited`].
#[server(endpoint = "sign-in")]
pub async fn sign_in(name: String, password: String, next: String) -> Result<(), Failure> {
    let app = use_app()?;
    let person = people::check_password(&app, &name, password).await?;
    people::start_session(&app, person.id, &next).await
}

/// Creates the administrator's account from a one-time link.
///
/// # Errors
///
/// [`Failure::NotAllowed`] for a used or replaced link, [`Failure::Invalid`] for an invalid name or password,
/// [`Failure::RateLimited`].
#[server(endpoint = "claim-admin")]
pub async fn claim_admin(claim: String, name: String, password: String) -> Result<(), Failure> {
    let app = use_app()?;
    let admin = people::create_admin(&app, &claim, &name, password).await?;
    people::start_session(&app, admin.id, "/").await
}

/// Ends the session.
///
/// # Errors
///
/// [`Failure::Unavailable`] when the store fails.
#[server(endpoint = "sign-out")]
pub async fn sign_out() -> Result<(), Failure> {
    let app = use_app()?;
    people::end_session(&app).await
}

/// Changes the display name.
///
/// # Errors
///
/// [`Failure::Invalid`] for an invalid or taken name.
#[server(endpoint = "rename")]
pub async fn change_name(name: String) -> Result<(), Failure> {
    let (app, signed) = signed_in()?;
    people::change_name(&app, signed.person.id, &name).await?;
    redirect_plain_form("/settings?done=name");
    Ok(())
}

/// Sets the user's password; a guest becomes a member. `current` is required if there is one.
///
/// # Errors
///
/// [`password_exists`] without a current password, [`Failure::Invalid`] for a wrong current or an invalid new one,
/// [`Failure::RateLimited`].
#[server(endpoint = "set-password")]
pub async fn set_password(
    #[server(default)] current: String,
    password: String,
) -> Result<(), Failure> {
    let (app, signed) = signed_in()?;
    people::set_password(&app, &signed, current, password).await?;
    redirect_plain_form("/settings?done=password");
    Ok(())
}

/// Sets this browser's theme: `light`, `dark` or `system`.
///
/// # Errors
///
/// [`Failure::Invalid`] for any other value.
#[server(endpoint = "set-theme")]
pub async fn set_theme(theme: String) -> Result<(), Failure> {
    let app = use_app()?;
    people::set_theme(&app, &theme)?;
    redirect_plain_form("/settings?done=theme");
    Ok(())
}

/// Sets who may call the user, `everyone`, `members`, `contacts` or `nobody`, and whether their calls use only the relay.
///
/// # Errors
///
/// [`Failure::Invalid`] for any other value, or if the site has no relay.
#[server(endpoint = "set-call-settings")]
pub async fn set_call_settings(
    calls_from: String,
    #[server(default)] relay_only: bool,
) -> Result<(), Failure> {
    let (app, signed) = signed_in()?;
    people::set_call_settings(&app, signed.person.id, &calls_from, relay_only).await?;
    redirect_plain_form("/settings?done=calls");
    Ok(())
}

/// The people whom the user has blocked, by name.
///
/// # Errors
///
/// [`Failure::NotSignedIn`].
#[server(endpoint = "blocked-people", input = GetUrl)]
pub async fn list_blocked_people() -> Result<Vec<Person>, Failure> {
    let (app, signed) = signed_in()?;
    Ok(people::list_blocked_people(&app, signed.person.id).await?)
}

/// Blocks a person.
///
/// # Errors
///
/// [`Failure::Invalid`] for the user's own id or after too many blocks, [`Failure::NotFound`] for an unknown id.
#[server(endpoint = "block")]
pub async fn block_person(person: UserId) -> Result<(), Failure> {
    let (app, signed) = signed_in()?;
    people::block(&app, signed.person.id, person).await?;
    redirect_plain_form("/settings?done=block#blocked");
    Ok(())
}

/// Ends a block.
///
/// # Errors
///
/// [`Failure::NotSignedIn`].
#[server(endpoint = "unblock")]
pub async fn unblock_person(person: UserId) -> Result<(), Failure> {
    let (app, signed) = signed_in()?;
    people::unblock(&app, signed.person.id, person).await?;
    redirect_plain_form("/settings?done=unblock#blocked");
    Ok(())
}

/// The users and the publishing tokens.
///
/// # Errors
///
/// [`Failure::NotAllowed`] for non-administrators.
#[server(endpoint = "administration", input = GetUrl)]
pub async fn find_admin_overview() -> Result<AdminOverview, Failure> {
    let (app, _) = people::signed_in_admin()?;
    Ok(people::find_admin_overview(&app).await?)
}

/// Checks whether calls can connect; may take seconds. A `POST`, because it sends packets.
///
/// # Errors
///
/// [`Failure::NotAllowed`] for non-administrators.
#[server(endpoint = "examine-server")]
pub async fn examine_server() -> Result<Vec<Finding>, Failure> {
    let (app, _) = people::signed_in_admin()?;
    Ok(crate::server::doctor::run_checks(&app).await)
}

/// Changes a user's role.
///
/// # Errors
///
/// [`Failure::NotAllowed`] for non-administrators, [`Failure::Invalid`] for their own or an unknown role,
/// [`Failure::NotFound`] for an unknown user.
#[server(endpoint = "set-role")]
pub async fn set_role(user: UserId, role: String) -> Result<(), Failure> {
    let (app, admin) = people::signed_in_admin()?;
    people::set_role(&app, &admin, user, &role).await?;
    redirect_plain_form("/admin?done=role");
    Ok(())
}

/// Revokes a publishing token.
///
/// # Errors
///
/// [`Failure::NotAllowed`] for non-administrators, [`Failure::NotFound`] for an unknown or revoked token.
#[server(endpoint = "revoke-token")]
pub async fn revoke_token(token: TokenId) -> Result<(), Failure> {
    let (app, _) = people::signed_in_admin()?;
    people::revoke_token(&app, token).await?;
    redirect_plain_form("/admin?done=token");
    Ok(())
}
