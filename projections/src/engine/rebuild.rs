//! Rebuilding a projection without downtime: its tables are built anew beside those that serve, compared with them
//! at one position, and switched by renames in one transaction. Works beside a running server from another process.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;
use wasend_domain::{Clock, Id, Position, ids::kind};
use wasend_eventlog::{Db, EventFilter, EventLog, LogError};

use crate::engine::batch::{self, DecodedEvent};
use crate::engine::batch_rows::BatchRows;
use crate::engine::build::ProjectionBuild;
use crate::engine::checkpoints::{self, BuildState, CheckpointRow};
use crate::engine::commit::{self, ProjectionWrite, WriteOutcome};
use crate::engine::compare::{TableComparison, compare};
use crate::engine::context::{EngineContext, EngineFailure, ProjectorOptions};
use crate::engine::lease::Leases;
use crate::engine::prefetch::{BatchRange, PrefetchedBatch, Prefetcher};
use crate::engine::projection::{PoisonCause, Projection};
use crate::engine::registration::{StartError, ensure, forget};
use crate::engine::sql::{EngineConnection, EngineTransaction, StoreError};

/// How long a rebuild that died keeps another from starting.
const REBUILD_LEASE_TTL: Duration = Duration::from_secs(30);

/// How a rebuild runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct RebuildOptions {
    /// Switch although the rebuilt tables differ from the serving ones.
    pub force: bool,
}

/// What a rebuild found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildReport {
    pub projection: String,
    pub version: u32,
    /// The position at which the tables were compared.
    pub compared_at: Position,
    pub tables: Vec<TableComparison>,
    /// Whether the rebuilt tables serve now; if not, they are gone and the serving ones are as they were.
    pub switched: bool,
}

impl RebuildReport {
    /// Whether the new build has the rows of the one that it replaces.
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(TableComparison::is_equal)
    }
}

/// Why a projection was not rebuilt; the one in use stays.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error("no projection is called {0}")]
    Unknown(String),
    #[error("the projection is being rebuilt already")]
    Busy,
    #[error("the rebuild was taken over by another one")]
    TakenOver,
    #[error("the rebuild stopped at event {position}: {poison}")]
    Poisoned { position: Position, poison: PoisonCause },
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<EngineFailure> for RebuildError {
    fn from(failure: EngineFailure) -> Self {
        match failure {
            EngineFailure::Store(error) => error.into(),
            EngineFailure::Log(error) => error.into(),
        }
    }
}

impl From<sqlx::Error> for RebuildError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Rebuilds a projection from a process that runs no engine.
pub async fn rebuild(
    db: Db,
    log: Arc<dyn EventLog>,
    projection: &Arc<dyn Projection>,
    clock: Arc<dyn Clock>,
    (options, rebuild): (ProjectorOptions, &RebuildOptions),
) -> Result<RebuildReport, RebuildError> {
    let means = Arc::new(EngineContext::new((db, log), clock, String::new(), options));
    run(&means, projection, rebuild).await
}

pub(crate) async fn run(
    means: &Arc<EngineContext>,
    projection: &Arc<dyn Projection>,
    options: &RebuildOptions,
) -> Result<RebuildReport, RebuildError> {
    let rebuild = RebuildRun {
        // Of this run: two rebuilds in one process exclude one another as well.
        owner: Id::<kind::EventTag>::fresh(means.clock.now()).to_string(),
        serving: ProjectionBuild::serving(projection),
        beside: Arc::new(ProjectionBuild::beside(projection)),
        leases: Leases::new(means.db.clone()),
        means,
    };
    let lease = rebuild.beside.lease();
    rebuild.renew().await?.ok_or(RebuildError::Busy)?;
    let result = tokio::select! {
        result = rebuild.build_and_switch(options) => result,
        lost = rebuild.keep_lease() => Err(lost),
    };
    rebuild.leases.release(&[lease], &rebuild.owner).await?;
    result
}

struct RebuildRun<'a> {
    means: &'a Arc<EngineContext>,
    owner: String,
    serving: ProjectionBuild,
    beside: Arc<ProjectionBuild>,
    leases: Leases,
}

impl RebuildRun<'_> {
    async fn renew(&self) -> Result<Option<i64>, StoreError> {
        self.leases.acquire(self.means.clock.as_ref(), &self.beside.lease(), &self.owner, REBUILD_LEASE_TTL).await
    }

    /// Keeps the lease for as long as it is polled; ends when that fails.
    async fn keep_lease(&self) -> RebuildError {
        loop {
            tokio::time::sleep(REBUILD_LEASE_TTL / 3).await;
            match self.renew().await {
                Ok(Some(_)) => {}
                Ok(None) => return RebuildError::TakenOver,
                Err(error) => return error.into(),
            }
        }
    }

    async fn build_and_switch(&self, options: &RebuildOptions) -> Result<RebuildReport, RebuildError> {
        let mut conn = EngineConnection::relaxed(&self.means.db).await?;
        let number = self.begin(&mut conn).await?;
        let mut position = 0;
        let built = self.build_and_compare(&mut conn, number, &mut position).await;
        let (compared_at, tables) = match built {
            Ok(built) => built,
            Err(error @ (RebuildError::TakenOver | RebuildError::Store(_))) => return Err(error),
            Err(error) => {
                forget(&mut conn, &self.beside).await?;
                return Err(error);
            }
        };
        let equal = tables.iter().all(TableComparison::is_equal);
        let switched = equal || options.force;
        if switched {
            self.switch(&mut conn, number, position).await?;
        } else {
            forget(&mut conn, &self.beside).await?;
        }
        let name = self.serving.projection.name();
        info!(projection.name = name, event.position = compared_at, equal, switched, "a projection was rebuilt");
        let version = self.serving.projection.version();
        Ok(RebuildReport { projection: name.to_owned(), version, compared_at, tables, switched })
    }

    /// Makes the tables beside the serving ones, whatever an earlier attempt has left of them.
    async fn begin(&self, conn: &mut EngineConnection) -> Result<i64, RebuildError> {
        let now = self.means.clock.now();
        ensure(conn, &self.serving, now).await?;
        let number = self.serving_entry(conn).await?.build + 1;
        let mut tx = conn.begin().await?;
        checkpoints::delete(&mut tx.on(), &self.beside.id).await?;
        checkpoints::insert(&mut tx.on(), &self.beside, number, BuildState::Rebuilding, now).await?;
        self.beside.create(&mut tx.on()).await?;
        tx.commit().await?;
        Ok(number)
    }

    async fn build_and_compare(
        &self,
        conn: &mut EngineConnection,
        number: i64,
        position: &mut Position,
    ) -> Result<(Position, Vec<TableComparison>), RebuildError> {
        let serving = self.serving_entry(conn).await?.position;
        self.catch_up(conn, number, position, serving).await?;
        self.beside.index(conn, number).await?;
        // What the serving tables hold at one moment, while the daemon goes on writing them.
        let mut frozen = EngineConnection::relaxed(&self.means.db).await?;
        let mut snapshot = frozen.snapshot().await?;
        let entries = checkpoints::entries(&mut snapshot.on()).await?;
        let until = self.find_serving(entries)?.position;
        self.catch_up(conn, number, position, until).await?;
        let mut tables = Vec::with_capacity(self.serving.shapes.len());
        for (serving, rebuilt) in self.serving.shapes.iter().zip(&self.beside.shapes) {
            tables.push(compare((&mut snapshot.on(), serving), (&mut conn.on(), rebuilt)).await?);
        }
        snapshot.rollback().await?;
        Ok((until, tables))
    }

    /// Folds everything up to and with `until`.
    async fn catch_up(
        &self,
        conn: &mut EngineConnection,
        number: i64,
        position: &mut Position,
        until: Position,
    ) -> Result<(), RebuildError> {
        let mut lane = Prefetcher::default();
        while *position < until {
            let course = BatchRange { shards: vec![], from: *position, limit: self.means.bulk, until: Some(until) };
            let builds = || vec![Arc::clone(&self.beside)];
            let Some(PrefetchedBatch { events, mut folded }) = lane.next(self.means, &course, builds, false).await?
            else {
                return Err(nothing_after(*position));
            };
            let places = [self.place(number)];
            let fence = (self.owner.as_str(), self.means.clock.now());
            let written = commit::commit(conn, &places, (*position, &events), fence, &mut folded).await?;
            if !matches!(written, WriteOutcome::Done(_)) {
                // If the fold panics, this panics as well.
                lane.end().await;
            }
            accepted(written, (*position, &events))?;
            *position = batch::reached(*position, &events, events.len());
        }
        Ok(())
    }

    /// What is written of these tables, and how they stand then.
    fn place(&self, number: i64) -> ProjectionWrite<'_> {
        ProjectionWrite { build: &self.beside, number, state: BuildState::Rebuilding }
    }

    /// Reads, folds and writes one batch in a transaction that has others in it; where that leads.
    async fn step(
        &self,
        tx: &mut EngineTransaction<'_>,
        number: i64,
        position: Position,
        until: Position,
    ) -> Result<Position, RebuildError> {
        let filter = EventFilter { until: Some(until), ..EventFilter::default() };
        let events = self.means.log.read(position, self.means.batch, &filter).await?;
        if events.is_empty() {
            return Err(nothing_after(position));
        }
        let events = batch::decode(events, self.means.decode);
        let mut before = [BatchRows::default()];
        let mut loaded = batch::load(&mut tx.on(), std::slice::from_ref(&self.beside), &events, &mut before).await?;
        let [rows] = &mut before;
        let folded = loaded.remove(0).fold(&self.beside, &events, rows);
        let fence = (self.owner.as_str(), self.means.clock.now());
        let written = commit::write(&mut tx.on(), self.place(number), (position, &events), fence, folded).await?;
        accepted(written, (position, &events))?;
        Ok(batch::reached(position, &events, events.len()))
    }

    /// Puts the rebuilt tables in the place of the serving ones. Its checkpoint is locked first, as the daemon does,
    /// so that both stand at one position; a batch that the daemon has in hand then fails by its build's number.
    async fn switch(
        &self,
        conn: &mut EngineConnection,
        number: i64,
        mut position: Position,
    ) -> Result<(), RebuildError> {
        let serving = self.serving_entry(conn).await?.position;
        self.catch_up(conn, number, &mut position, serving).await?;
        let mut switching = EngineConnection::durable(&self.means.db).await?;
        let mut tx = switching.begin().await?;
        let now = self.means.clock.now();
        let locked = checkpoints::lock(&mut tx.on(), &self.serving.id, now).await?;
        let serving = self.find_serving(locked)?;
        // What the daemon has folded since: a batch or two, under the lock, or it might never be caught.
        while position < serving.position {
            position = self.step(&mut tx, number, position, serving.position).await?;
        }
        if checkpoints::lock(&mut tx.on(), &self.beside.id, now).await?.is_none_or(|entry| entry.build != number) {
            return Err(RebuildError::TakenOver);
        }
        let state = if serving.state == BuildState::Poisoned { BuildState::CatchingUp } else { serving.state };
        self.rename(&mut tx).await?;
        checkpoints::switch(&mut tx.on(), &self.serving.id, (position, number), state, now).await?;
        checkpoints::delete(&mut tx.on(), &self.beside.id).await?;
        Ok(tx.commit().await?)
    }

    async fn rename(&self, tx: &mut EngineTransaction<'_>) -> Result<(), sqlx::Error> {
        self.serving.remove(&mut tx.on()).await?;
        for (serving, rebuilt) in self.serving.shapes.iter().zip(&self.beside.shapes) {
            let sql = format!("ALTER TABLE {} RENAME TO {}", rebuilt.physical, serving.physical);
            tx.on().execute(&sql, &[]).await?;
        }
        Ok(())
    }

    async fn serving_entry(&self, conn: &mut EngineConnection) -> Result<CheckpointRow, RebuildError> {
        let entries = checkpoints::entries(&mut conn.on()).await?;
        self.find_serving(entries)
    }

    fn find_serving(&self, entries: impl IntoIterator<Item = CheckpointRow>) -> Result<CheckpointRow, RebuildError> {
        let found = entries.into_iter().find(|entry| entry.id == self.serving.id);
        found.ok_or_else(|| RebuildError::Unknown(self.serving.projection.name().to_owned()))
    }
}

fn nothing_after(position: Position) -> RebuildError {
    LogError::Damaged(format!("there is no event after position {position}")).into()
}

/// Only a whole batch of a rebuild counts.
fn accepted(written: WriteOutcome, (from, events): (Position, &[DecodedEvent])) -> Result<(), RebuildError> {
    match written {
        WriteOutcome::Done(ends) => match ends.into_iter().find_map(|end| Some((end.count, end.poison?))) {
            None => Ok(()),
            Some((count, poison)) => {
                let position = events.get(count).map_or(from, |event| event.recorded.position);
                Err(RebuildError::Poisoned { position, poison })
            }
        },
        WriteOutcome::Fenced => Err(RebuildError::TakenOver),
        WriteOutcome::Rejected { code, .. } => {
            Err(RebuildError::Poisoned { position: from, poison: PoisonCause::Rejected(code) })
        }
    }
}
