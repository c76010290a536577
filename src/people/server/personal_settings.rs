//! Blocks, and the choices about calls.

use crate::{
    model::{
        UserId,
        limits::MAX_BLOCKED_PEOPLE,
        user::{CallsFrom, Person, PersonalSettings},
    },
    protocol::{failure::Failure, ws::ServerFrame},
    server::{AppState, Result, clock, session::personal_settings},
};

/// Blocks a person: their calls no longer ring, and neither can write to the other alone. Nobody tells them.
///
/// # Errors
///
/// [`Failure::Invalid`] for the own id or too many blocks, [`Failure::NotFound`] for an unknown id.
pub async fn block(app: &AppState, user: UserId, other: UserId) -> Result<()> {
    if user == other {
        return Err(Failure::invalid("You cannot block yourself.").into());
    }
    let known = app.store.find_user(other).await?;
    known.ok_or_else(|| Failure::not_found("That person"))?;
    if !app.store.create_block(user, other, clock::now()).await? {
        return Err(Failure::invalid(format!(
            "You have blocked {MAX_BLOCKED_PEOPLE} people, which is the most. Unblock somebody in the settings first."
        ))
        .into());
    }
    publish_settings(app, user).await
}

/// Ends a block.
///
/// # Errors
///
/// When the store fails.
pub async fn unblock(app: &AppState, user: UserId, other: UserId) -> Result<()> {
    app.store.delete_block(user, other).await?;
    publish_settings(app, user).await
}

/// The people whom a user has blocked, by name.
///
/// # Errors
///
/// When the store fails.
pub async fn list_blocked_people(app: &AppState, user: UserId) -> Result<Vec<Person>> {
    app.store.list_blocked_people(user).await
}

/// Sets who may call a user, and whether the user's own calls use only the relay.
///
/// # Errors
///
/// [`Failure::Invalid`] for an unknown value, or if the site has no relay.
pub async fn set_call_settings(
    app: &AppState,
    user: UserId,
    calls_from: &str,
    relay_only: bool,
) -> Result<()> {
    let calls_from: CallsFrom = calls_from.parse().map_err(Failure::invalid)?;
    if relay_only && !app.has_relay() {
        let reason = "This site has no relay, so calls have to be direct. Ask whoever runs it to set one up.";
        return Err(Failure::invalid(reason).into());
    }
    app.store
        .update_call_settings(user, calls_from, relay_only)
        .await?;
    publish_settings(app, user).await
}

/// To all pages of the user.
async fn publish_settings(app: &AppState, user: UserId) -> Result<()> {
    let settings = find_settings(app, user).await?;
    app.connections
        .send_to_user(user, &ServerFrame::Settings { settings });
    Ok(())
}

async fn find_settings(app: &AppState, user: UserId) -> Result<PersonalSettings> {
    Ok(personal_settings(app, app.store.find_settings(user).await?))
}
