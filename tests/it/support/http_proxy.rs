//! A reverse proxy that passes requests on, or breaks them as wrongly configured proxies do.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

/// What the proxy does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyFault {
    None,
    /// Names the server by a public domain that is not the site's, as with nginx's default and such an upstream.
    ForeignHost,
    /// As [`Self::ForeignHost`], only for `/ws`.
    ForeignHostOfWebSocket,
    ForeignOrigin,
    /// Drops the hop-by-hop headers (RFC 9110 section 7.6.1), as nginx does by default.
    NoUpgrade,
    /// Refuses `/ws`, as a firewall for web applications does.
    ForbiddenWebSocket,
    /// Closes the connection of `/ws` without an answer.
    SilentWebSocket,
}

pub(crate) struct HttpProxy {
    address: SocketAddr,
    target: Arc<OnceLock<SocketAddr>>,
    fault: watch::Sender<ProxyFault>,
    _accepting: AbortOnDropHandle<()>,
}

impl HttpProxy {
    /// Before the server, which has to know the proxy's address.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(OnceLock::new());
        let (fault, current_fault) = watch::channel(ProxyFault::None);
        let server = target.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let target = *server.get().expect("the server has started");
                let fault = *current_fault.borrow();
                // A client that gives up is no failure.
                tokio::spawn(async move { drop(forward(client, target, fault).await) });
            }
        });
        Self {
            address,
            target,
            fault,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn pass_to(&self, target: SocketAddr) {
        self.target.set(target).expect("there is one server");
    }

    pub(crate) fn set_fault(&self, fault: ProxyFault) {
        self.fault.send_replace(fault);
    }
}

/// One request a connection.
async fn forward(client: TcpStream, target: SocketAddr, fault: ProxyFault) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if client.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        head.push(line.to_owned());
    }
    let is_websocket = head
        .first()
        .is_some_and(|line| line.starts_with("GET /ws "));
    match fault {
        ProxyFault::SilentWebSocket if is_websocket => return Ok(()),
        ProxyFault::ForbiddenWebSocket if is_websocket => {
            let answer = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
            return client.get_mut().write_all(answer).await;
        }
        _ => {}
    }
    let is_sent = |line: &String| {
        let is = |name: &str| line.to_ascii_lowercase().starts_with(name);
        match fault {
            ProxyFault::NoUpgrade => !is("upgrade:") && !is("connection:"),
            ProxyFault::ForeignHost => !is("host:"),
            ProxyFault::ForeignHostOfWebSocket => !(is_websocket && is("host:")),
            ProxyFault::ForeignOrigin => !is("origin:"),
            ProxyFault::None | ProxyFault::ForbiddenWebSocket | ProxyFault::SilentWebSocket => true,
        }
    };
    head.retain(is_sent);
    if !head
        .iter()
        .any(|line| line.to_ascii_lowercase().starts_with("host:"))
    {
        head.push("host: backend.example.net".to_owned());
    }
    if fault == ProxyFault::ForeignOrigin {
        head.push(format!("origin: http://{target}.example.net"));
    }
    if !is_websocket || fault == ProxyFault::NoUpgrade {
        head.push("connection: close".to_owned());
    }
    let mut server = TcpStream::connect(target).await?;
    let head = head.join("\r\n") + "\r\n\r\n";
    server.write_all(head.as_bytes()).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}
