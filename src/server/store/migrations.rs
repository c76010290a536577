//! The schema, as migrations compiled into the program. Listed by hand: sqlx's macro would compile both database
//! drivers once more.

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
);

const POSTGRESQL: Migrations = migrations!(
    "postgres",
    1 "first_light",
    2 "settings",
    3 "group_calls",
    4 "guest_links",
);

pub(super) fn sqlite() -> Migrator {
    migrator(SQLITE)
}

pub(super) fn postgresql() -> Migrator {
    migrator(POSTGRESQL)
}

fn migrator(migrations: Migrations) -> Migrator {
    let migrations = migrations.iter().map(|(number, name, sql)| {
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
        for (engine, listed) in [("sqlite", sqlite()), ("postgres", postgresql())] {
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
