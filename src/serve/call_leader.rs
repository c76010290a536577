//! Election of the call leader: the node that decides about calls for all nodes.
//!
//! A leader's lease ends with its connection to the store. The next leader takes over the open calls; media flow on
//! between browsers.

use super::Systems;
use crate::{
    calls::server::{CALL_LEADER, CALL_LEADER_LEASE, CallRequest},
    server::{bus::Bus, live::Connection, store::Lease},
};
use futures::StreamExt;
use std::{sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

const ELECTION_INTERVAL: Duration = Duration::from_millis(500);
const LEASE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
const GROUP_CALL_SYNC_INTERVAL: Duration = Duration::from_secs(5);

/// Leads whenever this node holds the lease; stores pending decisions before another node leads.
pub(super) async fn run(systems: Arc<Systems>, stop: CancellationToken) {
    match &systems.app.bus {
        Some(bus) => lead_when_elected(&systems, bus, &stop).await,
        None => stop.cancelled().await,
    }
    systems.calls.shut_down().await;
}

async fn lead_when_elected(systems: &Arc<Systems>, bus: &Bus, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match systems.app.store.acquire_lease(CALL_LEADER_LEASE).await {
            Ok(Some(lease)) => {
                lead(systems, bus, lease, stop).await;
                systems.calls.step_down();
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the call leader lease could not be acquired"),
        }
        tokio::select! {
            () = sleep(ELECTION_INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn lead(systems: &Arc<Systems>, bus: &Bus, mut lease: Lease, stop: &CancellationToken) {
    let mut requests = match bus.subscribe_as_leader(CALL_LEADER).await {
        Ok(questions) => questions,
        Err(error) => return tracing::error!(%error, "subscribing to call requests failed"),
    };
    if let Err(error) = systems.calls.become_leader().await {
        return tracing::error!(%error, "the open calls could not be read");
    }
    tracing::info!(node = %bus.node(), "this node is the call leader");
    let (mut check, mut tell) = (
        interval(LEASE_CHECK_INTERVAL),
        interval(GROUP_CALL_SYNC_INTERVAL),
    );
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            question = requests.next() => match question {
                // Clients do not wait for each other.
                Some(question) => systems.calls.spawn(handle_request(systems.clone(), bus.clone(), question)),
                None => return,
            },
            () = stop.cancelled() => {
                drop(requests);
                // The lease is still held, so the next leader reads everything.
                return systems.calls.shut_down().await;
            }
            _ = tell.tick() => systems.calls.publish_group_calls(),
            _ = check.tick() => {
                if !lease.is_held().await {
                    return tracing::warn!("the call leader lease was lost");
                }
            }
        }
    }
}

async fn handle_request(systems: Arc<Systems>, bus: Bus, request: async_nats::Message) {
    match serde_json::from_slice::<CallRequest>(&request.payload) {
        Ok(CallRequest {
            from,
            client,
            person,
            guest_of,
            call,
            action,
        }) => {
            if !systems.calls.is_leader() {
                // The caller retries and reaches the new leader.
                return;
            }
            // The client may have connected after this node's last update.
            let connection = systems.app.connections.find_remote_connection(from, client);
            let page = connection.unwrap_or_else(|| {
                let page = Connection::remote(client, person, true, from, bus.clone());
                Arc::new(page.as_guest_of(guest_of))
            });
            systems.calls.handle_action(&page, call, action).await;
        }
        Err(why) => tracing::warn!(%why, "invalid call request from another node"),
    }
    bus.acknowledge(request).await;
}
