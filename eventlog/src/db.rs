//! The database under the log and the read models: SQLite embedded, Postgres in production.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::private::private_database;

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");
static SQLITE_MODELS_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite-models");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");

/// How long a SQLite connection waits for another process's write to end.
const SQLITE_BUSY: Duration = Duration::from_secs(30);
const CONNECTION_TEST_AFTER: Duration = Duration::from_secs(1);
const STREAM_BUFFER_ROWS: usize = 1_024;
/// Two processes that create one SQLite file at once meet a lock that SQLite does not wait for.
const SQLITE_OPEN_ATTEMPTS: u32 = 100;
const SQLITE_OPEN_PAUSE: Duration = Duration::from_millis(20);

/// An open database with its schema up to date: the log's, or the read models'. Clones share it.
#[derive(Debug, Clone)]
pub enum Db {
    Sqlite(SqliteDb),
    Postgres(PgPool),
}

/// A SQLite file. It has one write lock, for which its own waiting connections would sleep and poll; so the writers
/// of this process queue for their turn first.
#[derive(Debug, Clone)]
pub struct SqliteDb {
    pool: SqlitePool,
    turn: Arc<Mutex<()>>,
}

impl SqliteDb {
    /// The connections of this process.
    pub const fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Waits for this process's turn to write; hold it from before `BEGIN IMMEDIATE` until after `COMMIT`.
    pub async fn write_permit(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }
}

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct DbOptions {
    /// Connections for reading and for the read models; the log's writer has its own.
    pub connections: u32,
    /// How long a caller waits for a free connection.
    pub acquire_timeout: Duration,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self { connections: 16, acquire_timeout: Duration::from_secs(10) }
    }
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseOpenError {
    #[error("the database could not be opened: {0}")]
    Connect(sqlx::Error),
    #[error("the database file {file} could not be made: {error}")]
    File { file: String, error: std::io::Error },
    #[error("the database is damaged: {0}; restore it from a backup")]
    Damaged(sqlx::Error),
    #[error("the database schema could not be brought up to date: {0}")]
    Migrate(MigrateError),
}

impl From<sqlx::Error> for DatabaseOpenError {
    fn from(error: sqlx::Error) -> Self {
        if is_damage(&error) { Self::Damaged(error) } else { Self::Connect(error) }
    }
}

impl From<MigrateError> for DatabaseOpenError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) if is_damage(&error) => {
                Self::Damaged(error)
            }
            error => Self::Migrate(error),
        }
    }
}

/// Whether the database found that what it reads is not what was written.
pub fn is_damage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::ColumnDecode { .. } => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| match code.parse::<u32>() {
            // SQLITE_CORRUPT and SQLITE_NOTADB; https://sqlite.org/rescode.html
            Ok(number) if code.len() < 5 => matches!(number & 0xff, 11 | 26),
            // data_corrupted, index_corrupted; https://www.postgresql.org/docs/current/errcodes-appendix.html
            _ => matches!(&*code, "XX001" | "XX002"),
        }),
        _ => false,
    }
}

impl Db {
    /// Opens `postgres://…`, `sqlite:…` or the path of a SQLite file (made if missing) and applies the migrations.
    /// Several nodes may do so at once.
    pub async fn open(url: &str, options: &DbOptions) -> Result<Self, DatabaseOpenError> {
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::open_postgres(PgConnectOptions::from_str(url)?, options).await
        } else if url.starts_with("sqlite:") {
            Self::open_sqlite(SqliteConnectOptions::from_str(url)?, options, &SQLITE_MIGRATIONS).await
        } else {
            Self::open_sqlite(SqliteConnectOptions::new().filename(url), options, &SQLITE_MIGRATIONS).await
        }
    }

    /// The database of the read models that are folded from this one's log: on Postgres this one, on SQLite a file
    /// beside it (`log-models.db` for `log.db`), made if missing. A separate file has a separate write lock, so that no
    /// append waits for a fold; named after the log, it is never taken for that of another.
    pub async fn models(&self, options: &DbOptions) -> Result<Self, DatabaseOpenError> {
        match self {
            Self::Sqlite(log) => {
                let mut file = log.pool.connect_options().get_filename().to_owned();
                let mut name = file.file_stem().unwrap_or_default().to_owned();
                name.push("-models.db");
                file.set_file_name(name);
                Self::open_sqlite(SqliteConnectOptions::new().filename(file), options, &SQLITE_MODELS_MIGRATIONS).await
            }
            Self::Postgres(pool) => Ok(Self::Postgres(pool.clone())),
        }
    }

    /// Opens a pool on the database and brings its schema up to date.
    pub async fn open_postgres(connect: PgConnectOptions, options: &DbOptions) -> Result<Self, DatabaseOpenError> {
        let pool = PgPoolOptions::new()
            .max_connections(options.connections)
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, usage| Box::pin(answers(connection, usage.idle_for)))
            .connect_with(connect.application_name("wasend"))
            .await?;
        // Takes an advisory lock for as long as it runs.
        POSTGRES_MIGRATIONS.run(&pool).await?;
        Ok(Self::Postgres(pool))
    }

    async fn open_sqlite(
        connect: SqliteConnectOptions,
        options: &DbOptions,
        migrations: &Migrator,
    ) -> Result<Self, DatabaseOpenError> {
        let file = connect.get_filename();
        // A database in memory has a name that is no path.
        if !file.to_string_lossy().starts_with("file:") {
            private_database(file)
                .map_err(|error| DatabaseOpenError::File { file: file.display().to_string(), error })?;
        }
        let connect = connect
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An acknowledged event survives a power loss: every commit waits for the disk.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(SQLITE_BUSY)
            // For each of many readers, who share the pages that the system keeps; a writer takes more.
            .pragma("cache_size", "-1024")
            // Rows that wait between SQLite's thread and the reader: with few, each hands the processor to the other.
            .row_buffer_size(STREAM_BUFFER_ROWS)
            .pragma("temp_store", "memory")
            // A page that many commits change is written to its place once in 16 MiB of them, not once in 4.
            .pragma("wal_autocheckpoint", "4096")
            .pragma("journal_size_limit", "67108864");
        let mut attempt = 1;
        let pool = loop {
            let pool = SqlitePoolOptions::new()
                .max_connections(options.connections)
                .acquire_timeout(options.acquire_timeout)
                // There is no server that could have gone away.
                .test_before_acquire(false)
                .after_release(|connection, _| Box::pin(is_at_rest(connection)))
                .connect_with(connect.clone())
                .await;
            match pool {
                Err(error) if attempt < SQLITE_OPEN_ATTEMPTS && is_busy(&error) => {
                    attempt += 1;
                    tokio::time::sleep(SQLITE_OPEN_PAUSE).await;
                }
                pool => break pool?,
            }
        };
        // sqlx takes no migration lock on SQLite: the write lock keeps a second process waiting.
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        migrations.run_direct(None, &mut *transaction, false).await?;
        transaction.commit().await?;
        Ok(Self::Sqlite(SqliteDb { pool, turn: Arc::default() }))
    }

    /// Waits for running queries and closes every connection.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Asks a connection that was idle whether its server is still there. One that was just used is not asked, at the price
/// of a round trip before each query: if its server has gone, the query says so.
async fn answers(connection: &mut PgConnection, idle_for: Duration) -> Result<bool, sqlx::Error> {
    if idle_for > CONNECTION_TEST_AFTER {
        connection.ping().await?;
    }
    Ok(true)
}

/// Whether the connection may be used again. A caller may go away between `BEGIN` and its answer; closing the
/// connection ends the transaction that it left open and frees the write lock.
async fn is_at_rest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // The rollback of a transaction that was dropped stands in line before it.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| {
        // SQLITE_BUSY (5) and SQLITE_LOCKED (6) in the low byte of the extended code; https://sqlite.org/rescode.html
        e.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| matches!(code & 0xff, 5 | 6))
    })
}

/// Expands the same sqlx code for both engines: `with_db!(&db, pool => sqlx::query(SQL).fetch_all(pool).await)`.
#[macro_export]
macro_rules! with_db {
    ($db:expr, $pool:ident => $body:expr) => {
        match $db {
            $crate::Db::Sqlite(sqlite) => {
                let $pool = sqlite.pool();
                $body
            }
            $crate::Db::Postgres($pool) => $body,
        }
    };
}

/// Runs the same sqlx code in a write transaction of either engine and commits it:
/// `with_transaction!(&db, tx => { sqlx::query(SQL).execute(&mut *tx).await?; })`. Needs an enclosing function
/// whose error is made from `sqlx::Error`; leaving early by `?` rolls back. On SQLite it waits for its turn and
/// holds the write lock from the start, so that what it reads stays true until it commits.
#[macro_export]
macro_rules! with_transaction {
    ($db:expr, $transaction:ident => $body:expr) => {
        match $db {
            $crate::Db::Sqlite(sqlite) => {
                let _turn = sqlite.write_permit().await;
                let mut $transaction = sqlite.pool().begin_with("BEGIN IMMEDIATE").await?;
                let value = $body;
                $transaction.commit().await?;
                value
            }
            $crate::Db::Postgres(pool) => {
                let mut $transaction = pool.begin().await?;
                let value = $body;
                $transaction.commit().await?;
                value
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    async fn write(db: &Db) -> Result<(), sqlx::Error> {
        const WRITE: &str = "UPDATE uploads SET bytes = bytes";
        with_transaction!(db, tx => { sqlx::query(WRITE).execute(&mut *tx).await?; });
        Ok(())
    }

    /// Begins it and goes away after so many steps.
    async fn leave(work: impl Future, mut steps: usize) {
        let mut work = pin!(work);
        poll_fn(|context| {
            if steps == 0 {
                return Poll::Ready(());
            }
            steps -= 1;
            work.as_mut().poll(context).map(drop)
        })
        .await;
    }

    #[tokio::test]
    async fn whoever_goes_away_in_the_middle_of_a_write_keeps_nobody_else_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("wasend.db");
        let db = Db::open(file.to_str().unwrap(), &DbOptions::default()).await.unwrap();
        for steps in 0..20 {
            leave(write(&db), steps).await;
            tokio::time::timeout(Duration::from_secs(10), write(&db)).await.expect("the lock is free").unwrap();
        }
        db.close().await;
    }
}
