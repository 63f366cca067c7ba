//! Batches on Postgres, in four round trips each.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use wasend_domain::Time;

use crate::Append;
use crate::judge::{self, Known, KnownRow, Verdict};
use crate::rows::stored;
use crate::writer::{Committed, Engine};

/// The lock on the head puts the batches of all nodes in one order. It must be a statement of its own: each
/// statement sees what was committed when it began, and [`KNOWN`] must see what the lock's last holder committed.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT position FROM log_head WHERE id = 1 FOR UPDATE";

/// Everything that a batch must know, in one question: the head, the last sequence of each stream, and where each
/// repeatable command was recorded.
const KNOWN: &str = "\
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
                          WHERE e.account_id = c.account_id AND e.command_id = c.id) p \
     WHERE p.first IS NOT NULL";

/// Writes the accepted events and moves the head.
const INSERT: &str = "\
    WITH inserted AS ( \
        INSERT INTO events (position, account_id, aggregate_type, aggregate_id, sequence, event_id, event_type, \
                            event_version, payload, metadata, command_id, recorded_at) \
        SELECT $1 + u.n, u.account_id, u.aggregate_type, u.aggregate_id, u.sequence, u.event_id, u.event_type, \
               u.event_version, u.payload::json, u.metadata::json, u.command_id, $2 \
          FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], \
                      $10::text[], $11::text[], $12::text[]) WITH ORDINALITY \
               u(account_id, aggregate_type, aggregate_id, sequence, event_id, event_type, event_version, payload, \
                 metadata, command_id, n)) \
    UPDATE log_head SET position = $13 WHERE id = 1";

/// A node that hangs while it holds the head gives it up after a while, and nobody waits for it for ever. The writer
/// looks up by index alone, and must not be talked out of it by statistics from when the table was small; so one plan
/// does for every batch, and none is planned anew.
const SESSION: &str = "\
    SET idle_in_transaction_session_timeout = '10s'; \
    SET lock_timeout = '20s'; \
    SET enable_seqscan = off; \
    SET plan_cache_mode = force_generic_plan; \
    SET jit = off";

/// After this long without an answer the connection is given up, and the batch with it.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct PostgresEngine {
    options: Arc<PgConnectOptions>,
    /// Away while a transaction is open on it: dropped after a failure, it makes the server roll back.
    connection: Option<PgConnection>,
}

impl PostgresEngine {
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

    async fn attempt(&mut self, batch: &[&Append], now: Time) -> Result<Committed, sqlx::Error> {
        let mut connection = self.begin().await?;
        let known = known(&mut connection, batch).await?;
        let verdict = judge::judge(batch.iter().copied(), known);
        if verdict.events.is_empty() {
            connection.execute("ROLLBACK").await?;
        } else {
            insert(&mut connection, &verdict, now).await?;
            connection.execute("COMMIT").await?;
        }
        self.connection = Some(connection);
        Ok(Committed { events: verdict.events.len(), answers: verdict.answers, head: verdict.head })
    }
}

#[async_trait]
impl Engine for PostgresEngine {
    async fn commit(&mut self, batch: &[&Append], now: Time) -> Result<Committed, sqlx::Error> {
        tokio::time::timeout(TIMEOUT, self.attempt(batch, now)).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
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

async fn known(connection: &mut PgConnection, batch: &[&Append]) -> Result<Known, sqlx::Error> {
    let streams = judge::streams(batch.iter().copied());
    let commands = judge::commands(batch.iter().copied());
    let rows: Vec<KnownRow> = sqlx::query_as(KNOWN)
        .bind(streams.iter().map(|stream| stream.aggregate_type).collect::<Vec<_>>())
        .bind(streams.iter().map(|stream| stream.aggregate_id.to_string()).collect::<Vec<_>>())
        .bind(commands.iter().map(|(account_id, _)| account_id.to_string()).collect::<Vec<_>>())
        .bind(commands.iter().map(|(_, id)| *id).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    Known::from_rows(rows, &streams, &commands)
}

async fn insert(connection: &mut PgConnection, verdict: &Verdict<'_>, now: Time) -> Result<(), sqlx::Error> {
    let events = &verdict.events;
    let before = verdict.head - events.len() as u64;
    sqlx::query(INSERT)
        .bind(stored(before))
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
        .bind(stored(verdict.head))
        .execute(connection)
        .await?;
    Ok(())
}
