//! The peer: cqrs-es's event store with the repositories of sqlite-es and postgres-es, on the tables that these
//! publish and with our durability.

use std::collections::HashMap;
use std::time::Duration;

use cqrs_es::persist::{EventStoreAggregateContext, PersistedEventRepository, PersistedEventStore};
use cqrs_es::{Aggregate, CqrsFramework, EventStore};
use postgres_es::PostgresEventRepository;
use sqlite_es::SqliteEventRepository;
use sqlx::Executor;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use wasend_tests::Engine;

use crate::bench::Store;
use crate::event;
use crate::rounds::Side;

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
    Sqlite(Parts<SqliteEventRepository, A>),
    Postgres(Parts<PostgresEventRepository, A>),
}

/// What its users hold: the store, and the framework around one.
pub struct Parts<R: PersistedEventRepository, A: Aggregate> {
    store: PersistedEventStore<R, A>,
    framework: CqrsFramework<A, PersistedEventStore<R, A>>,
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

pub async fn postgres_pool(url: &str, connections: u32) -> anyhow::Result<PgPool> {
    Ok(PgPoolOptions::new().max_connections(connections).connect(url).await?)
}

/// The peer with the pool that serves it best for so many clients, and that pool's size.
pub async fn best<S: Side, F: Future<Output = anyhow::Result<S>>>(
    engine: Engine,
    clients: usize,
    round: Duration,
    open: impl Fn(u32) -> F,
) -> anyhow::Result<(S, u32)> {
    let (mut best, mut fastest) = (None, 0.0);
    for &connections in pool_sizes(engine) {
        let peer = open(connections).await?;
        let rate = peer.round(clients, round).await?.per_second();
        if best.is_none() || rate > fastest {
            (best, fastest) = (Some((peer, connections)), rate);
        }
    }
    best.ok_or_else(|| anyhow::anyhow!("the peer has no pool"))
}

impl<A: Aggregate<Services = ()>> Stock<A> {
    pub async fn open(store: &Store, connections: u32) -> anyhow::Result<Self> {
        Ok(match store.engine {
            Engine::Sqlite => {
                let pool = sqlite_pool(&store.url, connections).await?;
                pool.execute(SQLITE).await?;
                Self::Sqlite(Parts::of(|| SqliteEventRepository::new(pool.clone())))
            }
            Engine::Postgres => {
                let pool = postgres_pool(&store.url, connections).await?;
                pool.execute(POSTGRES).await?;
                Self::Postgres(Parts::of(|| PostgresEventRepository::new(pool.clone())))
            }
        })
    }

    /// Commits the first event of a new aggregate.
    pub async fn append(&self, event: A::Event) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(parts) => parts.append(event).await,
            Self::Postgres(parts) => parts.append(event).await,
        }
    }

    pub async fn execute(&self, id: &str, command: A::Command) -> anyhow::Result<()> {
        let done = match self {
            Self::Sqlite(parts) => parts.framework.execute(id, command).await,
            Self::Postgres(parts) => parts.framework.execute(id, command).await,
        };
        done.map_err(|error| anyhow::anyhow!("the peer failed: {error}"))
    }
}

impl<R: PersistedEventRepository, A: Aggregate<Services = ()>> Parts<R, A> {
    fn of(repository: impl Fn() -> R) -> Self {
        let store = || PersistedEventStore::new_event_store(repository());
        Self { store: store(), framework: CqrsFramework::new(store(), vec![], ()) }
    }

    async fn append(&self, event: A::Event) -> anyhow::Result<()> {
        let context = EventStoreAggregateContext {
            aggregate_id: event::id().to_string(),
            aggregate: A::default(),
            current_sequence: 0,
            current_snapshot: None,
        };
        let metadata = HashMap::from([("actor".to_owned(), "operator".to_owned())]);
        let committed = self.store.commit(vec![event], context, metadata).await;
        committed.map(drop).map_err(|error| anyhow::anyhow!("the peer failed: {error}"))
    }
}
