//! The writing end of one live connection: a queue that is bounded in bytes, and the socket that it empties into.
//!
//! Many push, one [shard](super::flush) writes. Pushing never waits and never fails for the one who pushes: past the bound the
//! outlet drops what waits and says so to the connection's own task, which then says farewell with the documented reason. What
//! waits is written in one call, so a burst costs a connection one system call and not one an event.
//!
//! While it is corked, what others push is held back: the connection's task says first what was missed, and what is in both is
//! left out.

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

/// How much the system may keep for a client that does not read, in bytes. Linux counts its own bookkeeping as well and doubles
/// what is asked for.
const SEND_BUFFER_BYTES: usize = 48 * 1024;
/// A client that acknowledges nothing of what was written for so long is gone, or will never read again: the system then breaks the
/// connection (RFC 5482). Heartbeats are written to everybody, so that nobody is left for long.
#[cfg(target_os = "linux")]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// The most pieces in one write.
const MAX_WRITE_FRAMES: usize = 64;
/// For how many pieces there stays room when all is written. A connection hears of thousands who come after a restart, and then waits for
/// hours: what that took is worth more than the few allocations of the next burst.
const RETAINED_FRAME_CAPACITY: usize = 16;
/// How long the connection's own task waits for room to say something before it takes the client to be stuck.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Something to write: encoded once, shared by all who get it.
#[derive(Debug, Clone)]
pub struct EncodedFrame {
    /// What goes onto the wire.
    pub bytes: Bytes,
    /// Which event of which stream it is, so that a connection that has just replayed the event can leave it out.
    pub position: Option<(Stream, Seq)>,
}

/// Why an outlet takes nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// The server ends the connection, for this reason.
    Closed(CloseCode),
    /// The socket broke, or the client left.
    Disconnected,
}

/// The writing end of one live connection.
#[derive(Debug)]
pub struct SendQueue {
    state: Mutex<State>,
    /// Where it writes to, from the moment the connection has left HTTP.
    socket: OnceLock<Arc<TcpStream>>,
    /// Writes for it.
    shard: Arc<Shard>,
    /// Wakes the connection's own task, the only one that waits: there is room again, all is written, or it ended.
    task_notify: Notify,
    max_bytes: usize,
}

/// The policy, as plain data.
#[derive(Debug)]
struct State {
    /// To be written, in this order. The first may have been written in part, and then begins with what is left of it.
    queue: VecDeque<Bytes>,
    /// The first of `out` was written in part: a receiver could make nothing of what follows unless the rest comes.
    is_first_partial: bool,
    /// Pushed while corked; none when it is not.
    corked: Option<Vec<EncodedFrame>>,
    /// Up to here a stream was replayed. Forgotten as soon as the stream is past it.
    replayed_up_to: Vec<(Stream, Seq)>,
    /// Of `out` and `held`.
    queued_bytes: usize,
    /// The shard knows that there is something to write, or a task waits for the socket to take more.
    is_scheduled: bool,
    /// The connection's own task waits for what is in `out` to be written. It is not woken otherwise: most of what is written is
    /// no news to it.
    is_task_waiting: bool,
    end: Option<ConnectionEnd>,
}

/// What follows from a change.
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
        // One piece may be larger than the bound: who has read everything before it is not slow.
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

    /// Drops what waits, but for what a receiver needs to make sense of a farewell. The first reason stands.
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
        // Also when it ended meanwhile: what was asked of the shard is asked once, and the farewell counts on it. The task that
        // uncorks sees the end for itself.
        if self.is_scheduled && !was_scheduled {
            WakeTarget::Shard
        } else {
            WakeTarget::Nobody
        }
    }

    /// So many bytes were written. How many pieces they end.
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
    /// An outlet that holds at most `bound` bytes; corked, and not connected to a socket yet.
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

    /// From now on it writes to this socket, whose buffer in the system is bounded as well. To be called once, by the
    /// connection's own task, before it says anything.
    pub fn attach(&self, socket: Arc<TcpStream>) {
        let options = socket2::SockRef::from(&*socket);
        // A system that refuses leaves its own bounds in force.
        let _ = options.set_send_buffer_size(SEND_BUFFER_BYTES);
        #[cfg(target_os = "linux")]
        let _ = options.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));
        // A second socket is never given.
        let _ = self.socket.set(socket);
    }

    /// Adds what everybody gets, or ends the outlet if it would grow past its bound.
    pub fn push(self: &Arc<Self>, piece: EncodedFrame) {
        let then = self.lock().push(piece, self.max_bytes);
        self.wake(then);
    }

    /// Ends the outlet; what waits is dropped. The connection's own task hears it from [`Self::ended`].
    pub fn close(self: &Arc<Self>, why: CloseCode) {
        let then = self.lock().close(ConnectionEnd::Closed(why));
        self.wake(then);
    }

    /// Holds back what others push, until [`Self::uncork`].
    pub fn cork(&self) {
        self.lock().corked.get_or_insert_default();
    }

    /// Lets out what was held back, without the events that were replayed: those of these streams up to these sequences.
    pub fn uncork(self: &Arc<Self>, replayed: &[(Stream, Seq)]) {
        let then = self.lock().uncork(replayed, self.max_bytes);
        self.wake(then);
    }

    /// Says something to this client alone, cork or not, in front of what is held back. Waits while more than half of the bound
    /// is waiting already, so that a replay of any length never passes it. Called by the connection's own task only.
    ///
    /// # Errors
    /// [`Ended`] when the outlet has ended, or the client reads nothing for 30 s.
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

    /// What the WebSocket library answers by itself (pongs): never waits, and counts against the bound.
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

    /// Waits until the outlet ends. Called by the connection's own task only.
    pub async fn closed(&self) -> ConnectionEnd {
        loop {
            if let Some(ended) = self.lock().end {
                return ended;
            }
            self.task_notify.notified().await;
        }
    }

    /// The last words of an outlet that has ended, and everything still to be written with them. Called by the connection's own
    /// task only, which bounds the time it waits.
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

    /// How many bytes wait.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.lock().queued_bytes
    }

    /// Gives the connection up: nothing more is written, and whoever waits for the socket stops.
    pub fn abort(&self) {
        {
            let mut state = self.lock();
            state.end = Some(ConnectionEnd::Disconnected);
            state.queue = VecDeque::new();
            state.corked = None;
            state.queued_bytes = 0;
        }
        if let Some(socket) = self.socket.get() {
            // It may be closed already.
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

    /// Writes what waits, as far as the socket takes it. False when it takes no more for now: then [`Self::drain`] has to go
    /// on. Called by the shard, which the outlet has asked.
    pub(super) fn flush(&self) -> bool {
        let Some(socket) = self.socket.get() else {
            // What waits is written when there is a socket; only tests go without.
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
                    // Also when it had ended for another reason: nothing can be said any more.
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

    /// Waits for the socket to take more, until all is written.
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
        // A panic while the lock is held leaves plain data behind, which is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What would have been written, for tests without a socket.
    ///
    /// # Errors
    /// [`Ended`] once the outlet has ended.
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

/// Writes as much of it as the socket takes, in one call.
fn write(socket: &TcpStream, out: &VecDeque<Bytes>) -> io::Result<usize> {
    // By far the most common; the call for many pieces costs more.
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
