use super::*;
use crate::server::store::{
    Store, check, engine, sqlite,
    sqlite::OpenMode,
    testing::{TestStorage, run_statement},
};
use data_folder::STORE_FILE;
use sqlx::Connection;
use tempfile::TempDir;

const OLD_SCHEMA: i64 = 3;

struct Fixture {
    folder: TempDir,
    config: StoreConfig,
    storage: TestStorage,
}

impl Fixture {
    fn new() -> Self {
        let storage = TestStorage::new();
        let url = storage.arguments().get(3).map(|url| url.parse().unwrap());
        let folder = tempfile::tempdir().unwrap();
        Self {
            config: StoreConfig {
                data: folder.path().join("data"),
                database_url: url,
                backup_folder: None,
            },
            folder,
            storage,
        }
    }

    fn engine(&self) -> Engine {
        match self.config.database_url {
            Some(_) => Engine::PostgreSQL,
            None => Engine::SQLite,
        }
    }

    async fn connect(&self) -> AnyConnection {
        if let Some(url) = &self.config.database_url {
            return engine::connect_postgres(url).await.unwrap();
        }
        fs::create_dir_all(&self.config.data).unwrap();
        let file = self.config.data.join(STORE_FILE);
        sqlite::connect(&file, OpenMode::Create).await.unwrap()
    }

    /// With a row.
    async fn with_old_store() -> Self {
        let fixture = Self::new();
        let mut store = fixture.connect().await;
        let migrator = migrations::up_to(fixture.engine(), OLD_SCHEMA);
        migrator.run(&mut store).await.unwrap();
        sqlx::query("INSERT INTO settings (name, value) VALUES ('colour', 'gold')")
            .execute(&mut store)
            .await
            .unwrap();
        store.close().await.unwrap();
        fixture
    }

    async fn schema(&self) -> Option<i64> {
        let mut store = self.connect().await;
        let schema = find_schema(&mut store, self.engine()).await.unwrap();
        store.close().await.unwrap();
        schema
    }

    fn files_in(&self, folder: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path().join(folder));
        let entries = entries.into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// Schema and row of a copy.
async fn read_copy(copy: &std::path::Path) -> (Option<i64>, String) {
    let mut store = sqlite::connect(copy, OpenMode::Read).await.unwrap();
    let schema = find_schema(&mut store, Engine::SQLite).await.unwrap();
    let (colour,) = sqlx::query_as("SELECT value FROM settings WHERE name = 'colour'")
        .fetch_one(&mut store)
        .await
        .unwrap();
    (schema, colour)
}

#[tokio::test]
async fn a_store_is_copied_before_it_is_upgraded() {
    let mut fixture = Fixture::with_old_store().await;
    fixture.config.backup_folder = Some(fixture.folder.path().join("backups"));
    Store::open(&fixture.config).await.unwrap().close().await;
    assert_eq!(fixture.schema().await, Some(migrations::newest()));
    let copies = fixture.files_in("backups");
    let [copy] = copies.as_slice() else {
        panic!("{copies:?}")
    };
    let expected = (Some(OLD_SCHEMA), "gold".to_owned());
    assert_eq!(read_copy(copy).await, expected);
    // An up-to-date store is not copied again.
    Store::open(&fixture.config).await.unwrap().close().await;
    assert_eq!(fixture.files_in("backups"), copies);
}

#[tokio::test]
async fn without_a_folder_for_backups_an_embedded_store_is_copied_into_the_data_folder() {
    let fixture = Fixture::with_old_store().await;
    Store::open(&fixture.config).await.unwrap().close().await;
    assert_eq!(fixture.schema().await, Some(migrations::newest()));
    let copies = fixture.files_in("data/backups");
    match fixture.engine() {
        Engine::SQLite => {
            let expected = (Some(OLD_SCHEMA), "gold".to_owned());
            assert_eq!(read_copy(&copies[0]).await, expected);
        }
        Engine::PostgreSQL => assert!(copies.is_empty(), "{copies:?}"),
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_copied_is_not_upgraded() {
    let mut fixture = Fixture::with_old_store().await;
    let file = fixture.folder.path().join("backups");
    fs::write(&file, "").unwrap();
    fixture.config.backup_folder = Some(file);
    let refused = Store::open(&fixture.config).await.unwrap_err().to_string();
    assert!(refused.contains("where a folder is needed"), "{refused}");
    assert_eq!(fixture.schema().await, Some(OLD_SCHEMA));
}

#[tokio::test]
async fn a_new_store_is_not_copied() {
    let mut fixture = Fixture::new();
    fixture.config.backup_folder = Some(fixture.folder.path().join("backups"));
    Store::open(&fixture.config).await.unwrap().close().await;
    assert_eq!(fixture.schema().await, Some(migrations::newest()));
    assert!(fixture.files_in("backups").is_empty());
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_refused_in_words() {
    let fixture = Fixture::new();
    Store::open(&fixture.config).await.unwrap().close().await;
    let url = match fixture.config.database_url {
        Some(_) => fixture.storage.arguments()[3].clone(),
        None => sqlite::url(&fixture.config.data.join(STORE_FILE), OpenMode::Create),
    };
    let insert =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         SELECT 99, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    run_statement(&url, insert.to_owned()).unwrap();
    let snapshot = fixture.folder.path().join("snapshot");
    for refused in [
        Store::open(&fixture.config).await.map(|_| ()),
        snapshot::write(&fixture.config, &snapshot).await,
        check::check_store(&fixture.config).await.map(|_| ()),
    ] {
        let refused = refused.unwrap_err().to_string();
        for words in [
            "was upgraded by a newer Rialto",
            "version 99",
            "Run that newer program",
        ] {
            assert!(refused.contains(words), "{refused}");
        }
    }
}
