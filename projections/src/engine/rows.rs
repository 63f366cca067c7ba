//! Physical tables: their DDL and their statements.

use std::fmt::Write as _;

use crate::engine::batch_rows::RawRow;
use crate::engine::cell::{CellValue, ColumnKind};
use crate::engine::sql::SqlTarget;
use crate::engine::table::{Column, SQLITE_ROWS_MAX, Table};

/// A table as it stands in the database, with its statements.
pub(crate) struct TableShape {
    pub table: &'static Table,
    pub physical: String,
    version: u32,
    /// All of them, as they are named in statements.
    pub columns: String,
    /// How an insert becomes an update where the row is there; of an append-only table none is.
    pub conflict: String,
    /// Deletes rows by a JSON array of their ids.
    pub sqlite_delete: String,
    /// Inserts or updates the rows of a JSON array of arrays.
    pub sqlite_put: String,
    /// The same of [`SQLITE_ROWS_MAX`] rows, value by value.
    pub sqlite_put_bound: String,
}

impl TableShape {
    /// The statements of the table under its physical name.
    pub fn new(table: &'static Table, version: u32, suffix: &str) -> Self {
        let physical = format!("{}_v{version}{suffix}", table.name);
        let (columns, conflict) = (columns(table), conflict(table));
        let width = table.columns.len() + 1;
        let insert = format!("INSERT INTO {physical} ({columns})");
        let row = format!("({})", vec!["?"; width].join(", "));
        let cells: Vec<String> = (0..width).map(|at| format!("value ->> {at}")).collect();
        Self {
            table,
            version,
            sqlite_delete: format!("DELETE FROM {physical} WHERE id IN (SELECT value FROM json_each(?))"),
            // Without the WHERE, ON would begin the condition of a join: https://sqlite.org/lang_upsert.html
            sqlite_put: format!("{insert} SELECT {} FROM json_each(?) WHERE true {conflict}", cells.join(", ")),
            sqlite_put_bound: format!("{insert} VALUES {} {conflict}", vec![row; SQLITE_ROWS_MAX].join(", ")),
            physical,
            columns,
            conflict,
        }
    }

    /// `SELECT` of all columns in the order of the columns, with the logical name as the alias.
    pub fn select(&self) -> String {
        format!("SELECT {} FROM {} AS {}", self.columns, self.physical, self.table.name)
    }

    /// The statement that makes the table, without its indexes.
    pub fn create(&self, on: &SqlTarget<'_>) -> String {
        let mut ddl = format!("CREATE TABLE {}", self.physical);
        let (collate, end) = match (on, self.table.append_only) {
            (SqlTarget::Sqlite(_), false) => ("", ", PRIMARY KEY (id)) STRICT, WITHOUT ROWID"),
            // Its number is the row's place in the table, and what comes last is added without a search.
            (SqlTarget::Sqlite(_), true) => ("", ", PRIMARY KEY (position)) STRICT"),
            // Room on the page for updates that touch no index.
            (SqlTarget::Postgres(_), false) => (" COLLATE \"C\"", ", PRIMARY KEY (id)) WITH (fillfactor = 80)"),
            (SqlTarget::Postgres(_), true) => (" COLLATE \"C\"", ", PRIMARY KEY (position))"),
        };
        for (at, Column { name, kind, nullable }) in self.table.all_columns().enumerate() {
            let (kind, collate) = match (kind, on) {
                (ColumnKind::Text, _) => ("TEXT", collate),
                (ColumnKind::Int, SqlTarget::Sqlite(_)) => ("INTEGER", ""),
                (ColumnKind::Int, SqlTarget::Postgres(_)) => ("BIGINT", ""),
            };
            let null = if nullable { "" } else { " NOT NULL" };
            let before = if at == 0 { " (" } else { ", " };
            write!(ddl, "{before}\"{name}\" {kind}{collate}{null}").expect("writing to a String cannot fail");
        }
        ddl.push_str(end);
        ddl
    }

    /// The statements that make its indexes where they are missing. Index names live beside those of the tables, and a
    /// rename of the table leaves them, so each build has its own.
    pub fn index(&self, on: &SqlTarget<'_>, build: i64) -> Vec<String> {
        let index = |(at, columns): (usize, &&'static [&'static str])| {
            let (name, table) = (format!("{}_v{}_b{build}_i{at}", self.table.name, self.version), &self.physical);
            // An index of SQLite ends with the row's place in the table in any case.
            let columns = match (on, columns) {
                (SqlTarget::Sqlite(_), [columns @ .., "position"]) if self.table.append_only => columns,
                _ => columns,
            };
            format!("CREATE INDEX IF NOT EXISTS {name} ON {table} ({})", columns.join(", "))
        };
        self.table.indexes.iter().enumerate().map(index).collect()
    }
}

/// Whether the engines could store the row; asked before, because a database that refuses one row refuses the batch.
pub(crate) fn storable(table: &Table, row: &RawRow) -> Result<(), &'static str> {
    // PostgreSQL's text cannot hold U+0000, so no engine may.
    if row.iter().any(|cell| matches!(cell, CellValue::Text(Some(text)) if text.as_bytes().contains(&0))) {
        return Err("a text contains U+0000");
    }
    if row.len() != table.columns.len() + 1 {
        return Err("the number of cells is not that of the columns");
    }
    for (column, cell) in table.all_columns().zip(row) {
        if cell.kind() != column.kind {
            return Err("a cell is not of its column's kind");
        }
        if !column.nullable && matches!(cell, CellValue::Text(None) | CellValue::Int(None)) {
            return Err("a cell is null in a column that is not nullable");
        }
    }
    Ok(())
}

/// The kinds of all columns.
pub(crate) fn kinds(table: &Table) -> Vec<ColumnKind> {
    table.all_columns().map(|column| column.kind).collect()
}

fn columns(table: &Table) -> String {
    table.all_columns().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
}

fn conflict(table: &Table) -> String {
    let set: Vec<String> = table.columns.iter().map(|c| format!("\"{0}\" = excluded.\"{0}\"", c.name)).collect();
    if table.append_only {
        String::new()
    } else if set.is_empty() {
        "ON CONFLICT (id) DO NOTHING".to_owned()
    } else {
        format!("ON CONFLICT (id) DO UPDATE SET {}", set.join(", "))
    }
}
