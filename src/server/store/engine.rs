//! Opening the store: what is specific to SQLite or PostgreSQL.

use super::{DatabaseUrl, Engine, Error, Result, Store, connection, migrations};
use sqlx::{
    AnyConnection, AnyPool, Connection, Executor,
    any::{AnyPoolOptions, install_default_drivers},
    migrate::MigrateError,
    postgres::PgConnectOptions,
};
use std::{io::ErrorKind, path::Path, time::Duration};

/// On SQLite; PostgreSQL gets twice as many.
const READ_CONNECTIONS: u32 = 4;
/// The event log's writer needs one; requests share the rest.
const POSTGRES_WRITE_CONNECTIONS: u32 = 8;
/// A restart of the database fails no request.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// For a database that neither accepts nor refuses.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The oldest tested `server_version_num`.
const MIN_POSTGRES_VERSION: i32 = 150_000;

/// With `synchronous = FULL` an acknowledged write survives a power loss.
const SQLITE_SETUP_SQL: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";

/// In READ COMMITTED, a statement after a lock sees everything committed before. Commits must be on disk. A program
/// that stops in a transaction keeps a room locked for four seconds at most.
const POSTGRES_SETUP_SQL: &str = "SET default_transaction_isolation = 'read committed';
    SET application_name = 'rialto';
    SET lock_timeout = '5s';
    SET statement_timeout = '7s';
    SET idle_in_transaction_session_timeout = '4s';
    SET tcp_keepalives_idle = 15;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

pub(super) async fn open_embedded(folder: &Path) -> Result<Store> {
    tokio::fs::create_dir_all(folder).await?;
    install_default_drivers();
    let url = format!(
        "sqlite://{}?mode=rwc",
        folder.join("rialto.sqlite").display()
    );
    let options = || {
        pool_options(SQLITE_SETUP_SQL)
            .idle_timeout(None)
            .max_lifetime(None)
    };
    let write = options().max_connections(1).connect(&url).await?;
    migrations::sqlite().run(&write).await?;
    let read = options()
        .max_connections(READ_CONNECTIONS)
        .connect(&url)
        .await?;
    Ok(Store::from_pools(Engine::SQLite, read, write))
}

pub(super) async fn open_postgres(url: &DatabaseUrl) -> Result<Store> {
    let options = url.options()?;
    install_default_drivers();
    let in_words =
        |error: sqlx::Error| Error::InvalidSetting(describe_error(url, &options, &error));
    check_and_migrate(url, &in_words).await?;
    let connect = async |connections| -> Result<AnyPool> {
        let pool = pool_options(POSTGRES_SETUP_SQL).max_connections(connections);
        pool.connect(url.expose_secret()).await.map_err(in_words)
    };
    let write = connect(POSTGRES_WRITE_CONNECTIONS).await?;
    let read = connect(READ_CONNECTIONS * 2).await?;
    Ok(Store::from_pools(Engine::PostgreSQL, read, write))
}

/// Uses a single connection, so that errors show at once. Of several programs, one migrates.
async fn check_and_migrate(
    url: &DatabaseUrl,
    in_words: &impl Fn(sqlx::Error) -> Error,
) -> Result<()> {
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
    let migrated = migrations::postgresql().run(&mut connection).await;
    migrated.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => in_words(error),
        other => other.into(),
    })?;
    let _ = connection.close().await;
    Ok(())
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
