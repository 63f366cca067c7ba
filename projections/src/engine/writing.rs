//! How the rows that a batch changed are written. The only code that knows how an engine writes many rows.

use std::fmt::Write as _;

use futures::TryStreamExt as _;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Connection as _, Either, Executor as _, PgConnection, Sqlite, SqliteConnection};

use crate::engine::batch_rows::{RawRow, TableChanges};
use crate::engine::cell::{CellValue, ColumnKind};
use crate::engine::loading::{json, json_rows};
use crate::engine::rows::{TableShape, kinds};
use crate::engine::sql::{EngineConnection, SqlTarget, bind_sqlite};
use crate::engine::table::SQLITE_ROWS_MAX;

/// So many new rows at once are copied into PostgreSQL: fewer are not worth the second round trip.
const COPY_ROWS_MIN: usize = 64;
const COPY_BUFFER_ROWS: usize = 256;
/// Signature, no flags, no extension.
const COPY_HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COPY_TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const DIVISION_BY_ZERO: &str = "22012";

/// Writes what a batch changed in some tables: each row once.
pub(crate) async fn write(
    on: &mut SqlTarget<'_>,
    changed: Vec<(&TableShape, TableChanges)>,
) -> Result<(), sqlx::Error> {
    match on {
        SqlTarget::Sqlite(conn) => {
            for (shape, changes) in changed {
                on_sqlite(conn, shape, changes).await?;
            }
            Ok(())
        }
        SqlTarget::Postgres(conn) => on_postgres(conn, &changed).await,
    }
}

/// In one statement, but for what is copied.
async fn on_postgres(conn: &mut PgConnection, changed: &[(&TableShape, TableChanges)]) -> Result<(), sqlx::Error> {
    let mut statement = ChangeStatement::default();
    for (shape, TableChanges { inserts, updates, deletes, .. }) in changed {
        let copied = inserts.len() >= COPY_ROWS_MIN;
        if copied {
            copy(conn, shape, inserts).await?;
        }
        statement.delete(shape, deletes);
        statement.put(shape, if copied { &[] } else { inserts }, "");
        statement.put(shape, updates, &shape.conflict);
    }
    if statement.parts > 0 {
        statement.execute(conn, "SELECT 1").await?;
    }
    Ok(())
}

/// Writes them if another statement, with what is bound to it, changes exactly so many rows; false if it does not, and
/// nothing is changed. One transaction.
pub(crate) async fn write_if(
    conn: &mut EngineConnection,
    condition: (String, Vec<CellValue>),
    rows: usize,
    changed: &[(&TableShape, &TableChanges)],
) -> Result<bool, sqlx::Error> {
    match conn {
        EngineConnection::Sqlite(db, conn) => {
            let _turn = db.write_permit().await;
            let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
            match on_sqlite_if(&mut tx, condition, rows, changed).await {
                Ok(true) => tx.commit().await.map(|()| true),
                Ok(false) => tx.rollback().await.map(|()| false),
                Err(error) => {
                    // A full disk ends the transaction by itself, and then this fails as well: what came first is told.
                    drop(tx.rollback().await);
                    Err(error)
                }
            }
        }
        EngineConnection::Postgres(conn) => on_postgres_if(conn, condition, rows, changed).await,
    }
}

/// All statements in one text: to hand one to SQLite's thread and its answer back takes longer than most do.
async fn on_sqlite_if(
    conn: &mut SqliteConnection,
    (mut sql, binds): (String, Vec<CellValue>),
    rows: usize,
    changed: &[(&TableShape, &TableChanges)],
) -> Result<bool, sqlx::Error> {
    let mut texts = Vec::new();
    let mut add = |statement: &str, text: String| {
        texts.push(text);
        // The driver counts places with a number from the first of the text on, and those without from the first of them.
        let place = format!("${}", binds.len() + texts.len());
        write!(sql, "; {}", statement.replace('?', &place)).expect("writing to a String cannot fail");
    };
    for (shape, TableChanges { inserts, updates, deletes, .. }) in changed {
        if !deletes.is_empty() {
            add(&shape.sqlite_delete, json(deletes));
        }
        if !inserts.is_empty() || !updates.is_empty() {
            add(&shape.sqlite_put, json_rows(inserts.iter().chain(updates)));
        }
    }
    let query = texts.into_iter().fold(bind_sqlite(&sql, &binds), Query::bind);
    let mut done = conn.fetch_many(query);
    let mut moved = None;
    while let Some(step) = done.try_next().await? {
        if let Either::Left(done) = step {
            moved.get_or_insert(done.rows_affected());
        }
    }
    Ok(moved == Some(rows as u64))
}

/// All of it is one statement.
async fn on_postgres_if(
    conn: &mut PgConnection,
    (condition, binds): (String, Vec<CellValue>),
    rows: usize,
    changed: &[(&TableShape, &TableChanges)],
) -> Result<bool, sqlx::Error> {
    let mut statement = ChangeStatement::default();
    statement.values.extend(binds.into_iter().map(BoundValues::One));
    statement.part(&format!("{condition} RETURNING 1"));
    for (shape, TableChanges { inserts, updates, deletes, .. }) in changed {
        statement.delete(shape, deletes);
        statement.put(shape, inserts, "");
        statement.put(shape, updates, &shape.conflict);
    }
    // Only an error undoes a statement.
    let check = format!("SELECT 1 / CASE count(*) WHEN {rows} THEN 1 ELSE 0 END FROM part0");
    match statement.execute(conn, &check).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(DIVISION_BY_ZERO) => Ok(false),
        done => done.map(|()| true),
    }
}

async fn on_sqlite(conn: &mut SqliteConnection, shape: &TableShape, changes: TableChanges) -> Result<(), sqlx::Error> {
    let TableChanges { inserts, updates, deletes, .. } = changes;
    if !deletes.is_empty() {
        sqlx::query(AssertSqlSafe(shape.sqlite_delete.as_str())).bind(json(&deletes)).execute(&mut *conn).await?;
    }
    let mut left = inserts.len() + updates.len();
    let mut rows = inserts.into_iter().chain(updates);
    while left >= SQLITE_ROWS_MAX {
        bind_rows(&shape.sqlite_put_bound, rows.by_ref().take(SQLITE_ROWS_MAX)).execute(&mut *conn).await?;
        left -= SQLITE_ROWS_MAX;
    }
    if left > 0 {
        let rows: Vec<RawRow> = rows.collect();
        sqlx::query(AssertSqlSafe(shape.sqlite_put.as_str())).bind(json_rows(rows.iter())).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Gives the values away: sqlx would copy borrowed ones for its thread.
fn bind_rows(sql: &str, rows: impl Iterator<Item = RawRow>) -> Query<'static, Sqlite, SqliteArguments> {
    rows.flatten().fold(sqlx::query(AssertSqlSafe(sql)), |query, cell| match cell {
        CellValue::Text(value) => query.bind(value),
        CellValue::Int(value) => query.bind(value),
    })
}

/// One statement that changes many tables. Its parts see the tables as they were before, and none touches a row of
/// another: <https://www.postgresql.org/docs/current/queries-with.html#QUERIES-WITH-MODIFYING>
#[derive(Default)]
struct ChangeStatement<'a> {
    sql: String,
    parts: usize,
    values: Vec<BoundValues<'a>>,
}

/// What is bound: a value, or a column of them.
enum BoundValues<'a> {
    One(CellValue),
    Texts(Vec<Option<&'a str>>),
    Ints(Vec<Option<i64>>),
}

impl<'a> ChangeStatement<'a> {
    fn delete(&mut self, shape: &TableShape, ids: &'a [String]) {
        if !ids.is_empty() {
            let list = self.bind(BoundValues::Texts(ids.iter().map(|id| Some(id.as_str())).collect()));
            self.part(&format!("DELETE FROM {} WHERE id = ANY({list})", shape.physical));
        }
    }

    /// An insert, or with `conflict` an update of rows that are there: to look for those costs a new row as much again.
    fn put(&mut self, shape: &TableShape, rows: &'a [RawRow], conflict: &str) {
        if rows.is_empty() {
            return;
        }
        let array = |(at, kind)| {
            let cells = rows.iter().map(|row| row.get(at));
            self.bind(match kind {
                ColumnKind::Text => BoundValues::Texts(cells.map(text).collect()),
                ColumnKind::Int => BoundValues::Ints(cells.map(int).collect()),
            })
        };
        let arrays = kinds(shape.table).into_iter().enumerate().map(array).collect::<Vec<_>>().join(", ");
        let TableShape { physical, columns, .. } = shape;
        self.part(&format!("INSERT INTO {physical} ({columns}) SELECT * FROM UNNEST({arrays}) {conflict}"));
    }

    /// The values' place in the statement.
    fn bind(&mut self, values: BoundValues<'a>) -> String {
        let kind = if matches!(values, BoundValues::Texts(_)) { "text" } else { "bigint" };
        self.values.push(values);
        format!("${}::{kind}[]", self.values.len())
    }

    fn part(&mut self, part: &str) {
        let begin = if self.parts == 0 { "WITH" } else { "," };
        write!(self.sql, "{begin} part{} AS ({part})", self.parts).expect("writing to a String cannot fail");
        self.parts += 1;
    }

    async fn execute(mut self, conn: &mut PgConnection, end: &str) -> Result<(), sqlx::Error> {
        write!(self.sql, " {end}").expect("writing to a String cannot fail");
        let mut query = sqlx::query(AssertSqlSafe(self.sql));
        for values in self.values {
            query = match values {
                BoundValues::One(CellValue::Text(text)) => query.bind(text),
                BoundValues::One(CellValue::Int(int)) => query.bind(int),
                BoundValues::Texts(texts) => query.bind(texts),
                BoundValues::Ints(ints) => query.bind(ints),
            };
        }
        query.execute(conn).await.map(drop)
    }
}

/// Adds rows by COPY in its binary form: without the arrays and the search for conflicts that an upsert costs.
/// <https://www.postgresql.org/docs/current/sql-copy.html>
async fn copy(conn: &mut PgConnection, shape: &TableShape, rows: &[RawRow]) -> Result<(), sqlx::Error> {
    let sql = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", shape.physical, shape.columns);
    let mut copying = conn.copy_in_raw(&sql).await?;
    for (at, rows) in rows.chunks(COPY_BUFFER_ROWS).enumerate() {
        let mut data = if at == 0 { COPY_HEADER.to_vec() } else { Vec::new() };
        for row in rows {
            copied(row, &mut data);
        }
        copying.send(data).await?;
    }
    copying.send(COPY_TRAILER.as_slice()).await?;
    copying.finish().await.map(drop)
}

/// A row in the binary form of COPY: the number of its values, and each with its length.
fn copied(row: &RawRow, data: &mut Vec<u8>) {
    let value = |data: &mut Vec<u8>, bytes: Option<&[u8]>| {
        // PostgreSQL takes no value of 2 GiB.
        let length = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        data.extend_from_slice(&length.to_be_bytes());
        data.extend_from_slice(bytes.unwrap_or_default());
    };
    let width = i16::try_from(row.len()).unwrap_or(i16::MAX);
    data.extend_from_slice(&width.to_be_bytes());
    for cell in row {
        match cell {
            CellValue::Text(text) => value(data, text.as_deref().map(str::as_bytes)),
            CellValue::Int(number) => value(data, number.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice)),
        }
    }
}

fn text(cell: Option<&CellValue>) -> Option<&str> {
    match cell {
        Some(CellValue::Text(value)) => value.as_deref(),
        _ => None,
    }
}

fn int(cell: Option<&CellValue>) -> Option<i64> {
    match cell {
        Some(CellValue::Int(value)) => *value,
        _ => None,
    }
}
