//! Its read model: one view a message, replayed by cqrs-es's `QueryReplay` into its `GenericQuery`.

use std::sync::Arc;
use std::time::Instant;

use cqrs_es::persist::{GenericQuery, PersistedEventRepository, QueryReplay, ViewRepository};
use cqrs_es::{Aggregate, EventEnvelope, View};
use postgres_es::{PostgresEventRepository, PostgresViewRepository};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlite_es::{SqliteEventRepository, SqliteViewRepository};
use sqlx::Executor;
use uuid::Uuid;
use wasend_domain::NumberId;
use wasend_domain::message::Message;

use crate::life::Step;
use crate::lives::Lives;
use crate::now;
use crate::store::Store;

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

/// How long a replay takes after lives of so many messages, of which six commands make nine events.
pub async fn replay(store: &Store, lives: &Lives, many: usize) -> anyhow::Result<Value> {
    for contact in 0..many {
        let (id, life) = (Uuid::new_v4().to_string(), lives.ask(contact).await?);
        for step in Step::ALL {
            store.execute(&id, life.command(step, NumberId::from_uuid(Uuid::nil()), now())).await?;
        }
    }
    let taken = match store {
        Store::Sqlite { pool, .. } => {
            pool.execute(SQLITE).await?;
            let views = SqliteViewRepository::<MessageView, Message>::new("messages", pool.clone());
            run(SqliteEventRepository::new(pool.clone()), views).await?
        }
        Store::Postgres { pool, .. } => {
            pool.execute(POSTGRES).await?;
            let views = PostgresViewRepository::<MessageView, Message>::new("messages", pool.clone());
            run(PostgresEventRepository::new(pool.clone()), views).await?
        }
    };
    Ok(json!({"elapsed_us": taken}))
}

async fn run<R, V>(events: R, views: V) -> anyhow::Result<u64>
where
    R: PersistedEventRepository,
    V: ViewRepository<MessageView, Message> + 'static,
{
    let query = GenericQuery::<V, MessageView, Message>::new(Arc::new(views));
    let start = Instant::now();
    QueryReplay::new(events, query).replay_all().await.map_err(|error| anyhow::anyhow!("the peer failed: {error}"))?;
    Ok(u64::try_from(start.elapsed().as_micros())?)
}
