//! The byte stream below a live connection: TCP, or a pipe in the simulation.

#[cfg(test)]
use super::simulation::pipe::PipeEnd;
use std::{
    io::{self, IoSlice},
    net::Shutdown,
    time::Duration,
};
use tokio::net::TcpStream;

/// Linux doubles the value.
const SEND_BUFFER_BYTES: usize = 48 * 1024;
/// The kernel then breaks a connection without acknowledgements (RFC 5482); heartbeats are always sent.
#[cfg(target_os = "linux")]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connected stream socket. Reads and writes never wait, and fail with [`io::ErrorKind::WouldBlock`] instead.
#[derive(Debug)]
#[cfg_attr(
    test,
    expect(private_interfaces, reason = "the simulation is of this crate")
)]
pub enum Socket {
    Tcp(TcpStream),
    #[cfg(test)]
    Pipe(PipeEnd),
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Self {
        Self::Tcp(tcp)
    }
}

impl Socket {
    /// Sets the options of a live connection.
    pub fn set_live_options(&self) {
        match self {
            Self::Tcp(tcp) => {
                let options = socket2::SockRef::from(tcp);
                let _ = options.set_send_buffer_size(SEND_BUFFER_BYTES);
                #[cfg(target_os = "linux")]
                let _ = options.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));
            }
            #[cfg(test)]
            Self::Pipe(_) => {}
        }
    }

    /// # Errors
    /// As of [`TcpStream::try_read`]. `Ok(0)` is the end.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.try_read(buffer),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.try_read(buffer),
        }
    }

    /// # Errors
    /// As of [`TcpStream::try_write`].
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.try_write(bytes),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.try_write(bytes),
        }
    }

    /// # Errors
    /// As of [`TcpStream::try_write_vectored`].
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.try_write_vectored(slices),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.try_write_vectored(slices),
        }
    }

    /// Waits until a read may succeed or fail.
    pub async fn readable(&self) {
        match self {
            Self::Tcp(tcp) => drop(tcp.readable().await),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.readable().await,
        }
    }

    /// Waits until a write may succeed or fail.
    pub async fn writable(&self) {
        match self {
            Self::Tcp(tcp) => drop(tcp.writable().await),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.writable().await,
        }
    }

    /// Ends both directions.
    pub fn shutdown(&self) {
        match self {
            Self::Tcp(tcp) => {
                let _ = socket2::SockRef::from(tcp).shutdown(Shutdown::Both);
            }
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.shutdown(),
        }
    }

    /// Discards input until the connection ends, or so many bytes: the system resets a connection with unread bytes, which could lose
    /// the last bytes sent.
    pub async fn drain(&self, max_bytes: usize) {
        // Small, because it is part of each idle reader's task.
        let mut ignored = [0; 256];
        let mut left = max_bytes;
        while left > 0 {
            self.readable().await;
            match self.try_read(&mut ignored) {
                Ok(0) => return,
                Ok(length) => {
                    left = left.saturating_sub(length);
                    tokio::task::consume_budget().await;
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}
