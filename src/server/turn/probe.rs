//! The other end of TURN (RFC 8656): asks a relay for what a browser would, to see whether it does it. For [`super::super::doctor`] and
//! for tests; calls are made by browsers.

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

/// How long an answer may take before it is asked for again, and how often.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(700);
const MAX_REQUEST_ATTEMPTS: usize = 3;

/// What did not work.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The relay answered with this code (RFC 8489 section 14.8).
    #[error("it answered {0}")]
    Refused(u16),
    /// Nothing came.
    #[error("it did not answer")]
    Timeout,
    /// Its certificate is not believed (RFC 8446 section 4.4.2.4), or nothing is there to judge it by.
    #[error("{0}")]
    Tls(rustls::Error),
    /// What came made no sense.
    #[error("it answered something that is no TURN")]
    InvalidResponse,
    /// The network said no.
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

/// How the relay is spoken to.
enum ProbeTransport {
    Udp(UdpSocket),
    Stream(Box<dyn ByteStream>),
}

/// TCP, or TLS over it.
trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// Somebody with a credential, at a relay.
pub struct Probe {
    transport: ProbeTransport,
    credential: Credential,
    realm: String,
    nonce: String,
}

impl Probe {
    /// Comes by UDP.
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

    /// Comes by TCP, to whichever of these addresses accepts.
    ///
    /// # Errors
    /// [`ProbeError::Io`], and [`ProbeError::Silent`] when nobody accepts.
    pub async fn connect_tcp(relay: impl ToSocketAddrs, credential: Credential) -> Result<Self> {
        let stream = timeout(RESPONSE_TIMEOUT * 3, TcpStream::connect(relay)).await;
        let stream = stream.map_err(|_| ProbeError::Timeout)??;
        Ok(Self::with_stream(stream, credential))
    }

    /// Comes by TLS, to whichever of these addresses accepts, and believes the certificate of this name that the other programs of this
    /// machine do.
    ///
    /// # Errors
    /// [`ProbeError::Tls`], [`ProbeError::Io`], and [`ProbeError::Silent`] when nobody accepts.
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

    /// Comes over a stream that is open, such as one of TLS.
    pub fn with_stream(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        credential: Credential,
    ) -> Self {
        Self::with_transport(ProbeTransport::Stream(Box::new(stream)), credential)
    }

    fn with_transport(wire: ProbeTransport, credential: Credential) -> Self {
        Self {
            transport: wire,
            credential,
            realm: String::new(),
            nonce: String::new(),
        }
    }

    /// Says from now on that it is somebody else.
    pub fn set_credential(&mut self, credential: Credential) {
        self.credential = credential;
    }

    /// Asks for a relay, and returns its address.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn allocate(&mut self) -> Result<SocketAddr> {
        self.allocate_with(request_udp_transport).await
    }

    /// Asks for a relay with an address of IPv6, and returns it.
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

    /// Asks to hear a peer, and to send to it.
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

    /// Asks for a channel to a peer (0x4000 to 0x4FFF).
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

    /// Gives the relay back.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn release(&mut self) -> Result<()> {
        let add = |request: &mut MessageWriteVec, _| request.add_attribute(&Lifetime::new(0));
        self.send_signed_request(REFRESH, add).await.map(drop)
    }

    /// Sends to a peer, in an indication.
    ///
    /// # Errors
    /// [`ProbeError::Io`].
    pub async fn send_indication(&mut self, peer: SocketAddr, bytes: &[u8]) -> Result<()> {
        let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
        let id = message.transaction_id();
        message.add_attribute(&XorPeerAddress::new(peer, id))?;
        message.add_attribute(&Data::new(bytes))?;
        self.write(&message.finish()).await
    }

    /// Sends through a channel.
    ///
    /// # Errors
    /// [`ProbeError::Io`].
    pub async fn send_channel_data(&mut self, channel: u16, bytes: &[u8]) -> Result<()> {
        let length = u16::try_from(bytes.len()).map_err(|_| ProbeError::InvalidResponse)?;
        let mut data = [channel.to_be_bytes(), length.to_be_bytes()].concat();
        data.extend_from_slice(bytes);
        if matches!(self.transport, ProbeTransport::Stream(_)) {
            data.resize(data.len().next_multiple_of(4), 0);
        }
        self.write(&data).await
    }

    /// The next that a peer sends, by whichever way it comes.
    ///
    /// # Errors
    /// [`ProbeError::Silent`] when nothing comes for a while.
    pub async fn receive(&mut self) -> Result<Vec<u8>> {
        let bytes = timeout(RESPONSE_TIMEOUT, self.read()).await;
        payload(&bytes.map_err(|_| ProbeError::Timeout)??)
    }

    /// What is answered to a signed request.
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
        // A stream loses nothing, and half an answer that was given up would be taken for the next.
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

    /// The answer to a request; what else comes meanwhile is skipped.
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

    /// Sends it as it is, whatever it is.
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

/// What a peer sent, out of a Data indication or channel data.
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
