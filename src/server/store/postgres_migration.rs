//! `rialto migrate-store`: copies the SQLite store into a PostgreSQL database.
//!
//! One transaction copies all tables of the schema, referenced ones first, then compares both sides in the same order.
//! Any difference rolls everything back.

use super::{Error, Result, Tx, engine, placeholders};
use crate::server::{
    config::StoreConfig,
    data_lock::{DataLock, Sharing},
};
use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use std::collections::BTreeSet;

const MAX_INSERT_ROWS: usize = 200;
/// sqlx's own table, which is not copied: each side has one.
const SQLX_MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// A table that was copied and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTable {
    pub table: String,
    pub rows: u64,
    /// SHA-256 of the rows in key order, as 64 hexadecimal digits.
    pub checksum: String,
}

/// Copies the SQLite store of a data folder, which does not change, into an empty database, in one transaction.
///
/// # Errors
/// [`Error::InvalidSetting`] with instructions when no database is given, the folder has no store or is in use, or the
/// database cannot be used, is not empty or differs after the copy. At most empty tables are left.
pub async fn migrate_to_postgres(config: &StoreConfig) -> Result<Vec<CopiedTable>> {
    let folder = config.data.display();
    let Some(url) = &config.database_url else {
        return setting_error(
            "no target database. Set --database-url postgres://user:password@host:5432/database (or RIALTO_DATABASE_URL)",
        );
    };
    if !tokio::fs::try_exists(config.data.join("rialto.sqlite")).await? {
        return setting_error(format!(
            "there is no SQLite store in {folder}. Set its folder with --data"
        ));
    }
    // Writes of a running server would be missing from the copy.
    let _lock = DataLock::acquire(&config.data, Sharing::Exclusive)?;
    let from = engine::open_embedded(&config.data).await?;
    let to = engine::open_postgres(url).await?;
    let copied = async {
        // The write lock of SQLite: no other program writes meanwhile.
        let mut source = from.begin().await.map_err(|why| {
            Error::InvalidSetting(format!(
                "another program is writing to the store in {folder}: {why}. Stop it, then try again"
            ))
        })?;
        let mut target = to.begin().await?;
        let copied = copy_tables(&mut source, &mut target, &url.to_string()).await?;
        target.commit().await?;
        Ok(copied)
    };
    let copied = copied.await;
    from.close().await;
    to.close().await;
    copied
}

fn setting_error<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::InvalidSetting(why.into()))
}

async fn copy_tables(source: &mut Tx, target: &mut Tx, place: &str) -> Result<Vec<CopiedTable>> {
    sqlx::query("SET LOCAL idle_in_transaction_session_timeout = 0")
        .execute(&mut **target)
        .await?;
    let tables = list_tables(source).await?;
    check_same_tables(&tables, target).await?;
    lock_empty_tables(&tables, target, place).await?;
    let mut copied = Vec::with_capacity(tables.len());
    for table in &tables {
        let wrote = copy_table(table, source, target).await.map_err(|error| {
            Error::InvalidSetting(format!(
                "the table {} could not be copied: {error}. Nothing was written",
                table.name
            ))
        })?;
        copied.push(wrote);
    }
    // After the last insert, this compares exactly what will be committed.
    for (table, wrote) in tables.iter().zip(&copied) {
        let found = checksum_table(table, target).await?;
        if found != *wrote {
            return setting_error(format!(
                "the table {} has {} rows with the checksum {} in the folder, but {} with {} in {place}. Nothing was written",
                table.name, wrote.rows, wrote.checksum, found.rows, found.checksum
            ));
        }
    }
    Ok(copied)
}

/// Type of a column, the same on both engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnType {
    Text,
    Integer,
    Boolean,
}

impl ColumnType {
    /// Parses the type name of either engine's schema.
    fn of(word: &str) -> Result<Self> {
        match word.to_ascii_lowercase().as_str() {
            "text" => Ok(Self::Text),
            "bigint" => Ok(Self::Integer),
            "boolean" => Ok(Self::Boolean),
            other => Err(Error::corrupt(format!("a column of type {other:?}"))),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    column_type: ColumnType,
}

#[derive(Debug)]
struct Table {
    name: String,
    columns: Vec<Column>,
    /// Columns of the primary key; all columns where there is none.
    key: Vec<String>,
}

impl Table {
    /// Selects all rows, in the same order on both engines.
    fn select_sql(&self) -> String {
        let columns = self.columns.iter().map(
            |Column {
                 name,
                 column_type: kind,
             }| match kind {
                ColumnType::Text | ColumnType::Integer => format!("\"{name}\""),
                // The engines represent booleans differently, numbers alike.
                ColumnType::Boolean => {
                    format!(
                        "CAST(CASE WHEN \"{name}\" THEN 1 WHEN NOT \"{name}\" THEN 0 END AS BIGINT)"
                    )
                }
            },
        );
        let columns: Vec<_> = columns.collect();
        let key: Vec<_> = self.key.iter().map(|name| format!("\"{name}\"")).collect();
        format!(
            "SELECT {} FROM \"{}\" ORDER BY {}",
            columns.join(", "),
            self.name,
            key.join(", ")
        )
    }

    fn insert_sql(&self, rows: usize) -> String {
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|column| format!("\"{}\"", column.name))
            .collect();
        format!(
            "INSERT INTO \"{}\" ({}) VALUES {}",
            self.name,
            columns.join(", "),
            placeholders(rows, columns.len())
        )
    }

    fn values(&self, row: &AnyRow) -> Result<Vec<Value>> {
        let columns = self.columns.iter().enumerate();
        let values = columns.map(|(at, column)| {
            Ok(match column.column_type {
                ColumnType::Text => Value::Text(row.try_get(at)?),
                ColumnType::Integer => Value::Integer(row.try_get(at)?),
                ColumnType::Boolean => {
                    Value::Boolean(row.try_get::<Option<i64>, _>(at)?.map(|number| number != 0))
                }
            })
        });
        values.collect()
    }
}

#[derive(Debug)]
enum Value {
    Text(Option<String>),
    Integer(Option<i64>),
    Boolean(Option<bool>),
}

/// Running checksum of rows. A tag for the type and, for text, the length make each value's encoding unambiguous.
#[derive(Default)]
struct Checksum {
    rows: u64,
    sum: Sha256,
}

impl Checksum {
    fn add(&mut self, row: &[Value]) {
        self.rows += 1;
        for value in row {
            match value {
                Value::Text(None) | Value::Integer(None) | Value::Boolean(None) => {
                    self.sum.update([0]);
                }
                Value::Text(Some(text)) => {
                    self.sum.update([1]);
                    self.sum.update(text.len().to_be_bytes());
                    self.sum.update(text);
                }
                Value::Integer(Some(number)) => {
                    self.sum.update([2]);
                    self.sum.update(number.to_be_bytes());
                }
                Value::Boolean(Some(truth)) => self.sum.update([3, u8::from(*truth)]),
            }
        }
    }

    fn finish(self, table: &Table) -> CopiedTable {
        CopiedTable {
            table: table.name.clone(),
            rows: self.rows,
            checksum: hex::encode(self.sum.finalize()),
        }
    }
}

/// The tables of the SQLite store, each after those it references.
async fn list_tables(source: &mut Tx) -> Result<Vec<Table>> {
    let names: Vec<(String,)> = sqlx::query_as(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> $1 AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name",
    )
    .bind(SQLX_MIGRATIONS_TABLE)
    .fetch_all(&mut **source)
    .await?;
    let mut waiting = Vec::new();
    for (name,) in names {
        let parents: Vec<(String,)> = sqlx::query_as(
            "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list($1) WHERE \"table\" <> $1",
        )
        .bind(&name)
        .fetch_all(&mut **source)
        .await?;
        let parents: BTreeSet<_> = parents.into_iter().map(|(parent,)| parent).collect();
        waiting.push((describe_table(name, source).await?, parents));
    }
    let mut ordered: Vec<Table> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|(_, parents)| {
            let is_there = |parent: &String| ordered.iter().any(|table| table.name == *parent);
            parents.iter().all(is_there)
        });
        let Some(ready) = ready else {
            return Err(Error::corrupt("tables with circular foreign keys"));
        };
        ordered.push(waiting.remove(ready).0);
    }
    Ok(ordered)
}

async fn describe_table(name: String, source: &mut Tx) -> Result<Table> {
    let columns: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT name, type, CAST(pk AS BIGINT) FROM pragma_table_info($1) ORDER BY cid",
    )
    .bind(&name)
    .fetch_all(&mut **source)
    .await?;
    let mut key: Vec<_> = columns
        .iter()
        .filter(|(_, _, place)| *place > 0)
        .map(|(column, _, place)| (*place, column.clone()))
        .collect();
    key.sort();
    let mut key: Vec<_> = key.into_iter().map(|(_, column)| column).collect();
    if key.is_empty() {
        key.extend(columns.iter().map(|(column, _, _)| column.clone()));
    }
    let columns = columns.into_iter().map(|(name, word, _)| {
        Ok(Column {
            name,
            column_type: ColumnType::of(&word)?,
        })
    });
    Ok(Table {
        name,
        columns: columns.collect::<Result<_>>()?,
        key,
    })
}

/// Both sides are at the schema of this program.
async fn check_same_tables(tables: &[Table], target: &mut Tx) -> Result<()> {
    let there: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT CAST(columns.table_name AS TEXT), CAST(columns.column_name AS TEXT), CAST(columns.data_type AS TEXT)
         FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
         WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND table_name <> $1",
    )
    .bind(SQLX_MIGRATIONS_TABLE)
    .fetch_all(&mut **target)
    .await?;
    let mut found = BTreeSet::new();
    for (table, column, word) in there {
        found.insert((table, column, format!("{:?}", ColumnType::of(&word)?)));
    }
    let mut wanted = BTreeSet::new();
    for table in tables {
        for Column {
            name,
            column_type: kind,
        } in &table.columns
        {
            wanted.insert((table.name.clone(), name.clone(), format!("{kind:?}")));
        }
    }
    if let Some((table, column, kind)) = found.symmetric_difference(&wanted).next() {
        return setting_error(format!(
            "the schema of the database differs: {table}.{column} ({kind}) is on one side only. Create an empty database and use that"
        ));
    }
    Ok(())
}

/// Locks every table of the target and checks that all are empty.
async fn lock_empty_tables(tables: &[Table], target: &mut Tx, place: &str) -> Result<()> {
    let names: Vec<_> = tables
        .iter()
        .map(|table| format!("\"{}\"", table.name))
        .collect();
    let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", names.join(", "));
    sqlx::query(AssertSqlSafe(lock))
        .execute(&mut **target)
        .await?;
    for (table, name) in tables.iter().zip(names) {
        let count = format!("SELECT COUNT(*) FROM {name}");
        let (rows,): (i64,) = sqlx::query_as(AssertSqlSafe(count))
            .fetch_one(&mut **target)
            .await?;
        if rows > 0 {
            return setting_error(format!(
                "{place} is not empty: the table {} has {rows} rows. Create a new database for the copy (createdb \
                 --encoding=UTF8 --template=template0 NAME) and use that",
                table.name
            ));
        }
    }
    Ok(())
}

/// Copies a table and returns row count and checksum of what was read.
async fn copy_table(table: &Table, source: &mut Tx, target: &mut Tx) -> Result<CopiedTable> {
    let mut checksum = Checksum::default();
    let mut rows = sqlx::query(AssertSqlSafe(table.select_sql())).fetch(&mut **source);
    let mut waiting = Vec::with_capacity(MAX_INSERT_ROWS);
    loop {
        let row = rows.try_next().await?;
        let is_last = row.is_none();
        if let Some(row) = row {
            let values = table.values(&row)?;
            checksum.add(&values);
            waiting.push(values);
        }
        if waiting.len() == MAX_INSERT_ROWS || is_last && !waiting.is_empty() {
            let mut insert = sqlx::query(AssertSqlSafe(table.insert_sql(waiting.len())));
            for value in waiting.drain(..).flatten() {
                insert = match value {
                    Value::Text(text) => insert.bind(text),
                    Value::Integer(number) => insert.bind(number),
                    Value::Boolean(truth) => insert.bind(truth),
                };
            }
            insert.execute(&mut **target).await?;
        }
        if is_last {
            return Ok(checksum.finish(table));
        }
    }
}

/// Reads a table and returns its row count and checksum.
async fn checksum_table(table: &Table, from: &mut Tx) -> Result<CopiedTable> {
    let mut checksum = Checksum::default();
    let mut rows = sqlx::query(AssertSqlSafe(table.select_sql())).fetch(&mut **from);
    while let Some(row) = rows.try_next().await? {
        checksum.add(&table.values(&row)?);
    }
    Ok(checksum.finish(table))
}
