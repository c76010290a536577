//! A simulated connection: bytes arrive in order and after a delay, or never.

use bytes::{Buf, Bytes};
use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// One end of a connection; dropping it ends both directions.
#[derive(Debug)]
pub(crate) struct PipeEnd {
    pipe: Arc<Pipe>,
    side: usize,
}

#[derive(Debug)]
pub(crate) struct Pipe {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// By the side that reads.
    directions: [Direction; 2],
    capacity: usize,
    delay: Duration,
    has_broken: bool,
    is_cut: bool,
}

#[derive(Debug, Default)]
struct Direction {
    chunks: VecDeque<(Instant, Bytes)>,
    bytes: usize,
    /// When the reader sees the end.
    ends_at: Option<Instant>,
    /// The reader takes nothing more.
    is_refused: bool,
}

/// Bytes take `delay`; a direction holds `capacity` bytes.
pub(crate) fn connect(capacity: usize, delay: Duration) -> (PipeEnd, PipeEnd) {
    let pipe = Arc::new(Pipe {
        state: Mutex::new(State {
            directions: Default::default(),
            capacity,
            delay,
            has_broken: false,
            is_cut: false,
        }),
        changed: Notify::new(),
    });
    let end = |side| PipeEnd {
        pipe: pipe.clone(),
        side,
    };
    (end(0), end(1))
}

impl Pipe {
    /// Nothing arrives any more, as behind a router that has forgotten the connection.
    pub(crate) fn cut(&self) {
        self.lock().is_cut = true;
    }

    /// Both ends get an error, as after a reset.
    pub(crate) fn break_off(&self) {
        self.lock().has_broken = true;
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PipeEnd {
    pub(crate) fn pipe(&self) -> Arc<Pipe> {
        self.pipe.clone()
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.pipe.lock();
        if state.has_broken {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let (now, is_cut) = (Instant::now(), state.is_cut);
        let direction = &mut state.directions[self.side];
        let mut read = 0;
        while read < buffer.len()
            && let Some((at, chunk)) = direction.chunks.front_mut()
            && *at <= now
            && !is_cut
        {
            let count = chunk.len().min(buffer.len() - read);
            buffer[read..read + count].copy_from_slice(&chunk[..count]);
            chunk.advance(count);
            read += count;
            if chunk.is_empty() {
                direction.chunks.pop_front();
            }
        }
        direction.bytes -= read;
        let has_ended = direction.is_refused
            || direction.chunks.is_empty()
                && direction.ends_at.is_some_and(|at| at <= now)
                && !is_cut;
        drop(state);
        match read {
            0 if has_ended => Ok(0),
            0 => Err(ErrorKind::WouldBlock.into()),
            read => {
                self.pipe.changed.notify_waiters();
                Ok(read)
            }
        }
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(bytes)])
    }

    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.pipe.lock();
        let (capacity, at) = (state.capacity, Instant::now() + state.delay);
        let has_broken = state.has_broken;
        let direction = &mut state.directions[1 - self.side];
        if has_broken || direction.is_refused || direction.ends_at.is_some() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        // Keeps the order, also if the delay has shrunk.
        let at = direction
            .chunks
            .back()
            .map_or(at, |(last, _)| at.max(*last));
        let mut written = 0;
        for slice in slices {
            let count = slice.len().min(capacity - direction.bytes);
            if count > 0 {
                let chunk = Bytes::copy_from_slice(&slice[..count]);
                direction.chunks.push_back((at, chunk));
                direction.bytes += count;
                written += count;
            }
        }
        drop(state);
        if written == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.pipe.changed.notify_waiters();
        Ok(written)
    }

    pub(crate) async fn readable(&self) {
        loop {
            let changed = self.pipe.changed.notified();
            let next = {
                let state = self.pipe.lock();
                let direction = &state.directions[self.side];
                let next = direction.chunks.front().map(|(at, _)| *at);
                match next.or(direction.ends_at) {
                    _ if state.has_broken || direction.is_refused => return,
                    _ if state.is_cut => None,
                    Some(at) if at <= Instant::now() => return,
                    next => next,
                }
            };
            match next {
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = sleep_until(at) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    pub(crate) async fn writable(&self) {
        loop {
            let changed = self.pipe.changed.notified();
            {
                let state = self.pipe.lock();
                let direction = &state.directions[1 - self.side];
                let is_closed = direction.is_refused || direction.ends_at.is_some();
                if state.has_broken || is_closed || direction.bytes < state.capacity {
                    return;
                }
            }
            changed.await;
        }
    }

    pub(crate) fn shutdown(&self) {
        let mut state = self.pipe.lock();
        let at = Instant::now() + state.delay;
        let ours = &mut state.directions[1 - self.side];
        let at = ours.chunks.back().map_or(at, |(last, _)| at.max(*last));
        ours.ends_at.get_or_insert(at);
        let theirs = &mut state.directions[self.side];
        theirs.is_refused = true;
        theirs.chunks.clear();
        theirs.bytes = 0;
        drop(state);
        self.pipe.changed.notify_waiters();
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.shutdown();
    }
}
