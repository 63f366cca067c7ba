//! How rows are loaded: those of many tables in one question, each as one value. A round trip for each table is what a
//! small batch would mostly wait for, and SQLite's driver takes a lock and a copy for each value of a row.

use std::fmt::Write as _;

use futures::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Row as _};
use wasend_eventlog::Db;

use crate::engine::batch_rows::RawRow;
use crate::engine::cell::{CellValue, ColumnKind};
use crate::engine::rows::{TableShape, kinds};
use crate::engine::sql::{SqlTarget, StoreError};
use crate::engine::table::{Column, DamagedRow, Table};

/// Rows of a table that are to be loaded.
pub(crate) struct WantedRows<'a> {
    pub shape: &'a TableShape,
    pub ids: Vec<String>,
}

/// The rows among those wanted that exist, each with the number of the want that it answers. Of one question: as they
/// stand at one moment.
pub(crate) async fn load(on: &mut SqlTarget<'_>, wants: &[WantedRows<'_>]) -> Result<Vec<(usize, RawRow)>, StoreError> {
    if wants.is_empty() {
        return Ok(vec![]);
    }
    let sql = AssertSqlSafe(question(on, wants));
    let mut found = Vec::new();
    match on {
        SqlTarget::Sqlite(conn) => {
            let query = wants.iter().fold(sqlx::query(sql), |query, want| query.bind(json(&want.ids)));
            let mut rows = query.fetch(&mut **conn);
            while let Some(row) = rows.try_next().await? {
                let (number, packed) = (row.try_get(0)?, row.try_get(1)?);
                found.push(answer(wants, number, |table| from_json(table, packed))?);
            }
        }
        SqlTarget::Postgres(conn) => {
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
pub(crate) async fn load_pooled(db: &Db, want: WantedRows<'_>) -> Result<Vec<RawRow>, StoreError> {
    let wants = [want];
    let found = match db {
        Db::Sqlite(sqlite) => load(&mut SqlTarget::Sqlite(&mut *sqlite.pool().acquire().await?), &wants).await,
        Db::Postgres(pool) => load(&mut SqlTarget::Postgres(&mut *pool.acquire().await?), &wants).await,
    };
    Ok(found?.into_iter().map(|(_, row)| row).collect())
}

fn question(on: &SqlTarget<'_>, wants: &[WantedRows<'_>]) -> String {
    let mut sql = String::new();
    for (number, WantedRows { shape: TableShape { physical, columns, table, .. }, .. }) in wants.iter().enumerate() {
        let union = if number == 0 { "" } else { " UNION ALL " };
        match on {
            SqlTarget::Sqlite(_) => write!(
                sql,
                "{union}SELECT {number}, json_array({columns}) FROM {physical} \
                 WHERE id IN (SELECT value FROM json_each(?))"
            ),
            SqlTarget::Postgres(_) => {
                let text = |column: Column| match column.kind {
                    ColumnKind::Text => format!("\"{}\"", column.name),
                    ColumnKind::Int => format!("\"{}\"::text", column.name),
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
    wants: &[WantedRows<'_>],
    number: i32,
    unpack: impl FnOnce(&'static Table) -> Option<Vec<CellValue>>,
) -> Result<(usize, RawRow), StoreError> {
    let asked = usize::try_from(number).ok().and_then(|number| Some((number, wants.get(number)?.shape.table)));
    let (number, table) = asked.ok_or(StoreError::Damaged(DamagedRow { table: "unknown", column: "id" }))?;
    let row = unpack(table).ok_or(DamagedRow { table: table.name, column: "id" })?;
    Ok((number, row))
}

/// None if a value is not of its column's kind.
fn from_json(table: &Table, packed: &str) -> Option<Vec<CellValue>> {
    let values: Vec<serde_json::Value> = serde_json::from_str(packed).ok()?;
    let cell = |(value, kind)| match (value, kind) {
        (serde_json::Value::Null, ColumnKind::Text) => Some(CellValue::Text(None)),
        (serde_json::Value::Null, ColumnKind::Int) => Some(CellValue::Int(None)),
        (serde_json::Value::String(text), ColumnKind::Text) => Some(CellValue::Text(Some(text))),
        (serde_json::Value::Number(number), ColumnKind::Int) => Some(CellValue::Int(Some(number.as_i64()?))),
        _ => None,
    };
    values.into_iter().zip(kinds(table)).map(cell).collect()
}

/// The same of texts, of which some are numbers.
fn from_texts(table: &Table, packed: Vec<Option<String>>) -> Option<Vec<CellValue>> {
    let cell = |(text, kind): (Option<String>, ColumnKind)| match kind {
        ColumnKind::Text => Some(CellValue::Text(text)),
        ColumnKind::Int => Some(CellValue::Int(text.map(|text| text.parse()).transpose().ok()?)),
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
