//! What can be set: on the command line or in the environment, each with a default that works.

use super::{files, proxy::TrustedProxies, store::DatabaseUrl, turn};
use crate::model::{
    call::IceServer,
    limits::{Limits, MAX_REPLAY_EVENTS},
};
use clap::Args;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Where the data is: what every command needs.
#[derive(Debug, Clone, Args)]
pub struct StoreConfig {
    /// The folder that holds the store and the files people send.
    #[arg(
        long,
        env = "RIALTO_DATA",
        default_value = "./data",
        value_name = "FOLDER"
    )]
    pub data: PathBuf,

    /// The PostgreSQL database that holds the store instead of a file in the data folder:
    /// `postgres://user:password@host:5432/database`. Others on this machine can read a command line: give a password in the
    /// environment.
    // Neither the help nor an error of clap's shows what is set: it may hold a password.
    #[arg(
        long,
        env = "RIALTO_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub database_url: Option<DatabaseUrl>,
}

impl StoreConfig {
    /// Where the store is, as it is said to people: the folder, or the database without its password.
    #[must_use]
    pub fn location(&self) -> String {
        match &self.database_url {
            Some(url) => url.to_string(),
            None => self.data.display().to_string(),
        }
    }
}

/// What `rialto serve` can be told.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// How many may be in the call of a room. Everybody sends to everybody, so each further one costs all others
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

    /// The address to listen on. Port 0 takes any free one; the address in use is printed.
    #[arg(
        long,
        env = "RIALTO_LISTEN",
        default_value = "127.0.0.1:3000",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,

    /// The address people open, if it is not the one listened on (behind a proxy, say).
    #[arg(long, env = "RIALTO_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,

    /// The proxies that say for whom they ask (X-Forwarded-For): addresses and networks, with commas in between. Without them
    /// everybody behind a proxy shares the limit on tries to sign in.
    #[arg(
        long,
        env = "RIALTO_TRUSTED_PROXIES",
        default_value = "127.0.0.0/8,::1",
        value_name = "NETWORKS"
    )]
    pub trusted_proxies: TrustedProxies,

    /// The NATS server that the nodes of one community share, such as `nats://host:4222`. Without it this program stands alone.
    // The help does not show what is set: it may hold a password.
    #[arg(long, env = "RIALTO_BUS", hide_env_values = true, value_name = "URL")]
    pub bus: Option<String>,

    /// The bucket of an S3-compatible store that keeps what people send, instead of the data folder: `s3://bucket/folder`.
    /// `AWS_ENDPOINT`, `AWS_REGION`, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` say where it is and who asks.
    #[arg(long, env = "RIALTO_FILES", value_parser = files::parse_bucket_url, value_name = "URL")]
    pub files: Option<String>,

    /// Where Prometheus reads what is counted (`/metrics`): an address of its own, for whoever it can be reached by.
    #[arg(long, env = "RIALTO_METRICS_ADDR", value_name = "ADDRESS")]
    pub metrics_addr: Option<SocketAddr>,

    /// How the log is written, to standard error. `RIALTO_LOG` says how much of it (`rialto=debug,warn`, say).
    #[arg(
        long,
        env = "RIALTO_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,

    /// The largest file that may be sent into a room, in bytes.
    #[arg(
        long,
        env = "RIALTO_UPLOAD_BYTES",
        default_value_t = 25_000_000,
        value_name = "BYTES"
    )]
    pub upload_bytes: u64,

    /// How long a call rings before it counts as not answered, in seconds.
    #[arg(
        long,
        env = "RIALTO_RING_SECONDS",
        default_value_t = 30,
        value_name = "SECONDS"
    )]
    pub ring_seconds: u64,

    /// How long a page that vanished from a call may take to come back, in seconds: a tunnel, say. The other person may leave sooner.
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

    /// Further STUN and TURN servers for calls: a JSON list of what WebRTC calls `RTCIceServer`, such as
    /// `[{"urls":["stun:stun.example.org"]}]`.
    #[arg(long, env = "RIALTO_ICE_SERVERS", default_value = "[]", value_parser = parse_ice_servers, value_name = "JSON")]
    pub ice_servers: IceServers,

    /// Who is asked for the time when `rialto doctor` looks at the clock (SNTP, RFC 4330), or "off".
    #[arg(
        long,
        env = "RIALTO_TIME_SERVER",
        default_value = "pool.ntp.org",
        value_name = "HOST"
    )]
    pub time_server: String,

    /// How often a live connection says something, in seconds.
    #[arg(
        long,
        env = "RIALTO_HEARTBEAT_SECONDS",
        default_value_t = 15,
        value_name = "SECONDS"
    )]
    pub heartbeat_seconds: u64,

    /// How much may wait for one connection that does not read, in bytes; past that it is closed.
    /// The system may keep about 100 kB more for it.
    #[arg(long, env = "RIALTO_QUEUE_BYTES", default_value_t = 128 * 1024, value_name = "BYTES")]
    pub queue_bytes: usize,

    /// How many events of the news, or of a room, somebody who was away may be sent anew; past that it is loaded afresh.
    #[arg(
        long,
        env = "RIALTO_REPLAY_EVENTS",
        default_value_t = MAX_REPLAY_EVENTS,
        value_name = "EVENTS"
    )]
    pub replay_events: i64,

    /// How many messages one person may send at once; 50 more come free every second.
    #[arg(
        long,
        env = "RIALTO_SEND_BURST",
        default_value_t = 200,
        value_name = "MESSAGES"
    )]
    pub send_burst: u32,

    /// How many names or passwords one address may try at once; one more comes free every two seconds.
    #[arg(
        long,
        env = "RIALTO_SIGN_IN_BURST",
        default_value_t = 60,
        value_name = "TRIES"
    )]
    pub sign_in_burst: u32,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object of JSON a line, for programs.
    Json,
}

/// A list of STUN and TURN servers.
#[derive(Debug, Clone, Default)]
pub struct IceServers(pub Vec<IceServer>);

fn parse_ice_servers(json: &str) -> Result<IceServers, String> {
    serde_json::from_str(json).map(IceServers).map_err(|error| {
        format!("{error}. Write it like [{{\"urls\":[\"turn:turn.example.org\"],\"username\":\"…\",\"credential\":\"…\"}}]")
    })
}

impl Config {
    /// The bounds that browsers are told.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            max_upload_bytes: self.upload_bytes,
        }
    }

    /// How often a live connection says something.
    #[must_use]
    pub fn heartbeat_interval(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds.max(1))
    }

    /// The host in the address people open, if that is set.
    #[must_use]
    pub fn public_host(&self) -> Option<String> {
        let url = reqwest::Url::parse(self.public_url.as_deref()?).ok()?;
        url.host_str().map(str::to_owned)
    }

    /// Whether the address people open is set, and leads to this machine from this machine alone.
    #[must_use]
    pub fn has_local_url(&self) -> bool {
        self.public_host().is_some_and(|host| {
            let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        })
    }

    /// Whether nobody but this machine can open the pages, as far as the settings say.
    #[must_use]
    pub fn is_for_this_machine(&self) -> bool {
        self.listen.ip().is_loopback() && (self.public_url.is_none() || self.has_local_url())
    }

    /// Whether people reach Rialto over https, so that cookies can be kept to it.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url
            .as_deref()
            .is_some_and(|url| url.starts_with("https://"))
    }
}
