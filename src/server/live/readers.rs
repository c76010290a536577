//! Readers of the news: connections that only listen, all to the same stream.

use super::{
    event::Event,
    outlet::{Outlet, Piece},
};
use crate::protocol::close::CloseCode;
use bytes::Bytes;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What a reader asked for.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Only this topic.
    pub topic: Option<Arc<str>>,
    /// Heartbeats also as an event, for scripts, which cannot see comments.
    pub beat: bool,
}

/// All who read the news now.
#[derive(Debug, Default)]
pub struct Readers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    readers: HashMap<u64, (Arc<Outlet>, Wish)>,
    /// Counts everybody who ever came.
    next: u64,
}

/// A reader for as long as this is kept.
#[derive(Debug)]
pub struct Reading {
    readers: Arc<Readers>,
    number: u64,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.readers.lock().readers.remove(&self.number);
    }
}

impl Readers {
    /// Adds a reader, whose outlet gets everything from now on for as long as what is returned is kept.
    #[must_use]
    pub fn open(self: &Arc<Self>, outlet: Arc<Outlet>, wish: Wish) -> Reading {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.readers.insert(number, (outlet, wish));
        Reading {
            readers: self.clone(),
            number,
        }
    }

    /// Sends a story to every reader who wants its topic.
    pub fn send(&self, story: &Event) {
        let piece = Piece::from(story);
        for (outlet, wish) in self.lock().readers.values() {
            if story.is_about(wish.topic.as_deref()) {
                outlet.push(piece.clone());
            }
        }
    }

    /// Says to every reader that the connection is alive: `comment` to all, and `event` to those who asked for one.
    pub fn beat(&self, comment: &Bytes, event: &Bytes) {
        let piece = |bytes: &Bytes| Piece {
            bytes: bytes.clone(),
            event: None,
        };
        for (outlet, wish) in self.lock().readers.values() {
            outlet.push(piece(comment));
            if wish.beat {
                outlet.push(piece(event));
            }
        }
    }

    /// The outlets of all who read now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Outlet>> {
        let state = self.lock();
        let outlets = state.readers.values().map(|(outlet, _)| outlet);
        outlets.cloned().collect()
    }

    /// Ends every reader, for a shutdown.
    pub fn close_all(&self) {
        for (outlet, _) in self.lock().readers.values() {
            outlet.end(CloseCode::GoingAway);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
