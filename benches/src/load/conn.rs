//! A non-blocking connection with a write buffer.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr},
};

use anyhow::Result;
use mio::{Interest, Registry, Token, net::TcpStream};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// Result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
    /// More may follow only if the buffer is full.
    Bytes(usize),
    /// Nothing to read now.
    Nothing,
    /// Closed by the peer, or failed.
    End,
}

/// A connection of the generator.
#[derive(Debug)]
pub struct Conn {
    socket: TcpStream,
    write_buffer: Vec<u8>,
    is_open: bool,
}

impl Conn {
    /// Starts to connect, from `source` if given. Events carry `token`.
    pub fn connect(
        address: SocketAddr,
        source: Option<IpAddr>,
        registry: &Registry,
        token: Token,
    ) -> Result<Self> {
        let mut socket = match source {
            Some(source) => connect_from(source, address)?,
            None => TcpStream::connect(address)?,
        };
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            socket,
            write_buffer: Vec::new(),
            is_open: false,
        })
    }

    /// The local port.
    pub fn port(&self) -> Option<u16> {
        self.socket.local_addr().ok().map(|address| address.port())
    }

    /// Writes now, or when the socket becomes writable.
    pub fn send(&mut self, bytes: &[u8]) {
        self.write_buffer.extend_from_slice(bytes);
        if self.is_open {
            self.flush();
        }
    }

    /// Writes the buffer.
    pub fn on_writable(&mut self) {
        self.is_open = true;
        self.flush();
    }

    fn flush(&mut self) {
        let mut written = 0;
        while written < self.write_buffer.len() {
            match self.socket.write(&self.write_buffer[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The next read reports the broken connection.
                Err(_) => break,
            }
        }
        self.write_buffer.drain(..written);
    }

    /// Reads once.
    pub fn read(&mut self, buffer: &mut [u8]) -> ReadOutcome {
        match self.socket.read(buffer) {
            Ok(0) => ReadOutcome::End,
            Ok(count) => ReadOutcome::Bytes(count),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected => {
                    ReadOutcome::Nothing
                }
                _ => ReadOutcome::End,
            },
        }
    }

    /// Stops events of this connection.
    pub fn ignore(&mut self, registry: &Registry) -> Result<()> {
        Ok(registry.deregister(&mut self.socket)?)
    }
}

/// Like [`TcpStream::connect`], with a local address and any free port.
fn connect_from(source: IpAddr, address: SocketAddr) -> Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
            Err(error.into())
        }
        Ok(()) | Err(_) => Ok(TcpStream::from_std(socket.into())),
    }
}
