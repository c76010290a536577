//! Tables, columns and values, as the SQLite store's schema describes them.

use super::SQLX_MIGRATIONS_TABLE;
use crate::server::store::{Engine, Error, Result};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    Text,
    Integer,
    Boolean,
}

impl ColumnType {
    pub(super) fn of(word: &str) -> Result<Self> {
        match word.to_ascii_lowercase().as_str() {
            "text" => Ok(Self::Text),
            "bigint" => Ok(Self::Integer),
            "boolean" => Ok(Self::Boolean),
            other => Err(Error::corrupt(format!("a column of type {other:?}"))),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) column_type: ColumnType,
}

#[derive(Debug)]
pub(in crate::server::store) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// Primary key, or all columns.
    key: Vec<String>,
}

impl Table {
    /// Orders rows alike on both engines.
    pub(super) fn select_sql(&self) -> String {
        let columns = self.columns.iter().map(
            |Column {
                 name,
                 column_type: kind,
             }| match kind {
                ColumnType::Text | ColumnType::Integer => format!("\"{name}\""),
                // The engines represent booleans differently.
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

    pub(super) fn insert_sql(&self, engine: Engine, rows: usize) -> String {
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|column| format!("\"{}\"", column.name))
            .collect();
        format!(
            "INSERT INTO \"{}\" ({}) VALUES {}",
            self.name,
            columns.join(", "),
            engine.placeholders(rows, columns.len())
        )
    }

    pub(super) fn values(&self, row: &AnyRow) -> Result<Vec<Value>> {
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
pub(super) enum Value {
    Text(Option<String>),
    Integer(Option<i64>),
    Boolean(Option<bool>),
}

/// Lists each table after those it references.
pub(in crate::server::store) async fn list_tables(
    source: &mut AnyConnection,
) -> Result<Vec<Table>> {
    let names: Vec<(String,)> = sqlx::query_as(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> $1 AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name",
    )
    .bind(SQLX_MIGRATIONS_TABLE)
    .fetch_all(&mut *source)
    .await?;
    let mut waiting = Vec::new();
    for (name,) in names {
        let parents: Vec<(String,)> = sqlx::query_as(
            "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list($1) WHERE \"table\" <> $1",
        )
        .bind(&name)
        .fetch_all(&mut *source)
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

async fn describe_table(name: String, source: &mut AnyConnection) -> Result<Table> {
    let columns: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT name, type, CAST(pk AS BIGINT) FROM pragma_table_info($1) ORDER BY cid",
    )
    .bind(&name)
    .fetch_all(&mut *source)
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
