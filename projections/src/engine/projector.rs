//! The front of the engine: started once in a process, asked by queries how far the read models are.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use wasend_domain::{Clock, Id, Position, Time, ids::kind};
use wasend_eventlog::{Db, EventLog, LogError};

use crate::engine::build::ProjectionBuild;
use crate::engine::checkpoints::{self, BuildState};
use crate::engine::context::{DaemonSignals, EngineContext, ProjectorOptions};
use crate::engine::daemon::ProjectionDaemon;
use crate::engine::notifications;
use crate::engine::projection::{LOG_IS_DAMAGED, Projection};
use crate::engine::reads::ReadModels;
use crate::engine::rebuild::{self, RebuildError, RebuildOptions, RebuildReport};
use crate::engine::registration::{StartError, ensure, forget, no_table_twice};
use crate::engine::sql::{EngineConnection, StoreError};

/// The read models did not reach the position in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the read models have not reached the position yet")]
pub struct WaitTimedOut;

/// How one build of a projection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionStatus {
    pub name: String,
    pub version: u32,
    pub state: BuildState,
    pub position: Position,
    /// Events in the log after its position.
    pub lag: u64,
    /// Why it stopped, and at which event.
    pub error: Option<String>,
    /// It stopped because the log does not give back what was written.
    pub log_is_damaged: bool,
    pub error_position: Option<Position>,
    pub updated_at: Time,
    /// Whether this code has the projection in this version; an older version's tables may still be there.
    pub current: bool,
}

/// Keeps every read model up to date, on this node or by following the one that does.
pub struct Projector {
    means: Arc<EngineContext>,
    projections: Vec<Arc<dyn Projection>>,
    signals: DaemonSignals,
    reads: ReadModels,
    tail: Mutex<Option<JoinHandle<()>>>,
    helpers: Vec<JoinHandle<()>>,
}

impl Projector {
    /// Makes the tables that are missing and starts to follow the log.
    pub async fn start(
        db: Db,
        log: Arc<dyn EventLog>,
        projections: Vec<Arc<dyn Projection>>,
        clock: Arc<dyn Clock>,
        options: ProjectorOptions,
    ) -> Result<Arc<Self>, StartError> {
        let builds: Vec<ProjectionBuild> = projections.iter().map(ProjectionBuild::serving).collect();
        no_table_twice(&builds)?;
        let mut conn = EngineConnection::durable(&db).await?;
        let known = checkpoints::entries(&mut conn.on()).await?;
        // Asked after the entries, so that a log in use is never behind them.
        let head = log.head().await?;
        for build in &builds {
            if known.iter().any(|entry| entry.id == build.id && entry.position > head) {
                warn!(projection.name = build.projection.name(), "the log is an earlier copy: folding anew");
                forget(&mut conn, build).await?;
            }
            ensure(&mut conn, build, clock.now()).await?;
            // Tried again by the node that folds it: a stop of an earlier start says nothing of how it stands now.
            checkpoints::resume(&mut conn.on(), &build.id, clock.now()).await?;
        }
        let owner = Id::<kind::EventTag>::fresh(clock.now()).to_string();
        let reads = ReadModels::new(db.clone(), &projections);
        let means = Arc::new(EngineContext::new((db, log), clock, owner, options));
        let signals = DaemonSignals {
            position: Arc::new(watch::Sender::new(0)),
            committed: Arc::new(watch::Sender::new(0)),
            wake: Arc::new(Notify::new()),
            stop: CancellationToken::new(),
        };
        let helpers = match &means.db {
            Db::Sqlite(_) => Vec::new(),
            Db::Postgres(pool) => vec![
                tokio::spawn(notifications::listen(pool.clone(), Arc::clone(&signals.wake))),
                tokio::spawn(notifications::notify(pool.clone(), signals.committed.subscribe())),
            ],
        };
        let tail = tokio::spawn(ProjectionDaemon::new(Arc::clone(&means), signals.clone(), builds).run());
        Ok(Arc::new(Self { means, projections, signals, reads, tail: Mutex::new(Some(tail)), helpers }))
    }

    /// What all live projections have reached, whichever node folds them.
    pub fn position(&self) -> watch::Receiver<Position> {
        self.signals.position.subscribe()
    }

    /// Waits until every live projection shows the event at this position.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> Result<(), WaitTimedOut> {
        let mut reached = self.signals.position.subscribe();
        let wait = reached.wait_for(|reached| *reached >= position);
        match tokio::time::timeout(timeout, wait).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(WaitTimedOut),
        }
    }

    /// The tables that serve.
    pub fn reads(&self) -> &ReadModels {
        &self.reads
    }

    /// Every build that the database knows, by name and version.
    pub async fn status(&self) -> Result<Vec<ProjectionStatus>, ProjectionStatusError> {
        status(&self.means.db, self.means.log.as_ref(), &self.projections).await
    }

    /// Builds a projection anew beside its serving tables, compares and switches.
    pub async fn rebuild(&self, name: &str, options: &RebuildOptions) -> Result<RebuildReport, RebuildError> {
        let projection = self.projections.iter().find(|projection| projection.name() == name);
        let projection = projection.ok_or_else(|| RebuildError::Unknown(name.to_owned()))?;
        let report = rebuild::run(&self.means, projection, options).await;
        self.signals.wake.notify_one();
        report
    }

    /// Finishes the batch under way and gives the leases back, so that another node goes on at once.
    pub async fn shutdown(&self) {
        self.signals.stop.cancel();
        if let Some(tail) = self.tail.lock().await.take()
            && let Err(error) = tail.await
        {
            tracing::error!(panicked = error.is_panic(), "the projections' tail did not end in order");
        }
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        self.signals.stop.cancel();
        self.helpers.iter().for_each(JoinHandle::abort);
    }
}

/// The registry or the log could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionStatusError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Every build that the database knows, without a running engine.
pub async fn status(
    db: &Db,
    log: &dyn EventLog,
    projections: &[Arc<dyn Projection>],
) -> Result<Vec<ProjectionStatus>, ProjectionStatusError> {
    let mut conn = EngineConnection::durable(db).await.map_err(StoreError::from)?;
    let entries = checkpoints::entries(&mut conn.on()).await?;
    let head = log.head().await?;
    let current: Vec<String> = projections.iter().map(|projection| ProjectionBuild::serving(projection).id).collect();
    let status = |entry: checkpoints::CheckpointRow| ProjectionStatus {
        current: current.contains(&entry.id),
        name: entry.name,
        version: entry.version,
        state: entry.state,
        position: entry.position,
        lag: head.saturating_sub(entry.position),
        log_is_damaged: entry.error.as_deref().is_some_and(|error| error.starts_with(LOG_IS_DAMAGED)),
        error: entry.error,
        error_position: entry.error_position.and_then(|position| Position::try_from(position).ok()),
        updated_at: entry.updated_at,
    };
    Ok(entries.into_iter().map(status).collect())
}
