//! TURN over TCP or TLS, for clients whose network blocks UDP (RFC 8656 section 3.1).

use super::{
    client::{ClientTransport, MAX_DATAGRAM_BYTES, TurnClient, UNALLOCATED_TIMEOUT},
    hub::Hub,
    message::{self, FRAME_HEADER_BYTES},
};
use crate::server::{
    metrics::RelayRefusalLabels,
    rate_limit::{Bound, Charge, Key},
};
use bytes::{Buf, BytesMut};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// About half a second of a call; further messages are dropped.
const MAX_QUEUED_MESSAGES: usize = 128;
/// A datagram in a Send indication, with the other attributes.
const MAX_FRAME_BYTES: usize = MAX_DATAGRAM_BYTES + 128;
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// For a TLS handshake, and for one write.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct TcpServer {
    hub: Arc<Hub>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    TcpListener::from_std(socket.into())
}

impl TcpServer {
    pub(super) fn new(hub: Arc<Hub>, listener: TcpListener, tls: Option<TlsAcceptor>) -> Self {
        Self { hub, listener, tls }
    }

    pub(super) async fn run(self) {
        loop {
            let (socket, from) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(why) => {
                    tracing::debug!(%why, "a TURN connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let charges = [
                Charge::new(Bound::TurnConnections, Key::address(from.ip())),
                Charge::new(Bound::AllTurnConnections, Key::Total),
            ];
            let Ok(place) = self.hub.limits.open(charges) else {
                self.hub.count_refusal(RelayRefusalLabels::CONNECTIONS);
                continue;
            };
            let (hub, tls) = (self.hub.clone(), self.tls.clone());
            tokio::spawn(async move {
                let _place = place;
                if let Err(why) = serve_connection(hub, socket, from, tls).await {
                    tracing::debug!(%why, "a TURN connection failed");
                }
            });
        }
    }
}

async fn serve_connection(
    hub: Arc<Hub>,
    socket: TcpStream,
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
) -> io::Result<()> {
    drop(socket.set_nodelay(true));
    let at = socket.local_addr()?;
    match tls {
        Some(tls) => {
            let stream = timeout(STALL_TIMEOUT, tls.accept(socket)).await??;
            serve_client(hub, stream, from, at).await
        }
        None => serve_client(hub, socket, from, at).await,
    }
}

async fn serve_client(
    hub: Arc<Hub>,
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    from: SocketAddr,
    at: SocketAddr,
) -> io::Result<()> {
    let (mut read, write) = tokio::io::split(stream);
    let (queue, waiting) = mpsc::channel(MAX_QUEUED_MESSAGES);
    let client = TurnClient::new(hub, ClientTransport::Stream(queue), from, at);
    let mut writer = tokio::spawn(write_queued(write, waiting));
    let result = tokio::select! {
        result = read_messages(&mut read, &client) => result,
        // The client stopped reading, or the connection broke.
        _ = &mut writer => Ok(()),
    };
    client.close();
    writer.abort();
    result
}

/// Ends at an invalid or too long message, or without an allocation for too long.
pub(super) async fn read_messages(
    read: &mut (impl AsyncRead + Unpin),
    client: &Arc<TurnClient>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tokio::select! {
            length = read.read_buf(&mut buffer) => if length? == 0 {
                return Ok(());
            },
            _ = sweep.tick() => if client.expire() {
                continue;
            } else {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no allocation within {UNALLOCATED_TIMEOUT:?}")));
            },
        }
        while let Some(head) = buffer.first_chunk::<FRAME_HEADER_BYTES>() {
            let Some(length) = message::frame_length(*head) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            if length > MAX_FRAME_BYTES {
                client.count_oversized_frame();
                return Err(io::ErrorKind::InvalidData.into());
            }
            if buffer.len() < length {
                break;
            }
            client.on_client_data(&buffer[..length]);
            buffer.advance(length);
            // Other tasks run between the messages of one read.
            tokio::task::consume_budget().await;
        }
    }
}

async fn write_queued(
    mut write: impl AsyncWrite + Unpin,
    mut waiting: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let mut together = Vec::new();
    while let Some(first) = waiting.recv().await {
        together.clear();
        together.extend_from_slice(&first);
        while let Ok(next) = waiting.try_recv() {
            together.extend_from_slice(&next);
        }
        timeout(STALL_TIMEOUT, write.write_all(&together)).await??;
        timeout(STALL_TIMEOUT, write.flush()).await??;
    }
    Ok(())
}

impl std::fmt::Debug for TcpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpServer")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}
