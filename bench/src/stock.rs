//! The peer: cqrs-es's event store with the repositories of sqlite-es and postgres-es, on the tables that these
//! publish and with our durability.

use std::collections::HashMap;
use std::str::FromStr;

use cqrs_es::persist::{EventStoreAggregateContext, PersistedEventStore};
use cqrs_es::{Aggregate, EventStore};
use postgres_es::PostgresEventRepository;
use sqlite_es::SqliteEventRepository;
use sqlx::Executor;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use uuid::Uuid;
use wasend_tests::Engine;

use crate::bench::Store;

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

pub enum Stock<A: Aggregate> {
    Sqlite(PersistedEventStore<SqliteEventRepository, A>),
    Postgres(PersistedEventStore<PostgresEventRepository, A>),
}

/// Its packages and their versions.
pub fn name(engine: Engine) -> String {
    let repository = match engine {
        Engine::Sqlite => "sqlite-es",
        Engine::Postgres => "postgres-es",
    };
    format!(
        "cqrs-es {} + {repository} {}",
        crate::environment::version("cqrs-es"),
        crate::environment::version(repository)
    )
}

/// Sizes of its connection pool from which the best is chosen; 10 is what its own constructors take.
pub const fn pool_sizes(engine: Engine) -> &'static [u32] {
    match engine {
        Engine::Sqlite => &[1, 10],
        Engine::Postgres => &[10, 32, 64],
    }
}

/// As its own `default_sqlite_pool` opens it, but that every commit waits for the disk as ours do: stock has
/// `synchronous = NORMAL`, which may lose the last commits in a power loss.
pub async fn sqlite_pool(path: &str, connections: u32) -> anyhow::Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true);
    Ok(SqlitePoolOptions::new().max_connections(connections).connect_with(options).await?)
}

impl<A: Aggregate> Stock<A> {
    pub async fn open(store: &Store, connections: u32) -> anyhow::Result<Self> {
        match store.engine {
            Engine::Sqlite => {
                let pool = sqlite_pool(&store.url, connections).await?;
                pool.execute(SQLITE).await?;
                Ok(Self::Sqlite(PersistedEventStore::new_event_store(SqliteEventRepository::new(pool))))
            }
            Engine::Postgres => {
                let options = sqlx::postgres::PgConnectOptions::from_str(&store.url)?;
                let pool = PgPoolOptions::new().max_connections(connections).connect_with(options).await?;
                pool.execute(POSTGRES).await?;
                Ok(Self::Postgres(PersistedEventStore::new_event_store(PostgresEventRepository::new(pool))))
            }
        }
    }

    /// Commits the first event of a new aggregate.
    pub async fn append(&self, event: A::Event) -> anyhow::Result<()> {
        let context = EventStoreAggregateContext {
            aggregate_id: Uuid::new_v4().to_string(),
            aggregate: A::default(),
            current_sequence: 0,
            current_snapshot: None,
        };
        let metadata = HashMap::from([("actor".to_owned(), "operator".to_owned())]);
        let committed = match self {
            Self::Sqlite(store) => store.commit(vec![event], context, metadata).await.map(drop),
            Self::Postgres(store) => store.commit(vec![event], context, metadata).await.map(drop),
        };
        committed.map_err(|error| anyhow::anyhow!("the peer failed: {error}"))
    }
}
