//! TURN over UDP: one socket receives the datagrams of all clients.

use super::{
    client::{ClientTransport, MAX_DATAGRAM_BYTES, TurnClient},
    hub::Hub,
    message::{self, StunRequest},
};
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{net::UdpSocket, time::MissedTickBehavior};

/// With the default, fifty calls lost a tenth of their packets.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Beyond this, clients without an allocation are dropped: spoofed addresses take bounded memory.
const MAX_UNALLOCATED_CLIENTS: usize = 4_096;

#[derive(Debug)]
pub(super) struct UdpServer {
    hub: Arc<Hub>,
    socket: Arc<UdpSocket>,
    address: SocketAddr,
    clients: Mutex<HashMap<SocketAddr, Arc<TurnClient>>>,
}

pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The kernel may grant less.
    drop(socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES));
    drop(socket.set_send_buffer_size(SOCKET_BUFFER_BYTES));
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

impl UdpServer {
    pub(super) fn new(hub: Arc<Hub>, socket: UdpSocket) -> io::Result<Self> {
        let address = socket.local_addr()?;
        Ok(Self {
            hub,
            socket: Arc::new(socket),
            address,
            clients: Mutex::default(),
        })
    }

    pub(super) async fn run(self) {
        let mut datagram = vec![0; MAX_DATAGRAM_BYTES];
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                received = self.socket.recv_from(&mut datagram) => match received {
                    Ok((length, from)) => self.on_datagram(&datagram[..length], from),
                    // It belongs to a datagram to a client that is gone; the socket is fine.
                    Err(why) => tracing::debug!(%why, "a datagram could not be received"),
                },
                _ = sweep.tick() => self.sweep(),
            }
        }
    }

    pub(super) fn on_datagram(&self, bytes: &[u8], from: SocketAddr) {
        let known = self.lock().get(&from).cloned();
        let client = match known {
            Some(client) => client,
            None => match message::parse_request(bytes).filter(|_| message::is_message(bytes)) {
                // No state for a Binding request, nor for anything but a request.
                Some(StunRequest::Binding) => {
                    if let Some(answer) = message::binding_response(bytes, from) {
                        drop(self.socket.try_send_to(&answer, from));
                    }
                    return;
                }
                Some(_) => self.add_client(from),
                None => return,
            },
        };
        client.on_client_data(bytes);
    }

    fn add_client(&self, from: SocketAddr) -> Arc<TurnClient> {
        let transport = ClientTransport::Udp(self.socket.clone(), from);
        let client = TurnClient::new(self.hub.clone(), transport, from, self.address);
        let mut clients = self.lock();
        if clients.len() >= MAX_UNALLOCATED_CLIENTS {
            clients.retain(|_, client| client.has_allocation());
        }
        clients.insert(from, client.clone());
        client
    }

    pub(super) fn sweep(&self) {
        let clients: Vec<_> = {
            let clients = self.lock();
            let all = clients.iter();
            all.map(|(from, client)| (*from, client.clone())).collect()
        };
        for (from, client) in clients {
            if !client.expire() {
                client.close();
                self.lock().remove(&from);
            }
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn client_count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Arc<TurnClient>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
