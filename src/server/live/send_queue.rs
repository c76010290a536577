//! Write side of one live connection: a send queue bounded in bytes, and its socket.
//!
//! Any task may push; one [shard](super::flusher) writes. Pushing never waits and never fails: past the bound the queue drops
//! its contents and closes, and the connection's own task then sends the documented close reason. All queued frames are
//! written in one call, so a burst costs one system call and not one for each event.
//!
//! While the queue is corked, frames pushed by others are held back. The connection's task first sends the missed events;
//! uncorking then skips events that were already replayed.

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

/// Send buffer of the socket, in bytes. Linux doubles the value, to include its own bookkeeping.
const SEND_BUFFER_BYTES: usize = 48 * 1024;
/// The kernel breaks a connection whose peer acknowledges no data for this long (RFC 5482). Heartbeats ensure that there is
/// always data to acknowledge.
#[cfg(target_os = "linux")]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of frames in one write.
const MAX_WRITE_FRAMES: usize = 64;
/// Capacity that an empty queue keeps, in frames. A burst after a restart grows the queue, and an idle connection would keep
/// that memory for hours; allocating it again for the next burst is cheaper.
const RETAINED_FRAME_CAPACITY: usize = 16;
/// Longest time [`SendQueue::send`] waits for room before it closes the connection as too slow.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// An encoded frame. Cheap to clone: clones share the bytes.
#[derive(Debug, Clone)]
pub struct EncodedFrame {
    /// Bytes as they are sent.
    pub bytes: Bytes,
    /// Stream and sequence number if the frame is an event, so that a connection that has replayed it can skip it.
    pub position: Option<(Stream, Seq)>,
}

/// Why a send queue ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// The server closed the connection, with this close code.
    Closed(CloseCode),
    /// The socket failed, or the client closed the connection.
    Disconnected,
}

/// Write side of one live connection.
#[derive(Debug)]
pub struct SendQueue {
    state: Mutex<State>,
    /// Socket to write to, set once the connection has left HTTP.
    socket: OnceLock<Arc<TcpStream>>,
    /// Shard that writes for this queue.
    shard: Arc<Shard>,
    /// Wakes the connection's own task, the only waiter: there is room, everything is written, or the queue ended.
    task_notify: Notify,
    max_bytes: usize,
}

/// Queue policy as plain data, without I/O.
#[derive(Debug)]
struct State {
    /// Bytes to write, in order. A partly written first frame holds only its remaining bytes.
    queue: VecDeque<Bytes>,
    /// Whether the first frame of `queue` was partly written. Its rest must be sent before any other frame.
    is_first_partial: bool,
    /// Frames pushed while corked. None while not corked.
    corked: Option<Vec<EncodedFrame>>,
    /// Last replayed sequence of each stream. Removed once a newer event of the stream is pushed.
    replayed_up_to: Vec<(Stream, Seq)>,
    /// Total bytes in `queue` and `corked`.
    queued_bytes: usize,
    /// Whether the shard has this queue scheduled, or a task waits for the socket to become writable.
    is_scheduled: bool,
    /// Whether the connection's own task waits for `queue` to drain. It is not woken for other writes.
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
        // One frame may exceed the bound if nothing else is queued: such a client is not slow.
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

    /// Ends the queue and drops its contents, except the rest of a partly written frame. The first reason wins.
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
        // Also if the queue ended meanwhile: a queue is scheduled only once, and the close frame relies on it. The task that
        // uncorks checks for the end itself.
        if self.is_scheduled && !was_scheduled {
            WakeTarget::Shard
        } else {
            WakeTarget::Nobody
        }
    }

    /// Removes written bytes from the queue. Returns the number of frames completed.
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
    /// A corked queue of at most `bound` bytes, without a socket.
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

    /// Sets the socket and bounds its send buffer. Called once, by the connection's own task, before it sends anything.
    pub fn attach(&self, socket: Arc<TcpStream>) {
        let options = socket2::SockRef::from(&*socket);
        // If the system refuses, its own bounds apply.
        let _ = options.set_send_buffer_size(SEND_BUFFER_BYTES);
        #[cfg(target_os = "linux")]
        let _ = options.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));
        // The socket is set only once.
        let _ = self.socket.set(socket);
    }

    /// Queues a shared frame, or ends the queue if it would exceed its bound.
    pub fn push(self: &Arc<Self>, piece: EncodedFrame) {
        let then = self.lock().push(piece, self.max_bytes);
        self.wake(then);
    }

    /// Ends the queue and drops its contents. The connection's own task gets the reason from [`Self::closed`].
    pub fn close(self: &Arc<Self>, why: CloseCode) {
        let then = self.lock().close(ConnectionEnd::Closed(why));
        self.wake(then);
    }

    /// Holds back frames that others push, until [`Self::uncork`].
    pub fn cork(&self) {
        self.lock().corked.get_or_insert_default();
    }

    /// Releases the frames held back, except events up to the given sequences of the replayed streams.
    pub fn uncork(self: &Arc<Self>, replayed: &[(Stream, Seq)]) {
        let then = self.lock().uncork(replayed, self.max_bytes);
        self.wake(then);
    }

    /// Queues bytes for this client alone, before any frames held back, even while corked. Waits while more than half of the
    /// bound is queued, so a replay of any length stays within it. Called only by the connection's own task.
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

    /// Queues control frames that the WebSocket library sends itself (pongs). Never waits, and counts against the bound.
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

    /// Waits until the queue ends. Called only by the connection's own task.
    pub async fn closed(&self) -> ConnectionEnd {
        loop {
            if let Some(ended) = self.lock().end {
                return ended;
            }
            self.task_notify.notified().await;
        }
    }

    /// Queues the last bytes of a queue that has ended, and waits until everything is written. Called only by the connection's own
    /// task, which bounds the wait.
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

    /// Shuts the socket down and drops the queue. Tasks that wait for the socket stop.
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

    /// Writes as much as the socket accepts. Returns false if the socket blocks; [`Self::drain`] must then continue. Called by
    /// the shard that the queue was scheduled on.
    pub(super) fn flush(&self) -> bool {
        let Some(socket) = self.socket.get() else {
            // Only tests have no socket; queued frames wait for one.
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
                    // Also if the queue had ended for another reason: no close frame can be sent any more.
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

    /// Writes whenever the socket becomes writable, until everything is written.
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
        // A panic while the lock is held leaves valid plain data.
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

/// Writes as much as the socket accepts, in one call.
fn write(socket: &TcpStream, out: &VecDeque<Bytes>) -> io::Result<usize> {
    // The most common case; a vectored write costs more.
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
