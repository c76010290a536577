//! Write side of one live connection: a send queue bounded in bytes, and its socket.
//!
//! Any task may push, without waiting; a [shard](super::flusher) writes the queued frames. Past the bound, the queue
//! drops its contents and closes. The connection's own task sends the close reason, after what is queued.
//!
//! A queue is corked while the connection's task replays missed events.

mod queue_state;

use super::flusher::{Flusher, Shard};
use crate::{
    model::Seq,
    protocol::close::CloseCode,
    server::{
        socket::Socket,
        store::Stream,
        sync::{Mutex, MutexGuard},
    },
};
use bytes::Bytes;
use queue_state::{QueueState, WakeTarget};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

const MAX_WRITE_FRAMES: usize = 64;
/// Capacity of an empty queue, so that a burst holds no memory for hours.
const RETAINED_FRAME_CAPACITY: usize = 16;
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// An encoded frame; clones share the bytes.
#[derive(Debug, Clone)]
pub struct EncodedFrame {
    pub bytes: Bytes,
    /// Of an event, so that replayed ones are skipped.
    pub position: Option<(Stream, Seq)>,
}

/// Why a send queue ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// By the server.
    Closed(CloseCode),
    /// By the client, or the socket failed.
    Disconnected,
}

/// Write side of one live connection.
#[derive(Debug)]
pub struct SendQueue {
    state: Mutex<QueueState>,
    socket: OnceLock<Arc<Socket>>,
    shard: Arc<Shard>,
    /// The connection's own task is the only waiter.
    task_notify: Notify,
    max_bytes: usize,
}

impl SendQueue {
    /// A corked queue without a socket.
    #[must_use]
    pub fn new(flusher: &Flusher, max_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(QueueState::new()),
            socket: OnceLock::new(),
            shard: flusher.assign_shard(),
            task_notify: Notify::new(),
            max_bytes,
        })
    }

    /// Sets the socket, once, before anything is sent.
    pub fn attach(&self, socket: Arc<Socket>) {
        socket.set_live_options();
        let _ = self.socket.set(socket);
    }

    /// Queues a shared frame, or ends the queue past its bound.
    pub fn push(self: &Arc<Self>, frame: EncodedFrame) {
        let target = self.lock().push(frame, self.max_bytes);
        self.wake(target);
    }

    /// Ends the queue after its queued frames; [`Self::closed`] returns the reason. Drops corked frames.
    pub fn close(self: &Arc<Self>, why: CloseCode) {
        let target = self.lock().close(ConnectionEnd::Closed(why));
        self.wake(target);
    }

    /// Holds back pushed frames, until [`Self::uncork`].
    pub fn cork(&self) {
        self.lock().corked.get_or_insert_default();
    }

    /// Releases what was held back, except replayed events.
    pub fn uncork(self: &Arc<Self>, replayed: &[(Stream, Seq)]) {
        let target = self.lock().uncork(replayed);
        self.wake(target);
    }

    /// Queues bytes, even while corked. Only for the connection's own task. Waits while more than half of the bound is
    /// queued, so a replay of any length fits.
    ///
    /// # Errors
    /// [`ConnectionEnd`] when the queue has ended, or the client reads nothing for 30 s.
    pub async fn send(self: &Arc<Self>, bytes: Bytes) -> Result<(), ConnectionEnd> {
        loop {
            let target = {
                let mut state = self.lock();
                if let Some(end) = state.end {
                    return Err(end);
                }
                if state.queued_bytes <= self.max_bytes / 2 || state.queue.is_empty() {
                    state.queued_bytes += bytes.len();
                    state.queue.push_back(bytes);
                    let target = state.schedule();
                    drop(state);
                    self.wake(target);
                    return Ok(());
                }
                state.is_task_waiting = true;
                state.schedule()
            };
            self.wake(target);
            if timeout(SEND_TIMEOUT, self.task_notify.notified())
                .await
                .is_err()
            {
                self.close(CloseCode::TooSlow);
            }
        }
    }

    /// Queues the WebSocket library's pongs, within the bound.
    pub(crate) fn push_control(self: &Arc<Self>, bytes: Bytes) {
        let target = {
            let mut state = self.lock();
            if state.end.is_some() {
                return;
            }
            state.queued_bytes += bytes.len();
            state.queue.push_back(bytes);
            if state.queued_bytes > self.max_bytes {
                state.close(ConnectionEnd::Closed(CloseCode::TooSlow))
            } else {
                state.schedule()
            }
        };
        self.wake(target);
    }

    /// Waits until the queue ends. Only for the connection's own task.
    pub async fn closed(&self) -> ConnectionEnd {
        loop {
            if let Some(end) = self.lock().end {
                return end;
            }
            self.task_notify.notified().await;
        }
    }

    /// Queues an ended queue's last bytes and waits until they are written.
    pub async fn finish(self: &Arc<Self>, bytes: Bytes) {
        let target = {
            let mut state = self.lock();
            if state.end == Some(ConnectionEnd::Disconnected) {
                return;
            }
            state.queued_bytes += bytes.len();
            state.queue.push_back(bytes);
            state.schedule()
        };
        self.wake(target);
        loop {
            {
                let mut state = self.lock();
                if state.queue.is_empty() || state.end == Some(ConnectionEnd::Disconnected) {
                    return;
                }
                state.is_task_waiting = true;
            }
            self.task_notify.notified().await;
        }
    }

    /// Number of queued bytes.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.lock().queued_bytes
    }

    /// Shuts the socket down and drops the queue.
    pub fn abort(&self) {
        {
            let mut state = self.lock();
            state.end = Some(ConnectionEnd::Disconnected);
            state.queue = VecDeque::new();
            state.corked = None;
            state.queued_bytes = 0;
        }
        if let Some(socket) = self.socket.get() {
            socket.shutdown();
        }
    }

    fn wake(self: &Arc<Self>, target: WakeTarget) {
        match target {
            WakeTarget::Nobody => {}
            WakeTarget::Shard => self.shard.schedule(self.clone()),
            WakeTarget::ConnectionTask => self.task_notify.notify_one(),
        }
    }

    /// Returns false if the socket blocks; [`Self::drain`] then continues.
    pub(super) fn flush(&self) -> bool {
        let Some(socket) = self.socket.get() else {
            // Only in tests.
            self.lock().is_scheduled = false;
            return true;
        };
        let mut state = self.lock();
        while !state.queue.is_empty() {
            match write(socket, &state.queue) {
                Ok(written) => self.shard.add_frames_written(state.advance(written)),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    if state.queued_bytes <= self.max_bytes / 2
                        && std::mem::take(&mut state.is_task_waiting)
                    {
                        self.task_notify.notify_one();
                    }
                    return false;
                }
                Err(_) => {
                    state.close(ConnectionEnd::Disconnected);
                    state.end = Some(ConnectionEnd::Disconnected);
                    state.queue = VecDeque::new();
                    state.queued_bytes = 0;
                    state.is_task_waiting = false;
                    self.task_notify.notify_one();
                }
            }
        }
        if state.queue.capacity() > RETAINED_FRAME_CAPACITY {
            state.queue = VecDeque::new();
        }
        state.is_scheduled = false;
        if std::mem::take(&mut state.is_task_waiting) {
            self.task_notify.notify_one();
        }
        true
    }

    pub(super) async fn drain(self: Arc<Self>) {
        let Some(socket) = self.socket.get() else {
            return;
        };
        loop {
            socket.writable().await;
            if self.flush() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock()
    }

    #[cfg(test)]
    pub(crate) fn take(&self) -> Result<Vec<Bytes>, ConnectionEnd> {
        let mut state = self.lock();
        if let Some(end) = state.end {
            return Err(end);
        }
        state.queued_bytes = state
            .corked
            .iter()
            .flatten()
            .map(|frame| frame.bytes.len())
            .sum();
        state.is_scheduled = false;
        Ok(state.queue.drain(..).collect())
    }
}

fn write(socket: &Socket, queue: &VecDeque<Bytes>) -> io::Result<usize> {
    // A vectored write costs more.
    if let (1, Some(only)) = (queue.len(), queue.front()) {
        return socket.try_write(only);
    }
    let mut slices = [IoSlice::new(&[]); MAX_WRITE_FRAMES];
    for (slice, bytes) in slices.iter_mut().zip(queue) {
        *slice = IoSlice::new(bytes);
    }
    socket.try_write_vectored(&slices[..queue.len().min(MAX_WRITE_FRAMES)])
}

#[cfg(test)]
mod tests;
