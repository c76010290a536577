//! What one client takes is bounded, and costs nobody else (`docs/operating.md`, "Limits").

mod files;
mod frames;
mod requests;

use crate::support::Server;

/// With these limits. Clients on loopback count as clients, not as a proxy.
async fn start_with(limits: &'static str) -> Server {
    Server::start_with(move |command| {
        command.args(["--limits", limits, "--trusted-proxies", "192.0.2.1"]);
        command.args(["--metrics-addr", "127.0.0.1:0"]);
    })
    .await
}
