//! SSE connections that subscribe to the news stream.

use super::{
    event::EncodedEvent,
    send_queue::{EncodedFrame, SendQueue},
};
use crate::protocol::close::CloseCode;
use bytes::Bytes;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Filter of a news subscription.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only stories of this topic. None for all.
    pub topic: Option<Arc<str>>,
    /// Whether heartbeats are also sent as events: scripts cannot see comments.
    pub has_heartbeat_events: bool,
}

/// All news subscribers of this node.
#[derive(Debug, Default)]
pub struct NewsSubscribers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    subscribers: HashMap<u64, (Arc<SendQueue>, Filter)>,
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
    /// The send queue receives every matching story until the returned value is dropped.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, outlet: Arc<SendQueue>, wish: Filter) -> Subscription {
        let mut state = self.lock();
        let number = state.next_id;
        state.next_id += 1;
        state.subscribers.insert(number, (outlet, wish));
        Subscription {
            subscribers: self.clone(),
            id: number,
        }
    }

    /// Sends a story to every subscriber whose filter it matches.
    pub fn publish(&self, story: &EncodedEvent) {
        let piece = EncodedFrame::from(story);
        for (outlet, wish) in self.lock().subscribers.values() {
            if story.is_about(wish.topic.as_deref()) {
                outlet.push(piece.clone());
            }
        }
    }

    /// `comment` goes to all subscribers, `event` to those that requested it.
    pub fn send_heartbeat(&self, comment: &Bytes, event: &Bytes) {
        let piece = |bytes: &Bytes| EncodedFrame {
            bytes: bytes.clone(),
            position: None,
        };
        for (outlet, wish) in self.lock().subscribers.values() {
            outlet.push(piece(comment));
            if wish.has_heartbeat_events {
                outlet.push(piece(event));
            }
        }
    }

    /// Send queues of all subscribers.
    #[must_use]
    pub fn send_queues(&self) -> Vec<Arc<SendQueue>> {
        let state = self.lock();
        let outlets = state.subscribers.values().map(|(outlet, _)| outlet);
        outlets.cloned().collect()
    }

    /// Closes all subscriptions, for a shutdown.
    pub fn close_all(&self) {
        for (outlet, _) in self.lock().subscribers.values() {
            outlet.close(CloseCode::GoingAway);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
