//! A TURN client (RFC 8656) that acts as a browser would, for [`super::super::doctor`] and tests.

use super::credentials::Credential;
use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::ConfigVerifierExt;
use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, ToSocketAddrs, UdpSocket},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use turn_server_proto::types::{
    AddressFamily,
    attribute::{
        ChannelNumber, Data, Lifetime, RequestedAddressFamily, RequestedTransport, XorPeerAddress,
        XorRelayedAddress,
    },
    message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, DATA, REFRESH, SEND},
    stun::{
        attribute::{ErrorCode, Nonce, Realm, Username},
        message::{
            IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageWriteVec,
            Method, StunParseError, StunWriteError, TransactionId,
        },
        prelude::{MessageWrite, MessageWriteExt},
    },
};

const RESPONSE_TIMEOUT: Duration = Duration::from_millis(700);
const MAX_REQUEST_ATTEMPTS: usize = 3;

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The relay's error code (RFC 8489 section 14.8).
    #[error("it answered with error {0}")]
    Refused(u16),
    #[error("it did not answer")]
    Timeout,
    /// The certificate is not trusted (RFC 8446 section 4.4.2.4), or there are no root certificates.
    #[error("{0}")]
    Tls(rustls::Error),
    #[error("its answer is not valid TURN")]
    InvalidResponse,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<StunParseError> for ProbeError {
    fn from(_: StunParseError) -> Self {
        Self::InvalidResponse
    }
}

impl From<StunWriteError> for ProbeError {
    fn from(_: StunWriteError) -> Self {
        Self::InvalidResponse
    }
}

type Result<T> = std::result::Result<T, ProbeError>;

enum ProbeTransport {
    Udp(UdpSocket),
    Stream(Box<dyn ByteStream>),
}

trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// A TURN client connected to a relay.
pub struct Probe {
    transport: ProbeTransport,
    credential: Credential,
    realm: String,
    nonce: String,
}

impl Probe {
    /// Connects over UDP.
    ///
    /// # Errors
    /// [`ProbeError::Io`].
    pub async fn connect_udp(relay: SocketAddr, credential: Credential) -> Result<Self> {
        let any: SocketAddr = if relay.is_ipv4() {
            ([0; 4], 0).into()
        } else {
            ([0_u16; 8], 0).into()
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(relay).await?;
        Ok(Self::with_transport(
            ProbeTransport::Udp(socket),
            credential,
        ))
    }

    /// Connects over TCP, to the first address that accepts.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn connect_tcp(relay: impl ToSocketAddrs, credential: Credential) -> Result<Self> {
        let stream = timeout(RESPONSE_TIMEOUT * 3, TcpStream::connect(relay)).await;
        let stream = stream.map_err(|_| ProbeError::Timeout)??;
        Ok(Self::with_stream(stream, credential))
    }

    /// Connects over TLS, to the first address that accepts. The platform must trust the certificate for `name`.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn connect_tls(
        relay: impl ToSocketAddrs,
        name: &str,
        credential: Credential,
    ) -> Result<Self> {
        let config = ClientConfig::with_platform_verifier().map_err(ProbeError::Tls)?;
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let connect = async {
            let stream = TcpStream::connect(relay).await?;
            TlsConnector::from(Arc::new(config))
                .connect(name, stream)
                .await
        };
        let connected = timeout(RESPONSE_TIMEOUT * 3, connect).await;
        let connected = connected.map_err(|_| ProbeError::Timeout)?;
        let stream = connected.map_err(|why| {
            let tls = why.get_ref().and_then(|why| why.downcast_ref());
            tls.cloned().map_or(ProbeError::Io(why), ProbeError::Tls)
        })?;
        Ok(Self::with_stream(stream, credential))
    }

    /// Uses an open stream.
    pub fn with_stream(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        credential: Credential,
    ) -> Self {
        Self::with_transport(ProbeTransport::Stream(Box::new(stream)), credential)
    }

    fn with_transport(transport: ProbeTransport, credential: Credential) -> Self {
        Self {
            transport,
            credential,
            realm: String::new(),
            nonce: String::new(),
        }
    }

    /// Sets another credential.
    pub fn set_credential(&mut self, credential: Credential) {
        self.credential = credential;
    }

    /// Creates an allocation and returns its relayed address.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn allocate(&mut self) -> Result<SocketAddr> {
        self.allocate_with(request_udp_transport).await
    }

    /// Creates an allocation with an IPv6 address.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn allocate_v6(&mut self) -> Result<SocketAddr> {
        self.allocate_with(|request, id| {
            request_udp_transport(request, id)?;
            request.add_attribute(&RequestedAddressFamily::new(AddressFamily::IPV6))
        })
        .await
    }

    async fn allocate_with(
        &mut self,
        add: impl Fn(&mut MessageWriteVec, TransactionId) -> std::result::Result<(), StunWriteError>,
    ) -> Result<SocketAddr> {
        let first = self.exchange(ALLOCATE, false, &add).await?;
        let first = Message::from_bytes(&first)?;
        if first.attribute::<ErrorCode>()?.code() != ErrorCode::UNAUTHORIZED {
            return Err(ProbeError::InvalidResponse);
        }
        first
            .attribute::<Realm>()?
            .realm()
            .clone_into(&mut self.realm);
        first
            .attribute::<Nonce>()?
            .nonce()
            .clone_into(&mut self.nonce);
        let answer = self.send_signed_request(ALLOCATE, add).await?;
        let answer = Message::from_bytes(&answer)?;
        let relay = answer.attribute::<XorRelayedAddress>()?;
        Ok(relay.addr(answer.transaction_id()))
    }

    /// Creates a permission for a peer.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn create_permission(&mut self, peer: SocketAddr) -> Result<()> {
        let add = |request: &mut MessageWriteVec, id| {
            request.add_attribute(&XorPeerAddress::new(peer, id))
        };
        self.send_signed_request(CREATE_PERMISSION, add)
            .await
            .map(drop)
    }

    /// Binds a channel (0x4000 to 0x4FFF) to a peer.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn bind_channel(&mut self, channel: u16, peer: SocketAddr) -> Result<()> {
        let add = |request: &mut MessageWriteVec, id| {
            request.add_attribute(&ChannelNumber::new(channel))?;
            request.add_attribute(&XorPeerAddress::new(peer, id))
        };
        self.send_signed_request(CHANNEL_BIND, add).await.map(drop)
    }

    /// Deletes the allocation: a Refresh request with lifetime 0.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn release(&mut self) -> Result<()> {
        let add = |request: &mut MessageWriteVec, _| request.add_attribute(&Lifetime::new(0));
        self.send_signed_request(REFRESH, add).await.map(drop)
    }

    /// Sends data to a peer in a Send indication.
    ///
    /// # Errors
    /// [`ProbeError::Io`]; [`ProbeError::InvalidResponse`] when the data do not fit.
    pub async fn send_indication(&mut self, peer: SocketAddr, bytes: &[u8]) -> Result<()> {
        let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
        let id = message.transaction_id();
        message.add_attribute(&XorPeerAddress::new(peer, id))?;
        message.add_attribute(&Data::new(bytes))?;
        self.write(&message.finish()).await
    }

    /// Sends data to a peer through a channel.
    ///
    /// # Errors
    /// [`ProbeError::Io`]; [`ProbeError::InvalidResponse`] when the data do not fit.
    pub async fn send_channel_data(&mut self, channel: u16, bytes: &[u8]) -> Result<()> {
        let length = u16::try_from(bytes.len()).map_err(|_| ProbeError::InvalidResponse)?;
        let mut data = [channel.to_be_bytes(), length.to_be_bytes()].concat();
        data.extend_from_slice(bytes);
        if matches!(self.transport, ProbeTransport::Stream(_)) {
            data.resize(data.len().next_multiple_of(4), 0);
        }
        self.write(&data).await
    }

    /// Receives a peer's data, from a Data indication or a channel.
    ///
    /// # Errors
    /// [`ProbeError`], which is [`ProbeError::Timeout`] after 700 ms.
    pub async fn receive(&mut self) -> Result<Vec<u8>> {
        let bytes = timeout(RESPONSE_TIMEOUT, self.read()).await;
        payload(&bytes.map_err(|_| ProbeError::Timeout)??)
    }

    async fn send_signed_request(
        &mut self,
        method: Method,
        add: impl Fn(&mut MessageWriteVec, TransactionId) -> std::result::Result<(), StunWriteError>,
    ) -> Result<Vec<u8>> {
        let answer = self.exchange(method, true, add).await?;
        let read = Message::from_bytes(&answer)?;
        if read.has_class(MessageClass::Error) {
            return Err(ProbeError::Refused(read.attribute::<ErrorCode>()?.code()));
        }
        Ok(answer)
    }

    async fn exchange(
        &mut self,
        method: Method,
        signed: bool,
        add: impl Fn(&mut MessageWriteVec, TransactionId) -> std::result::Result<(), StunWriteError>,
    ) -> Result<Vec<u8>> {
        let mut request = Message::builder_request(method, MessageWriteVec::new());
        let id = request.transaction_id();
        add(&mut request, id)?;
        if signed {
            let Credential { username, password } = self.credential.clone();
            request.add_attribute(&Username::new(&username)?)?;
            request.add_attribute(&Realm::new(&self.realm)?)?;
            request.add_attribute(&Nonce::new(&self.nonce)?)?;
            let key = LongTermKeyCredentials::new(username, password, self.realm.clone());
            request.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1)?;
        }
        let request = request.finish();
        // A stream retransmits by itself, and the rest of a partial response would corrupt the next.
        let (tries, response_timeout) = match self.transport {
            ProbeTransport::Udp(_) => (MAX_REQUEST_ATTEMPTS, RESPONSE_TIMEOUT),
            ProbeTransport::Stream(_) => (1, 3 * RESPONSE_TIMEOUT),
        };
        for _ in 0..tries {
            self.write(&request).await?;
            if let Ok(answer) = timeout(response_timeout, self.read_response(id)).await {
                return answer;
            }
        }
        Err(ProbeError::Timeout)
    }

    async fn read_response(&mut self, id: TransactionId) -> Result<Vec<u8>> {
        loop {
            let answer = self.read().await?;
            let is_answer = Message::from_bytes(&answer)
                .is_ok_and(|answer| answer.is_response() && answer.transaction_id() == id);
            if is_answer {
                return Ok(answer);
            }
        }
    }

    /// Sends raw bytes.
    ///
    /// # Errors
    /// [`ProbeError::Io`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.transport {
            ProbeTransport::Udp(socket) => drop(socket.send(bytes).await?),
            ProbeTransport::Stream(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await?;
            }
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<Vec<u8>> {
        match &mut self.transport {
            ProbeTransport::Udp(socket) => {
                let mut bytes = vec![0; super::client::MAX_DATAGRAM_BYTES];
                let length = socket.recv(&mut bytes).await?;
                bytes.truncate(length);
                Ok(bytes)
            }
            ProbeTransport::Stream(stream) => {
                let mut head = [0; super::message::FRAME_HEADER_BYTES];
                stream.read_exact(&mut head).await?;
                let length =
                    super::message::frame_length(head).ok_or(ProbeError::InvalidResponse)?;
                let mut bytes = head.to_vec();
                bytes.resize(length, 0);
                stream.read_exact(&mut bytes[head.len()..]).await?;
                Ok(bytes)
            }
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

fn request_udp_transport(
    request: &mut MessageWriteVec,
    _: TransactionId,
) -> std::result::Result<(), StunWriteError> {
    request.add_attribute(&RequestedTransport::new(RequestedTransport::UDP))
}

fn payload(bytes: &[u8]) -> Result<Vec<u8>> {
    if super::message::is_message(bytes) {
        let message = Message::from_bytes(bytes)?;
        if message.method() != DATA {
            return Err(ProbeError::InvalidResponse);
        }
        return Ok(message.attribute::<Data>()?.data().to_vec());
    }
    let head = bytes
        .first_chunk::<4>()
        .ok_or(ProbeError::InvalidResponse)?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let data = bytes
        .get(4..4 + length)
        .ok_or(ProbeError::InvalidResponse)?;
    Ok(data.to_vec())
}
