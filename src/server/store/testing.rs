//! Storage of a test, removed on drop. Also used by `tests/it`.
//!
//! `RIALTO_TEST_STORE` is "sqlite" (default) or "postgres", which needs the `RIALTO_TEST_DATABASE_URL` of a server to create databases on;
//! `scripts/postgres.sh with COMMAND` sets both.

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, any::install_default_drivers};
use std::{fs::Permissions, os::unix::fs::PermissionsExt, sync::Arc};
use tempfile::TempDir;
use uuid::Uuid;

#[derive(Debug)]
pub(crate) struct TestStorage {
    folder: TempDir,
    /// Shared with other servers.
    database: Option<Arc<TestDatabase>>,
}

impl TestStorage {
    pub(crate) fn new() -> Self {
        let store = std::env::var("RIALTO_TEST_STORE").unwrap_or_default();
        Self::with_database(match store.as_str() {
            "" | "sqlite" => None,
            "postgres" => Some(Arc::new(TestDatabase::new())),
            other => panic!("RIALTO_TEST_STORE is {other:?}; use \"sqlite\" or \"postgres\""),
        })
    }

    pub(crate) fn with_database(database: Option<Arc<TestDatabase>>) -> Self {
        Self {
            folder: private_folder(),
            database,
        }
    }

    #[allow(dead_code, reason = "used by the integration tests only")]
    pub(crate) fn move_to(&mut self, database: Arc<TestDatabase>) {
        self.database = Some(database);
    }

    #[allow(dead_code, reason = "used by the integration tests only")]
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        let folder = self.folder.path().to_str().unwrap().to_owned();
        let mut arguments = vec!["--data".to_owned(), folder];
        if let Some(database) = &self.database {
            arguments.extend(["--database-url".to_owned(), database.url.clone()]);
        }
        arguments
    }
}

/// The server would close another one to other users, and say so.
fn private_folder() -> TempDir {
    let private = Permissions::from_mode(0o700);
    tempfile::Builder::new()
        .permissions(private)
        .tempdir()
        .unwrap()
}

/// Dropped from its server with this value.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    name: String,
}

impl TestDatabase {
    pub(crate) fn new() -> Self {
        let Ok(server) = std::env::var("RIALTO_TEST_DATABASE_URL") else {
            panic!(
                "RIALTO_TEST_DATABASE_URL is not set. Run the tests with \"scripts/postgres.sh with COMMAND\""
            );
        };
        Self::create_on(&server)
    }

    pub(crate) fn create_on(server: &str) -> Self {
        let name = format!("rialto_{}", Uuid::new_v4().simple());
        // The store must not depend on its collation.
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
        // A killed program may still have connections.
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(why) = run_statement(&format!("{place}/postgres"), drop) {
            eprintln!("the database {} could not be dropped: {why}", self.name);
        }
    }
}

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
    // A runtime cannot start inside another.
    std::thread::spawn(run).join().unwrap()
}
