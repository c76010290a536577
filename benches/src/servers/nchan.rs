//! nginx with Nchan: a private instance with one worker.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{
    Server, Transport,
    process::{Process, find_program, free_address},
};
use crate::load::{http, publish::PublishMethod, sse, subscriber::SubscribeHandshake, ws};

/// In Debian's package.
const NCHAN_MODULE_PATH: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// The versions of nginx and the module, or why it cannot be measured.
pub fn version() -> Result<String> {
    if !Path::new(NCHAN_MODULE_PATH).exists() {
        bail!("libnginx-mod-nchan is not installed");
    }
    let output = Command::new(nginx()?).arg("-v").output()?;
    let nginx = String::from_utf8_lossy(&output.stderr);
    let nginx = nginx
        .trim()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let package = super::debian_version("libnginx-mod-nchan");
    Ok(format!("{package} with nginx {nginx}"))
}

fn nginx() -> Result<PathBuf> {
    find_program("nginx").context("nginx is not installed")
}

/// Starts the server.
pub fn start(config_dir: &Path, transport: Transport, subscribers: usize) -> Result<Server> {
    let folder = tempfile::tempdir()?;
    let address = free_address()?;
    let config = fs::read_to_string(config_dir.join("nginx.conf.in"))?
        .replace("@DIR@", &folder.path().display().to_string())
        .replace("@PORT@", &address.port().to_string())
        .replace("@MODULE@", NCHAN_MODULE_PATH);
    let file = folder.path().join("nginx.conf");
    // The worker drops root's privileges, and reads what the master has created.
    fs::write(&file, config)?;
    let mut command = Command::new(nginx()?);
    command.arg("-p").arg(folder.path()).arg("-c").arg(&file);
    let mut process = Process::start(&mut command, &folder.path().join("log"))?;
    process.wait_until_listening(address)?;
    let handshake = match transport {
        Transport::Sse => SubscribeHandshake {
            request: sse::request("/subscribe"),
            first_frame: None,
            ready_pattern: b"\r\n\r\n",
        },
        Transport::Ws => SubscribeHandshake {
            request: ws::request("/subscribe", ""),
            first_frame: None,
            ready_pattern: b"\r\n\r\n",
        },
    };
    Ok(Server {
        process,
        address,
        handshakes: vec![handshake; subscribers],
        publish_method: Some(PublishMethod::Http {
            address,
            request: Box::new(|payload, _| {
                http::post_request("/publish", "Content-Type: text/plain\r\n", payload)
            }),
        }),
        folder,
    })
}
