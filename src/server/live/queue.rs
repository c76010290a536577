//! What waits for one connection: bounded in bytes, so that a reader that does not read costs at most its bound.
//!
//! Many push, one takes. Pushing never waits and never fails for the one who pushes: past the bound the queue empties
//! itself and says so to the connection that owns it, which then closes with the documented reason. The publisher does not
//! notice.

use crate::protocol::close::CloseCode;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Something with a size on the wire.
pub trait Weigh {
    /// How many bytes it holds.
    fn bytes(&self) -> usize;
}

/// Why a queue ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended(pub CloseCode);

/// The bounded queue of one connection.
#[derive(Debug)]
pub struct Queue<M> {
    state: Mutex<State<M>>,
    /// Wakes the connection's task: by whoever pushes or ends. Permits do not add up, which is right for one taker.
    ready: Notify,
    /// Wakes the connection's task while it waits for the socket, when the queue has ended.
    ended: Notify,
    bound: usize,
}

/// The policy, as plain data.
#[derive(Debug)]
struct State<M> {
    waiting: VecDeque<M>,
    bytes: usize,
    ended: Option<Ended>,
}

impl<M: Weigh> State<M> {
    /// True if the queue ended just now.
    fn push(&mut self, message: M, bound: usize) -> bool {
        if self.ended.is_some() {
            return false;
        }
        self.bytes += message.bytes();
        if self.bytes > bound {
            return self.end(CloseCode::TooSlow);
        }
        self.waiting.push_back(message);
        false
    }

    /// Drops what waits and ends the queue. The first reason stands.
    fn end(&mut self, why: CloseCode) -> bool {
        if self.ended.is_some() {
            return false;
        }
        self.ended = Some(Ended(why));
        self.waiting = VecDeque::new();
        self.bytes = 0;
        true
    }
}

impl<M: Weigh> Queue<M> {
    /// An empty queue that holds at most `bound` bytes.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            bytes: 0,
            ended: None,
        };
        Self {
            state: Mutex::new(state),
            ready: Notify::new(),
            ended: Notify::new(),
            bound,
        }
    }

    /// Adds a message, or ends the queue if it would grow past its bound.
    pub fn push(&self, message: M) {
        if self.lock().push(message, self.bound) {
            self.ended.notify_one();
        }
        self.ready.notify_one();
    }

    /// Ends the queue; what waits is dropped.
    pub fn end(&self, why: CloseCode) {
        if self.lock().end(why) {
            self.ended.notify_one();
            self.ready.notify_one();
        }
    }

    /// Everything that waits, oldest first: at least one message, or the reason why none will come any more. To be called
    /// by one task only. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Ended`] once, and from then on, the queue has ended.
    pub async fn take(&self) -> Result<VecDeque<M>, Ended> {
        loop {
            {
                let mut state = self.lock();
                if let Some(ended) = state.ended {
                    return Err(ended);
                }
                if !state.waiting.is_empty() {
                    state.bytes = 0;
                    return Ok(std::mem::take(&mut state.waiting));
                }
            }
            self.ready.notified().await;
        }
    }

    /// Waits until the queue ends: to be raced against a write to a socket that may never finish.
    pub async fn ended(&self) -> Ended {
        loop {
            if let Some(ended) = self.lock().ended {
                return ended;
            }
            self.ended.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        // A panic while the lock is held leaves plain data behind, which is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for Vec<u8> {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    #[tokio::test]
    async fn what_is_pushed_comes_out_in_order_and_at_once() {
        let queue = Queue::new(100);
        queue.push(vec![1]);
        queue.push(vec![2]);
        assert_eq!(queue.take().await.unwrap(), [vec![1], vec![2]]);
    }

    #[tokio::test]
    async fn taking_makes_room_again() {
        let queue = Queue::new(10);
        for _ in 0..5 {
            queue.push(vec![0; 10]);
            assert_eq!(queue.take().await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn past_its_bound_it_holds_nothing_and_says_why() {
        let queue = Queue::new(10);
        queue.push(vec![0; 6]);
        queue.push(vec![0; 6]);
        queue.push(vec![0; 1]);
        assert_eq!(queue.ended().await, Ended(CloseCode::TooSlow));
        assert_eq!(queue.take().await, Err(Ended(CloseCode::TooSlow)));
        assert_eq!(queue.lock().waiting.capacity(), 0);
    }

    #[tokio::test]
    async fn the_first_reason_stands() {
        let queue = Queue::<Vec<u8>>::new(10);
        queue.end(CloseCode::SignedOut);
        queue.end(CloseCode::GoingAway);
        assert_eq!(queue.take().await, Err(Ended(CloseCode::SignedOut)));
    }

    #[tokio::test]
    async fn an_end_wakes_both_who_wait_for_messages_and_who_wait_for_the_socket() {
        let queue = std::sync::Arc::new(Queue::<Vec<u8>>::new(10));
        let taker = tokio::spawn({
            let queue = queue.clone();
            async move { queue.take().await }
        });
        let writer = tokio::spawn({
            let queue = queue.clone();
            async move { queue.ended().await }
        });
        tokio::task::yield_now().await;
        queue.end(CloseCode::Replaced);
        assert_eq!(taker.await.unwrap(), Err(Ended(CloseCode::Replaced)));
        assert_eq!(writer.await.unwrap(), Ended(CloseCode::Replaced));
    }
}
