//! Batches on Postgres: in one round trip where what their appends assume is so, and in four where it is not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use wasend_domain::{AccountId, Position, Time};

use crate::Append;
use crate::append_conditions::{self, BatchDecision, KnownRow, LogState};
use crate::optimistic_append::{OptimisticAppend, Precondition, assume};
use crate::rows::stored;
use crate::writer::{CommitEngine, CommitError, CommittedBatch};

/// The lock on the head puts the batches of all nodes in one order. It must be a separate statement: each
/// statement sees what was committed when it began, and [`LOAD_LOG_STATE`] must see what the lock's last holder
/// committed.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT position FROM log_head WHERE id = 1 FOR UPDATE";

/// Everything that a batch must know, in one question: the head, the last sequence of each stream, and where each
/// repeatable command was recorded.
const LOAD_LOG_STATE: &str = "\
    SELECT 0::bigint, 0::bigint, position, NULL::bigint, NULL::text FROM log_head WHERE id = 1 \
    UNION ALL \
    SELECT 1, s.n - 1, e.sequence, NULL, e.account_id \
      FROM unnest($1::text[], $2::text[]) WITH ORDINALITY s(type, id, n) \
     CROSS JOIN LATERAL (SELECT e.sequence, e.account_id FROM events e \
                          WHERE e.aggregate_type = s.type AND e.aggregate_id = s.id \
                          ORDER BY e.sequence DESC LIMIT 1) e \
    UNION ALL \
    SELECT 2, c.n - 1, p.first, p.last, (SELECT e.metadata::text FROM events e WHERE e.position = p.first) \
      FROM unnest($3::text[], $4::text[]) WITH ORDINALITY c(account_id, id, n) \
     CROSS JOIN LATERAL (SELECT min(e.position) AS first, max(e.position) AS last FROM events e \
                          WHERE e.account_id = c.account_id AND e.command_id = c.id \
                            AND length(e.command_id) <> 36) p \
     WHERE p.first IS NOT NULL";

/// Writes the accepted events and moves the head, if what was assumed is so; see `migrations/postgres/0004_append.sql`.
const APPEND: &str =
    "SELECT log_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";

/// Where the event is that a batch whose answer was lost would have begun with.
const FOUND: &str = "SELECT position FROM events \
     WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3 AND event_id = $4";

/// A node that hangs while it holds the head gives it up after a while, and no other waits for it for ever. The writer
/// looks up by index alone, and must not be talked out of it by statistics from when the table was small; so one plan
/// does for every batch, and none is planned anew.
const SESSION: &str = "\
    SET idle_in_transaction_session_timeout = '10s'; \
    SET lock_timeout = '20s'; \
    SET enable_seqscan = off; \
    SET plan_cache_mode = force_generic_plan; \
    SET jit = off";

/// After this long without an answer the connection is given up, and the batch with it.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct PostgresEngine {
    options: Arc<PgConnectOptions>,
    /// Away while a transaction is open on it: dropped after a failure, it makes the server roll back.
    connection: Option<PgConnection>,
}

impl PostgresEngine {
    /// An engine that connects with the first batch.
    pub fn new(pool: &PgPool) -> Self {
        Self { options: pool.connect_options(), connection: None }
    }

    /// A transaction that holds the head. The connection may have been lost while nothing was written, which is no
    /// reason to fail a batch.
    async fn begin(&mut self) -> Result<PgConnection, sqlx::Error> {
        if let Some(mut connection) = self.connection.take() {
            match begin(&mut connection).await {
                Ok(()) => return Ok(connection),
                Err(error) => tracing::warn!(%error, "the writer's connection was lost"),
            }
        }
        let mut connection = self.options.connect().await?;
        connection.execute(SESSION).await?;
        begin(&mut connection).await?;
        Ok(connection)
    }

    /// Commits the batch on its own assumptions, in one round trip.
    async fn assume<'a>(&mut self, batch: &[&'a Append], now: Time) -> AppendAttempt<'a> {
        let OptimisticAppend { mut verdict, checks } = assume(batch.iter().copied());
        if verdict.events.is_empty() {
            return AppendAttempt::Refuted;
        }
        let commands = append_conditions::commands(batch.iter().copied());
        let Some(mut connection) = self.connection.take() else { return AppendAttempt::Refuted };
        match append(&mut connection, &verdict, now, &checks, &commands).await {
            Ok(Some(before)) => {
                append_conditions::shift(&mut verdict, before);
                self.connection = Some(connection);
                return AppendAttempt::Done(verdict.into());
            }
            Ok(None) => {}
            Err(error) if is_unique_violation(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "the writer's connection was lost");
                return AppendAttempt::Lost(verdict);
            }
        }
        self.connection = Some(connection);
        AppendAttempt::Refuted
    }

    async fn attempt(&mut self, batch: &[&Append], now: Time) -> Result<CommittedBatch, CommitError> {
        let lost = match self.assume(batch, now).await {
            AppendAttempt::Done(committed) => return Ok(committed),
            AppendAttempt::Refuted => None,
            AppendAttempt::Lost(verdict) => Some(verdict),
        };
        let mut connection = self.begin().await?;
        if let Some(mut verdict) = lost
            && let Some(before) = found(&mut connection, &verdict).await?
        {
            connection.execute("ROLLBACK").await?;
            self.connection = Some(connection);
            append_conditions::shift(&mut verdict, before);
            return Ok(verdict.into());
        }
        let known = known(&mut connection, batch).await?;
        let verdict = append_conditions::decide_batch(batch.iter().copied(), known);
        if verdict.events.is_empty() {
            connection.execute("ROLLBACK").await?;
        } else {
            append(&mut connection, &verdict, now, &[], &[]).await?;
            connection.execute("COMMIT").await?;
        }
        self.connection = Some(connection);
        Ok(verdict.into())
    }
}

/// What became of a batch that was sent on its own assumptions.
enum AppendAttempt<'a> {
    Done(CommittedBatch),
    /// They do not hold, or there was nothing to send: nothing was written.
    Refuted,
    /// The answer did not arrive. Whether the batch was committed shows in the log once its head is held: the
    /// transaction that holds it may yet commit, and a later one meets the unique index.
    Lost(BatchDecision<'a>),
}

#[async_trait]
impl CommitEngine for PostgresEngine {
    async fn commit(&mut self, batch: &[&Append], now: Time) -> Result<CommittedBatch, CommitError> {
        let attempt = tokio::time::timeout(COMMIT_TIMEOUT, self.attempt(batch, now)).await;
        attempt.unwrap_or(Err(CommitError::TimedOut(COMMIT_TIMEOUT)))
    }

    async fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the writer's connection did not close");
        }
    }
}

async fn begin(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.fetch_one(BEGIN).await.map(drop)
}

async fn known(connection: &mut PgConnection, batch: &[&Append]) -> Result<LogState, CommitError> {
    let streams = append_conditions::streams(batch.iter().copied());
    let commands = append_conditions::commands(batch.iter().copied());
    let rows: Vec<KnownRow> = sqlx::query_as(LOAD_LOG_STATE)
        .bind(streams.iter().map(|stream| stream.aggregate_type).collect::<Vec<_>>())
        .bind(streams.iter().map(|stream| stream.aggregate_id.to_string()).collect::<Vec<_>>())
        .bind(commands.iter().map(|(account_id, _)| account_id.to_string()).collect::<Vec<_>>())
        .bind(commands.iter().map(|(_, id)| *id).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    LogState::from_rows(rows, &streams, &commands)
}

/// The head before the batch, or nothing if what was to be checked is not so.
async fn append(
    connection: &mut PgConnection,
    verdict: &BatchDecision<'_>,
    now: Time,
    checks: &[Precondition],
    commands: &[(AccountId, &str)],
) -> Result<Option<Position>, CommitError> {
    let events = &verdict.events;
    let before: Option<i64> = sqlx::query_scalar(APPEND)
        .bind(now.micros())
        .bind(events.iter().map(|e| e.account_id.to_string()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.stream.aggregate_type).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.stream.aggregate_id.to_string()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| stored(e.sequence)).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.event.event_id.to_string()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.event.event_type.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.event.event_version.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.event.payload.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| verdict.metadata[e.metadata].as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.command_id).collect::<Vec<_>>())
        .bind(checks.iter().map(|c| c.tip.account_id.to_string()).collect::<Vec<_>>())
        .bind(checks.iter().map(|c| c.stream.aggregate_type).collect::<Vec<_>>())
        .bind(checks.iter().map(|c| c.stream.aggregate_id.to_string()).collect::<Vec<_>>())
        .bind(checks.iter().map(|c| stored(c.tip.sequence)).collect::<Vec<_>>())
        .bind(checks.iter().map(|c| c.unmoved).collect::<Vec<_>>())
        .bind(commands.iter().map(|(account_id, _)| account_id.to_string()).collect::<Vec<_>>())
        .bind(commands.iter().map(|(_, id)| *id).collect::<Vec<_>>())
        .fetch_one(connection)
        .await?;
    before.map(position).transpose()
}

/// The head before a batch that was sent, if it was committed.
async fn found(connection: &mut PgConnection, verdict: &BatchDecision<'_>) -> Result<Option<Position>, CommitError> {
    let Some(first) = verdict.events.first() else { return Ok(None) };
    let found: Option<i64> = sqlx::query_scalar(FOUND)
        .bind(first.stream.aggregate_type)
        .bind(first.stream.aggregate_id.to_string())
        .bind(stored(first.sequence))
        .bind(first.event.event_id.to_string())
        .fetch_optional(connection)
        .await?;
    found.map(|at| position(at - 1)).transpose()
}

fn position(stored: i64) -> Result<Position, CommitError> {
    Position::try_from(stored).map_err(|_| CommitError::Inconsistent("a position is negative"))
}

fn is_unique_violation(error: &CommitError) -> bool {
    let CommitError::Database(error) = error else { return false };
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
