//! State shared by all handlers.

use super::{
    backup::periodic::BackupStatus,
    bus::{Bus, Inbox},
    clock,
    config::Config,
    error::{Error, Result},
    event_log::EventLog,
    files::Files,
    http_server::ConnectionLimits,
    live::{ConnectionRegistry, Flusher, NewsSubscribers},
    metrics::Metrics,
    origin::SiteOrigin,
    random,
    rate_limit::RateLimits,
    store::{Store, Stream},
    turn::{IceConfig, credentials::RelayUser},
};
use crate::model::{Epoch, call::IceServer};
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

const BUS_NEEDS_DATABASE: &str = "--bus (RIALTO_BUS) connects several nodes, which need a shared database: set --database-url \
     (RIALTO_DATABASE_URL) to a PostgreSQL database as well. The SQLite store is for a single node, which needs no bus";

/// State of the server.
#[derive(Debug)]
pub struct AppState {
    pub config: Config,
    pub store: Store,
    pub files: Files,
    pub bus: Option<Bus>,
    pub connections: Arc<ConnectionRegistry>,
    pub news_subscribers: Arc<NewsSubscribers>,
    pub flusher: Flusher,
    pub metrics: Arc<Metrics>,
    pub backups: BackupStatus,
    pub event_log: EventLog,
    pub build: String,
    /// Bearer token of this machine's command line.
    pub control_token: String,
    /// Set once the relay has started.
    pub ice: OnceLock<IceConfig>,
    pub limits: Arc<RateLimits>,
    pub origin: Arc<SiteOrigin>,
}

impl AppState {
    /// Opens the store and builds the state, without listening.
    ///
    /// # Errors
    /// When the store cannot be opened, or the bus URL is invalid.
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
        Ok((Self::assemble(config, build, store, files, bus), inbox))
    }

    pub(crate) fn assemble(
        config: Config,
        build: String,
        store: Store,
        files: Files,
        bus: Option<Bus>,
    ) -> Arc<Self> {
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
        let origin = Arc::new(SiteOrigin::new(config.public_url.as_deref()));
        let limits = RateLimits::new(config.limits.clone(), metrics.clone());
        Arc::new(Self {
            config,
            store,
            files,
            bus,
            connections: live,
            news_subscribers: readers,
            flusher: Flusher::start(),
            metrics,
            backups: BackupStatus::default(),
            event_log: log,
            build,
            control_token: control,
            ice: OnceLock::new(),
            limits,
            origin,
        })
    }

    /// ICE servers for a user's browser, with short-lived credentials.
    #[must_use]
    pub fn ice_servers(&self, user: RelayUser) -> Vec<IceServer> {
        match self.ice.get() {
            Some(ice) => ice.servers_for(user, clock::now()),
            None => self.config.ice_servers.0.clone(),
        }
    }

    /// Whether calls can be relayed.
    #[must_use]
    pub fn has_relay(&self) -> bool {
        let urls = |server: &IceServer| server.urls.iter().any(|url| url.starts_with("turn"));
        let given = self.config.ice_servers.0.iter().any(urls);
        given || self.ice.get().is_some_and(IceConfig::has_relay)
    }

    /// What limits HTTP connections.
    #[must_use]
    pub fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            limits: self.limits.clone(),
            trusted_proxies: self.config.trusted_proxies.clone(),
        }
    }

    /// Folder of unfinished uploads.
    #[must_use]
    pub fn partial_uploads_dir(&self) -> PathBuf {
        self.config.store.data.join("files").join("partial")
    }
}

/// Epoch of the news, shared by all nodes.
pub(crate) async fn community_epoch(store: &Store) -> Result<Epoch> {
    let mut tx = store.begin().await?;
    store.create_stream(&mut tx, Stream::News).await?;
    tx.commit().await?;
    Ok(store.find_stream(Stream::News).await?.epoch)
}
