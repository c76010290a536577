//! Where a test keeps its store: a folder, and on PostgreSQL a database of its own. Both go with it.
//!
//! `RIALTO_TEST_STORE` says which: "sqlite" (the default) or "postgres". For the second, `RIALTO_TEST_DATABASE_URL` is a database
//! of a server in which the tests may make others; `scripts/postgres.sh with COMMAND` runs a command with both set. The tests of
//! the whole program (`tests/it`) use this file as well.

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, any::install_default_drivers};
use std::sync::Arc;
use tempfile::TempDir;
use uuid::Uuid;

/// A folder, and perhaps a database.
#[derive(Debug)]
pub(crate) struct TestStorage {
    folder: TempDir,
    /// Shared with others that are beside it.
    database: Option<Arc<TestDatabase>>,
}

impl TestStorage {
    /// A new one, in the store that is under test.
    pub(crate) fn new() -> Self {
        let store = std::env::var("RIALTO_TEST_STORE").unwrap_or_default();
        Self::with_database(match store.as_str() {
            "" | "sqlite" => None,
            "postgres" => Some(Arc::new(TestDatabase::new())),
            other => panic!("RIALTO_TEST_STORE is {other:?}; it is \"sqlite\" or \"postgres\""),
        })
    }

    /// A new folder, with a database or with the embedded store.
    pub(crate) fn with_database(database: Option<Arc<TestDatabase>>) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database,
        }
    }

    /// Keeps to the folder, with another store.
    #[allow(
        dead_code,
        reason = "asked for by the tests of the whole program alone"
    )]
    pub(crate) fn move_to(&mut self, database: Arc<TestDatabase>) {
        self.database = Some(database);
    }

    /// The data folder.
    #[allow(
        dead_code,
        reason = "asked for by the tests of the whole program alone"
    )]
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The settings that lead here.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let folder = self.folder.path().to_str().unwrap().to_owned();
        let mut arguments = vec!["--data".to_owned(), folder];
        if let Some(database) = &self.database {
            arguments.extend(["--database-url".to_owned(), database.url.clone()]);
        }
        arguments
    }
}

/// A new database, dropped with this.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    name: String,
}

impl TestDatabase {
    /// Makes one in the server under test.
    pub(crate) fn new() -> Self {
        let Ok(server) = std::env::var("RIALTO_TEST_DATABASE_URL") else {
            panic!("no PostgreSQL to test with: run this as \"scripts/postgres.sh with COMMAND\"");
        };
        Self::create_on(&server)
    }

    /// Makes one in a server.
    pub(crate) fn create_on(server: &str) -> Self {
        let name = format!("rialto_{}", Uuid::new_v4().simple());
        // An order of its own, as Debian's has: the store has to bring its own all the same.
        run_statement(
            server,
            format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"),
        )
        .unwrap();
        let (place, _) = server.rsplit_once('/').unwrap();
        Self {
            url: format!("{place}/{name}"),
            name,
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (place, _) = self.url.rsplit_once('/').unwrap();
        // FORCE: a server that was killed may still have connections. One that is gone needs no tidying.
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(why) = run_statement(&format!("{place}/postgres"), drop) {
            eprintln!("the database {} is left behind: {why}", self.name);
        }
    }
}

/// Runs a statement to its end, from wherever it is asked for.
pub(crate) fn run_statement(url: &str, statement: String) -> Result<(), sqlx::Error> {
    let url = url.to_owned();
    let run = move || {
        install_default_drivers();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut connection = AnyConnection::connect(&url).await?;
            connection.execute(AssertSqlSafe(statement)).await?;
            connection.close().await
        })
    };
    // A runtime cannot be started within another one.
    std::thread::spawn(run).join().unwrap()
}
