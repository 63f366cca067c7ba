//! What the parts of the engine share: what they work with, how they are woken, and how a turn fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use wasend_domain::{Clock, Position};
use wasend_eventlog::{Db, EventLog, LogError};

use crate::engine::batch::DecodeFn;
use crate::engine::sql::StoreError;

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
