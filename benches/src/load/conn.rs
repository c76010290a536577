//! One connection: what is still to be written, and reading without waiting.

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
};

use anyhow::Result;
use mio::{Interest, Registry, Token, net::TcpStream};

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
    /// So many bytes; there may be more only if the buffer is full.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The peer closed the connection, or it broke.
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
    /// Begins to connect. Events carry `token`.
    pub fn connect(address: SocketAddr, registry: &Registry, token: Token) -> Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            socket,
            write_buffer: Vec::new(),
            is_open: false,
        })
    }

    /// The port on this side.
    pub fn port(&self) -> Option<u16> {
        self.socket.local_addr().ok().map(|address| address.port())
    }

    /// Writes now, or as soon as the socket takes it.
    pub fn send(&mut self, bytes: &[u8]) {
        self.write_buffer.extend_from_slice(bytes);
        if self.is_open {
            self.flush();
        }
    }

    /// The socket can be written to: writes what waits.
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
                // A broken connection shows itself when it is read.
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

    /// From now on no event of this connection is reported.
    pub fn ignore(&mut self, registry: &Registry) -> Result<()> {
        Ok(registry.deregister(&mut self.socket)?)
    }
}
