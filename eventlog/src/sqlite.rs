//! Batches on SQLite: by one statement where what their appends assume is so and they are few, else by one transaction.

use std::sync::OnceLock;

use async_trait::async_trait;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection};
use sqlx::{Arguments as _, ConnectOptions as _, Connection as _};
use wasend_domain::{Position, Time};

use crate::append_conditions::{self, AcceptedEvent, BatchDecision, KnownRow, LogState};
use crate::optimistic_append::{OptimisticAppend, assume};
use crate::rows::{checksum, stored};
use crate::writer::{CommitEngine, CommitError, CommittedBatch};
use crate::{Append, NewEvent, SqliteDb};

/// Everything that a batch must know, in one question: the head, the last sequence of each stream, and where each
/// repeatable command was recorded. `$1` and `$2` are JSON arrays of pairs. `CROSS JOIN` keeps the order of the loops.
const LOAD_LOG_STATE: &str = "\
    SELECT 0, 0, position, 0, NULL FROM log_head WHERE id = 1 \
    UNION ALL \
    SELECT 1, s.key, e.sequence, 0, e.account_id \
      FROM json_each($1) s CROSS JOIN events e ON e.position = \
           (SELECT t.position FROM events t WHERE t.aggregate_type = s.value ->> 0 AND t.aggregate_id = s.value ->> 1 \
             ORDER BY t.sequence DESC LIMIT 1) \
    UNION ALL \
    SELECT 2, c.key, min(e.position), max(e.position), e.metadata \
      FROM json_each($2) c CROSS JOIN events e \
     WHERE e.account_id = c.value ->> 0 AND e.command_id = c.value ->> 1 AND length(e.command_id) <> 36 \
     GROUP BY c.key";

/// A statement is prepared once for each of these numbers of rows, so that any batch takes few statements and none
/// is parsed twice. More rows a statement were no faster when measured.
const INSERT_ROWS: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// What the writer keeps of the indexes, in KiB.
const CACHE: &str = "-16384";

pub(crate) struct SqliteEngine {
    db: SqliteDb,
    /// Away while a transaction is open on it, so that a failed one is never used again.
    connection: Option<SqliteConnection>,
}

impl SqliteEngine {
    /// An engine that connects with the first batch.
    pub const fn new(db: SqliteDb) -> Self {
        Self { db, connection: None }
    }

    /// Commits the batch on its own assumptions, if the unique index alone can refute them; nothing if it did.
    async fn assume(
        &self,
        connection: &mut SqliteConnection,
        batch: &[&Append],
        now: Time,
    ) -> Result<Option<CommittedBatch>, CommitError> {
        let OptimisticAppend { mut verdict, checks } = assume(batch.iter().copied());
        if verdict.events.is_empty()
            || !checks.is_empty()
            || !append_conditions::commands(batch.iter().copied()).is_empty()
        {
            return Ok(None);
        }
        let inserted = if INSERT_ROWS.contains(&verdict.events.len()) {
            // A single statement is a transaction.
            insert(connection, &verdict, now).await
        } else {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            match insert(&mut transaction, &verdict, now).await {
                Ok(before) => transaction.commit().await.map(|()| before).map_err(CommitError::from),
                Err(error) => {
                    transaction.rollback().await?;
                    Err(error)
                }
            }
        };
        match inserted {
            Ok(before) => {
                append_conditions::shift(&mut verdict, before);
                Ok(Some(verdict.into()))
            }
            Err(CommitError::Database(error))
                if error.as_database_error().is_some_and(DatabaseError::is_unique_violation) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn attempt(
        &self,
        connection: &mut SqliteConnection,
        batch: &[&Append],
        now: Time,
    ) -> Result<CommittedBatch, CommitError> {
        if let Some(committed) = self.assume(connection, batch, now).await? {
            return Ok(committed);
        }
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let known = known(&mut transaction, batch).await?;
        let verdict = append_conditions::decide_batch(batch.iter().copied(), known);
        if verdict.events.is_empty() {
            transaction.rollback().await?;
        } else {
            insert(&mut transaction, &verdict, now).await?;
            transaction.commit().await?;
        }
        Ok(verdict.into())
    }
}

#[async_trait]
impl CommitEngine for SqliteEngine {
    async fn commit(&mut self, batch: &[&Append], now: Time) -> Result<CommittedBatch, CommitError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                SqliteConnectOptions::clone(&self.db.pool().connect_options())
                    .pragma("cache_size", CACHE)
                    .connect()
                    .await?
            }
        };
        let turn = self.db.write_permit().await;
        let committed = self.attempt(&mut connection, batch, now).await?;
        drop(turn);
        self.connection = Some(connection);
        Ok(committed)
    }

    async fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the writer's connection did not close");
        }
    }
}

async fn known(connection: &mut SqliteConnection, batch: &[&Append]) -> Result<LogState, CommitError> {
    let streams = append_conditions::streams(batch.iter().copied());
    let commands = append_conditions::commands(batch.iter().copied());
    let rows: Vec<KnownRow> = sqlx::query_as(LOAD_LOG_STATE)
        .bind(pairs(streams.iter().map(|s| (s.aggregate_type, s.aggregate_id)))?)
        .bind(pairs(commands.iter())?)
        .fetch_all(connection)
        .await?;
    LogState::from_rows(rows, &streams, &commands)
}

fn pairs<T: serde::Serialize>(pairs: impl Iterator<Item = T>) -> Result<String, sqlx::Error> {
    serde_json::to_string(&pairs.collect::<Vec<_>>()).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Where the log ended before. Each event gets the position after the last.
async fn insert(
    connection: &mut SqliteConnection,
    verdict: &BatchDecision<'_>,
    now: Time,
) -> Result<Position, CommitError> {
    let (mut rest, mut last) = (verdict.events.as_slice(), 0);
    for (rows, sql) in INSERT_ROWS.iter().zip(inserts()) {
        while let Some((chunk, after)) = rest.split_at_checked(*rows) {
            let mut arguments = SqliteArguments::default();
            for event in chunk {
                bind(&mut arguments, event, &verdict.metadata[event.metadata], now).map_err(sqlx::Error::Encode)?;
            }
            last = sqlx::query_with(sql.as_str(), arguments).execute(&mut *connection).await?.last_insert_rowid();
            rest = after;
        }
    }
    let last = Position::try_from(last).ok();
    let before = last.and_then(|last| last.checked_sub(verdict.events.len() as u64));
    before.ok_or(CommitError::Inconsistent("the last position is lower than the number of events written"))
}

fn bind(
    arguments: &mut SqliteArguments,
    event: &AcceptedEvent<'_>,
    metadata: &str,
    now: Time,
) -> Result<(), sqlx::error::BoxDynError> {
    let sequence = stored(event.sequence);
    let (account, aggregate) = (event.account_id.to_string(), event.stream.aggregate_id.to_string());
    let event_id = event.event.event_id.to_string();
    let NewEvent { event_type, event_version, payload, .. } = event.event;
    let kind = event.stream.aggregate_type;
    let texts: [&str; 9] =
        [&account, kind, &aggregate, &event_id, event_type, event_version, payload, metadata, event.command_id];
    let sum = checksum([sequence, now.micros()], texts);
    arguments.add(account)?;
    arguments.add(kind)?;
    arguments.add(aggregate)?;
    arguments.add(sequence)?;
    arguments.add(event_id)?;
    arguments.add(event_type.as_str())?;
    arguments.add(event_version.as_str())?;
    arguments.add(payload.as_str())?;
    arguments.add(metadata)?;
    arguments.add(event.command_id)?;
    arguments.add(now.micros())?;
    arguments.add(sum)
}

/// The statement for each number of [`INSERT_ROWS`].
fn inserts() -> &'static [String; INSERT_ROWS.len()] {
    static INSERTS: OnceLock<[String; INSERT_ROWS.len()]> = OnceLock::new();
    INSERTS.get_or_init(|| {
        INSERT_ROWS.map(|rows| {
            let row = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
            format!(
                "INSERT INTO events (account_id, aggregate_type, aggregate_id, sequence, event_id, event_type, \
                 event_version, payload, metadata, command_id, recorded_at, checksum) VALUES {}",
                vec![row; rows].join(", ")
            )
        })
    })
}
