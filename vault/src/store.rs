//! The vault's own store: a SQLite file, or a schema on Postgres. Its backups follow other rules than the log's.

mod anchor;
mod creation;
mod destruction;
mod erasure;
mod identities;
mod lineage;
mod lookup;
mod mending;
#[cfg(test)]
mod prepare;
mod private;
mod rotation;
mod sql;

use std::{path::Path, str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgPool, SqlSafeStr as _, SqliteConnection, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::error::VaultFailure;

pub(crate) use anchor::PresenceCheck;
pub(crate) use creation::{CreationBatch, NewKey, NewSubject};
pub(crate) use erasure::ListedHashes;
pub(crate) use identities::EntryChange;
pub(crate) use lineage::LineageState;
pub(crate) use lookup::RootKeyRow;
pub(crate) use rotation::{EpochRow, EpochSwitch, NodeRow, OldKey};

/// Either engine. On SQLite one connection writes and the others read beside it.
pub(crate) enum VaultStore {
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    Postgres(PgPool),
}

const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const READER_CONNECTIONS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 16;
const CONNECTION_TEST_AFTER: Duration = Duration::from_secs(1);

impl VaultStore {
    /// Opens the file, making it (and its directory) if there is none, readable by its owner alone.
    pub async fn open_sqlite(path: &Path) -> Result<Self, VaultFailure> {
        private::private_database(path)
            .map_err(|error| VaultFailure::Directory { path: path.display().to_string(), reason: error.to_string() })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON")
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .after_release(|connection, _| Box::pin(is_at_rest(connection)))
            .connect_with(options.clone())
            .await?;
        // sqlx takes no migration lock on SQLite: the write lock keeps a second process waiting.
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        migrator(&[
            (1, include_str!("../../migrations/sqlite-vault/0001_vault.sql")),
            (2, include_str!("../../migrations/sqlite-vault/0002_erasure.sql")),
            (3, include_str!("../../migrations/sqlite-vault/0003_epochs.sql")),
            (4, include_str!("../../migrations/sqlite-vault/0004_lineage.sql")),
            (5, include_str!("../../migrations/sqlite-vault/0005_log.sql")),
            (6, include_str!("../../migrations/sqlite-vault/0006_consent.sql")),
            (7, include_str!("../../migrations/sqlite-vault/0007_identities.sql")),
        ])
        .run_direct(None, &mut *tx, false)
        .await?;
        tx.commit().await?;
        let reading = options.pragma("query_only", "ON");
        let readers = SqlitePoolOptions::new().max_connections(READER_CONNECTIONS).test_before_acquire(false);
        let readers = readers.connect_with(reading).await?;
        Ok(Self::Sqlite { writer, readers })
    }

    /// Uses the schema `vault` of the database, making it if there is none.
    pub async fn open_postgres(url: &str) -> Result<Self, VaultFailure> {
        let options = PgConnectOptions::from_str(url)?
            .options([("search_path", "vault"), ("synchronous_commit", "on")])
            .disable_statement_logging();
        create_schema(&options).await?;
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .test_before_acquire(false)
            .before_acquire(|connection, usage| Box::pin(answers(connection, usage.idle_for)))
            .connect_with(options)
            .await?;
        migrator(&[
            (1, include_str!("../../migrations/postgres-vault/0001_vault.sql")),
            (2, include_str!("../../migrations/postgres-vault/0002_erasure.sql")),
            (3, include_str!("../../migrations/postgres-vault/0003_epochs.sql")),
            (4, include_str!("../../migrations/postgres-vault/0004_lineage.sql")),
            (5, include_str!("../../migrations/postgres-vault/0005_log.sql")),
            (6, include_str!("../../migrations/postgres-vault/0006_consent.sql")),
            (7, include_str!("../../migrations/postgres-vault/0007_identities.sql")),
        ])
        .run(&pool)
        .await?;
        Ok(Self::Postgres(pool))
    }

    /// Closes every connection, and waits for what is under way.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Asks a connection that was idle whether its server is still there; a round trip before each query would cost more than
/// a query that fails.
async fn answers(connection: &mut sqlx::PgConnection, idle_for: Duration) -> Result<bool, sqlx::Error> {
    if idle_for > CONNECTION_TEST_AFTER {
        connection.ping().await?;
    }
    Ok(true)
}

/// Whether the connection may be used again. A caller may go away between `BEGIN` and its answer; closing the connection
/// ends the transaction that it left open.
async fn is_at_rest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // The rollback of a transaction that was dropped stands in line before it.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Nodes that start at once would otherwise trip over each other: Postgres checks and creates in two steps.
async fn create_schema(options: &PgConnectOptions) -> Result<(), VaultFailure> {
    const LOCK: &str = "SELECT pg_advisory_xact_lock(7310028410)";
    let mut connection = options.connect().await?;
    let mut tx = connection.begin().await?;
    sqlx::query(LOCK).execute(&mut *tx).await?;
    sqlx::query("CREATE SCHEMA IF NOT EXISTS vault").execute(&mut *tx).await?;
    tx.commit().await?;
    connection.close().await?;
    Ok(())
}

fn migrator(steps: &[(i64, &'static str)]) -> Migrator {
    let migration = |&(version, sql): &(i64, &'static str)| {
        Migration::new(version, "vault".into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator { migrations: steps.iter().map(migration).collect(), ..Migrator::DEFAULT }
}
