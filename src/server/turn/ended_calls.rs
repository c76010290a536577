//! Closes relays whose call has ended: their client could refresh them for as long as it likes.

use super::hub::Hub;
use crate::server::store::Store;
use std::{sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;

const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Never returns. Relays stay open while the store does not answer, because their calls go on.
pub(super) async fn run(hub: Arc<Hub>, store: Store) {
    let mut checks = tokio::time::interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        checks.tick().await;
        for call in hub.relayed_calls() {
            match store.has_call_ended(call).await {
                Ok(true) => hub.close_relays_of(call),
                Ok(false) => {}
                Err(why) => {
                    tracing::debug!(%why, "the calls of relays cannot be looked up");
                    break;
                }
            }
        }
    }
}
