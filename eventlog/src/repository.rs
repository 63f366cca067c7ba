//! Aggregates as their histories make them.

use std::collections::HashMap;

use uuid::Uuid;
use wasend_domain::{AccountId, DecidingAggregate, Position, RecordedEvent, StreamId};

use crate::{EventLog, LogError};

/// An aggregate that the executor can run: its commands can be tried again, and its answers travel between threads.
pub trait ExecutableAggregate: DecidingAggregate<Command: Clone + Send + Sync, Error: Send + Sync> + 'static {}

impl<A: DecidingAggregate<Command: Clone + Send + Sync, Error: Send + Sync> + 'static> ExecutableAggregate for A {}

/// An aggregate and how far its history was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedAggregate<A> {
    pub state: A,
    /// Of its last event, 0 if it has none; decisions that are planned on it move it on.
    pub sequence: u64,
    /// Of its last recorded event, 0 if it has none.
    pub position: Position,
}

impl<A: Default> Default for LoadedAggregate<A> {
    fn default() -> Self {
        Self { state: A::default(), sequence: 0, position: 0 }
    }
}

/// What an account finds under an id. A foreign stream must be answered like an absent one: an account cannot learn
/// that it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamLookup<A> {
    Absent,
    /// It belongs to another account.
    Foreign,
    Present(LoadedAggregate<A>),
}

impl<A> StreamLookup<A> {
    /// The aggregate if the account has it.
    pub fn present(self) -> Option<LoadedAggregate<A>> {
        match self {
            Self::Present(loaded) => Some(loaded),
            Self::Absent | Self::Foreign => None,
        }
    }
}

/// Loads aggregates as a set; there is an entry for every id that was asked for.
pub async fn load<A: ExecutableAggregate>(
    log: &dyn EventLog,
    account_id: AccountId,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, StreamLookup<A>>, LogError> {
    let mut found = histories::<A>(log, ids.iter().copied()).await?;
    let mut stream = |id: &Uuid| match found.remove(id) {
        None => StreamLookup::Absent,
        Some((owner, _)) if owner != account_id => StreamLookup::Foreign,
        Some((_, loaded)) => StreamLookup::Present(loaded),
    };
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids.iter().map(|id| (*id, stream(id))).collect())
}

/// Those of the aggregates that exist, each with the account that owns it.
pub(crate) async fn histories<A: ExecutableAggregate>(
    log: &dyn EventLog,
    ids: impl Iterator<Item = Uuid> + Send,
) -> Result<HashMap<Uuid, (AccountId, LoadedAggregate<A>)>, LogError> {
    let streams: Vec<_> = ids.map(|aggregate_id| StreamId { aggregate_type: A::TYPE, aggregate_id }).collect();
    let mut found = HashMap::<Uuid, (AccountId, LoadedAggregate<A>)>::new();
    for event in log.load(&streams).await? {
        let (_, loaded) =
            found.entry(event.aggregate_id).or_insert_with(|| (event.account_id, LoadedAggregate::default()));
        apply(loaded, &event)?;
    }
    Ok(found)
}

fn apply<A: ExecutableAggregate>(loaded: &mut LoadedAggregate<A>, event: &RecordedEvent) -> Result<(), LogError> {
    let damaged = |what| LogError::Damaged(format!("{what} at position {}", event.position));
    if event.sequence != loaded.sequence + 1 {
        return Err(damaged("a gap in the stream"));
    }
    // The error of the decoder may quote what it read.
    let payload = serde_json::from_str(&event.payload).map_err(|_| damaged("an event that cannot be decoded"))?;
    loaded.state.apply(payload);
    loaded.sequence = event.sequence;
    loaded.position = event.position;
    Ok(())
}
