//! The naive broadcast with Axum, `bench-axum`.

use std::process::Command;

use anyhow::Result;

use super::{
    Server, Transport,
    process::{Process, free_address},
};
use crate::load::{http, publish::PublishMethod, sse, subscriber::SubscribeHandshake, ws};

/// Starts the server.
pub fn start(transport: Transport, subscribers: usize) -> Result<Server> {
    let folder = tempfile::tempdir()?;
    let address = free_address()?;
    let mut command = Command::new(super::sibling_program("bench-axum")?);
    command.arg(address.to_string());
    let mut process = Process::start(&mut command, &folder.path().join("log"))?;
    process.wait_until_listening(address)?;
    let request = match transport {
        Transport::Sse => sse::request("/events"),
        Transport::Ws => ws::request("/ws", ""),
    };
    let handshake = SubscribeHandshake {
        request,
        first_frame: None,
        ready_pattern: b"\r\n\r\n",
    };
    Ok(Server {
        process,
        address,
        handshakes: vec![handshake; subscribers],
        publish_method: Some(PublishMethod::Http {
            address,
            request: Box::new(|payload, _| http::post_request("/publish", "", payload)),
        }),
        folder,
    })
}
