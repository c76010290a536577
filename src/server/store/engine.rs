//! Opening the store: what is specific to SQLite or PostgreSQL.

use super::{
    DatabaseUrl, Engine, Error, Result, Store,
    connection::{self, Pool},
    opening,
    sqlite::{self, OpenMode},
};
use crate::server::{
    config::StoreConfig,
    data_folder::{self, STORE_FILE},
};
use sqlx::{
    AnyConnection, AnyPool, Connection, Executor,
    any::{AnyPoolOptions, install_default_drivers},
    postgres::PgConnectOptions,
};
use std::{io::ErrorKind, time::Duration};

/// On SQLite; PostgreSQL gets twice as many.
const READ_CONNECTIONS: u32 = 4;
/// The event log's writer needs one; requests share the rest.
const POSTGRES_WRITE_CONNECTIONS: u32 = 8;
/// Outlasts a restart of the database.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// For a database that neither accepts nor refuses.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The oldest tested `server_version_num`.
const MIN_POSTGRES_VERSION: i32 = 150_000;

/// With `synchronous = FULL` an acknowledged write survives a power loss.
pub(super) const SQLITE_SETUP_SQL: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";

/// In READ COMMITTED, a statement after a lock sees all earlier commits. Commits are on disk. A program that stops in a transaction locks a
/// room four seconds at most.
const POSTGRES_SETUP_SQL: &str = "SET default_transaction_isolation = 'read committed';
    SET application_name = 'rialto';
    SET lock_timeout = '5s';
    SET statement_timeout = '7s';
    SET idle_in_transaction_session_timeout = '4s';
    SET tcp_keepalives_idle = 15;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// For long work on a connection of its own.
const POSTGRES_NO_TIMEOUTS_SQL: &str =
    "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";

pub(super) async fn open_embedded(config: &StoreConfig) -> Result<Store> {
    let first = connect_embedded(config).await?;
    let file = config.data.join(STORE_FILE);
    let url = sqlite::url(&file, OpenMode::Create);
    let options = || {
        pool_options(SQLITE_SETUP_SQL)
            .idle_timeout(None)
            .max_lifetime(None)
    };
    let in_words = |error| sqlite::describe(&file, &error);
    let write = options().max_connections(1).connect(&url).await;
    let write = write.map_err(in_words)?;
    let read = options().max_connections(READ_CONNECTIONS).connect(&url);
    let read = read.await.map_err(in_words)?;
    let _ = first.close().await;
    Ok(Store::from_pools(
        Engine::SQLite,
        Pool::new(read),
        Pool::new(write),
    ))
}

/// Prepares the store on a single connection, so that errors show at once.
pub(super) async fn connect_embedded(config: &StoreConfig) -> Result<AnyConnection> {
    data_folder::prepare(&config.data)?;
    let file = config.data.join(STORE_FILE);
    let mut connection = sqlite::connect(&file, OpenMode::Create).await?;
    let set_up = connection.execute(SQLITE_SETUP_SQL).await;
    set_up.map_err(|error| sqlite::describe(&file, &error))?;
    let prepared = opening::prepare(&mut connection, Engine::SQLite, config).await;
    prepared.map_err(|error| sqlite::in_words(&file, error))?;
    Ok(connection)
}

pub(super) async fn open_postgres(url: &DatabaseUrl, config: &StoreConfig) -> Result<Store> {
    let options = url.options()?;
    let in_words =
        |error: sqlx::Error| Error::InvalidSetting(describe_error(url, &options, &error));
    // A single connection shows errors at once. Of several programs, one migrates.
    let mut first = connect_postgres(url).await?;
    opening::prepare(&mut first, Engine::PostgreSQL, config)
        .await
        .map_err(|error| describe_failure(url, &options, error))?;
    let _ = first.close().await;
    let connect = async |connections| -> Result<AnyPool> {
        let pool = pool_options(POSTGRES_SETUP_SQL).max_connections(connections);
        pool.connect(url.expose_secret()).await.map_err(in_words)
    };
    let write = connect(POSTGRES_WRITE_CONNECTIONS).await?;
    let read = connect(READ_CONNECTIONS * 2).await?;
    Ok(Store::from_pools(
        Engine::PostgreSQL,
        Pool::new(read),
        Pool::new(write),
    ))
}

/// Opens a connection without statement timeouts, and checks the database.
pub(super) async fn connect_postgres(url: &DatabaseUrl) -> Result<AnyConnection> {
    let options = url.options()?;
    install_default_drivers();
    let in_words =
        |error: sqlx::Error| Error::InvalidSetting(describe_error(url, &options, &error));
    let connecting =
        tokio::time::timeout(CONNECT_TIMEOUT, AnyConnection::connect(url.expose_secret())).await;
    let mut connection = connecting
        .unwrap_or_else(|_| Err(sqlx::Error::Io(ErrorKind::TimedOut.into())))
        .map_err(in_words)?;
    let (version, encoding): (i32, String) = sqlx::query_as(
        "SELECT CAST(current_setting('server_version_num') AS INTEGER), current_setting('server_encoding')",
    )
    .fetch_one(&mut connection)
    .await
    .map_err(in_words)?;
    if version < MIN_POSTGRES_VERSION {
        return Err(Error::InvalidSetting(format!(
            "{url} is PostgreSQL {}; Rialto needs {} or newer",
            version / 10_000,
            MIN_POSTGRES_VERSION / 10_000
        )));
    }
    if encoding != "UTF8" {
        return Err(Error::InvalidSetting(format!(
            "{url} has the encoding {encoding}; Rialto needs UTF8. Create the database with: createdb \
             --encoding=UTF8 --template=template0"
        )));
    }
    for setup in [POSTGRES_SETUP_SQL, POSTGRES_NO_TIMEOUTS_SQL] {
        connection.execute(setup).await.map_err(in_words)?;
    }
    Ok(connection)
}

fn describe_failure(url: &DatabaseUrl, options: &PgConnectOptions, error: Error) -> Error {
    match opening::database_error(error) {
        Ok(error) => Error::InvalidSetting(describe_error(url, options, &error)),
        Err(other) => other,
    }
}

fn pool_options(setup_sql: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .min_connections(1)
        // With a deadline, unlike the pool's own check.
        .test_before_acquire(false)
        .before_acquire(|connection, _| {
            Box::pin(async move { connection::ping(connection).await.map(|()| true) })
        })
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                connection.execute(setup_sql).await?;
                Ok(())
            })
        })
}

fn describe_error(url: &DatabaseUrl, options: &PgConnectOptions, error: &sqlx::Error) -> String {
    let user = options.get_username();
    match error {
        sqlx::Error::Io(why) => format!(
            "PostgreSQL does not answer at {url}: {why}. Start it, or correct the address in --database-url (RIALTO_DATABASE_URL)"
        ),
        sqlx::Error::Tls(why) => format!(
            "no secure connection to {url}: {why}. Correct sslmode= and sslrootcert= in --database-url \
             (RIALTO_DATABASE_URL), or the server's certificate"
        ),
        sqlx::Error::PoolTimedOut => {
            format!(
                "no connection to {url} became available within {} s",
                ACQUIRE_TIMEOUT.as_secs()
            )
        }
        sqlx::Error::Database(why) => match why.code().as_deref() {
            Some("28P01" | "28000") => format!(
                "{url} refuses the user {user:?}: {}. Correct the user and password in --database-url (RIALTO_DATABASE_URL)",
                why.message()
            ),
            Some("3D000") => format!(
                "the database of {url} does not exist. Create it with: createdb --encoding=UTF8 --template=template0 {}",
                options.get_database().unwrap_or(user)
            ),
            Some("42501") => format!(
                "the user {user:?} lacks a privilege in {url}: {}. Make that user the owner of the database",
                why.message()
            ),
            _ => format!("{url} cannot be used: {}", why.message()),
        },
        other => format!("{url} cannot be used: {other}"),
    }
}
