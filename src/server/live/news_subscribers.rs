//! SSE connections that subscribe to the news.

use super::{
    event::EncodedEvent,
    send_queue::{EncodedFrame, SendQueue},
};
use crate::{
    protocol::close::CloseCode,
    server::sync::{Mutex, MutexGuard},
};
use bytes::Bytes;
use std::{collections::BTreeMap, sync::Arc};

/// Filter of a news subscription.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// None for all.
    pub topic: Option<Arc<str>>,
    /// Also sends heartbeats as events: scripts cannot see comments.
    pub has_heartbeat_events: bool,
}

/// News subscribers of this node.
#[derive(Debug, Default)]
pub struct NewsSubscribers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    subscribers: BTreeMap<u64, (Arc<SendQueue>, Filter)>,
    next_id: u64,
}

/// A news subscription. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    subscribers: Arc<NewsSubscribers>,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.subscribers.lock().subscribers.remove(&self.id);
    }
}

impl NewsSubscribers {
    /// Queues matching stories until the returned value is dropped.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, send_queue: Arc<SendQueue>, filter: Filter) -> Subscription {
        let mut state = self.lock();
        let number = state.next_id;
        state.next_id += 1;
        state.subscribers.insert(number, (send_queue, filter));
        Subscription {
            subscribers: self.clone(),
            id: number,
        }
    }

    /// Sends a story to matching subscribers.
    pub fn publish(&self, story: &EncodedEvent) {
        let encoded = EncodedFrame::from(story);
        for (send_queue, filter) in self.lock().subscribers.values() {
            if story.is_about(filter.topic.as_deref()) {
                send_queue.push(encoded.clone());
            }
        }
    }

    /// Sends `comment` to all subscribers, `event` to those that requested it.
    pub fn send_heartbeat(&self, comment: &Bytes, event: &Bytes) {
        let encoded = |bytes: &Bytes| EncodedFrame {
            bytes: bytes.clone(),
            position: None,
        };
        for (send_queue, filter) in self.lock().subscribers.values() {
            send_queue.push(encoded(comment));
            if filter.has_heartbeat_events {
                send_queue.push(encoded(event));
            }
        }
    }

    /// Send queues of all subscribers.
    #[must_use]
    pub fn send_queues(&self) -> Vec<Arc<SendQueue>> {
        let state = self.lock();
        let send_queues = state.subscribers.values().map(|(send_queue, _)| send_queue);
        send_queues.cloned().collect()
    }

    /// Closes all subscriptions, for a shutdown.
    pub fn close_all(&self) {
        for (send_queue, _) in self.lock().subscribers.values() {
            send_queue.close(CloseCode::GoingAway);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
