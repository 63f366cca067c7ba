//! The same log through cqrs-es's own framework: a repository that reads the table as sqlite-es and postgres-es do,
//! and writes through the log's writer. That those two read the same table unchanged is tested with `bench/stock`.

use std::collections::BTreeMap;
use std::sync::Arc;

use cqrs_es::Aggregate;
use cqrs_es::persist::{
    EventUpcaster as _, PersistedEventRepository, PersistenceError, ReplayFeed, ReplayStream, SerializedEvent,
    SerializedSnapshot,
};
use serde_json::Value;
use uuid::Uuid;
use wasend_domain::{AccountId, Actor, Clock, EventId, EventMetadata, RecordedEvent, StreamId};

use crate::{
    Append, AppendRejection, CommandId, Db, EventFilter, EventLog, LogError, NewEvent, StreamAppend, UpcasterChain,
    read, upcast::with_recorded_at,
};

/// Events that a replay reads at once, and that wait between the database and its reader.
const REPLAY_EVENTS_MAX: usize = 1_000;

/// The log as a repository of cqrs-es, for one account: it neither reads nor writes another account's events. Events are
/// read as they were written; upcasting is done by cqrs-es's store. Only its event store mode is supported: its snapshots
/// apply events twice.
pub struct CqrsEsAdapter {
    db: Db,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    account_id: AccountId,
    actor: Actor,
}

/// Why the log cannot do what cqrs-es asked of it.
#[derive(Debug, thiserror::Error)]
enum UnsupportedOperation {
    #[error("this log keeps no snapshots: use PersistedEventStore::new_event_store")]
    Snapshots,
    #[error("an aggregate id is not a UUID")]
    AggregateId,
    #[error("the metadata is not a map of texts")]
    Metadata,
    #[error("a sequence is beyond this machine's numbers")]
    Sequence,
    #[error("the same command id was used before with another content")]
    CommandReused,
}

impl From<UnsupportedOperation> for PersistenceError {
    fn from(error: UnsupportedOperation) -> Self {
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

impl CqrsEsAdapter {
    /// `log` must be the log in `db`.
    pub fn new(db: &Db, log: Arc<dyn EventLog>, clock: Arc<dyn Clock>, account_id: AccountId, actor: Actor) -> Self {
        Self { db: db.clone(), log, clock, account_id, actor }
    }

    /// The events of an aggregate after a sequence. An id that is no UUID names nothing in this log.
    async fn read<A: Aggregate>(&self, id: &str, after: u64) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let Ok(aggregate_id) = Uuid::try_parse(id) else { return Ok(Vec::new()) };
        let events = read::load(&self.db, &[StreamId { aggregate_type: A::TYPE, aggregate_id }]).await?;
        let own = |event: &RecordedEvent| event.account_id == self.account_id && event.sequence > after;
        events.into_iter().filter(own).map(serialized).collect()
    }

    fn append<A: Aggregate>(&self, events: &[SerializedEvent]) -> Result<Option<Append>, PersistenceError> {
        let Some(first) = events.first() else { return Ok(None) };
        let aggregate_id = Uuid::try_parse(&first.aggregate_id).map_err(|_| UnsupportedOperation::AggregateId)?;
        let texts: BTreeMap<String, String> =
            serde_json::from_value(first.metadata.clone()).map_err(|_| UnsupportedOperation::Metadata)?;
        let mut metadata = EventMetadata::by(self.actor);
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

impl PersistedEventRepository for CqrsEsAdapter {
    async fn get_events<A: Aggregate>(&self, id: &str) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.read::<A>(id, 0).await
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.read::<A>(id, last_sequence as u64).await
    }

    async fn get_snapshot<A: Aggregate>(&self, _: &str) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Err(UnsupportedOperation::Snapshots.into())
    }

    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        snapshot_update: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        if snapshot_update.is_some() {
            return Err(UnsupportedOperation::Snapshots.into());
        }
        let Some(append) = self.append::<A>(events)? else { return Ok(()) };
        for answer in self.log.append(vec![append]).await? {
            match answer {
                Ok(_) => {}
                Err(AppendRejection::Conflict { .. }) => return Err(PersistenceError::OptimisticLockError),
                Err(AppendRejection::CommandReused) => return Err(UnsupportedOperation::CommandReused.into()),
            }
        }
        Ok(())
    }

    async fn stream_events<A: Aggregate>(&self, id: &str) -> Result<ReplayStream, PersistenceError> {
        let events = self.read::<A>(id, 0).await?;
        let (mut feed, stream) = ReplayStream::new(events.len().max(1));
        for event in events {
            // There is room for each of them, so that none waits for its reader.
            feed.push(Ok(event)).await?;
        }
        Ok(stream)
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        let (feed, stream) = ReplayStream::new(REPLAY_EVENTS_MAX);
        let filter = EventFilter { account_id: Some(self.account_id), ..EventFilter::default() };
        tokio::spawn(feed_all(feed, self.db.clone(), filter, A::TYPE));
        Ok(stream)
    }
}

/// All events of one type of aggregate, in the order of the log, until their reader goes away or the log fails.
async fn feed_all(mut feed: ReplayFeed, db: Db, filter: EventFilter, aggregate_type: &'static str) {
    let mut after = 0;
    loop {
        let page = match read::read(&db, after, REPLAY_EVENTS_MAX, &filter).await {
            Ok(page) => page,
            Err(error) => return drop(feed.push(Err(error.into())).await),
        };
        let Some(last) = page.last() else { return };
        after = last.position;
        for event in page.into_iter().filter(|event| event.aggregate_type == aggregate_type) {
            if feed.push(serialized(event)).await.is_err() {
                return;
            }
        }
    }
}

fn serialized(event: RecordedEvent) -> Result<SerializedEvent, PersistenceError> {
    let sequence = usize::try_from(event.sequence).map_err(|_| UnsupportedOperation::Sequence)?;
    Ok(SerializedEvent::new(
        event.aggregate_id.to_string(),
        sequence,
        event.aggregate_type,
        event.event_type,
        event.event_version,
        serde_json::from_str(&event.payload)?,
        serde_json::to_value(&event.metadata)?,
    ))
}

/// An aggregate as its stored history makes it, read through this repository. Unlike cqrs-es's own replay it
/// reports an error in the middle instead of ending early.
pub async fn replay<A: Aggregate>(
    stock: &CqrsEsAdapter,
    upcasters: &UpcasterChain,
    id: Uuid,
) -> Result<A, PersistenceError> {
    let mut state = A::default();
    let events = stock.get_events::<A>(&id.to_string()).await?;
    let is_old = |event: &SerializedEvent| upcasters.can_upcast(&event.event_type, &event.event_version);
    // The stock repositories do not read when an event was recorded, which an upcaster may ask for.
    let recorded = if events.iter().any(is_old) {
        stock.log.load(&[StreamId { aggregate_type: A::TYPE, aggregate_id: id }]).await?
    } else {
        Vec::new()
    };
    for (index, event) in events.into_iter().enumerate() {
        let event = match recorded.get(index) {
            Some(envelope) => with_recorded_at(event, envelope.recorded_at),
            None => event,
        };
        let event = upcasters.upcast(event);
        state.apply(serde_json::from_value(event.payload)?);
    }
    Ok(state)
}
