//! `rialto user role`: changes a role, and has the servers reconnect the user's pages.

use crate::{
    model::{
        UserId,
        user::{Person, Role, UserName},
    },
    protocol::failure::Failure,
    server::{
        AppState, Error, Result,
        control::{self, ControlFile},
        store::Store,
    },
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc, time::Duration};

const RECONNECT_PATH: &str = "/api/v1/users/reconnect";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize, Deserialize)]
struct ReconnectRequest {
    user: UserId,
}

/// Route for the command line of the server's machine.
pub fn router() -> Router<Arc<AppState>> {
    Router::new().route(RECONNECT_PATH, post(reconnect_user))
}

/// Requires the control token.
async fn reconnect_user(
    State(app): State<Arc<AppState>>,
    headers: HeaderMap,
    Json(request): Json<ReconnectRequest>,
) -> Result<StatusCode> {
    if !control::is_authorized(&app.control_token, &headers) {
        let reason = "Only \"rialto user role\" on this machine may request this.".to_owned();
        return Err(Failure::NotAllowed { reason }.into());
    }
    app.connections.reconnect_user(request.user);
    Ok(StatusCode::NO_CONTENT)
}

/// Changes a role. The user's pages reconnect: at once on a server of this data folder, elsewhere within ten seconds.
///
/// # Errors
/// A message, when the role was not changed or the running server did not respond.
pub async fn change_role(
    store: &Store,
    data: &Path,
    name: &UserName,
    role: Role,
) -> Result<Person, String> {
    let in_words = |error: Error| error.to_string();
    let account = store.find_account(name).await.map_err(in_words)?;
    let account = account.ok_or_else(|| format!("there is no user {name}"))?;
    let user = account.person.id;
    store.update_role(user, role).await.map_err(in_words)?;
    if let Some(control) = control::read(data).await? {
        request_reconnect(&control, user).await.map_err(|why| {
            let address = &control.base_url;
            format!(
                "the role was changed, but open pages show it only after they reconnect: the server at {address} {why}"
            )
        })?;
    }
    Ok(Person {
        role,
        ..account.person
    })
}

async fn request_reconnect(control: &ControlFile, user: UserId) -> Result<(), String> {
    // On this machine: no proxy from the environment.
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(REQUEST_TIMEOUT)
        .build()
        .map_err(|why| why.to_string())?;
    let answer = client
        .post(format!("{}{RECONNECT_PATH}", control.base_url))
        .bearer_auth(&control.token)
        .json(&ReconnectRequest { user })
        .send()
        .await;
    match answer {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("rejected the request ({})", answer.status())),
        // Without a running server there are no pages.
        Err(why) if why.is_connect() => Ok(()),
        Err(why) => Err(format!("did not respond: {why}")),
    }
}
