//! Copies all tables between the engines, referenced ones first, and compares both sides.

mod table;

use super::{Engine, Error, Result};
use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::{AnyConnection, AssertSqlSafe};
use std::collections::BTreeSet;
use table::{Column, ColumnType, Value};
pub(super) use table::{Table, list_tables};

const MAX_INSERT_ROWS: usize = 200;
/// sqlx's own table, not copied.
const SQLX_MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// A copied and compared table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTable {
    pub table: String,
    pub rows: u64,
    /// SHA-256 of the rows in key order, in hexadecimal.
    pub checksum: String,
}

/// Copies into empty tables, within a transaction of each side.
pub(super) async fn copy_tables(
    tables: &[Table],
    source: &mut AnyConnection,
    target: &mut AnyConnection,
    target_engine: Engine,
    place: &str,
) -> Result<Vec<CopiedTable>> {
    let mut copied = Vec::with_capacity(tables.len());
    for table in tables {
        let wrote = copy_table(table, source, target, target_engine)
            .await
            .map_err(|error| {
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
            return Err(Error::InvalidSetting(format!(
                "the table {} has {} rows with the checksum {} at its source, but {} with {} in {place}. Nothing was written",
                table.name, wrote.rows, wrote.checksum, found.rows, found.checksum
            )));
        }
    }
    Ok(copied)
}

/// Compares SQLite's tables with a PostgreSQL database's.
pub(super) async fn check_same_tables(tables: &[Table], target: &mut AnyConnection) -> Result<()> {
    let there: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT CAST(columns.table_name AS TEXT), CAST(columns.column_name AS TEXT), CAST(columns.data_type AS TEXT)
         FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
         WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND table_name <> $1",
    )
    .bind(SQLX_MIGRATIONS_TABLE)
    .fetch_all(&mut *target)
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
        return Err(Error::InvalidSetting(format!(
            "the schema of the database differs: {table}.{column} ({kind}) is on one side only. Create an empty database and use that"
        )));
    }
    Ok(())
}

/// Locks a PostgreSQL database's tables, which must be empty.
pub(super) async fn lock_empty_tables(
    tables: &[Table],
    target: &mut AnyConnection,
    place: &str,
) -> Result<()> {
    let names: Vec<_> = tables
        .iter()
        .map(|table| format!("\"{}\"", table.name))
        .collect();
    let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", names.join(", "));
    sqlx::query(AssertSqlSafe(lock))
        .execute(&mut *target)
        .await?;
    for (table, name) in tables.iter().zip(names) {
        let count = format!("SELECT COUNT(*) FROM {name}");
        let (rows,): (i64,) = sqlx::query_as(AssertSqlSafe(count))
            .fetch_one(&mut *target)
            .await?;
        if rows > 0 {
            return Err(Error::InvalidSetting(format!(
                "{place} is not empty: the table {} has {rows} rows. Create a new database for the copy (createdb \
                 --encoding=UTF8 --template=template0 NAME) and use that",
                table.name
            )));
        }
    }
    Ok(())
}

async fn copy_table(
    table: &Table,
    source: &mut AnyConnection,
    target: &mut AnyConnection,
    target_engine: Engine,
) -> Result<CopiedTable> {
    let mut checksum = Checksum::default();
    let mut rows = sqlx::query(AssertSqlSafe(table.select_sql())).fetch(&mut *source);
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
            let sql = table.insert_sql(target_engine, waiting.len());
            let mut insert = sqlx::query(AssertSqlSafe(sql));
            for value in waiting.drain(..).flatten() {
                insert = match value {
                    Value::Text(text) => insert.bind(text),
                    Value::Integer(number) => insert.bind(number),
                    Value::Boolean(truth) => insert.bind(truth),
                };
            }
            insert.execute(&mut *target).await?;
        }
        if is_last {
            return Ok(checksum.finish(table));
        }
    }
}

async fn checksum_table(table: &Table, from: &mut AnyConnection) -> Result<CopiedTable> {
    let mut checksum = Checksum::default();
    let mut rows = sqlx::query(AssertSqlSafe(table.select_sql())).fetch(&mut *from);
    while let Some(row) = rows.try_next().await? {
        checksum.add(&table.values(&row)?);
    }
    Ok(checksum.finish(table))
}

/// Tags values with type and text length, which makes the encoding unambiguous.
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
