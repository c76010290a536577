//! Readers of the news: connections that only listen, all to the same stream.

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

/// What a reader asked for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this topic.
    pub topic: Option<Arc<str>>,
    /// Heartbeats also as an event, for scripts, which cannot see comments.
    pub has_heartbeat_events: bool,
}

/// All who read the news now.
#[derive(Debug, Default)]
pub struct NewsSubscribers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    subscribers: HashMap<u64, (Arc<SendQueue>, Filter)>,
    /// Counts everybody who ever came.
    next_id: u64,
}

/// A reader for as long as this is kept.
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
    /// Adds a reader, whose outlet gets everything from now on for as long as what is returned is kept.
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

    /// Sends a story to every reader who wants its topic.
    pub fn publish(&self, story: &EncodedEvent) {
        let piece = EncodedFrame::from(story);
        for (outlet, wish) in self.lock().subscribers.values() {
            if story.is_about(wish.topic.as_deref()) {
                outlet.push(piece.clone());
            }
        }
    }

    /// Says to every reader that the connection is alive: `comment` to all, and `event` to those who asked for one.
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

    /// The outlets of all who read now.
    #[must_use]
    pub fn send_queues(&self) -> Vec<Arc<SendQueue>> {
        let state = self.lock();
        let outlets = state.subscribers.values().map(|(outlet, _)| outlet);
        outlets.cloned().collect()
    }

    /// Ends every reader, for a shutdown.
    pub fn close_all(&self) {
        for (outlet, _) in self.lock().subscribers.values() {
            outlet.close(CloseCode::GoingAway);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
