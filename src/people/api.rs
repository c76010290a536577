//! Server functions for user set-up. Every one is a plain form's target too: it redirects when it is done.

#[cfg(feature = "ssr")]
use super::server as people;
use crate::{
    model::{TokenId, UserId, finding::Finding, user::Person},
    protocol::failure::Failure,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// Makes a guest with this name and a session, then goes to `next`. `request` is a secret that makes a form sent twice harmless.
///
/// # Errors
/// [`Failure::Invalid`] when the name breaks a rule or is taken, [`Failure::TooFast`] after too many tries.
#[server(prefix = "/fn", endpoint = "pick-name")]
pub async fn pick_name(
    name: String,
    next: String,
    #[server(default)] request: String,
) -> Result<(), Failure> {
    let app = crate::server::session::use_app()?;
    people::check_sign_in_rate(&app)?;
    let cookie = people::create_guest(&app, &name, &request).await?;
    people::redirect_with_session(cookie, &next);
    Ok(())
}

/// Opens a session for an account, then goes to `next`.
///
/// # Errors
/// [`Failure::Invalid`] when name and password do not fit, [`Failure::TooFast`] after too many tries.
#[server(prefix = "/fn", endpoint = "sign-in")]
pub async fn sign_in(name: String, password: String, next: String) -> Result<(), Failure> {
    let app = crate::server::session::use_app()?;
    people::check_sign_in_rate(&app)?;
    let person = people::check_password(&app, &name, password).await?;
    people::start_session(&app, person.id, &next).await
}

/// Makes the administrator's account, once, for whoever holds the one-time link.
///
/// # Errors
/// [`Failure::NotAllowed`] when the link was used before, [`Failure::Invalid`] when name or password break a rule.
#[server(prefix = "/fn", endpoint = "claim-admin")]
pub async fn claim_admin(claim: String, name: String, password: String) -> Result<(), Failure> {
    let app = crate::server::session::use_app()?;
    people::check_sign_in_rate(&app)?;
    let admin = people::create_admin(&app, &claim, &name, password).await?;
    people::start_session(&app, admin.id, "/").await
}

/// Ends the session, then goes to the front page.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "sign-out")]
pub async fn sign_out() -> Result<(), Failure> {
    people::end_session(&*crate::server::session::use_app()?).await
}

/// Changes the shown name.
///
/// # Errors
/// [`Failure::Invalid`] when the name breaks a rule or is taken.
#[server(prefix = "/fn", endpoint = "rename")]
pub async fn change_name(name: String) -> Result<(), Failure> {
    let (app, signed) = (
        crate::server::session::use_app()?,
        crate::server::session::require_user()?,
    );
    people::change_name(&app, signed.person.id, &name).await?;
    leptos_axum::redirect("/settings?done=name");
    Ok(())
}

/// Sets a password; a guest becomes a member. `current` is needed when there is one already.
///
/// # Errors
/// [`Failure::Invalid`] when the current password does not fit or the new one breaks a rule.
#[server(prefix = "/fn", endpoint = "set-password")]
pub async fn set_password(
    #[server(default)] current: String,
    password: String,
) -> Result<(), Failure> {
    let (app, signed) = (
        crate::server::session::use_app()?,
        crate::server::session::require_user()?,
    );
    people::check_sign_in_rate(&app)?;
    people::set_password(&app, &signed, current, password).await?;
    leptos_axum::redirect("/settings?done=password");
    Ok(())
}

/// Chooses light, dark or what the system says, for this browser.
///
/// # Errors
/// [`Failure::Invalid`] for any other word.
#[server(prefix = "/fn", endpoint = "set-theme")]
pub async fn set_theme(theme: String) -> Result<(), Failure> {
    people::set_theme(&*crate::server::session::use_app()?, &theme)?;
    leptos_axum::redirect("/settings?done=theme");
    Ok(())
}

/// A publishing token as the administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSummary {
    /// Which.
    pub id: TokenId,
    /// What its maker called it.
    pub name: String,
    /// When it was last used.
    pub used_at: Option<crate::model::Millis>,
    /// Whether it can be used no more.
    #[serde(rename = "revoked")]
    pub is_revoked: bool,
}

/// What the administrator's page shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminOverview {
    /// The most recent first.
    pub people: Vec<Person>,
    /// The most recent first.
    pub tokens: Vec<TokenSummary>,
}

/// Everybody and every token.
///
/// # Errors
/// [`Failure::NotAllowed`] for everybody but administrators.
#[server(name = FindAdminOverview, prefix = "/fn", endpoint = "administration")]
pub async fn find_admin_overview() -> Result<AdminOverview, Failure> {
    let app = crate::server::session::use_app()?;
    people::require_admin()?;
    Ok(people::find_admin_overview(&app).await?)
}

/// Looks whether calls can connect through this server. Takes some seconds where something does not answer.
///
/// # Errors
/// [`Failure::NotAllowed`] for everybody but administrators.
#[server(prefix = "/fn", endpoint = "examine-server")]
pub async fn examine_server() -> Result<Vec<Finding>, Failure> {
    let app = crate::server::session::use_app()?;
    people::require_admin()?;
    Ok(crate::server::doctor::run_checks(&app).await)
}

/// Changes what somebody may do.
///
/// # Errors
/// [`Failure::NotAllowed`] for everybody but administrators; [`Failure::Invalid`] when nobody would be left to administer.
#[server(prefix = "/fn", endpoint = "set-role")]
pub async fn set_role(user: UserId, role: String) -> Result<(), Failure> {
    let app = crate::server::session::use_app()?;
    let admin = people::require_admin()?;
    people::set_role(&app, &admin, user, &role).await?;
    leptos_axum::redirect("/admin?done=role");
    Ok(())
}

/// Ends a publishing token.
///
/// # Errors
/// [`Failure::NotAllowed`] for everybody but administrators.
#[server(prefix = "/fn", endpoint = "revoke-token")]
pub async fn revoke_token(token: TokenId) -> Result<(), Failure> {
    let app = crate::server::session::use_app()?;
    people::require_admin()?;
    people::revoke_token(&app, token).await?;
    leptos_axum::redirect("/admin?done=token");
    Ok(())
}
