//! Readers of the news: connections that only listen, all to the same stream.

use super::queue::{Queue, Weigh};
use crate::{model::Seq, protocol::close::CloseCode};
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// An event of the news as it goes out: encoded once, shared by all who get it.
#[derive(Debug, Clone)]
pub struct NewsItem {
    /// Its sequence, so that a reader who has just replayed it can leave it out.
    pub seq: Seq,
    /// Its topic, for readers of one topic.
    pub topic: Arc<str>,
    /// The whole event in `text/event-stream` form.
    pub event: Bytes,
}

impl Weigh for NewsItem {
    fn bytes(&self) -> usize {
        self.event.len()
    }
}

/// All who read the news now.
#[derive(Debug, Default)]
pub struct Readers {
    queues: Mutex<Vec<Weak<Queue<NewsItem>>>>,
}

impl Readers {
    /// Adds a reader, who hears everything from now on for as long as they keep the queue.
    #[must_use]
    pub fn open(&self, queue_bytes: usize) -> Arc<Queue<NewsItem>> {
        let queue = Arc::new(Queue::new(queue_bytes));
        self.lock().push(Arc::downgrade(&queue));
        queue
    }

    /// Sends to every reader, and forgets those who left.
    pub fn send(&self, item: &NewsItem) {
        self.lock().retain(|queue| {
            queue
                .upgrade()
                .map(|queue| queue.push(item.clone()))
                .is_some()
        });
    }

    /// Ends every reader, for a shutdown.
    pub fn close_all(&self) {
        for queue in self.lock().drain(..).filter_map(|queue| queue.upgrade()) {
            queue.end(CloseCode::GoingAway);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Queue<NewsItem>>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
