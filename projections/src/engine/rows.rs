//! Physical tables: their DDL and their statements.

use std::fmt::Write as _;

use crate::engine::sql::{On, StoreError};
use crate::engine::table::{Cell, Column, Kind, Table};
use crate::engine::working::RawRow;
use crate::engine::writing::SQLITE_SIZES;

/// A table as it stands in the database, with its statements.
pub(crate) struct Shape {
    pub table: &'static Table,
    pub physical: String,
    version: u32,
    /// `id` and the others, as they are named in statements.
    pub columns: String,
    /// How an insert becomes an update where the row is there.
    pub conflict: String,
    /// An upsert of each of [`SQLITE_SIZES`].
    pub sqlite_upserts: [String; 3],
}

impl Shape {
    pub fn new(table: &'static Table, version: u32, suffix: &str) -> Self {
        let physical = format!("{}_v{version}{suffix}", table.name);
        let (columns, conflict) = (columns(table), conflict(table));
        let row = format!("({})", vec!["?"; table.columns.len() + 1].join(", "));
        let sqlite_upserts = SQLITE_SIZES.map(|rows| {
            format!("INSERT INTO {physical} ({columns}) VALUES {} {conflict}", vec![row.as_str(); rows].join(", "))
        });
        Self { table, physical, version, columns, conflict, sqlite_upserts }
    }

    /// `SELECT id, …` in the order of the columns, with the logical name as the alias.
    pub fn select(&self) -> String {
        format!("SELECT {} FROM {} AS {}", self.columns, self.physical, self.table.name)
    }

    /// The statement that makes the table, without its indexes.
    pub fn create(&self, on: &On<'_>) -> String {
        let mut ddl = format!("CREATE TABLE {} (id TEXT", self.physical);
        let (collate, end) = match on {
            On::Sqlite(_) => ("", ") STRICT, WITHOUT ROWID"),
            // Room on the page for updates that touch no index.
            On::Postgres(_) if !self.table.append_only => (" COLLATE \"C\"", ") WITH (fillfactor = 80)"),
            On::Postgres(_) => (" COLLATE \"C\"", ")"),
        };
        write!(ddl, "{collate} NOT NULL PRIMARY KEY").expect("writing to a String cannot fail");
        for Column { name, kind, nullable } in self.table.columns {
            let (kind, collate) = match (kind, on) {
                (Kind::Text, _) => ("TEXT", collate),
                (Kind::Int, On::Sqlite(_)) => ("INTEGER", ""),
                (Kind::Int, On::Postgres(_)) => ("BIGINT", ""),
            };
            let null = if *nullable { "" } else { " NOT NULL" };
            write!(ddl, ", \"{name}\" {kind}{collate}{null}").expect("writing to a String cannot fail");
        }
        ddl.push_str(end);
        ddl
    }

    /// The statements that make its indexes where they are missing. Index names live beside those of the tables, and a
    /// rename of the table leaves them, so each build has its own.
    pub fn index(&self, build: i64) -> Vec<String> {
        let index = |(at, columns): (usize, &&[&str])| {
            let (name, table) = (format!("{}_v{}_b{build}_i{at}", self.table.name, self.version), &self.physical);
            format!("CREATE INDEX IF NOT EXISTS {name} ON {table} ({})", columns.join(", "))
        };
        self.table.indexes.iter().enumerate().map(index).collect()
    }
}

/// Whether the engines could store the row; asked before, because a database that refuses one row refuses the batch.
pub(crate) fn storable(table: &Table, (id, cells): &RawRow) -> Result<(), &'static str> {
    // PostgreSQL's text cannot hold U+0000, so no engine may.
    if id.contains('\0') || cells.iter().any(|cell| matches!(cell, Cell::Text(Some(text)) if text.contains('\0'))) {
        return Err("a text contains U+0000");
    }
    if cells.len() != table.columns.len() {
        return Err("the number of cells is not that of the columns");
    }
    for (column, cell) in table.columns.iter().zip(cells) {
        if cell.kind() != column.kind {
            return Err("a cell is not of its column's kind");
        }
        if !column.nullable && matches!(cell, Cell::Text(None) | Cell::Int(None)) {
            return Err("a cell is null in a column that is not nullable");
        }
    }
    Ok(())
}

/// The kinds of `id` and the columns after it.
pub(crate) fn kinds(table: &Table) -> Vec<Kind> {
    std::iter::once(Kind::Text).chain(table.columns.iter().map(|column| column.kind)).collect()
}

/// Splits a selected row into its id and the cells after it.
pub(crate) fn raw(table: &'static Table, mut row: Vec<Cell>) -> Result<RawRow, StoreError> {
    match if row.is_empty() { None } else { Some(row.remove(0)) } {
        Some(Cell::Text(Some(id))) => Ok((id, row)),
        _ => Err(crate::engine::table::Damaged { table: table.name, column: "id" }.into()),
    }
}

fn columns(table: &Table) -> String {
    table.columns.iter().fold("id".to_owned(), |text, column| format!("{text}, \"{}\"", column.name))
}

fn conflict(table: &Table) -> String {
    let set: Vec<String> = table.columns.iter().map(|c| format!("\"{0}\" = excluded.\"{0}\"", c.name)).collect();
    if set.is_empty() {
        "ON CONFLICT (id) DO NOTHING".to_owned()
    } else {
        format!("ON CONFLICT (id) DO UPDATE SET {}", set.join(", "))
    }
}
