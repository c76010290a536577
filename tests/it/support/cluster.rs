//! A cluster of nodes: one database, one NATS server, one data folder each.

use super::{Browser, Server, TestDatabase, TestStorage, nats::Nats};
use std::sync::Arc;
use tokio::process::Command;

pub(crate) struct Cluster {
    pub(crate) nats: Nats,
    pub(crate) nodes: Vec<Server>,
    database: Arc<TestDatabase>,
    configure: Arc<dyn Fn(&mut Command) + Send + Sync>,
}

impl Cluster {
    pub(crate) async fn start(count: usize) -> Self {
        Self::start_with(count, |_| {}).await
    }

    pub(crate) async fn start_with(
        count: usize,
        set: impl Fn(&mut Command) + Send + Sync + 'static,
    ) -> Self {
        let mut cluster = Self {
            nats: Nats::start().await,
            nodes: Vec::new(),
            database: Arc::new(TestDatabase::new()),
            configure: Arc::new(set),
        };
        for _ in 0..count {
            cluster.add_node().await;
        }
        cluster
    }

    pub(crate) async fn add_node(&mut self) {
        self.add_node_with(self.nats.url(), |_| {}).await;
    }

    /// With its own way to NATS.
    pub(crate) async fn add_node_with(
        &mut self,
        bus: String,
        configure: impl Fn(&mut Command) + Send + Sync + 'static,
    ) {
        let storage = TestStorage::with_database(Some(self.database.clone()));
        let set = self.configure.clone();
        let node = Server::start_in(storage, move |command| {
            command.args(["--bus", &bus, "--limits", "messages=100000,frames=100000"]);
            command.args(["--call-grace-seconds", "3"]);
            set(command);
            configure(command);
        });
        self.nodes.push(node.await);
    }

    /// With its own ways to NATS and to the database.
    pub(crate) async fn add_node_through(&mut self, bus: String, database_url: String) {
        let set = self.configure.clone();
        let node = Server::start_in(TestStorage::with_database(None), move |command| {
            command.args(["--bus", &bus, "--database-url", &database_url]);
            command.args([
                "--limits",
                "messages=100000,frames=100000",
                "--call-grace-seconds",
                "3",
            ]);
            set(command);
        });
        self.nodes.push(node.await);
    }

    pub(crate) fn database_url(&self) -> &str {
        &self.database.url
    }

    /// A folder of the same database in which no server runs.
    pub(crate) fn storage_elsewhere(&self) -> TestStorage {
        TestStorage::with_database(Some(self.database.clone()))
    }

    pub(crate) async fn join(&self, node: usize, name: &str) -> Browser {
        Browser::join(&self.nodes[node], name).await
    }
}
