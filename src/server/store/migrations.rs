//! The schema, as migrations listed by hand: sqlx's macro would compile both database drivers once more.

use super::Engine;
use sqlx::{
    SqlStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// `migrations!("sqlite", 1 "first_light", ...)` includes `migrations/sqlite/0001_first_light.sql`.
macro_rules! migrations {
    ($engine:literal, $($number:literal $name:literal),+ $(,)?) => {
        &[$(($number, $name, include_str!(concat!("../../../migrations/", $engine, "/000", $number, "_", $name, ".sql")))),+]
    };
}

type Migrations = &'static [(i64, &'static str, &'static str)];

const SQLITE: Migrations = migrations!(
    "sqlite",
    1 "first_light",
    2 "settings",
    3 "group_calls",
    4 "guest_links",
    5 "leases",
    6 "file_usage",
    7 "name_skeletons",
    8 "personal_settings",
);

const POSTGRESQL: Migrations = migrations!(
    "postgres",
    1 "first_light",
    2 "settings",
    3 "group_calls",
    4 "guest_links",
    5 "leases",
    6 "file_usage",
    7 "name_skeletons",
    8 "personal_settings",
);

pub(super) fn of(engine: Engine) -> Migrator {
    up_to(engine, i64::MAX)
}

pub(super) fn up_to(engine: Engine, version: i64) -> Migrator {
    migrator(list(engine), version)
}

/// Number of the last migration, the same on both engines.
pub(super) fn newest() -> i64 {
    let versions = list(Engine::SQLite).iter().map(|(number, _, _)| *number);
    versions.max().unwrap_or_default()
}

fn list(engine: Engine) -> Migrations {
    match engine {
        Engine::SQLite => SQLITE,
        Engine::PostgreSQL => POSTGRESQL,
    }
}

fn migrator(migrations: Migrations, last: i64) -> Migrator {
    let wanted = migrations.iter().filter(|(number, _, _)| *number <= last);
    let migrations = wanted.map(|(number, name, sql)| {
        // As sqlx derives it.
        let description = name.replace('_', " ").into();
        let sql = SqlStr::from_static(sql);
        Migration::new(*number, description, MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[tokio::test]
    async fn every_file_of_the_folders_is_listed() {
        for (engine, listed) in [
            ("sqlite", of(Engine::SQLite)),
            ("postgres", of(Engine::PostgreSQL)),
        ] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("migrations")
                .join(engine);
            let found = Migrator::new(folder).await.unwrap();
            let known = |migrator: &Migrator| -> Vec<_> {
                let migrations = migrator.iter();
                migrations
                    .map(|one| (one.version, one.description.clone(), one.checksum.clone()))
                    .collect()
            };
            assert_eq!(known(&listed), known(&found), "{engine}");
        }
    }
}
