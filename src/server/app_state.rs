//! The state that every handler shares.

use super::{
    bus::{Bus, Inbox},
    clock,
    config::Config,
    error::{Error, Result},
    event_log::EventLog,
    files::Files,
    live::{ConnectionRegistry, Flusher, NewsSubscribers},
    metrics::Metrics,
    random,
    rate_limit::RateLimiter,
    store::{Store, Stream},
    turn::IceConfig,
};
use crate::model::{CallId, Epoch, UserId, call::IceServer};
use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

/// A bus without a database that nodes could share.
const BUS_NEEDS_DATABASE: &str = "--bus (RIALTO_BUS) connects several nodes, which need a shared database: set --database-url \
     (RIALTO_DATABASE_URL) to a PostgreSQL as well. The embedded store is for a single node, which needs no bus";

/// The state that every handler shares, in one place. Shared behind an [`Arc`].
#[derive(Debug)]
pub struct AppState {
    /// What was set.
    pub config: Config,
    /// SQL.
    pub store: Store,
    /// What people sent.
    pub files: Files,
    /// To the other nodes, if there are any.
    pub bus: Option<Bus>,
    /// Connections of `GET /ws`.
    pub connections: Arc<ConnectionRegistry>,
    /// Connections of `GET /news/events`.
    pub news_subscribers: Arc<NewsSubscribers>,
    /// Writes to the connections of both.
    pub flusher: Flusher,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The way in for everything that others see.
    pub event_log: EventLog,
    /// Which build this is: the names of the browser's files depend on it.
    pub build: String,
    /// What the command line on the same machine presents to publish through this server.
    pub control_token: String,
    /// How browsers find a path, once that is known.
    pub ice: OnceLock<IceConfig>,
    /// How often one address may try a name or a password.
    pub sign_in_rate: RateLimiter<IpAddr>,
    /// How often one user may send.
    pub send_rate: RateLimiter<UserId>,
}

impl AppState {
    /// Opens the store and gets everything ready; listens to nothing yet. Also what other nodes say, if there are any.
    ///
    /// # Errors
    /// When the store cannot be opened, or the bus is no address of one.
    pub async fn new(config: Config, build: String) -> Result<(Arc<Self>, Option<Inbox>)> {
        if config.bus.is_some() && config.store.database_url.is_none() {
            return Err(Error::InvalidSetting(BUS_NEEDS_DATABASE.to_owned()));
        }
        let store = Store::open(&config.store).await?;
        let files = Files::open(&config).await?;
        let (bus, inbox) = match &config.bus {
            Some(url) => {
                let (bus, inbox) = Bus::connect(url, &community_epoch(&store).await?).await?;
                (Some(bus), Some(inbox))
            }
            None => (None, None),
        };
        let live = Arc::new(ConnectionRegistry::with_bus(bus.clone()));
        let readers = Arc::<NewsSubscribers>::default();
        let metrics = Arc::new(Metrics::new(&build));
        let log = EventLog::new(
            store.clone(),
            live.clone(),
            readers.clone(),
            bus.clone(),
            metrics.clone(),
            config.replay_events,
        );
        let control = random::new_token();
        let (sign_ins, sends) = (
            RateLimiter::new(config.sign_in_burst, 2_000),
            RateLimiter::new(config.send_burst, 20),
        );
        let app = Arc::new(Self {
            config,
            store,
            files,
            bus,
            connections: live,
            news_subscribers: readers,
            flusher: Flusher::start(),
            metrics,
            event_log: log,
            build,
            control_token: control,
            ice: OnceLock::new(),
            sign_in_rate: sign_ins,
            send_rate: sends,
        });
        Ok((app, inbox))
    }

    /// What a browser of a user is told for a call, to find a path with: from now on, for some minutes.
    #[must_use]
    pub fn ice_servers(&self, user: UserId, call: CallId) -> Vec<IceServer> {
        match self.ice.get() {
            Some(ice) => ice.servers_for(user, call, clock::now()),
            None => self.config.ice_servers.0.clone(),
        }
    }

    /// Where files that are still on their way to this node grow.
    #[must_use]
    pub fn partial_uploads_dir(&self) -> PathBuf {
        self.config.store.data.join("files").join("partial")
    }
}

/// What the nodes of one community have in common: the epoch of their news, which are begun here if they were not.
async fn community_epoch(store: &Store) -> Result<Epoch> {
    let mut tx = store.begin().await?;
    store.create_stream(&mut tx, Stream::News).await?;
    tx.commit().await?;
    Ok(store.find_stream(Stream::News).await?.epoch)
}
