//! An S3 server backed by a folder, whose subfolders are buckets. Prints its listen address.

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use std::error::Error;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [folder, address, access_key, secret_key] = arguments.as_slice() else {
        return Err("usage: rialto-test-s3 FOLDER ADDRESS ACCESS-KEY SECRET-KEY".into());
    };
    let files = FileSystem::new(folder).map_err(|why| format!("{folder}: {why:?}"))?;
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single(access_key, secret_key.as_str()));
    let service = service.build();
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(socket), service.clone());
        tokio::spawn(async move {
            // The client disconnected.
            let _ = connection.await;
        });
    }
}
