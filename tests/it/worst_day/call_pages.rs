//! Both pages of a call, of which nobody touches anything.

use crate::calls::CallClient;
use rialto::{
    model::{
        CallId,
        call::{ClientAction, State},
    },
    protocol::ws::{ClientFrame, ServerFrame},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const PING_INTERVAL: Duration = Duration::from_secs(2);

pub(super) struct CallPages {
    stop: CancellationToken,
    pages: [JoinHandle<CallClient>; 2],
    /// Of both pages, in the order of arrival.
    states: Arc<Mutex<Vec<State>>>,
}

impl CallPages {
    pub(super) fn watch(call: CallId, pages: [CallClient; 2]) -> Self {
        let (stop, states) = (CancellationToken::new(), Arc::default());
        let pages = pages
            .map(|page| tokio::spawn(watch_page(call, page, stop.clone(), Arc::clone(&states))));
        Self {
            stop,
            pages,
            states,
        }
    }

    pub(super) fn states(&self) -> Vec<State> {
        self.states.lock().unwrap().clone()
    }

    /// It restored the call, and both pages reported their path to it.
    pub(super) async fn wait_for_next_leader(&self, bound: Duration) {
        let restored = async {
            while !self.states().ends_with(&[State::Connected; 2]) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(bound, restored).await.expect("another node leads");
    }

    pub(super) async fn end(self) -> [CallClient; 2] {
        self.stop.cancel();
        let [one, other] = self.pages;
        [one.await.unwrap(), other.await.unwrap()]
    }
}

/// Its media path lives, which it reports to a leader that does not know.
async fn watch_page(
    call: CallId,
    mut page: CallClient,
    stop: CancellationToken,
    states: Arc<Mutex<Vec<State>>>,
) -> CallClient {
    let mut ping = interval(PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return page,
            _ = ping.tick() => page.ws.send(&ClientFrame::Ping { n: 0 }).await,
            frame = page.ws.next_frame() => match frame {
                Ok(ServerFrame::Call { call: view }) if view.id == call => {
                    states.lock().unwrap().push(view.state);
                    if view.state == State::Reconnecting {
                        page.send_action(call, ClientAction::Connected).await;
                    }
                }
                Ok(ServerFrame::Error(refusal)) => panic!("{}", refusal.reason),
                Ok(_) => {}
                Err(why) => panic!("closed: {why:?}"),
            },
        }
    }
}
