//! A TCP proxy, through which a test cuts one node off.

use std::net::SocketAddr;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Up,
    Cut,
}

/// Ends with the test's runtime.
pub(crate) struct TcpProxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
}

impl TcpProxy {
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (link, link_rx) = watch::channel(Link::Up);
        tokio::spawn(accept(listener, target, link_rx));
        Self { address, link }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections, and new ones at once.
    pub(crate) fn cut(&self) {
        self.link.send_replace(Link::Cut);
    }

    pub(crate) fn restore(&self) {
        self.link.send_replace(Link::Up);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, link: watch::Receiver<Link>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(forward(client, target, link.clone()));
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr, mut link: watch::Receiver<Link>) {
    let copy = async {
        let mut server = TcpStream::connect(target).await?;
        copy_bidirectional(&mut client, &mut server).await
    };
    tokio::select! {
        biased;
        _ = link.wait_for(|link| *link == Link::Cut) => {}
        _ = copy => {}
    }
}
