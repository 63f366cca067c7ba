//! Physical tables: their DDL, how many rows are loaded and written at once. The only code that knows how an engine
//! writes many rows.

use std::fmt::Write as _;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{PgConnection, Postgres, Sqlite};
use wasend_eventlog::Db;

use crate::engine::sql::{On, StoreError, postgres_cells, sqlite_cells};
use crate::engine::table::{Cell, Column, Kind, Table};
use crate::engine::working::{Changes, RawRow};

/// Rows that one SQLite statement writes; each size is a statement that stays prepared.
const SQLITE_SIZES: [usize; 3] = [128, 16, 1];

/// So many new rows at once are copied into PostgreSQL: fewer are not worth the second round trip.
const COPY_FROM: usize = 64;
const COPIED_AT_ONCE: usize = 256;
/// Signature, no flags, no extension.
const COPY_HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COPY_TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// A table as it stands in the database, with its statements.
pub(crate) struct Shape {
    pub table: &'static Table,
    pub physical: String,
    version: u32,
    columns: String,
    sqlite_upserts: [String; 3],
    postgres_upsert: String,
}

impl Shape {
    pub fn new(table: &'static Table, version: u32, suffix: &str) -> Self {
        let physical = format!("{}_v{version}{suffix}", table.name);
        let columns = columns(table);
        let update = conflict(table);
        let into = format!("INSERT INTO {physical} ({columns})");
        let width = table.columns.len() + 1;
        let row = format!("({})", vec!["?"; width].join(", "));
        let sqlite = |rows: usize| format!("{into} VALUES {} {update}", vec![row.as_str(); rows].join(", "));
        let arrays: Vec<String> = kinds(table)
            .iter()
            .enumerate()
            .map(|(at, kind)| format!("${}::{}[]", at + 1, postgres_type(*kind)))
            .collect();
        Self {
            postgres_upsert: format!("{into} SELECT * FROM UNNEST({}) {update}", arrays.join(", ")),
            sqlite_upserts: SQLITE_SIZES.map(sqlite),
            table,
            physical,
            version,
            columns,
        }
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

    /// The rows among these ids that exist.
    pub async fn load(&self, on: &mut On<'_>, ids: &[String]) -> Result<Vec<RawRow>, StoreError> {
        let kinds = kinds(self.table);
        let cells = match on {
            On::Sqlite(conn) => {
                let sql = format!(
                    "SELECT {} FROM {} WHERE id IN (SELECT value FROM json_each(?))",
                    self.columns, self.physical
                );
                let rows = sqlx::query(&sql).bind(json(ids)).fetch_all(&mut **conn).await?;
                rows.iter().map(|row| sqlite_cells(row, &kinds)).collect::<Result<Vec<_>, _>>()?
            }
            On::Postgres(conn) => {
                let sql = format!("SELECT {} FROM {} WHERE id = ANY($1)", self.columns, self.physical);
                let rows = sqlx::query(&sql).bind(ids).fetch_all(&mut **conn).await?;
                rows.iter().map(|row| postgres_cells(row, &kinds)).collect::<Result<Vec<_>, _>>()?
            }
        };
        cells.into_iter().map(|row| raw(self.table, row)).collect()
    }

    /// Writes what a batch changed: each row once.
    pub async fn write(&self, on: &mut On<'_>, changes: Changes) -> Result<(), sqlx::Error> {
        if !changes.deletes.is_empty() {
            self.delete(on, &changes.deletes).await?;
        }
        match on {
            On::Sqlite(conn) => {
                let mut left = changes.inserts.len() + changes.updates.len();
                let mut rows = changes.inserts.into_iter().chain(changes.updates);
                for (sql, size) in self.sqlite_upserts.iter().zip(SQLITE_SIZES) {
                    while left >= size {
                        bind_rows(sql, rows.by_ref().take(size)).execute(&mut **conn).await?;
                        left -= size;
                    }
                }
            }
            On::Postgres(conn) => {
                let Changes { mut inserts, updates, .. } = changes;
                if inserts.len() >= COPY_FROM {
                    self.copy(conn, &inserts).await?;
                    inserts.clear();
                }
                for rows in [inserts, updates] {
                    if !rows.is_empty() {
                        self.bind_arrays(&rows).execute(&mut **conn).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds rows by COPY in its binary form: without the arrays and the search for conflicts that an upsert costs.
    /// <https://www.postgresql.org/docs/current/sql-copy.html>
    async fn copy(&self, conn: &mut PgConnection, rows: &[RawRow]) -> Result<(), sqlx::Error> {
        let sql = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", self.physical, self.columns);
        let mut copying = conn.copy_in_raw(&sql).await?;
        for (at, rows) in rows.chunks(COPIED_AT_ONCE).enumerate() {
            let mut data = if at == 0 { COPY_HEADER.to_vec() } else { Vec::new() };
            for row in rows {
                copied(row, &mut data);
            }
            copying.send(data).await?;
        }
        copying.send(COPY_TRAILER.as_slice()).await?;
        copying.finish().await.map(drop)
    }

    async fn delete(&self, on: &mut On<'_>, ids: &[String]) -> Result<(), sqlx::Error> {
        match on {
            On::Sqlite(conn) => {
                let sql = format!("DELETE FROM {} WHERE id IN (SELECT value FROM json_each(?))", self.physical);
                sqlx::query(&sql).bind(json(ids)).execute(&mut **conn).await?;
            }
            On::Postgres(conn) => {
                let sql = format!("DELETE FROM {} WHERE id = ANY($1)", self.physical);
                sqlx::query(&sql).bind(ids).execute(&mut **conn).await?;
            }
        }
        Ok(())
    }

    /// One array for each column.
    fn bind_arrays<'q>(&'q self, rows: &'q [RawRow]) -> Query<'q, Postgres, PgArguments> {
        let ids: Vec<&str> = rows.iter().map(|(id, _)| id.as_str()).collect();
        let mut query = sqlx::query(&self.postgres_upsert).bind(ids);
        for (at, column) in self.table.columns.iter().enumerate() {
            let cells = rows.iter().map(|(_, cells)| cells.get(at));
            query = match column.kind {
                Kind::Text => query.bind(cells.map(text).collect::<Vec<Option<&str>>>()),
                Kind::Int => query.bind(cells.map(int).collect::<Vec<Option<i64>>>()),
            };
        }
        query
    }
}

/// Whether the engines could store the row; asked before, because a database that refuses one row refuses the batch.
pub(crate) fn storable(table: &Table, (id, cells): &RawRow) -> Result<(), &'static str> {
    // PostgreSQL's text cannot hold U+0000, so no engine may.
    if id.contains('\0') || cells.iter().any(|cell| text(Some(cell)).is_some_and(|text| text.contains('\0'))) {
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

/// Loads rows by id on a connection of the pool.
pub(crate) async fn load_pooled(db: &Db, shape: &Shape, ids: &[String]) -> Result<Vec<RawRow>, StoreError> {
    match db {
        Db::Sqlite(sqlite) => shape.load(&mut On::Sqlite(&mut *sqlite.pool().acquire().await?), ids).await,
        Db::Postgres(pool) => shape.load(&mut On::Postgres(&mut *pool.acquire().await?), ids).await,
    }
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

const fn postgres_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Int => "bigint",
    }
}

/// A row in the binary form of COPY: the number of its values, and each with its length.
fn copied((id, cells): &RawRow, data: &mut Vec<u8>) {
    let value = |data: &mut Vec<u8>, bytes: Option<&[u8]>| {
        // PostgreSQL takes no value of 2 GiB.
        let length = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        data.extend_from_slice(&length.to_be_bytes());
        data.extend_from_slice(bytes.unwrap_or_default());
    };
    let width = i16::try_from(cells.len() + 1).unwrap_or(i16::MAX);
    data.extend_from_slice(&width.to_be_bytes());
    value(data, Some(id.as_bytes()));
    for cell in cells {
        match cell {
            Cell::Text(text) => value(data, text.as_deref().map(str::as_bytes)),
            Cell::Int(number) => value(data, number.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice)),
        }
    }
}

/// Gives the values away: sqlx would copy borrowed ones for its thread.
fn bind_rows(sql: &str, rows: impl Iterator<Item = RawRow>) -> Query<'_, Sqlite, SqliteArguments<'_>> {
    rows.fold(sqlx::query(sql), |query, (id, cells)| {
        cells.into_iter().fold(query.bind(id), |query, cell| match cell {
            Cell::Text(value) => query.bind(value),
            Cell::Int(value) => query.bind(value),
        })
    })
}

fn text(cell: Option<&Cell>) -> Option<&str> {
    match cell {
        Some(Cell::Text(value)) => value.as_deref(),
        _ => None,
    }
}

fn int(cell: Option<&Cell>) -> Option<i64> {
    match cell {
        Some(Cell::Int(value)) => *value,
        _ => None,
    }
}

fn json(ids: &[String]) -> String {
    serde_json::to_string(ids).expect("a list of texts has a JSON form")
}
