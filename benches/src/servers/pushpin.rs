//! Pushpin, with a minimal backend that holds every request open.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
};

use anyhow::{Context, Result};

use super::{
    Server,
    process::{Process, find_program, free_address},
};
use crate::load::{http, publish::PublishMethod, sse, subscriber::SubscribeHandshake};

/// GRIP: hold the request open and send what is published to the channel.
const GRIP_HOLD_RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nGrip-Hold: stream\r\n\
    Grip-Channel: bench\r\nContent-Length: 9\r\n\r\n: ready\n\n";

/// The package's version, or why it cannot be measured.
pub fn version() -> Result<String> {
    find_program("pushpin").context("pushpin is not installed")?;
    Ok(super::debian_version("pushpin"))
}

/// Starts Pushpin, and its backend on a thread, which works only while subscribers connect.
pub fn start(config_dir: &Path, subscribers: usize) -> Result<Server> {
    let folder = tempfile::tempdir()?;
    let (address, control) = (free_address()?, free_address()?);
    let backend = TcpListener::bind("127.0.0.1:0")?;
    let config = fs::read_to_string(config_dir.join("pushpin.conf.in"))?
        .replace("@DIR@", &folder.path().display().to_string())
        .replace("@PORT@", &address.port().to_string())
        .replace("@CONTROL@", &control.port().to_string());
    fs::create_dir(folder.path().join("run"))?;
    fs::create_dir(folder.path().join("log"))?;
    fs::write(
        folder.path().join("routes"),
        format!("* {}\n", backend.local_addr()?),
    )?;
    let file = folder.path().join("pushpin.conf");
    fs::write(&file, config)?;
    thread::spawn(move || hold_everybody(&backend));
    let program = find_program("pushpin").context("pushpin is not installed")?;
    let mut command = Command::new(program);
    command.arg("--config").arg(&file);
    let mut process = Process::start(&mut command, &folder.path().join("output"))?;
    process.wait_until_listening(address)?;
    process.wait_until_listening(control)?;
    let handshake = SubscribeHandshake {
        request: sse::request("/"),
        first_frame: None,
        ready_pattern: b": ready",
    };
    Ok(Server {
        process,
        address,
        handshakes: vec![handshake; subscribers],
        publish_method: Some(PublishMethod::Http {
            address: control,
            request: Box::new(|payload, _| {
                let content = format!("data: {payload}\n\n");
                let item = serde_json::json!({
                    "items": [{ "channel": "bench", "formats": { "http-stream": { "content": content } } }]
                });
                http::post_request(
                    "/publish/",
                    "Content-Type: application/json\r\n",
                    &item.to_string(),
                )
            }),
        }),
        folder,
    })
}

/// Until the benchmark ends; the threads of earlier runs only wait.
fn hold_everybody(backend: &TcpListener) {
    for connection in backend.incoming() {
        let Ok(connection) = connection else {
            return;
        };
        thread::spawn(move || hold(connection));
    }
}

fn hold(mut connection: TcpStream) {
    let (mut request, mut length) = ([0; 4096], 0);
    loop {
        match connection.read(&mut request[length..]) {
            Ok(count) if count > 0 => length += count,
            Ok(_) | Err(_) => return,
        }
        if request[..length].ends_with(b"\r\n\r\n") {
            length = 0;
            if connection.write_all(GRIP_HOLD_RESPONSE).is_err() {
                return;
            }
        }
    }
}
