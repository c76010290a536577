//! Accepts connections: HTTP/1.1 for requests, and the bare socket for live connections.
//!
//! A handler of a live connection (SSE, WebSocket) returns [`Takeover::take`] and gets the socket; hyper's buffers are
//! freed (`docs/decisions/0006-live-connections-outside-hyper.md`).

use super::{
    proxy::TrustedProxies,
    rate_limit::{Bound, Charge, Key, Place, RateLimits},
    socket::Socket,
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::ConnectInfo,
    http::{HeaderValue, Request, header},
    response::{IntoResponse, Response},
};
use futures::future::BoxFuture;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Beyond this, connections over the limit are closed without an answer.
const MAX_CONCURRENT_REFUSALS: usize = 64;
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_REFUSED_BYTES: u64 = 64 * 1024;
/// Applies to errors such as too many open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Handles for a graceful shutdown.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    pub token: CancellationToken,
    /// All open connections; closed once no more are accepted.
    pub connections: TaskTracker,
}

/// What limits connections.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    pub limits: Arc<RateLimits>,
    /// All clients behind them share an address.
    pub trusted_proxies: TrustedProxies,
}

impl ConnectionLimits {
    fn open(&self, peer: IpAddr) -> Option<Place> {
        let of_address = Charge::new(Bound::Connections, Key::address(peer));
        let of_address =
            Some(of_address).filter(|_| !self.trusted_proxies.trusts(peer.to_canonical()));
        let of_all = Charge::new(Bound::AllConnections, Key::Total);
        self.limits
            .open(of_address.into_iter().chain([of_all]))
            .ok()
    }
}

/// Serves until the token is cancelled. HTTP connections end after their current request.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    stopping: Shutdown,
) {
    let refusals = Arc::new(Semaphore::new(MAX_CONCURRENT_REFUSALS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.token.cancelled() => break,
        };
        match accepted {
            Ok((socket, peer)) => match limits.open(peer.ip()) {
                Some(place) => {
                    let (router, stopping) = (router.clone(), stopping.clone());
                    let connections = stopping.connections.clone();
                    connections.spawn(serve_connection(socket, peer, router, place, stopping));
                }
                None => {
                    if let Ok(permit) = refusals.clone().try_acquire_owned() {
                        stopping.connections.spawn(refuse(socket, permit));
                    }
                }
            },
            Err(why) if is_connection_error(&why) => {}
            Err(why) => {
                tracing::error!(%why, "could not accept a connection");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
    stopping.connections.close();
}

fn is_connection_error(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

/// Answers 503, so that the client knows when to try again.
async fn refuse(mut socket: TcpStream, _permit: OwnedSemaphorePermit) {
    const WORDS: &str = "The server has too many connections. Try again in a few seconds.\n";
    let response = format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n\
         content-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n{WORDS}",
        WORDS.len()
    );
    let refused = async {
        socket.write_all(response.as_bytes()).await?;
        socket.shutdown().await?;
        // A close with unread bytes would reset the connection and lose the response.
        tokio::io::copy(&mut socket.take(MAX_REFUSED_BYTES), &mut tokio::io::sink()).await
    };
    let _ = timeout(REFUSAL_TIMEOUT, refused).await;
}

async fn serve_connection(
    socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    place: Place,
    stopping: Shutdown,
) {
    // Failure only costs latency.
    let _ = socket.set_nodelay(true);
    let takeover = Takeover::default();
    let stream = TakeoverStream {
        socket,
        takeover: takeover.0.clone(),
    };
    let service = ConnectionService {
        router,
        peer,
        takeover: takeover.clone(),
    };
    let mut http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut is_shutting_down = false;
    let served = loop {
        tokio::select! {
            served = std::future::poll_fn(|cx| http.poll_without_shutdown(cx)) => break served,
            () = stopping.token.cancelled(), if !is_shutting_down => {
                is_shutting_down = true;
                Pin::new(&mut http).graceful_shutdown();
            }
        }
    };
    if let Err(why) = served {
        tracing::debug!(%why, "an HTTP connection failed");
        return;
    }
    let parts = http.into_parts();
    let mut socket = parts.io.into_inner().socket;
    match takeover.take_handler() {
        // A new task, so that this one's HTTP state is freed.
        Some(next) => {
            let taken = next(TakenSocket {
                socket: socket.into(),
                read_buf: parts.read_buf,
            });
            drop(stopping.connections.spawn(async move {
                taken.await;
                drop(place);
            }));
        }
        None => drop(socket.shutdown().await),
    }
}

/// A socket taken over from HTTP.
#[derive(Debug)]
pub struct TakenSocket {
    /// Nothing has been written to it.
    pub socket: Socket,
    /// Bytes received after the request.
    pub read_buf: Bytes,
}

/// Lets a handler take over the connection; an extension of every request.
#[derive(Debug, Clone, Default)]
pub struct Takeover(Arc<TakeoverState>);

type TakeoverHandler = Box<dyn FnOnce(TakenSocket) -> BoxFuture<'static, ()> + Send>;

#[derive(Default)]
struct TakeoverState {
    /// Whether hyper's writes are discarded.
    claimed: AtomicBool,
    handler: Mutex<Option<TakeoverHandler>>,
}

impl fmt::Debug for TakeoverState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakeoverState")
            .field("claimed", &self.claimed)
            .finish_non_exhaustive()
    }
}

impl Takeover {
    /// Takes over the connection. Middleware sees the returned response; `then` writes its own, head included.
    pub fn take<F>(&self, then: impl FnOnce(TakenSocket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let next: TakeoverHandler = Box::new(move |taken| Box::pin(then(taken)));
        *self
            .0
            .handler
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(next);
        self.0.claimed.store(true, Ordering::Release);
        let last = HeaderValue::from_static("close");
        ([(header::CONNECTION, last)], Body::empty()).into_response()
    }

    fn take_handler(&self) -> Option<TakeoverHandler> {
        self.0
            .handler
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

struct ConnectionService {
    router: Router,
    peer: SocketAddr,
    takeover: Takeover,
}

impl hyper::service::Service<Request<Incoming>> for ConnectionService {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(self.peer));
        extensions.insert(self.takeover.clone());
        let mut router = self.router.clone();
        Box::pin(async move { router.call(request).await })
    }
}

struct TakeoverStream {
    socket: TcpStream,
    takeover: Arc<TakeoverState>,
}

impl TakeoverStream {
    fn is_taken(&self) -> bool {
        self.takeover.claimed.load(Ordering::Acquire)
    }
}

impl AsyncRead for TakeoverStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for TakeoverStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_taken() {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_taken() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
