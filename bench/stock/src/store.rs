//! The store, on the tables that sqlite-es and postgres-es publish and with our durability.

use std::collections::HashMap;

use anyhow::bail;
use cqrs_es::persist::{
    EventStoreAggregateContext, PersistedEventRepository, PersistedEventStore, PersistenceError, SerializedEvent,
};
use cqrs_es::{AggregateError, CqrsFramework, EventStore};
use postgres_es::PostgresEventRepository;
use serde_json::{Value, json};
use sqlite_es::SqliteEventRepository;
use sqlx::Executor;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use uuid::Uuid;
use wasend_domain::message::{Command, Event, Message};

/// sqlite-es 0.5.0, `migrations/20221114171845_init.sql`.
const SQLITE: &str = "\
    CREATE TABLE IF NOT EXISTS events ( \
        aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
        sequence integer CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL, \
        payload text NOT NULL, metadata text NOT NULL, \
        PRIMARY KEY (aggregate_type, aggregate_id, sequence)) STRICT";

/// postgres-es 0.5.0, `db/init.sql`.
const POSTGRES: &str = "\
    CREATE TABLE IF NOT EXISTS events ( \
        aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
        sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL, \
        payload json NOT NULL, metadata json NOT NULL, \
        PRIMARY KEY (aggregate_type, aggregate_id, sequence))";

pub enum Store {
    Sqlite { pool: SqlitePool, parts: Parts<SqliteEventRepository> },
    Postgres { pool: PgPool, parts: Parts<PostgresEventRepository> },
}

/// What its users hold: the store, and the framework around one.
pub struct Parts<R: PersistedEventRepository> {
    repository: R,
    store: PersistedEventStore<R, Message>,
    framework: CqrsFramework<Message, PersistedEventStore<R, Message>>,
}

impl Store {
    /// With its tables, which are made if missing.
    pub async fn open(engine: &str, url: &str, connections: u32) -> anyhow::Result<Self> {
        match engine {
            "sqlite" => {
                let pool = sqlite_pool(url, connections).await?;
                pool.execute(SQLITE).await?;
                let parts = Parts::of(|| SqliteEventRepository::new(pool.clone()));
                Ok(Self::Sqlite { pool, parts })
            }
            "postgres" => {
                let pool = PgPoolOptions::new().max_connections(connections).connect(url).await?;
                pool.execute(POSTGRES).await?;
                let parts = Parts::of(|| PostgresEventRepository::new(pool.clone()));
                Ok(Self::Postgres { pool, parts })
            }
            _ => bail!("the engine is sqlite or postgres"),
        }
    }

    /// What SQLite says of itself; PostgreSQL is the benchmark's own.
    pub async fn about(&self) -> anyhow::Result<Option<String>> {
        let Self::Sqlite { pool, .. } = self else { return Ok(None) };
        let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pool).await?;
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await?;
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await?;
        let synchronous = ["OFF", "NORMAL", "FULL", "EXTRA"].get(usize::try_from(synchronous)?).unwrap_or(&"?");
        Ok(Some(format!("{version}, journal_mode={journal}, synchronous={synchronous}")))
    }

    /// Commits the first event of a new message.
    pub async fn append(&self, id: Uuid, event: Event) -> anyhow::Result<()> {
        let done = match self {
            Self::Sqlite { parts, .. } => parts.append(id, event).await,
            Self::Postgres { parts, .. } => parts.append(id, event).await,
        };
        done.map_err(|error| anyhow::anyhow!("the peer failed: {error}"))
    }

    pub async fn execute(&self, id: &str, command: Command) -> anyhow::Result<()> {
        let done = match self {
            Self::Sqlite { parts, .. } => parts.framework.execute(id, command).await,
            Self::Postgres { parts, .. } => parts.framework.execute(id, command).await,
        };
        done.map_err(|error| anyhow::anyhow!("the peer failed: {error}"))
    }

    /// The events of a message as the repository reads them, or of all messages as it streams them.
    pub async fn events(&self, id: Option<&str>) -> anyhow::Result<Vec<Value>> {
        let events = match self {
            Self::Sqlite { parts, .. } => parts.events(id).await,
            Self::Postgres { parts, .. } => parts.events(id).await,
        };
        events.map_err(|error| anyhow::anyhow!("the peer failed: {error}"))
    }
}

/// As its own `default_sqlite_pool` opens it, but that every commit waits for the disk as ours do: stock has
/// `synchronous = NORMAL`, which may lose the last commits in a power loss.
async fn sqlite_pool(path: &str, connections: u32) -> anyhow::Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true);
    Ok(SqlitePoolOptions::new().max_connections(connections).connect_with(options).await?)
}

impl<R: PersistedEventRepository> Parts<R> {
    fn of(repository: impl Fn() -> R) -> Self {
        let store = || PersistedEventStore::new_event_store(repository());
        Self { repository: repository(), store: store(), framework: CqrsFramework::new(store(), vec![], ()) }
    }

    async fn append(
        &self,
        id: Uuid,
        event: Event,
    ) -> Result<(), AggregateError<<Message as cqrs_es::Aggregate>::Error>> {
        let context = EventStoreAggregateContext {
            aggregate_id: id.to_string(),
            aggregate: Message::default(),
            current_sequence: 0,
            current_snapshot: None,
        };
        let metadata = HashMap::from([("actor".to_owned(), "operator".to_owned())]);
        self.store.commit(vec![event], context, metadata).await.map(drop)
    }

    async fn events(&self, id: Option<&str>) -> Result<Vec<Value>, PersistenceError> {
        let Some(id) = id else {
            let mut stream = self.repository.stream_all_events::<Message>().await?;
            let mut events = Vec::new();
            while let Some(event) = stream.next::<Message>(&[]).await {
                let event = event?;
                events.push(json!({
                    "aggregate_id": event.aggregate_id,
                    "sequence": event.sequence,
                    "payload": event.payload,
                    "metadata": event.metadata,
                }));
            }
            return Ok(events);
        };
        let event = |event: SerializedEvent| {
            json!({
                "aggregate_id": event.aggregate_id,
                "sequence": event.sequence,
                "aggregate_type": event.aggregate_type,
                "event_type": event.event_type,
                "event_version": event.event_version,
                "payload": event.payload,
                "metadata": event.metadata,
            })
        };
        Ok(self.repository.get_events::<Message>(id).await?.into_iter().map(event).collect())
    }
}
