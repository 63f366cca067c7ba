//! The peer's read model: one view a message, replayed by cqrs-es's `QueryReplay` into its `GenericQuery`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_es::persist::{GenericQuery, PersistedEventRepository, QueryReplay, ViewRepository};
use cqrs_es::{Aggregate, EventEnvelope, View};
use postgres_es::{PostgresEventRepository, PostgresViewRepository};
use serde::{Deserialize, Serialize};
use sqlite_es::{SqliteEventRepository, SqliteViewRepository};
use sqlx::Executor;
use uuid::Uuid;
use wasend::house::SystemClock;
use wasend_domain::message::Message;
use wasend_domain::{AccountId, Clock, NumberId};
use wasend_tests::Engine;

use crate::bench::Bench;
use crate::history;
use crate::life::{self, Step};
use crate::stock::{Stock, postgres_pool, sqlite_pool};

/// sqlite-es and postgres-es, as they publish it for each view.
const SQLITE: &str = "CREATE TABLE messages (view_id text NOT NULL, version integer CHECK (version >= 0) NOT NULL, payload text NOT NULL, PRIMARY KEY (view_id)) STRICT";
const POSTGRES: &str = "CREATE TABLE messages (view_id text NOT NULL, version bigint CHECK (version >= 0) NOT NULL, payload json NOT NULL, PRIMARY KEY (view_id))";

#[derive(Debug, Default, Serialize, Deserialize)]
struct MessageView {
    message: Message,
}

impl View<Message> for MessageView {
    fn update(&mut self, event: &EventEnvelope<Message>) {
        self.message.apply(event.payload.clone());
    }
}

/// How long the peer takes to replay about so many events.
pub async fn replay(bench: &Bench, engine: Engine, events: u64) -> anyhow::Result<Duration> {
    let store = bench.store(engine).await?;
    let stock = Stock::<Message>::open(&store, 10).await?;
    populate(bench, &stock, events).await?;
    let taken = match engine {
        Engine::Sqlite => {
            let pool = sqlite_pool(&store.url, 10).await?;
            pool.execute(SQLITE).await?;
            let views = SqliteViewRepository::<MessageView, Message>::new("messages", pool.clone());
            let taken = run(SqliteEventRepository::new(pool.clone()), views).await?;
            pool.close().await;
            taken
        }
        Engine::Postgres => {
            let pool = postgres_pool(&store.url, 10).await?;
            pool.execute(POSTGRES).await?;
            let views = PostgresViewRepository::<MessageView, Message>::new("messages", pool.clone());
            let taken = run(PostgresEventRepository::new(pool.clone()), views).await?;
            pool.close().await;
            taken
        }
    };
    drop(stock);
    store.remove().await?;
    Ok(taken)
}

async fn run<R, V>(events: R, views: V) -> anyhow::Result<Duration>
where
    R: PersistedEventRepository,
    V: ViewRepository<MessageView, Message> + 'static,
{
    let query = GenericQuery::<V, MessageView, Message>::new(Arc::new(views));
    let start = Instant::now();
    QueryReplay::new(events, query).replay_all().await.map_err(|error| anyhow::anyhow!("the peer failed: {error}"))?;
    Ok(start.elapsed())
}

/// Lives of messages, through the peer's framework: six commands make nine events.
async fn populate(bench: &Bench, stock: &Stock<Message>, events: u64) -> anyhow::Result<()> {
    let directory = tempfile::tempdir_in(bench.directory.path())?;
    let stores = history::stores(directory.path(), None).await?;
    let account = AccountId::random();
    stores.vault.create_account(account).await?;
    let contacts = life::people(&stores.vault, account, 0, usize::try_from(events / 9)?.max(1)).await?;
    let now = SystemClock.now();
    for life in life::begin(&stores.vault, account, &contacts, now.day()).await? {
        let id = Uuid::new_v4().to_string();
        for step in Step::ALL {
            stock.execute(&id, life.command(step, NumberId::from_uuid(Uuid::nil()), now)).await?;
        }
    }
    stores.close().await;
    Ok(())
}
