//! Settings from the command line or the environment; every default works.

use super::{
    files,
    proxy::TrustedProxies,
    rate_limit::{self, Bound},
    store::DatabaseUrl,
    turn,
};
use crate::model::{
    call::IceServer,
    limits::{DEFAULT_UPLOAD_BYTES, Limits, MAX_REPLAY_EVENTS},
};
use clap::Args;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Options of every command: the location of the data.
#[derive(Debug, Clone, Args)]
pub struct StoreConfig {
    /// Folder that holds the SQLite store and uploaded files.
    #[arg(
        long,
        env = "RIALTO_DATA",
        default_value = "./data",
        value_name = "FOLDER"
    )]
    pub data: PathBuf,

    /// PostgreSQL database for the store, instead of SQLite in the data folder: `postgres://user:password@host:5432/database`.
    /// Other users of this machine can read the command line, so set a password through the environment.
    // The value may contain a password: neither the help nor an error of clap shows it.
    #[arg(
        long,
        env = "RIALTO_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub database_url: Option<DatabaseUrl>,

    /// Folder for backups: periodic ones of the running server, and a copy of the store before an upgrade changes it. Default: no
    /// periodic backups, and copies of a SQLite store in `backups` of the data folder.
    #[arg(long, env = "RIALTO_BACKUP_FOLDER", value_name = "FOLDER")]
    pub backup_folder: Option<PathBuf>,
}

impl StoreConfig {
    /// The store's location without password, for messages.
    #[must_use]
    pub fn location(&self) -> String {
        match &self.database_url {
            Some(url) => url.to_string(),
            None => self.data.display().to_string(),
        }
    }
}

/// Options of commands that read or write stored files: where the data is.
#[derive(Debug, Clone, Args)]
pub struct DataConfig {
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on the type; a doc comment here would become the help text"
    )]
    pub store: StoreConfig,

    /// S3-compatible bucket of uploaded files, as given to `rialto serve`: `s3://bucket/folder`. Default: the data folder.
    #[arg(long, env = "RIALTO_FILES", value_parser = files::parse_bucket_url, value_name = "URL")]
    pub files: Option<String>,
}

/// Options of `rialto serve`.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Maximum number of people in a group call, 2 to 12. Everyone sends to everyone, so each participant adds load for all others.
    #[arg(
        long,
        env = "RIALTO_GROUP_CALL_SIZE",
        default_value_t = 6,
        value_parser = clap::value_parser!(u8).range(2..=12),
        value_name = "PEOPLE"
    )]
    pub group_call_size: u8,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on the type; a doc comment here would become the help text"
    )]
    pub store: StoreConfig,

    /// Address and port to listen on. Port 0 takes any free port; the start prints the address. Default: `LEPTOS_SITE_ADDR`, which
    /// cargo-leptos sets, or 127.0.0.1:3000.
    #[arg(long, env = "RIALTO_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,

    /// The address that cargo-leptos and the browser's reload script expect.
    #[arg(
        long,
        env = "LEPTOS_SITE_ADDR",
        default_value = "127.0.0.1:3000",
        hide = true
    )]
    pub site_addr: SocketAddr,

    /// URL that people open, such as `https://rialto.example.org`. Default: `http://` and the listen address.
    #[arg(long, env = "RIALTO_PUBLIC_URL", value_parser = parse_public_url, value_name = "URL")]
    pub public_url: Option<String>,

    /// Proxies whose X-Forwarded-For header is accepted: addresses and networks, comma-separated. All clients behind any other
    /// proxy share one limit on sign-in attempts.
    #[arg(
        long,
        env = "RIALTO_TRUSTED_PROXIES",
        default_value = "127.0.0.0/8,::1",
        value_name = "NETWORKS"
    )]
    pub trusted_proxies: TrustedProxies,

    /// NATS server shared by the nodes of a community, such as `nats://host:4222`. Default: a single node without NATS.
    // The help does not show the value, which may contain a password.
    #[arg(long, env = "RIALTO_BUS", hide_env_values = true, value_name = "URL")]
    pub bus: Option<String>,

    /// S3-compatible bucket for uploaded files, instead of the data folder: `s3://bucket/folder`. `AWS_ENDPOINT`, `AWS_REGION`,
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` set its location and credentials.
    #[arg(long, env = "RIALTO_FILES", value_parser = files::parse_bucket_url, value_name = "URL")]
    pub files: Option<String>,

    /// Interval of backups into the folder of `--backup-folder`: a number with s, m, h or d.
    #[arg(
        long,
        env = "RIALTO_BACKUP_EVERY",
        default_value = "24h",
        value_parser = parse_interval,
        value_name = "INTERVAL"
    )]
    pub backup_every: Duration,

    /// Number of periodic backups to keep; older ones are deleted.
    #[arg(
        long,
        env = "RIALTO_BACKUP_KEEP",
        default_value_t = 7,
        value_parser = clap::value_parser!(u32).range(1..),
        value_name = "BACKUPS"
    )]
    pub backup_keep: u32,

    /// Separate address and port that serves `/metrics` for Prometheus without authentication. Default: off.
    #[arg(long, env = "RIALTO_METRICS_ADDR", value_name = "ADDRESS")]
    pub metrics_addr: Option<SocketAddr>,

    /// Format of the log on standard error. `RIALTO_LOG` sets the level, such as `rialto=debug,warn`.
    #[arg(
        long,
        env = "RIALTO_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,

    /// Largest file that may be sent to a room, in bytes.
    #[arg(
        long,
        env = "RIALTO_UPLOAD_BYTES",
        default_value_t = DEFAULT_UPLOAD_BYTES,
        value_parser = clap::value_parser!(u64).range(1..),
        value_name = "BYTES"
    )]
    pub upload_bytes: u64,

    /// Most bytes of files that one person may send altogether.
    #[arg(
        long,
        env = "RIALTO_PERSON_FILE_BYTES",
        default_value_t = 5_000_000_000,
        value_name = "BYTES"
    )]
    pub person_file_bytes: u64,

    /// Most bytes of files that all people may send altogether. Default: until the disk is full but for `--disk-reserve`.
    #[arg(long, env = "RIALTO_FILE_BYTES", value_name = "BYTES")]
    pub file_bytes: Option<u64>,

    /// Bytes of the data folder's disk that files leave free, for the store and its backups.
    #[arg(
        long,
        env = "RIALTO_DISK_RESERVE",
        default_value_t = 1_000_000_000,
        value_name = "BYTES"
    )]
    pub disk_reserve: u64,

    /// How long a call rings before it ends unanswered, in seconds.
    #[arg(
        long,
        env = "RIALTO_RING_SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=MAX_SECONDS),
        value_name = "SECONDS"
    )]
    pub ring_seconds: u64,

    /// How long a call waits for a participant who lost the connection, in seconds. The other person can hang up sooner.
    #[arg(
        long,
        env = "RIALTO_CALL_GRACE_SECONDS",
        default_value_t = 90,
        value_name = "SECONDS"
    )]
    pub call_grace_seconds: u64,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on the type; a doc comment here would become the help text"
    )]
    pub turn: turn::TurnConfig,

    /// Additional STUN and TURN servers for calls: a JSON array of WebRTC's `RTCIceServer`, such as
    /// `[{"urls":["stun:stun.example.org"]}]`.
    #[arg(long, env = "RIALTO_ICE_SERVERS", default_value = "[]", value_parser = parse_ice_servers, value_name = "JSON")]
    pub ice_servers: IceServers,

    /// SNTP server (RFC 4330) that `rialto doctor` compares the clock with, or "off".
    #[arg(
        long,
        env = "RIALTO_TIME_SERVER",
        default_value = "pool.ntp.org",
        value_name = "HOST"
    )]
    pub time_server: String,

    /// Interval of heartbeats on live connections, in seconds.
    #[arg(
        long,
        env = "RIALTO_HEARTBEAT_SECONDS",
        default_value_t = 15,
        value_parser = clap::value_parser!(u64).range(1..=MAX_SECONDS),
        value_name = "SECONDS"
    )]
    pub heartbeat_seconds: u64,

    /// Maximum number of bytes queued for a connection that does not read; above that it is closed. The kernel may buffer about 100 kB
    /// more.
    #[arg(long, env = "RIALTO_QUEUE_BYTES", default_value_t = 128 * 1024, value_parser = parse_queue_bytes, value_name = "BYTES")]
    pub queue_bytes: usize,

    /// Maximum number of missed events of the news or of a room that a returning client receives; above that it reloads them.
    #[arg(
        long,
        env = "RIALTO_REPLAY_EVENTS",
        default_value_t = MAX_REPLAY_EVENTS,
        value_name = "EVENTS"
    )]
    pub replay_events: i64,

    /// Limits on what one client takes, comma-separated: `messages=200/20ms` allows 200 messages at once, then one every 20 ms.
    /// docs/operating.md lists all limits with their defaults.
    #[arg(long, env = "RIALTO_LIMITS", default_value = "", value_name = "LIMITS")]
    pub limits: rate_limit::Overrides,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object a line.
    Json,
}

/// STUN and TURN servers for browsers.
#[derive(Debug, Clone, Default)]
pub struct IceServers(pub Vec<IceServer>);

pub(crate) fn parse_ice_servers(json: &str) -> Result<IceServers, String> {
    serde_json::from_str(json).map(IceServers).map_err(|error| {
        format!("{error}. Use the form [{{\"urls\":[\"turn:turn.example.org\"],\"username\":\"…\",\"credential\":\"…\"}}]")
    })
}

/// Longest ring or heartbeat.
const MAX_SECONDS: u64 = 3_600;
/// With less, a connection would be closed at its first long message.
const MIN_QUEUE_BYTES: usize = 4 * 1024;

fn parse_queue_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if bytes >= MIN_QUEUE_BYTES => Ok(bytes),
        _ => Err(format!(
            "use a number of at least {MIN_QUEUE_BYTES}: a shorter queue holds no long message"
        )),
    }
}

/// An origin, as a browser writes it (RFC 6454): browsers reach the site at the root of a host.
pub(crate) fn parse_public_url(text: &str) -> Result<String, String> {
    let form = "Use the form https://rialto.example.org";
    let url = reqwest::Url::parse(text).map_err(|why| format!("{why}. {form}"))?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(format!("people open http:// or https:// addresses. {form}"));
    }
    // The URL standard allows more than a browser and a certificate do.
    let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if let Some(name) = url.domain().filter(|name| !name.bytes().all(is_in_name)) {
        return Err(format!(
            "{name:?} is no host name: those have letters, digits, hyphens and dots. {form}"
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "it would show a name or password to everybody. {form}"
        ));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "Rialto is served at the root of a host, not below a path. Give it a host name of its own. {form}"
        ));
    }
    Ok(url.origin().ascii_serialization())
}

/// An interval is at least one second.
pub(crate) fn parse_interval(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is not an interval. Use a number with s, m, h or d, such as 6h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(seconds) {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        Some(_) | None => Err(wrong()),
    }
}

impl Config {
    /// Where the data is.
    #[must_use]
    pub fn data(&self) -> DataConfig {
        DataConfig {
            store: self.store.clone(),
            files: self.files.clone(),
        }
    }

    /// Limits that browsers receive.
    #[must_use]
    pub fn client_limits(&self) -> Limits {
        let messages = self.limits.rate(Bound::Messages);
        Limits {
            max_upload_bytes: self.upload_bytes,
            send_burst: messages.burst,
            send_refill_ms: u32::try_from(messages.refill.as_millis()).unwrap_or(u32::MAX),
            max_replay_events: u32::try_from(self.replay_events.max(0)).unwrap_or(u32::MAX),
            ..Limits::default()
        }
    }

    /// The address to listen on.
    #[must_use]
    pub fn listen_address(&self) -> SocketAddr {
        self.listen.unwrap_or(self.site_addr)
    }

    /// Interval of heartbeats, at least one second.
    #[must_use]
    pub fn heartbeat_interval(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds.max(1))
    }

    /// Host of `--public-url`.
    #[must_use]
    pub fn public_host(&self) -> Option<String> {
        let url = reqwest::Url::parse(self.public_url.as_deref()?).ok()?;
        url.host_str().map(str::to_owned)
    }

    /// Whether the host of `--public-url` is localhost or a loopback address.
    #[must_use]
    pub fn has_local_url(&self) -> bool {
        self.public_host().is_some_and(|host| {
            let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        })
    }

    /// Whether only this machine can open the pages, by the settings.
    #[must_use]
    pub fn is_for_this_machine(&self) -> bool {
        self.listen_address().ip().is_loopback()
            && (self.public_url.is_none() || self.has_local_url())
    }

    /// Whether people use https; cookies are then `Secure`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url
            .as_deref()
            .is_some_and(|url| url.starts_with("https://"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_the_root_of_a_host() {
        for url in [
            "https://rialto.example.org",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
        ] {
            assert_eq!(parse_public_url(url).as_deref(), Ok(url));
        }
        for (typed, origin) in [
            ("https://a.example/", "https://a.example"),
            ("HTTPS://A.Example:443", "https://a.example"),
            (" http://127.1:3000\\", "http://127.0.0.1:3000"),
            (
                "https://b\u{fc}cher.example",
                "https://xn--bcher-kva.example",
            ),
        ] {
            assert_eq!(parse_public_url(typed).as_deref(), Ok(origin));
        }
        for (wrong, words) in [
            ("rialto.example.org", "Use the form"),
            ("localhost:3000", "http:// or https://"),
            ("ftp://rialto.example.org", "http:// or https://"),
            (
                "https://rialto.example.o{g",
                "\"rialto.example.o{g\" is no host name",
            ),
            ("https://ada:secret@rialto.example.org", "password"),
            ("https://example.org/rialto", "root of a host"),
            ("https://example.org/?a=b", "root of a host"),
            ("https://example.org/#a", "root of a host"),
        ] {
            let why = parse_public_url(wrong).unwrap_err();
            assert!(why.contains(words), "{wrong}: {why}");
        }
    }

    #[test]
    fn an_interval_is_a_number_with_its_unit() {
        for (text, seconds) in [("1s", 1), ("15m", 900), ("6h", 21_600), ("2d", 172_800)] {
            assert_eq!(parse_interval(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in [
            "",
            "6",
            "h",
            "0h",
            "-1h",
            "1.5h",
            "6 h",
            "1w",
            "99999999999999999d",
            "6č",
        ] {
            assert!(parse_interval(wrong).is_err(), "{wrong}");
        }
    }
}
