//! Compares open connections with their sessions in the store, which may have changed past this process, or by its own change whose answer
//! was lost.

use super::Systems;
use crate::{
    protocol::close::CloseCode,
    server::{AppState, live::Connection, session},
};
use futures::{StreamExt, stream};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// While the store cannot be read.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
const MAX_CONCURRENT_CHECKS: usize = 128;

/// Checks periodically, and when [`Systems::session_check`] is notified.
pub(super) async fn run(systems: Arc<Systems>) {
    let app = &systems.app;
    // Changes before the first connection matter to nobody.
    let mut known = app.store.find_session_change().await.ok();
    let mut is_due = false;
    loop {
        let wait = if is_due {
            RETRY_INTERVAL
        } else {
            POLL_INTERVAL
        };
        tokio::select! {
            biased;
            () = systems.session_check.notified() => is_due = true,
            () = sleep(wait) => {}
        }
        match app.store.find_session_change().await {
            Ok(latest) => {
                is_due |= known.replace(latest.clone()) != Some(latest);
            }
            Err(error) => tracing::warn!(%error, "changes of sessions could not be read"),
        }
        if is_due {
            is_due = !check_sessions(app).await;
        }
    }
}

/// Closes connections of changed or ended sessions. False if some could not be read.
async fn check_sessions(app: &AppState) -> bool {
    let check = |connection: Arc<Connection>| async move {
        match session::revalidate(app, &connection).await {
            Ok(Some((person, _))) if person == connection.person => {}
            Ok(Some(_)) => connection.close(CloseCode::GoingAway),
            Ok(None) => connection.close(CloseCode::SignedOut),
            Err(error) => {
                tracing::warn!(%error, "a session could not be read");
                return false;
            }
        }
        true
    };
    let connections = stream::iter(app.connections.local_connections());
    let checked = connections
        .map(check)
        .buffer_unordered(MAX_CONCURRENT_CHECKS);
    checked
        .fold(true, |all, is_checked| async move { all && is_checked })
        .await
}
