//! Statements over cells on either engine: connections, transactions, queries. Nothing here knows a table.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Postgres, Row, Sqlite, SqliteConnection, Transaction};
use tokio::sync::OwnedMutexGuard;
use wasend_eventlog::db::is_damage;
use wasend_eventlog::{Db, SqliteDb};

use crate::engine::cell::{CellValue, ColumnKind};
use crate::engine::table::DamagedRow;

/// The read models' database failed, or holds what no record writes. Never shows a value.
#[derive(thiserror::Error)]
pub enum StoreError {
    #[error("the database failed: {}", code(.0))]
    Database(#[from] sqlx::Error),
    #[error("{0}")]
    Damaged(#[from] DamagedRow),
    #[error("no projection has the table {0}")]
    UnknownTable(&'static str),
}

/// A database's own message may quote a row.
impl std::fmt::Debug for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The database's error code, or the kind of failure before the database.
pub(crate) fn code(error: &sqlx::Error) -> String {
    match error {
        error if is_damage(error) => "it is damaged; restore it from a backup".to_owned(),
        sqlx::Error::Database(e) => e.code().map_or_else(|| "without code".to_owned(), |code| format!("code {code}")),
        sqlx::Error::Io(e) => format!("connection: {}", e.kind()),
        sqlx::Error::PoolTimedOut => "no free connection".to_owned(),
        sqlx::Error::PoolClosed => "closed".to_owned(),
        sqlx::Error::RowNotFound => "row not found".to_owned(),
        _ => "protocol".to_owned(),
    }
}

/// Whether the database refused the values themselves, so that repeating the statement is in vain.
pub(crate) fn refuses_values(error: &sqlx::Error) -> bool {
    let Some(code) = error.as_database_error().and_then(sqlx::error::DatabaseError::code) else { return false };
    match code.parse::<u32>() {
        // SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH; https://sqlite.org/rescode.html
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 18..=20),
        // Data exception, integrity constraint violation, program limit exceeded;
        // https://www.postgresql.org/docs/current/errcodes-appendix.html
        _ => code.starts_with("22") || code.starts_with("23") || code.starts_with("54"),
    }
}

/// A connection of the engine's own, outside the pool that queries share.
pub(crate) enum EngineConnection {
    Sqlite(SqliteDb, SqliteConnection),
    Postgres(PgConnection),
}

impl EngineConnection {
    /// A connection whose commits do not wait for the disk. A power loss may take the last of them back, rows and
    /// checkpoint together, and they are folded again from the log, which does wait.
    pub async fn relaxed(db: &Db) -> Result<Self, sqlx::Error> {
        let mut conn = Self::durable(db).await?;
        match &mut conn {
            Self::Sqlite(_, conn) => {
                // Of all connections this one writes, and keeps more of the indexes (in KiB).
                conn.execute("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384").await.map(drop)?;
            }
            Self::Postgres(conn) => conn.execute("SET synchronous_commit = off").await.map(drop)?,
        }
        Ok(conn)
    }

    /// A connection whose commits are on disk when they are acknowledged.
    pub async fn durable(db: &Db) -> Result<Self, sqlx::Error> {
        Ok(match db {
            Db::Sqlite(sqlite) => Self::Sqlite(sqlite.clone(), sqlite.pool().acquire().await?.detach()),
            Db::Postgres(pool) => Self::Postgres(pool.acquire().await?.detach()),
        })
    }

    /// Where statements outside a transaction run.
    pub fn on(&mut self) -> SqlTarget<'_> {
        match self {
            Self::Sqlite(_, conn) => SqlTarget::Sqlite(conn),
            Self::Postgres(conn) => SqlTarget::Postgres(conn),
        }
    }

    /// Begins to write. On SQLite it waits for this process's turn and takes the write lock.
    pub async fn begin(&mut self) -> Result<EngineTransaction<'_>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(db, conn) => {
                let turn = db.write_permit().await;
                EngineTransaction::Sqlite(conn.begin_with("BEGIN IMMEDIATE").await?, Some(turn))
            }
            Self::Postgres(conn) => EngineTransaction::Postgres(conn.begin().await?),
        })
    }

    /// Begins to read the database as it stands at the first query.
    pub async fn snapshot(&mut self) -> Result<EngineTransaction<'_>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(_, conn) => EngineTransaction::Sqlite(conn.begin_with("BEGIN").await?, None),
            Self::Postgres(conn) => {
                EngineTransaction::Postgres(conn.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        })
    }
}

/// A transaction; dropping it rolls back. A SQLite writer gives up its turn after that.
pub(crate) enum EngineTransaction<'c> {
    Sqlite(Transaction<'c, Sqlite>, Option<OwnedMutexGuard<()>>),
    Postgres(Transaction<'c, Postgres>),
}

impl EngineTransaction<'_> {
    /// Where statements of the transaction run.
    pub fn on(&mut self) -> SqlTarget<'_> {
        match self {
            Self::Sqlite(tx, _) => SqlTarget::Sqlite(tx),
            Self::Postgres(tx) => SqlTarget::Postgres(tx),
        }
    }

    /// Ends the transaction; what it wrote is there from then on.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx, _turn) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }

    /// Ends the transaction without a trace.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx, _turn) => tx.rollback().await,
            Self::Postgres(tx) => tx.rollback().await,
        }
    }
}

/// Where a statement runs.
pub(crate) enum SqlTarget<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl SqlTarget<'_> {
    /// Runs a statement with the same text on both engines; gives the number of rows it changed.
    pub async fn execute(&mut self, sql: &str, binds: &[CellValue]) -> Result<u64, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(conn) => bind_sqlite(sql, binds).execute(&mut **conn).await?.rows_affected(),
            Self::Postgres(conn) => bind_postgres(sql, binds).execute(&mut **conn).await?.rows_affected(),
        })
    }

    /// Runs a query with the same text on both engines, whose columns are of these kinds.
    pub async fn fetch(
        &mut self,
        sql: &str,
        binds: &[CellValue],
        kinds: &[ColumnKind],
    ) -> Result<Vec<Vec<CellValue>>, sqlx::Error> {
        match self {
            Self::Sqlite(conn) => {
                let rows = bind_sqlite(sql, binds).fetch_all(&mut **conn).await?;
                rows.iter().map(|row| sqlite_cells(row, kinds)).collect()
            }
            Self::Postgres(conn) => {
                let rows = bind_postgres(sql, binds).fetch_all(&mut **conn).await?;
                rows.iter().map(|row| postgres_cells(row, kinds)).collect()
            }
        }
    }
}

/// Runs one query on a connection of the pool.
pub(crate) async fn fetch(
    db: &Db,
    sql: &str,
    binds: &[CellValue],
    kinds: &[ColumnKind],
) -> Result<Vec<Vec<CellValue>>, sqlx::Error> {
    match db {
        Db::Sqlite(sqlite) => SqlTarget::Sqlite(&mut *sqlite.pool().acquire().await?).fetch(sql, binds, kinds).await,
        Db::Postgres(pool) => SqlTarget::Postgres(&mut *pool.acquire().await?).fetch(sql, binds, kinds).await,
    }
}

/// The text is put together from the tables' definitions, never from data.
pub(crate) fn bind_sqlite(sql: &str, binds: &[CellValue]) -> Query<'static, Sqlite, SqliteArguments> {
    binds.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, cell| match cell {
        CellValue::Text(value) => query.bind(value.as_deref()),
        CellValue::Int(value) => query.bind(*value),
    })
}

fn bind_postgres(sql: &str, binds: &[CellValue]) -> Query<'static, Postgres, PgArguments> {
    binds.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, cell| match cell {
        CellValue::Text(value) => query.bind(value.as_deref()),
        CellValue::Int(value) => query.bind(*value),
    })
}

pub(crate) fn sqlite_cells(row: &SqliteRow, kinds: &[ColumnKind]) -> Result<Vec<CellValue>, sqlx::Error> {
    let cell = |(at, kind): (usize, &ColumnKind)| match kind {
        ColumnKind::Text => row.try_get(at).map(CellValue::Text),
        ColumnKind::Int => row.try_get(at).map(CellValue::Int),
    };
    kinds.iter().enumerate().map(cell).collect()
}

pub(crate) fn postgres_cells(row: &PgRow, kinds: &[ColumnKind]) -> Result<Vec<CellValue>, sqlx::Error> {
    let cell = |(at, kind): (usize, &ColumnKind)| match kind {
        ColumnKind::Text => row.try_get(at).map(CellValue::Text),
        ColumnKind::Int => row.try_get(at).map(CellValue::Int),
    };
    kinds.iter().enumerate().map(cell).collect()
}
