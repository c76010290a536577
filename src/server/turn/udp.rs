//! Clients that come by UDP: one socket hears all of them.

use super::{
    client::{Client, DATAGRAM, Wire},
    hub::Hub,
    message::{self, Request},
};
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{net::UdpSocket, time::MissedTickBehavior};

/// How much the system keeps for the one socket in each direction, in bytes: with what it keeps by itself, fifty calls lost a tenth.
const BUFFER: usize = 4 * 1024 * 1024;
/// How often what has expired is let go of.
const SWEEP: Duration = Duration::from_secs(5);
/// How many clients without a relay are known at most. Whoever makes up addresses fills this and no more; the oldest are forgotten.
const STRANGERS: usize = 4_096;

/// A socket and the clients that wrote to it.
#[derive(Debug)]
pub(super) struct Udp {
    hub: Arc<Hub>,
    socket: Arc<UdpSocket>,
    address: SocketAddr,
    clients: Mutex<HashMap<SocketAddr, Arc<Client>>>,
}

/// A socket at an address; of IPv6, for that alone.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A system that allows less keeps less.
    drop(socket.set_recv_buffer_size(BUFFER));
    drop(socket.set_send_buffer_size(BUFFER));
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

impl Udp {
    pub(super) fn new(hub: Arc<Hub>, socket: UdpSocket) -> io::Result<Self> {
        let address = socket.local_addr()?;
        Ok(Self {
            hub,
            socket: Arc::new(socket),
            address,
            clients: Mutex::default(),
        })
    }

    /// Hears clients for as long as it is polled.
    pub(super) async fn run(self) {
        let mut datagram = vec![0; DATAGRAM];
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                received = self.socket.recv_from(&mut datagram) => match received {
                    Ok((length, from)) => self.heard(&datagram[..length], from),
                    // Of one datagram that was sent, to somebody who is gone: nothing is wrong with the socket.
                    Err(why) => tracing::debug!(%why, "a datagram could not be received"),
                },
                _ = sweep.tick() => self.sweep(),
            }
        }
    }

    fn heard(&self, bytes: &[u8], from: SocketAddr) {
        let known = self.lock().get(&from).cloned();
        let client = match known {
            Some(client) => client,
            None => match message::read(bytes).filter(|_| message::is_message(bytes)) {
                // Nothing is kept for a question that is answered at once, nor for what nobody here can have asked for.
                Some(Request::Binding) => {
                    if let Some(answer) = message::seen_from(bytes, from) {
                        drop(self.socket.try_send_to(&answer, from));
                    }
                    return;
                }
                Some(_) => self.meet(from),
                None => return,
            },
        };
        client.heard(bytes);
    }

    fn meet(&self, from: SocketAddr) -> Arc<Client> {
        let wire = Wire::Udp(self.socket.clone(), from);
        let client = Client::new(self.hub.clone(), wire, from, self.address);
        let mut clients = self.lock();
        if clients.len() >= STRANGERS {
            clients.retain(|_, client| client.has_relay());
        }
        clients.insert(from, client.clone());
        client
    }

    fn sweep(&self) {
        let clients: Vec<_> = {
            let clients = self.lock();
            let all = clients.iter();
            all.map(|(from, client)| (*from, client.clone())).collect()
        };
        for (from, client) in clients {
            if !client.tick() {
                client.close();
                self.lock().remove(&from);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
