//! Socket.IO 4 on Node.js, over its WebSocket transport.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use super::{
    Server,
    process::{Process, find_program, free_address},
};
use crate::load::{publish::PublishMethod, subscriber::SubscribeHandshake, ws};

/// The versions of Socket.IO and Node.js, or why it cannot be measured.
pub fn version(config_dir: &Path) -> Result<String> {
    let node = find_program("node").context("node is not installed")?;
    let package = config_dir.join("socket-io/node_modules/socket.io/package.json");
    let Ok(package) = fs::read_to_string(package) else {
        bail!("socket.io is not installed");
    };
    let package: serde_json::Value = serde_json::from_str(&package)?;
    let version = package["version"].as_str().unwrap_or("unknown");
    let node = Command::new(node).arg("--version").output()?;
    let node = String::from_utf8_lossy(&node.stdout);
    Ok(format!(
        "{version} with Node.js {}",
        node.trim().trim_start_matches('v')
    ))
}

/// Starts the server.
pub fn start(config_dir: &Path, subscribers: usize) -> Result<Server> {
    let folder = tempfile::tempdir()?;
    let address = free_address()?;
    let node = find_program("node").context("node is not installed")?;
    let mut command = Command::new(node);
    command
        .arg(config_dir.join("socket-io/server.mjs"))
        .arg(address.port().to_string())
        .env("NODE_ENV", "production");
    let mut process = Process::start(&mut command, &folder.path().join("log"))?;
    process.wait_until_listening(address)?;
    let handshake = SubscribeHandshake {
        request: ws::request("/socket.io/?EIO=4&transport=websocket", ""),
        first_frame: Some(ws::text_frame("40")),
        ready_pattern: b"40{\"sid\"",
    };
    Ok(Server {
        process,
        address,
        handshakes: vec![handshake; subscribers],
        publish_method: Some(PublishMethod::Subscribers {
            frame: Box::new(|payload, _| ws::text_frame(&format!("42[\"message\",\"{payload}\"]"))),
        }),
        folder,
    })
}
