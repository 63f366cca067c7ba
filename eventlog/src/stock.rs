//! The same log through cqrs-es's own framework: reads go to the stock repositories, writes to our writer.

use std::collections::BTreeMap;
use std::sync::Arc;

use cqrs_es::Aggregate;
use cqrs_es::persist::{
    EventUpcaster as _, PersistedEventRepository, PersistenceError, ReplayStream, SerializedEvent, SerializedSnapshot,
};
use postgres_es::PostgresEventRepository;
use serde_json::Value;
use sqlite_es::SqliteEventRepository;
use uuid::Uuid;
use wasend_domain::{AccountId, Actor, Clock, EventId, Metadata, StreamId};

use crate::{Append, CommandId, Db, EventLog, LogError, NewEvent, Rejected, StreamAppend, Upcasters};

/// The log as a repository of cqrs-es, for one account. Only its event store mode is supported: its snapshots apply
/// events twice.
pub struct Stock {
    reads: Reads,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    account_id: AccountId,
    actor: Actor,
}

enum Reads {
    Sqlite(SqliteEventRepository),
    Postgres(PostgresEventRepository),
}

/// Why the log cannot do what cqrs-es asked of it.
#[derive(Debug, thiserror::Error)]
enum Unsupported {
    #[error("this log keeps no snapshots: use PersistedEventStore::new_event_store")]
    Snapshots,
    #[error("an aggregate id is not a UUID")]
    AggregateId,
    #[error("the metadata is not a map of texts")]
    Metadata,
    #[error("the same command id was used before with another content")]
    CommandReused,
}

impl From<Unsupported> for PersistenceError {
    fn from(error: Unsupported) -> Self {
        Self::UnknownError(Box::new(error))
    }
}

impl From<LogError> for PersistenceError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Damaged(_) => Self::DeserializationError(Box::new(error)),
            _ => Self::ConnectionError(Box::new(error)),
        }
    }
}

impl Stock {
    /// `log` must be the log in `db`.
    pub fn new(db: &Db, log: Arc<dyn EventLog>, clock: Arc<dyn Clock>, account_id: AccountId, actor: Actor) -> Self {
        let reads = match db {
            Db::Sqlite(sqlite) => Reads::Sqlite(SqliteEventRepository::new(sqlite.pool().clone())),
            Db::Postgres(pool) => Reads::Postgres(PostgresEventRepository::new(pool.clone())),
        };
        Self { reads, log, clock, account_id, actor }
    }

    fn append<A: Aggregate>(&self, events: &[SerializedEvent]) -> Result<Option<Append>, PersistenceError> {
        let Some(first) = events.first() else { return Ok(None) };
        let aggregate_id = Uuid::try_parse(&first.aggregate_id).map_err(|_| Unsupported::AggregateId)?;
        let texts: BTreeMap<String, String> =
            serde_json::from_value(first.metadata.clone()).map_err(|_| Unsupported::Metadata)?;
        let mut metadata = Metadata::by(self.actor);
        metadata.0.extend(texts);
        let now = self.clock.now();
        let new = |event: &SerializedEvent| NewEvent {
            event_id: EventId::fresh(now),
            event_type: event.event_type.clone(),
            event_version: event.event_version.clone(),
            payload: event.payload.to_string(),
        };
        Ok(Some(Append {
            account_id: self.account_id,
            command_id: CommandId::Fresh(EventId::fresh(now).to_string()),
            metadata,
            streams: vec![StreamAppend {
                stream: StreamId { aggregate_type: A::TYPE, aggregate_id },
                expected: first.sequence.saturating_sub(1) as u64,
                events: events.iter().map(new).collect(),
            }],
        }))
    }
}

impl PersistedEventRepository for Stock {
    async fn get_events<A: Aggregate>(&self, id: &str) -> Result<Vec<SerializedEvent>, PersistenceError> {
        match &self.reads {
            Reads::Sqlite(reads) => reads.get_events::<A>(id).await,
            Reads::Postgres(reads) => reads.get_events::<A>(id).await,
        }
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        match &self.reads {
            Reads::Sqlite(reads) => reads.get_last_events::<A>(id, last_sequence).await,
            Reads::Postgres(reads) => reads.get_last_events::<A>(id, last_sequence).await,
        }
    }

    async fn get_snapshot<A: Aggregate>(&self, _: &str) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Err(Unsupported::Snapshots.into())
    }

    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        snapshot_update: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        if snapshot_update.is_some() {
            return Err(Unsupported::Snapshots.into());
        }
        let Some(append) = self.append::<A>(events)? else { return Ok(()) };
        for answer in self.log.append(vec![append]).await? {
            match answer {
                Ok(_) => {}
                Err(Rejected::Conflict { .. }) => return Err(PersistenceError::OptimisticLockError),
                Err(Rejected::CommandReused) => return Err(Unsupported::CommandReused.into()),
            }
        }
        Ok(())
    }

    async fn stream_events<A: Aggregate>(&self, id: &str) -> Result<ReplayStream, PersistenceError> {
        match &self.reads {
            Reads::Sqlite(reads) => reads.stream_events::<A>(id).await,
            Reads::Postgres(reads) => reads.stream_events::<A>(id).await,
        }
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        match &self.reads {
            Reads::Sqlite(reads) => reads.stream_all_events::<A>().await,
            Reads::Postgres(reads) => reads.stream_all_events::<A>().await,
        }
    }
}

/// An aggregate as its stored history makes it, read through the stock repository. Unlike cqrs-es's own replay it
/// reports an error in the middle instead of ending early.
pub async fn replay<A: Aggregate>(stock: &Stock, upcasters: &Upcasters, id: Uuid) -> Result<A, PersistenceError> {
    let mut state = A::default();
    for event in stock.get_events::<A>(&id.to_string()).await? {
        let event = upcasters.upcast(event);
        state.apply(serde_json::from_value(event.payload)?);
    }
    Ok(state)
}
