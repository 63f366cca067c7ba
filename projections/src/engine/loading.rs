//! How rows are loaded: those of many tables in one question, each as one value. A round trip for each table is what a
//! small batch would mostly wait for, and SQLite's driver takes a lock and a copy for each value of a row.

use std::fmt::Write as _;

use futures::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Row as _};
use wasend_eventlog::Db;

use crate::engine::rows::{Shape, kinds};
use crate::engine::sql::{On, StoreError};
use crate::engine::table::{Cell, Column, Damaged, Kind, Table};
use crate::engine::working::RawRow;

/// Rows of a table that are to be loaded.
pub(crate) struct Want<'a> {
    pub shape: &'a Shape,
    pub ids: Vec<String>,
}

/// The rows among those wanted that exist, each with the number of the want that it answers. Of one question: as they
/// stand at one moment.
pub(crate) async fn load(on: &mut On<'_>, wants: &[Want<'_>]) -> Result<Vec<(usize, RawRow)>, StoreError> {
    if wants.is_empty() {
        return Ok(vec![]);
    }
    let sql = AssertSqlSafe(question(on, wants));
    let mut found = Vec::new();
    match on {
        On::Sqlite(conn) => {
            let query = wants.iter().fold(sqlx::query(sql), |query, want| query.bind(json(&want.ids)));
            let mut rows = query.fetch(&mut **conn);
            while let Some(row) = rows.try_next().await? {
                let (number, packed) = (row.try_get(0)?, row.try_get(1)?);
                found.push(answer(wants, number, |table| from_json(table, packed))?);
            }
        }
        On::Postgres(conn) => {
            let query = wants.iter().fold(sqlx::query(sql), |query, want| query.bind(&want.ids));
            let mut rows = query.fetch(&mut **conn);
            while let Some(row) = rows.try_next().await? {
                let (number, packed) = (row.try_get(0)?, row.try_get(1)?);
                found.push(answer(wants, number, |table| from_texts(table, packed))?);
            }
        }
    }
    Ok(found)
}

/// Loads rows by id on a connection of the pool.
pub(crate) async fn load_pooled(db: &Db, want: Want<'_>) -> Result<Vec<RawRow>, StoreError> {
    let wants = [want];
    let found = match db {
        Db::Sqlite(sqlite) => load(&mut On::Sqlite(&mut *sqlite.pool().acquire().await?), &wants).await,
        Db::Postgres(pool) => load(&mut On::Postgres(&mut *pool.acquire().await?), &wants).await,
    };
    Ok(found?.into_iter().map(|(_, row)| row).collect())
}

fn question(on: &On<'_>, wants: &[Want<'_>]) -> String {
    let mut sql = String::new();
    for (number, Want { shape: Shape { physical, columns, table, .. }, .. }) in wants.iter().enumerate() {
        let union = if number == 0 { "" } else { " UNION ALL " };
        match on {
            On::Sqlite(_) => write!(
                sql,
                "{union}SELECT {number}, json_array({columns}) FROM {physical} \
                 WHERE id IN (SELECT value FROM json_each(?))"
            ),
            On::Postgres(_) => {
                let text = |column: Column| match column.kind {
                    Kind::Text => format!("\"{}\"", column.name),
                    Kind::Int => format!("\"{}\"::text", column.name),
                };
                let casts = table.all_columns().map(text).collect::<Vec<_>>().join(", ");
                let list = number + 1;
                write!(sql, "{union}SELECT {number}, ARRAY[{casts}] FROM {physical} WHERE id = ANY(${list})")
            }
        }
        .expect("writing to a String cannot fail");
    }
    sql
}

fn answer(
    wants: &[Want<'_>],
    number: i32,
    unpack: impl FnOnce(&'static Table) -> Option<Vec<Cell>>,
) -> Result<(usize, RawRow), StoreError> {
    let asked = usize::try_from(number).ok().and_then(|number| Some((number, wants.get(number)?.shape.table)));
    let (number, table) = asked.ok_or(StoreError::Damaged(Damaged { table: "unknown", column: "id" }))?;
    let row = unpack(table).ok_or(Damaged { table: table.name, column: "id" })?;
    Ok((number, row))
}

/// None if a value is not of its column's kind.
fn from_json(table: &Table, packed: &str) -> Option<Vec<Cell>> {
    let values: Vec<serde_json::Value> = serde_json::from_str(packed).ok()?;
    let cell = |(value, kind)| match (value, kind) {
        (serde_json::Value::Null, Kind::Text) => Some(Cell::Text(None)),
        (serde_json::Value::Null, Kind::Int) => Some(Cell::Int(None)),
        (serde_json::Value::String(text), Kind::Text) => Some(Cell::Text(Some(text))),
        (serde_json::Value::Number(number), Kind::Int) => Some(Cell::Int(Some(number.as_i64()?))),
        _ => None,
    };
    values.into_iter().zip(kinds(table)).map(cell).collect()
}

/// The same of texts, of which some are numbers.
fn from_texts(table: &Table, packed: Vec<Option<String>>) -> Option<Vec<Cell>> {
    let cell = |(text, kind): (Option<String>, Kind)| match kind {
        Kind::Text => Some(Cell::Text(text)),
        Kind::Int => Some(Cell::Int(text.map(|text| text.parse()).transpose().ok()?)),
    };
    packed.into_iter().zip(kinds(table)).map(cell).collect()
}

/// Rows as an array of arrays.
pub(super) fn json_rows<'a>(rows: impl Iterator<Item = &'a RawRow>) -> String {
    serde_json::to_string(&rows.collect::<Vec<_>>()).expect("a list of lists of cells has a JSON form")
}

pub(super) fn json(ids: &[String]) -> String {
    serde_json::to_string(ids).expect("a list of texts has a JSON form")
}
