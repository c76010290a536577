//! Checks the public URL as a browser would use it: a page, and the WebSocket, which proxies break more often.

use crate::{
    model::finding::{Finding, Verdict},
    protocol::{SUBPROTOCOL, close::CloseCode},
    server::{config::Config, origin::SiteOrigin, session::SESSION_COOKIE},
};
use axum::http::{StatusCode, header};
use std::{io, time::Duration};
use tokio::{io::AsyncReadExt, time::timeout};
use tungstenite::handshake::client::generate_key;

const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

const HOST_ADVICE: &str =
    "Let the proxy pass on the Host header (nginx: proxy_set_header Host $http_host;).";
const ORIGIN_ADVICE: &str = "Let the proxy pass on the Host and Origin headers unchanged (nginx: proxy_set_header Host $http_host; and no \
     proxy_set_header Origin).";
const UPGRADE_ADVICE: &str = "Let the proxy pass on the upgrade of /ws (nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
     proxy_set_header Connection \"upgrade\";).";
const ANSWER_ADVICE: &str = "Let the proxy pass on /ws like every other path, without buffering. The log of the proxy says why it did not.";

/// The WebSocket is opened only where a page can be loaded.
pub(super) async fn check_public_url(config: &Config) -> Vec<Finding> {
    let site = SiteOrigin::new(config.public_url.as_deref());
    let (Some(url), Some(origin)) = (config.public_url.as_deref(), site.public()) else {
        return Vec::new();
    };
    let url = url.trim_end_matches('/');
    let mut findings = vec![check_page(url).await];
    if findings[0].verdict == Verdict::Ok {
        findings.push(check_websocket(url, origin).await);
    }
    findings
}

async fn check_page(url: &str) -> Finding {
    const CHECK_NAME: &str = "Public URL";
    let ask = async {
        let response = client()?.get(format!("{url}/healthz")).send().await?;
        response.error_for_status()?.text().await
    };
    match ask.await {
        Ok(text) if text == "ok" => Finding::ok(CHECK_NAME, format!("{url} reaches this server.")),
        Ok(_) => Finding::problem(
            CHECK_NAME,
            format!("{url} is answered by another server."),
            "Check the proxy configuration and the DNS entry.",
        ),
        Err(why) if why.status() == Some(StatusCode::MISDIRECTED_REQUEST) => Finding::problem(
            CHECK_NAME,
            format!("The proxy at {url} does not pass on Host, so this server refuses every page."),
            HOST_ADVICE,
        ),
        Err(why) => Finding::warning(
            CHECK_NAME,
            format!(
                "{url} cannot be reached from this machine: {}.",
                why.without_url()
            ),
            "If browsers elsewhere can open it, ignore this. Otherwise check the proxy, the certificate and the DNS entry.",
        ),
    }
}

/// What became of an opening handshake (RFC 6455 section 4).
enum Handshake {
    /// With this close code, because no session has the cookie.
    Closed(u16),
    Refused(StatusCode),
}

async fn check_websocket(url: &str, origin: &str) -> Finding {
    const CHECK_NAME: &str = "WebSocket";
    const SIGNED_OUT: u16 = CloseCode::SignedOut.code();
    const FOREIGN_ORIGIN: u16 = CloseCode::ForeignOrigin.code();
    let problem =
        |observation: String, advice: &str| Finding::problem(CHECK_NAME, observation, advice);
    let opened = timeout(CHECK_TIMEOUT, open_websocket(url, origin)).await;
    match opened {
        Ok(Ok(Handshake::Closed(SIGNED_OUT))) => {
            Finding::ok(CHECK_NAME, format!("{url}/ws opens, as from a page."))
        }
        Ok(Ok(Handshake::Closed(FOREIGN_ORIGIN))) => problem(
            format!(
                "The proxy at {url} changes Origin, so this server refuses chat, calls and forms."
            ),
            ORIGIN_ADVICE,
        ),
        Ok(Ok(Handshake::Closed(code))) => problem(
            format!("{url}/ws was closed with code {code}."),
            ANSWER_ADVICE,
        ),
        Ok(Ok(Handshake::Refused(StatusCode::MISDIRECTED_REQUEST))) => problem(
            format!(
                "The proxy at {url} does not pass on Host for /ws, so this server refuses chat and calls."
            ),
            HOST_ADVICE,
        ),
        Ok(Ok(Handshake::Refused(StatusCode::UPGRADE_REQUIRED))) => problem(
            format!(
                "The proxy at {url} does not pass on the upgrade to a WebSocket: chat and calls do not connect."
            ),
            UPGRADE_ADVICE,
        ),
        Ok(Ok(Handshake::Refused(status))) => problem(
            format!(
                "The proxy at {url} answers /ws with status {}: chat and calls do not connect.",
                status.as_u16()
            ),
            ANSWER_ADVICE,
        ),
        Ok(Err(_)) | Err(_) => problem(
            format!("{url}/ws does not answer: chat and calls do not connect."),
            ANSWER_ADVICE,
        ),
    }
}

/// The cookie of no session: without one, the server would refuse before the upgrade.
async fn open_websocket(url: &str, origin: &str) -> Result<Handshake, CheckError> {
    let request = client()?
        .get(format!("{url}/ws"))
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key())
        .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .header(header::ORIGIN, origin)
        .header(header::COOKIE, format!("{SESSION_COOKIE}=doctor"));
    let response = request.send().await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Handshake::Refused(response.status()));
    }
    let mut socket = response.upgrade().await?;
    let mut frame = [0; 4];
    socket.read_exact(&mut frame).await?;
    match frame {
        [CLOSE_FRAME, length, high, low] if length >= 2 => {
            Ok(Handshake::Closed(u16::from_be_bytes([high, low])))
        }
        _ => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
    }
}

/// Its first byte: a final frame of opcode 8 (RFC 6455 section 5.2).
const CLOSE_FRAME: u8 = 0x88;

#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A WebSocket opens over HTTP/1.1.
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .http1_only()
        .timeout(CHECK_TIMEOUT)
        .build()
}
