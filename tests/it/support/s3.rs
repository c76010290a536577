//! An S3 server that a test stops and starts: s3s, on a folder.

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use std::{net::SocketAddr, path::PathBuf};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::Command,
    task::{JoinHandle, JoinSet},
};

const BUCKET: &str = "community";
const KEY: &str = "AKIDRIALTO";
const SECRET: &str = "a secret of this test";

/// A server on a port of its own, with one bucket.
pub(crate) struct S3 {
    folder: TempDir,
    address: SocketAddr,
    running: Option<JoinHandle<()>>,
}

impl S3 {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut s3 = Self {
            folder,
            address: ([127, 0, 0, 1], 0).into(),
            running: None,
        };
        s3.start_again().await;
        s3
    }

    /// Starts it on the port it had before.
    pub(crate) async fn start_again(&mut self) {
        let mut service = S3ServiceBuilder::new(FileSystem::new(self.folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        self.running = Some(tokio::spawn(serve(listener, service.build())));
    }

    /// Ends it, with every connection to it.
    pub(crate) async fn stop(&mut self) {
        let running = self.running.take().expect("it runs");
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
    }

    /// What a server is told of it: a folder in its bucket.
    pub(crate) fn settings(&self) -> impl Fn(&mut Command) + Clone + Send + Sync + 'static {
        let endpoint = format!("http://{}", self.address);
        move |command| {
            command
                .env("RIALTO_FILES", format!("s3://{BUCKET}/sent"))
                .env("AWS_ENDPOINT", &endpoint)
                .env("AWS_ALLOW_HTTP", "true")
                .env("AWS_REGION", "eu-south-1")
                .env("AWS_ACCESS_KEY_ID", KEY)
                .env("AWS_SECRET_ACCESS_KEY", SECRET);
        }
    }

    /// Where it keeps what was put into that folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join(BUCKET).join("sent")
    }
}

/// Its connections end with it.
async fn serve(listener: TcpListener, service: S3Service) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(socket), service.clone());
        connections.spawn(async move {
            // Clients go when they want to.
            let _ = connection.await;
        });
    }
}
