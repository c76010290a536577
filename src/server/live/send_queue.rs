//! Write side of one live connection: a send queue bounded in bytes, and its socket.
//!
//! Any task may push; one [shard](super::flusher) writes all queued frames in one system call. Pushing never waits:
//! past the bound the queue drops its contents and closes, and the connection's own task sends the close reason.
//!
//! A corked queue holds back what others push while the connection's task replays missed events; uncorking skips those.

use super::flusher::{Flusher, Shard};
use crate::{model::Seq, protocol::close::CloseCode, server::store::Stream};
use bytes::{Buf, Bytes};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    net::Shutdown,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{net::TcpStream, sync::Notify, time::timeout};

/// Bytes. Linux doubles the value for its own bookkeeping.
const SEND_BUFFER_BYTES: usize = 48 * 1024;
/// The kernel breaks a connection whose peer acknowledges nothing for this long (RFC 5482); heartbeats are always sent.
#[cfg(target_os = "linux")]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of frames in one write.
const MAX_WRITE_FRAMES: usize = 64;
/// Capacity that an empty queue keeps, in frames, so that a burst does not hold memory for hours.
const RETAINED_FRAME_CAPACITY: usize = 16;
/// Longest wait of [`SendQueue::send`] before it closes the connection as too slow.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// An encoded frame; clones share the bytes.
#[derive(Debug, Clone)]
pub struct EncodedFrame {
    /// Bytes as they are sent.
    pub bytes: Bytes,
    /// Stream and sequence of an event, so that a connection that has replayed it can skip it.
    pub position: Option<(Stream, Seq)>,
}

/// Why a send queue ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// By the server, with this close code.
    Closed(CloseCode),
    /// By the client, or the socket failed.
    Disconnected,
}

/// Write side of one live connection.
#[derive(Debug)]
pub struct SendQueue {
    state: Mutex<State>,
    /// Set once the connection has left HTTP.
    socket: OnceLock<Arc<TcpStream>>,
    /// Shard that writes for this queue.
    shard: Arc<Shard>,
    /// Wakes the connection's own task, the only waiter.
    task_notify: Notify,
    max_bytes: usize,
}

/// Queue policy as plain data, without I/O.
#[derive(Debug)]
struct State {
    /// A partly written first frame holds only its remaining bytes.
    queue: VecDeque<Bytes>,
    /// The rest of a partly written frame must precede any other frame.
    is_first_partial: bool,
    /// Frames pushed while corked; none while not corked.
    corked: Option<Vec<EncodedFrame>>,
    /// Last replayed sequence of each stream, until a newer event of it is pushed.
    replayed_up_to: Vec<(Stream, Seq)>,
    /// Total bytes in `queue` and `corked`.
    queued_bytes: usize,
    /// Scheduled in the shard, or a task waits for the socket to become writable.
    is_scheduled: bool,
    /// The connection's own task waits for `queue` to drain.
    is_task_waiting: bool,
    end: Option<ConnectionEnd>,
}

/// Task to wake after a state change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WakeTarget {
    Nobody,
    Shard,
    ConnectionTask,
}

impl State {
    fn push(&mut self, piece: EncodedFrame, bound: usize) -> WakeTarget {
        if self.end.is_some() {
            return WakeTarget::Nobody;
        }
        let waiting = self.queued_bytes;
        if let Some(held) = &mut self.corked {
            self.queued_bytes += piece.bytes.len();
            held.push(piece);
        } else {
            if piece.position.is_some_and(|event| self.was_replayed(event)) {
                return WakeTarget::Nobody;
            }
            self.queued_bytes += piece.bytes.len();
            self.queue.push_back(piece.bytes);
        }
        // A single frame may exceed the bound: such a client is not slow.
        if self.queued_bytes > bound && waiting > 0 {
            self.close(ConnectionEnd::Closed(CloseCode::TooSlow))
        } else if self.corked.is_some() {
            WakeTarget::Nobody
        } else {
            self.schedule()
        }
    }

    fn was_replayed(&mut self, (stream, seq): (Stream, Seq)) -> bool {
        let known = self
            .replayed_up_to
            .iter()
            .position(|(known, _)| *known == stream);
        let Some(known) = known else { return false };
        let was = seq <= self.replayed_up_to[known].1;
        if !was {
            self.replayed_up_to.swap_remove(known);
        }
        was
    }

    fn schedule(&mut self) -> WakeTarget {
        if self.is_scheduled || self.queue.is_empty() {
            return WakeTarget::Nobody;
        }
        self.is_scheduled = true;
        WakeTarget::Shard
    }

    /// Drops all but the rest of a partly written frame. The first reason wins.
    fn close(&mut self, why: ConnectionEnd) -> WakeTarget {
        if self.end.is_some() {
            return WakeTarget::Nobody;
        }
        self.end = Some(why);
        let keep = usize::from(self.is_first_partial && why != ConnectionEnd::Disconnected);
        self.queue.truncate(keep);
        self.corked = None;
        self.queued_bytes = self.queue.iter().map(Bytes::len).sum();
        WakeTarget::ConnectionTask
    }

    fn uncork(&mut self, replayed: &[(Stream, Seq)], bound: usize) -> WakeTarget {
        let held = self.corked.take().unwrap_or_default();
        for (stream, seq) in replayed {
            self.replayed_up_to.retain(|(known, _)| known != stream);
            self.replayed_up_to.push((*stream, *seq));
        }
        let was_scheduled = self.is_scheduled;
        for piece in held {
            self.queued_bytes -= piece.bytes.len();
            self.push(piece, bound);
        }
        // Even if the queue ended meanwhile: the close frame relies on being scheduled once.
        if self.is_scheduled && !was_scheduled {
            WakeTarget::Shard
        } else {
            WakeTarget::Nobody
        }
    }

    /// Removes written bytes and returns the number of frames completed.
    fn advance(&mut self, mut count: usize) -> u64 {
        self.queued_bytes -= count;
        let mut pieces = 0;
        while let Some(first) = self.queue.front_mut() {
            if count < first.len() {
                first.advance(count);
                self.is_first_partial |= count > 0;
                break;
            }
            count -= first.len();
            self.queue.pop_front();
            self.is_first_partial = false;
            pieces += 1;
        }
        pieces
    }
}

impl SendQueue {
    /// Corked, bounded to `bound` bytes, without a socket.
    #[must_use]
    pub fn new(flusher: &Flusher, bound: usize) -> Arc<Self> {
        let state = State {
            queue: VecDeque::new(),
            is_first_partial: false,
            corked: Some(Vec::new()),
            replayed_up_to: Vec::new(),
            queued_bytes: 0,
            is_scheduled: false,
            is_task_waiting: false,
            end: None,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            socket: OnceLock::new(),
            shard: flusher.assign_shard(),
            task_notify: Notify::new(),
            max_bytes: bound,
        })
    }

    /// Sets the socket, once, before the connection's own task sends anything.
    pub fn attach(&self, socket: Arc<TcpStream>) {
        let options = socket2::SockRef::from(&*socket);
        // If refused, the system's own bounds apply.
        let _ = options.set_send_buffer_size(SEND_BUFFER_BYTES);
        #[cfg(target_os = "linux")]
        let _ = options.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));
        // The socket is set only once.
        let _ = self.socket.set(socket);
    }

    /// Queues a frame, or ends the queue if that would exceed its bound.
    pub fn push(self: &Arc<Self>, piece: EncodedFrame) {
        let then = self.lock().push(piece, self.max_bytes);
        self.wake(then);
    }

    /// Ends the queue; [`Self::closed`] returns the reason.
    pub fn close(self: &Arc<Self>, why: CloseCode) {
        let then = self.lock().close(ConnectionEnd::Closed(why));
        self.wake(then);
    }

    /// Holds back frames that others push, until [`Self::uncork`].
    pub fn cork(&self) {
        self.lock().corked.get_or_insert_default();
    }

    /// Releases what was held back, except events up to the given sequences of the replayed streams.
    pub fn uncork(self: &Arc<Self>, replayed: &[(Stream, Seq)]) {
        let then = self.lock().uncork(replayed, self.max_bytes);
        self.wake(then);
    }

    /// Queues bytes for this client alone, even while corked. Only for the connection's own task. Waits while more than
    /// half of the bound is queued, so a replay of any length fits.
    ///
    /// # Errors
    /// [`ConnectionEnd`] when the queue has ended, or when the client reads nothing for 30 s.
    pub async fn send(self: &Arc<Self>, bytes: Bytes) -> Result<(), ConnectionEnd> {
        loop {
            let then = {
                let mut state = self.lock();
                if let Some(ended) = state.end {
                    return Err(ended);
                }
                if state.queued_bytes <= self.max_bytes / 2 || state.queue.is_empty() {
                    state.queued_bytes += bytes.len();
                    state.queue.push_back(bytes);
                    let then = state.schedule();
                    drop(state);
                    self.wake(then);
                    return Ok(());
                }
                state.is_task_waiting = true;
                state.schedule()
            };
            self.wake(then);
            if timeout(SEND_TIMEOUT, self.task_notify.notified())
                .await
                .is_err()
            {
                self.close(CloseCode::TooSlow);
            }
        }
    }

    /// Queues the WebSocket library's own control frames (pongs), within the bound, without waiting.
    pub(crate) fn push_control(self: &Arc<Self>, bytes: Bytes) {
        let then = {
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
        self.wake(then);
    }

    /// Waits until the queue ends. Only for the connection's own task.
    pub async fn closed(&self) -> ConnectionEnd {
        loop {
            if let Some(ended) = self.lock().end {
                return ended;
            }
            self.task_notify.notified().await;
        }
    }

    /// Queues the last bytes of an ended queue and waits until they are written, as long as the caller allows.
    pub async fn finish(self: &Arc<Self>, bytes: Bytes) {
        let then = {
            let mut state = self.lock();
            if state.end == Some(ConnectionEnd::Disconnected) {
                return;
            }
            state.queued_bytes += bytes.len();
            state.queue.push_back(bytes);
            state.schedule()
        };
        self.wake(then);
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
            // The socket may be closed already.
            let _ = socket2::SockRef::from(&**socket).shutdown(Shutdown::Both);
        }
    }

    fn wake(self: &Arc<Self>, then: WakeTarget) {
        match then {
            WakeTarget::Nobody => {}
            WakeTarget::Shard => self.shard.schedule(self.clone()),
            WakeTarget::ConnectionTask => self.task_notify.notify_one(),
        }
    }

    /// Writes what the socket accepts, for the shard. Returns false if the socket blocks; [`Self::drain`] then
    /// continues.
    pub(super) fn flush(&self) -> bool {
        let Some(socket) = self.socket.get() else {
            // Only in tests: the frames wait for a socket.
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
                    // No close frame can be sent any more.
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

    /// Writes until the queue is empty, whenever the socket becomes writable.
    pub(super) async fn drain(self: Arc<Self>) {
        let Some(socket) = self.socket.get() else {
            return;
        };
        loop {
            // An error shows in the write.
            let _ = socket.writable().await;
            if self.flush() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves valid plain data.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the queued frames, for tests without a socket.
    ///
    /// # Errors
    /// [`ConnectionEnd`] once the queue has ended.
    #[cfg(test)]
    pub(crate) fn take(&self) -> Result<Vec<Bytes>, ConnectionEnd> {
        let mut state = self.lock();
        if let Some(ended) = state.end {
            return Err(ended);
        }
        state.queued_bytes = state
            .corked
            .iter()
            .flatten()
            .map(|piece| piece.bytes.len())
            .sum();
        state.is_scheduled = false;
        Ok(state.queue.drain(..).collect())
    }
}

fn write(socket: &TcpStream, out: &VecDeque<Bytes>) -> io::Result<usize> {
    // The common case; a vectored write costs more.
    if let (1, Some(only)) = (out.len(), out.front()) {
        return socket.try_write(only);
    }
    let mut pieces = [IoSlice::new(&[]); MAX_WRITE_FRAMES];
    for (piece, bytes) in pieces.iter_mut().zip(out) {
        *piece = IoSlice::new(bytes);
    }
    socket.try_write_vectored(&pieces[..out.len().min(MAX_WRITE_FRAMES)])
}

#[cfg(test)]
mod tests;
