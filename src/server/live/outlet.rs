//! The writing end of one live connection: a queue that is bounded in bytes, and the socket that it empties into.
//!
//! Many push, one [shard](super::flush) writes. Pushing never waits and never fails for the one who pushes: past the bound the
//! outlet drops what waits and says so to the connection's own task, which then says farewell with the documented reason. What
//! waits is written in one call, so a burst costs a connection one system call and not one an event.
//!
//! While it is corked, what others push is held back: the connection's task says first what was missed, and what is in both is
//! left out.

use super::flush::{Flusher, Shard};
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
const SEND_BUFFER: usize = 48 * 1024;
/// A client that acknowledges nothing of what was written for so long is gone, or will never read again: the system then breaks the
/// connection (RFC 5482). Heartbeats are written to everybody, so that nobody is left for long.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// The most pieces in one write.
const PIECES: usize = 64;
/// For how many pieces there stays room when all is written. A connection hears of thousands who come after a restart, and then waits for
/// hours: what that took is worth more than the few allocations of the next burst.
const ROOM: usize = 16;
/// How long the connection's own task waits for room to say something before it takes the client to be stuck.
const STUCK: Duration = Duration::from_secs(30);

/// Something to write: encoded once, shared by all who get it.
#[derive(Debug, Clone)]
pub struct Piece {
    /// What goes onto the wire.
    pub bytes: Bytes,
    /// Which event of which stream it is, so that a connection that has just replayed the event can leave it out.
    pub event: Option<(Stream, Seq)>,
}

/// Why an outlet takes nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The server ends the connection, for this reason.
    Closed(CloseCode),
    /// The socket broke, or the client left.
    Lost,
}

/// The writing end of one live connection.
#[derive(Debug)]
pub struct Outlet {
    state: Mutex<State>,
    /// Where it writes to, from the moment the connection has left HTTP.
    socket: OnceLock<Arc<TcpStream>>,
    /// Writes for it.
    shard: Arc<Shard>,
    /// Wakes the connection's own task, the only one that waits: there is room again, all is written, or it ended.
    changed: Notify,
    bound: usize,
}

/// The policy, as plain data.
#[derive(Debug)]
struct State {
    /// To be written, in this order. The first may have been written in part, and then begins with what is left of it.
    out: VecDeque<Bytes>,
    /// The first of `out` was written in part: a receiver could make nothing of what follows unless the rest comes.
    begun: bool,
    /// Pushed while corked; none when it is not.
    held: Option<Vec<Piece>>,
    /// Up to here a stream was replayed. Forgotten as soon as the stream is past it.
    replayed: Vec<(Stream, Seq)>,
    /// Of `out` and `held`.
    bytes: usize,
    /// The shard knows that there is something to write, or a task waits for the socket to take more.
    scheduled: bool,
    /// The connection's own task waits for what is in `out` to be written. It is not woken otherwise: most of what is written is
    /// no news to it.
    awaited: bool,
    ended: Option<Ended>,
}

/// What follows from a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    Schedule,
    Wake,
}

impl State {
    fn push(&mut self, piece: Piece, bound: usize) -> Then {
        if self.ended.is_some() {
            return Then::Nothing;
        }
        let waiting = self.bytes;
        if let Some(held) = &mut self.held {
            self.bytes += piece.bytes.len();
            held.push(piece);
        } else {
            if piece.event.is_some_and(|event| self.was_replayed(event)) {
                return Then::Nothing;
            }
            self.bytes += piece.bytes.len();
            self.out.push_back(piece.bytes);
        }
        // One piece may be larger than the bound: who has read everything before it is not slow.
        if self.bytes > bound && waiting > 0 {
            self.end(Ended::Closed(CloseCode::TooSlow))
        } else if self.held.is_some() {
            Then::Nothing
        } else {
            self.schedule()
        }
    }

    fn was_replayed(&mut self, (stream, seq): (Stream, Seq)) -> bool {
        let known = self.replayed.iter().position(|(known, _)| *known == stream);
        let Some(known) = known else { return false };
        let was = seq <= self.replayed[known].1;
        if !was {
            self.replayed.swap_remove(known);
        }
        was
    }

    fn schedule(&mut self) -> Then {
        if self.scheduled || self.out.is_empty() {
            return Then::Nothing;
        }
        self.scheduled = true;
        Then::Schedule
    }

    /// Drops what waits, but for what a receiver needs to make sense of a farewell. The first reason stands.
    fn end(&mut self, why: Ended) -> Then {
        if self.ended.is_some() {
            return Then::Nothing;
        }
        self.ended = Some(why);
        let keep = usize::from(self.begun && why != Ended::Lost);
        self.out.truncate(keep);
        self.held = None;
        self.bytes = self.out.iter().map(Bytes::len).sum();
        Then::Wake
    }

    fn uncork(&mut self, replayed: &[(Stream, Seq)], bound: usize) -> Then {
        let held = self.held.take().unwrap_or_default();
        for (stream, seq) in replayed {
            self.replayed.retain(|(known, _)| known != stream);
            self.replayed.push((*stream, *seq));
        }
        let was_scheduled = self.scheduled;
        for piece in held {
            self.bytes -= piece.bytes.len();
            self.push(piece, bound);
        }
        // Also when it ended meanwhile: what was asked of the shard is asked once, and the farewell counts on it. The task that
        // uncorks sees the end for itself.
        if self.scheduled && !was_scheduled {
            Then::Schedule
        } else {
            Then::Nothing
        }
    }

    /// So many bytes were written. How many pieces they end.
    fn written(&mut self, mut count: usize) -> u64 {
        self.bytes -= count;
        let mut pieces = 0;
        while let Some(first) = self.out.front_mut() {
            if count < first.len() {
                first.advance(count);
                self.begun |= count > 0;
                break;
            }
            count -= first.len();
            self.out.pop_front();
            self.begun = false;
            pieces += 1;
        }
        pieces
    }
}

impl Outlet {
    /// An outlet that holds at most `bound` bytes; corked, and not connected to a socket yet.
    #[must_use]
    pub fn new(flusher: &Flusher, bound: usize) -> Arc<Self> {
        let state = State {
            out: VecDeque::new(),
            begun: false,
            held: Some(Vec::new()),
            replayed: Vec::new(),
            bytes: 0,
            scheduled: false,
            awaited: false,
            ended: None,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            socket: OnceLock::new(),
            shard: flusher.shard(),
            changed: Notify::new(),
            bound,
        })
    }

    /// From now on it writes to this socket, whose buffer in the system is bounded as well. To be called once, by the
    /// connection's own task, before it says anything.
    pub fn attach(&self, socket: Arc<TcpStream>) {
        let options = socket2::SockRef::from(&*socket);
        // A system that refuses leaves its own bounds in force.
        let _ = options.set_send_buffer_size(SEND_BUFFER);
        #[cfg(target_os = "linux")]
        let _ = options.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        // A second socket is never given.
        let _ = self.socket.set(socket);
    }

    /// Adds what everybody gets, or ends the outlet if it would grow past its bound.
    pub fn push(self: &Arc<Self>, piece: Piece) {
        let then = self.lock().push(piece, self.bound);
        self.follow(then);
    }

    /// Ends the outlet; what waits is dropped. The connection's own task hears it from [`Self::ended`].
    pub fn end(self: &Arc<Self>, why: CloseCode) {
        let then = self.lock().end(Ended::Closed(why));
        self.follow(then);
    }

    /// Holds back what others push, until [`Self::uncork`].
    pub fn cork(&self) {
        self.lock().held.get_or_insert_default();
    }

    /// Lets out what was held back, without the events that were replayed: those of these streams up to these sequences.
    pub fn uncork(self: &Arc<Self>, replayed: &[(Stream, Seq)]) {
        let then = self.lock().uncork(replayed, self.bound);
        self.follow(then);
    }

    /// Says something to this client alone, cork or not, in front of what is held back. Waits while more than half of the bound
    /// is waiting already, so that a replay of any length never passes it. Called by the connection's own task only.
    ///
    /// # Errors
    /// [`Ended`] when the outlet has ended, or the client reads nothing for 30 s.
    pub async fn say(self: &Arc<Self>, bytes: Bytes) -> Result<(), Ended> {
        loop {
            let then = {
                let mut state = self.lock();
                if let Some(ended) = state.ended {
                    return Err(ended);
                }
                if state.bytes <= self.bound / 2 || state.out.is_empty() {
                    state.bytes += bytes.len();
                    state.out.push_back(bytes);
                    let then = state.schedule();
                    drop(state);
                    self.follow(then);
                    return Ok(());
                }
                state.awaited = true;
                state.schedule()
            };
            self.follow(then);
            if timeout(STUCK, self.changed.notified()).await.is_err() {
                self.end(CloseCode::TooSlow);
            }
        }
    }

    /// What the WebSocket library answers by itself (pongs): never waits, and counts against the bound.
    pub(crate) fn mutter(self: &Arc<Self>, bytes: Bytes) {
        let then = {
            let mut state = self.lock();
            if state.ended.is_some() {
                return;
            }
            state.bytes += bytes.len();
            state.out.push_back(bytes);
            if state.bytes > self.bound {
                state.end(Ended::Closed(CloseCode::TooSlow))
            } else {
                state.schedule()
            }
        };
        self.follow(then);
    }

    /// Waits until the outlet ends. Called by the connection's own task only.
    pub async fn ended(&self) -> Ended {
        loop {
            if let Some(ended) = self.lock().ended {
                return ended;
            }
            self.changed.notified().await;
        }
    }

    /// The last words of an outlet that has ended, and everything still to be written with them. Called by the connection's own
    /// task only, which bounds the time it waits.
    pub async fn farewell(self: &Arc<Self>, bytes: Bytes) {
        let then = {
            let mut state = self.lock();
            if state.ended == Some(Ended::Lost) {
                return;
            }
            state.bytes += bytes.len();
            state.out.push_back(bytes);
            state.schedule()
        };
        self.follow(then);
        loop {
            {
                let mut state = self.lock();
                if state.out.is_empty() || state.ended == Some(Ended::Lost) {
                    return;
                }
                state.awaited = true;
            }
            self.changed.notified().await;
        }
    }

    /// How many bytes wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().bytes
    }

    /// Gives the connection up: nothing more is written, and whoever waits for the socket stops.
    pub fn abandon(&self) {
        {
            let mut state = self.lock();
            state.ended = Some(Ended::Lost);
            state.out = VecDeque::new();
            state.held = None;
            state.bytes = 0;
        }
        if let Some(socket) = self.socket.get() {
            // It may be closed already.
            let _ = socket2::SockRef::from(&**socket).shutdown(Shutdown::Both);
        }
    }

    fn follow(self: &Arc<Self>, then: Then) {
        match then {
            Then::Nothing => {}
            Then::Schedule => self.shard.schedule(self.clone()),
            Then::Wake => self.changed.notify_one(),
        }
    }

    /// Writes what waits, as far as the socket takes it. False when it takes no more for now: then [`Self::drain`] has to go
    /// on. Called by the shard, which the outlet has asked.
    pub(super) fn flush(&self) -> bool {
        let Some(socket) = self.socket.get() else {
            // What waits is written when there is a socket; only tests go without.
            self.lock().scheduled = false;
            return true;
        };
        let mut state = self.lock();
        while !state.out.is_empty() {
            match write(socket, &state.out) {
                Ok(written) => self.shard.count(state.written(written)),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    if state.bytes <= self.bound / 2 && std::mem::take(&mut state.awaited) {
                        self.changed.notify_one();
                    }
                    return false;
                }
                Err(_) => {
                    state.end(Ended::Lost);
                    // Also when it had ended for another reason: nothing can be said any more.
                    state.ended = Some(Ended::Lost);
                    state.out = VecDeque::new();
                    state.bytes = 0;
                    state.awaited = false;
                    self.changed.notify_one();
                }
            }
        }
        if state.out.capacity() > ROOM {
            state.out = VecDeque::new();
        }
        state.scheduled = false;
        if std::mem::take(&mut state.awaited) {
            self.changed.notify_one();
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
    pub(crate) fn take(&self) -> Result<Vec<Bytes>, Ended> {
        let mut state = self.lock();
        if let Some(ended) = state.ended {
            return Err(ended);
        }
        state.bytes = state
            .held
            .iter()
            .flatten()
            .map(|piece| piece.bytes.len())
            .sum();
        state.scheduled = false;
        Ok(state.out.drain(..).collect())
    }
}

/// Writes as much of it as the socket takes, in one call.
fn write(socket: &TcpStream, out: &VecDeque<Bytes>) -> io::Result<usize> {
    // By far the most common; the call for many pieces costs more.
    if let (1, Some(only)) = (out.len(), out.front()) {
        return socket.try_write(only);
    }
    let mut pieces = [IoSlice::new(&[]); PIECES];
    for (piece, bytes) in pieces.iter_mut().zip(out) {
        *piece = IoSlice::new(bytes);
    }
    socket.try_write_vectored(&pieces[..out.len().min(PIECES)])
}

#[cfg(test)]
mod tests;
