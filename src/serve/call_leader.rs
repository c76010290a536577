//! Election of the call leader, which decides about calls for all nodes.
//!
//! The lease elects it for a term. A leader cut off from the bus hands over to a connected node, or leads on while there is none. The next
//! leader takes over the open calls; media flow on.

use super::Systems;
use crate::{
    calls::server::{CALL_LEADER, CALL_LEADER_LEASE, CallRequest, LeaderTerm},
    server::{
        bus::{Bus, Incoming, Subscription},
        live::Connection,
        store::{Connectivity, Lease, Renewal},
    },
};
use futures::StreamExt;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const ELECTION_INTERVAL: Duration = Duration::from_millis(500);
/// A fifth of the lease's expiry.
const LEASE_RENEWAL_INTERVAL: Duration = Duration::from_secs(1);
const GROUP_CALL_SYNC_INTERVAL: Duration = Duration::from_secs(5);
/// With a longer outage a node is cut off.
const BUS_OUTAGE_GRACE: Duration = Duration::from_secs(2);
/// For storing pending decisions before another node leads.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeadershipEnd {
    NotStarted,
    Stopped,
    HandedOver,
    LeaseLost,
    TermOver,
}

/// Leads whenever this node holds the lease.
pub(super) async fn run(systems: Arc<Systems>, stop: CancellationToken) {
    match &systems.app.bus {
        Some(bus) => lead_when_elected(&systems, bus, &stop).await,
        None => stop.cancelled().await,
    }
    systems.calls.shut_down().await;
}

async fn lead_when_elected(systems: &Arc<Systems>, bus: &Bus, stop: &CancellationToken) {
    let (store, holder) = (&systems.app.store, bus.node().to_string());
    let mut outage = BusOutage::new(bus);
    while !stop.is_cancelled() {
        let connectivity = outage.connectivity();
        match store
            .acquire_lease(CALL_LEADER_LEASE, &holder, connectivity)
            .await
        {
            Ok(Some(mut lease)) => {
                let end = lead(systems, bus, &mut lease, &mut outage, stop).await;
                // Before the lease is released.
                systems.calls.step_down().await;
                end.log();
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the call leader lease could not be acquired"),
        }
        tokio::select! {
            biased;
            () = sleep(ELECTION_INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn lead(
    systems: &Arc<Systems>,
    bus: &Bus,
    lease: &mut Lease,
    outage: &mut BusOutage,
    stop: &CancellationToken,
) -> LeadershipEnd {
    let requests = match bus.subscribe_as_leader(CALL_LEADER).await {
        Ok(requests) => requests,
        Err(error) => {
            tracing::error!(%error, "subscribing to call requests failed");
            return LeadershipEnd::NotStarted;
        }
    };
    let term = match systems.calls.become_leader(lease.term()).await {
        Ok(term) => term,
        Err(error) => {
            tracing::error!(%error, "the open calls could not be read");
            return LeadershipEnd::NotStarted;
        }
    };
    tracing::info!(node = %bus.node(), term = lease.term().number(), "this node is the call leader");
    let end = tokio::select! {
        biased;
        () = term.over() => LeadershipEnd::TermOver,
        () = stop.cancelled() => LeadershipEnd::Stopped,
        end = handle_requests(systems, bus, lease, outage, requests) => end,
    };
    finish_decisions(systems, &term, end).await;
    end
}

/// As long as the lease is held.
async fn handle_requests(
    systems: &Arc<Systems>,
    bus: &Bus,
    lease: &mut Lease,
    outage: &mut BusOutage,
    mut requests: Subscription,
) -> LeadershipEnd {
    let (mut renewal, mut sync) = (
        interval(LEASE_RENEWAL_INTERVAL),
        interval(GROUP_CALL_SYNC_INTERVAL),
    );
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    sync.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // After a pause of the process, the lease is renewed before requests are handled.
            biased;
            _ = renewal.tick() => match lease.renew(outage.connectivity()).await {
                Renewal::Held => {}
                Renewal::Claimed => return LeadershipEnd::HandedOver,
                Renewal::Lost => return LeadershipEnd::LeaseLost,
            },
            _ = sync.tick() => systems.calls.publish_group_calls(),
            request = requests.next() => match request {
                // Clients do not wait for each other.
                Some(request) => {
                    let handled = handle_request(systems.clone(), bus.clone(), request);
                    systems.calls.spawn(handled);
                }
                // The bus has closed for good.
                None => return LeadershipEnd::Stopped,
            },
        }
    }
}

/// While the lease is held, so the next leader reads everything.
async fn finish_decisions(systems: &Systems, term: &LeaderTerm, end: LeadershipEnd) {
    match end {
        LeadershipEnd::Stopped => systems.calls.shut_down().await,
        LeadershipEnd::HandedOver => {
            let _ = timeout(HAND_OVER_TIMEOUT, systems.calls.shut_down()).await;
        }
        LeadershipEnd::NotStarted | LeadershipEnd::LeaseLost | LeadershipEnd::TermOver => {}
    }
    term.end();
}

/// A request cut off by the end of the term is not acknowledged: its sender retries and reaches the new leader.
async fn handle_request(systems: Arc<Systems>, bus: Bus, request: Incoming) {
    match serde_json::from_slice::<CallRequest>(&request.payload) {
        Ok(CallRequest {
            from,
            client,
            person,
            guest_of,
            subject,
            call,
            action,
        }) => {
            // The client may have connected after this node's last update.
            // This node may have forwarded the request before it led.
            let is_there =
                |known: &Arc<Connection>| known.remote_node().unwrap_or(bus.node()) == from;
            let connection = systems.app.connections.find_connection(client);
            let connection = connection.filter(is_there);
            let page = connection.unwrap_or_else(|| {
                let page = Connection::remote(client, person, true, from, bus.clone());
                Arc::new(page.as_guest_of(guest_of))
            });
            let page = page.answering(subject);
            systems.calls.handle_action(&page, call, action).await;
        }
        Err(why) => tracing::warn!(%why, "invalid call request from another node"),
    }
    bus.acknowledge(request).await;
}

impl LeadershipEnd {
    fn log(self) {
        match self {
            Self::NotStarted => {}
            Self::Stopped => tracing::info!("this node leads calls no more"),
            Self::HandedOver => tracing::warn!(
                "this node is cut off from the bus: it stepped down as the call leader for a node that is connected"
            ),
            Self::LeaseLost => {
                tracing::warn!("this node stepped down as the call leader: it lost the lease");
            }
            Self::TermOver => {
                tracing::warn!("this node stepped down as the call leader: a newer term has begun");
            }
        }
    }
}

/// Ignores short outages of the bus.
struct BusOutage {
    connected: watch::Receiver<bool>,
    since: Option<Instant>,
}

impl BusOutage {
    fn new(bus: &Bus) -> Self {
        Self {
            connected: bus.connected(),
            since: None,
        }
    }

    fn connectivity(&mut self) -> Connectivity {
        if *self.connected.borrow_and_update() {
            self.since = None;
            return Connectivity::Connected;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() < BUS_OUTAGE_GRACE {
            Connectivity::Connected
        } else {
            Connectivity::CutOff
        }
    }
}
