//! Which node holds the desk: the one that decides about calls for everybody.
//!
//! A lease of the store elects it. When the node dies, its lease ends with its connection to the store, and another node takes the
//! desk over with every call that is open; media goes from browser to browser and does not notice.

use super::Systems;
use crate::server::{
    bus::{Bus, CallAsk},
    live::Connection,
    store::Lease,
};
use futures::StreamExt;
use std::{sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// How often a node that does not hold the desk tries to.
const TRY: Duration = Duration::from_millis(500);
/// How often the one that does makes sure of it.
const CHECK: Duration = Duration::from_secs(1);
/// How often it tells the others which calls go on in rooms.
const TELL: Duration = Duration::from_secs(5);

/// Holds the desk whenever no other node does, until it is asked to stop; then what was decided is stored before another node decides.
/// Alone, the desk is held from the start.
pub(super) async fn run(systems: Arc<Systems>, stop: CancellationToken) {
    match &systems.app.bus {
        Some(bus) => hold_if_free(&systems, bus, &stop).await,
        None => stop.cancelled().await,
    }
    systems.calls.close().await;
}

async fn hold_if_free(systems: &Arc<Systems>, bus: &Bus, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match systems.app.store.lease_desk().await {
            Ok(Some(lease)) => {
                hold(systems, bus, lease, stop).await;
                systems.calls.step_down();
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the desk could not be asked for"),
        }
        tokio::select! {
            () = sleep(TRY) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn hold(systems: &Arc<Systems>, bus: &Bus, mut lease: Lease, stop: &CancellationToken) {
    let mut questions = match bus.desk().await {
        Ok(questions) => questions,
        Err(error) => return tracing::error!(%error, "the desk cannot be held"),
    };
    if let Err(error) = systems.calls.take_over().await {
        return tracing::error!(%error, "the open calls could not be read");
    }
    tracing::info!(node = %bus.node(), "this node holds the desk of calls");
    let (mut check, mut tell) = (interval(CHECK), interval(TELL));
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            question = questions.next() => match question {
                // A task each: a page asks one thing after another, and no page waits for another.
                Some(question) => systems.calls.spawn(answer(systems.clone(), bus.clone(), question)),
                None => return,
            },
            () = stop.cancelled() => {
                drop(questions);
                // With the lease still held: the next node reads what this one has stored.
                return systems.calls.close().await;
            }
            _ = tell.tick() => systems.calls.tell_groups(),
            _ = check.tick() => {
                if !lease.holds().await {
                    return tracing::warn!("the desk of calls was lost");
                }
            }
        }
    }
}

async fn answer(systems: Arc<Systems>, bus: Bus, question: async_nats::Message) {
    match serde_json::from_slice::<CallAsk>(&question.payload) {
        Ok(CallAsk {
            from,
            client,
            person,
            guest_of,
            call,
            action,
        }) => {
            if !systems.calls.holds_desk() {
                // Whoever asked asks again, and finds the node that does.
                return;
            }
            // The page may be newer than what was told of it.
            let page = systems.app.live.page_elsewhere(from, client);
            let page = page.unwrap_or_else(|| {
                let page = Connection::elsewhere(client, person, true, from, bus.clone());
                Arc::new(page.as_guest_of(guest_of))
            });
            systems.calls.act(&page, call, action).await;
        }
        Err(why) => tracing::warn!(%why, "another node asks for something that is not understood"),
    }
    bus.answered(question).await;
}
