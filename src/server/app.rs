//! The state that every handler shares.

use super::{
    config::Config,
    error::Result,
    live::{Flusher, Live, Readers},
    log::Log,
    rate::Rate,
    secret,
    store::Store,
};
use crate::model::UserId;
use std::{net::IpAddr, path::PathBuf, sync::Arc};

/// The state that every handler shares, in one place. Shared behind an [`Arc`].
#[derive(Debug)]
pub struct App {
    /// What was set.
    pub config: Config,
    /// SQL.
    pub store: Store,
    /// Connections of `GET /ws`.
    pub live: Arc<Live>,
    /// Connections of `GET /news/events`.
    pub readers: Arc<Readers>,
    /// Writes to the connections of both.
    pub flusher: Flusher,
    /// The way in for everything that others see.
    pub log: Log,
    /// Which build this is: the names of the browser's files depend on it.
    pub build: String,
    /// What the command line on the same machine presents to publish through this server.
    pub control: String,
    /// How often one address may try a name or a password.
    pub sign_ins: Rate<IpAddr>,
    /// How often one user may send.
    pub sends: Rate<UserId>,
}

impl App {
    /// Opens the store and gets everything ready; listens to nothing yet.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub async fn new(config: Config, build: String) -> Result<Arc<Self>> {
        let store = Store::open(&config.store.data).await?;
        let (live, readers) = (Arc::<Live>::default(), Arc::<Readers>::default());
        let log = Log::new(
            store.clone(),
            live.clone(),
            readers.clone(),
            config.replay_events,
        );
        let control = secret::token();
        let (sign_ins, sends) = (
            Rate::new(config.sign_in_burst, 2_000),
            Rate::new(config.send_burst, 20),
        );
        Ok(Arc::new(Self {
            config,
            store,
            live,
            readers,
            flusher: Flusher::start(),
            log,
            build,
            control,
            sign_ins,
            sends,
        }))
    }

    /// Where files that people sent are kept.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.config.store.data.join("files")
    }
}
