//! What the parts of the engine share: what they work with, how they are woken, and how a turn fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use wasend_domain::{AnyEvent, Clock, Position, RecordedEvent};
use wasend_eventlog::{Db, EventLog, LogError};

use crate::engine::batch::DecodeFn;
use crate::engine::sql::StoreError;

/// How the engine runs.
#[derive(Debug, Clone, Copy)]
pub struct ProjectorOptions {
    /// Most events that are folded in one transaction.
    pub batch: usize,
    /// The same while the tables have no readers: as long as no projection is live, and by a rebuild.
    pub bulk: usize,
    /// How long a node that has died keeps the others from folding.
    pub lease: Duration,
    /// How often progress is looked for that was not notified.
    pub poll: Duration,
    pub(crate) decode: DecodeFn,
}

impl Default for ProjectorOptions {
    fn default() -> Self {
        let decode = |recorded: &RecordedEvent| AnyEvent::decode(recorded).ok();
        Self { batch: 2_000, bulk: 8_000, lease: Duration::from_secs(5), poll: Duration::from_millis(250), decode }
    }
}

/// What the daemon works with.
pub(crate) struct EngineContext {
    pub db: Db,
    pub log: Arc<dyn EventLog>,
    pub clock: Arc<dyn Clock>,
    /// This node, for the leases.
    pub owner: String,
    pub decode: DecodeFn,
    pub batch: usize,
    /// The same while no projection is live.
    pub bulk: usize,
    pub lease: Duration,
    pub poll: Duration,
}

impl EngineContext {
    /// The parts of an engine of `owner`, which is a node or, for a rebuild without a node, empty.
    pub fn new(
        (db, log): (Db, Arc<dyn EventLog>),
        clock: Arc<dyn Clock>,
        owner: String,
        options: ProjectorOptions,
    ) -> Self {
        let ProjectorOptions { batch, bulk, lease, poll, decode } = options;
        Self { db, log, clock, owner, decode, batch: batch.max(1), bulk: bulk.max(1), lease, poll }
    }
}

/// How other tasks hear of the daemon and wake it.
#[derive(Clone)]
pub(crate) struct DaemonSignals {
    /// What all live projections have reached, whichever node folds them.
    pub position: Arc<watch::Sender<Position>>,
    /// What this node has committed.
    pub committed: Arc<watch::Sender<Position>>,
    pub wake: Arc<Notify>,
    pub stop: CancellationToken,
}

/// Why a turn came to nothing; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineFailure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<sqlx::Error> for EngineFailure {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
