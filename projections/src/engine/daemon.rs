//! The projection daemon: follows the log for every build at once. Those at the front go together, in one transaction
//! a batch; one that lags catches up by separate batches in between, until it stands where the others do.

mod damage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};
use wasend_domain::{Position, Time};
use wasend_eventlog::{Db, LogError};

use crate::engine::batch::{self, DecodedEvent};
use crate::engine::build::ProjectionBuild;
use crate::engine::checkpoints::{self, BuildState};
use crate::engine::commit::{self, ProjectionProgress, ProjectionWrite, WriteOutcome};
use crate::engine::context::{DaemonSignals, EngineContext, EngineFailure};
use crate::engine::lease::Leases;
use crate::engine::prefetch::{BatchRange, PrefetchedBatch, Prefetcher};
use crate::engine::projection::PoisonCause;
use crate::engine::shard::ProjectionShard;
use crate::engine::sql::{EngineConnection, StoreError, code, refuses_values};

/// The wait after a failure of the database, doubled up to the longest while it lasts.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// The front's batches, and those of the shard that lags most.
const FRONT: usize = 0;
const LAST: usize = 1;

/// Where some shards stand and how large their next batch is at most, and which they are.
type ShardGroup = ((Position, usize), Vec<usize>);

pub(crate) struct ProjectionDaemon {
    means: Arc<EngineContext>,
    signals: DaemonSignals,
    leases: Leases,
    shards: Vec<ProjectionShard>,
    /// Writes.
    conn: Option<EngineConnection>,
    lanes: [Prefetcher; 2],
    chore: Option<AbortOnDropHandle<()>>,
    /// When the leases are to be renewed or tried for.
    tend_at: Time,
}

impl ProjectionDaemon {
    /// A daemon that has read nothing yet.
    pub fn new(means: Arc<EngineContext>, signals: DaemonSignals, builds: Vec<ProjectionBuild>) -> Self {
        Self {
            leases: Leases::new(means.db.clone()),
            shards: builds.into_iter().map(ProjectionShard::new).collect(),
            conn: None,
            lanes: Default::default(),
            chore: None,
            tend_at: Time::from_micros(i64::MIN),
            means,
            signals,
        }
    }

    /// Runs until it is told to stop, then gives its leases back.
    pub async fn run(mut self) {
        let mut head = self.means.log.watch();
        let mut pause = RETRY_DELAY_MIN;
        while !self.signals.stop.is_cancelled() {
            head.borrow_and_update();
            match self.run_once().await {
                Ok(true) => pause = RETRY_DELAY_MIN,
                Ok(false) => {
                    pause = RETRY_DELAY_MIN;
                    self.rest(&mut head).await;
                }
                Err(failure) => {
                    warn!(error = %failure, "projections could not be brought forward");
                    counter!("wasend_projection_failures_total").increment(1);
                    (self.conn, self.lanes) = (None, Default::default());
                    tokio::select! {
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_DELAY_MAX),
                        () = self.signals.stop.cancelled() => {}
                    }
                }
            }
        }
        if let Err(failure) = self.leases.release(&self.lease_names(), &self.means.owner).await {
            debug!(error = %failure, "leases were not given back; they run out");
        }
    }

    /// Waits until there may be something to do.
    async fn rest(&self, head: &mut watch::Receiver<Position>) {
        let moved = async {
            if head.changed().await.is_err() {
                // The log is closed; the timer remains.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = moved => {}
            () = self.signals.wake.notified() => {}
            () = tokio::time::sleep(self.means.poll) => {}
            () = self.signals.stop.cancelled() => {}
        }
    }

    /// One step of the front and one of the shard that lags most; false if there was nothing to do.
    async fn run_once(&mut self) -> Result<bool, EngineFailure> {
        let due = self.means.clock.now() >= self.tend_at;
        if due || self.may_take_over().await? {
            self.tend().await?;
        } else if self.shards.iter().any(|shard| !shard.held) {
            self.refresh().await?;
        }
        let mut groups = self.groups();
        let Some(front) = groups.pop() else { return Ok(false) };
        let mut worked = self.step(FRONT, &front, None).await?;
        if let Some(last) = groups.first() {
            let (_, ahead) = groups.get(1).unwrap_or(&front);
            worked |= self.step(LAST, last, Some(ahead)).await?;
        }
        Ok(worked)
    }

    /// The held shards that are not poisoned, grouped by where they stand, from the last to the front.
    fn groups(&self) -> Vec<ShardGroup> {
        let mut groups = std::collections::BTreeMap::<(Position, usize), Vec<usize>>::new();
        let most = self.most();
        for (at, shard) in
            self.shards.iter().enumerate().filter(|(_, shard)| shard.held && shard.state != BuildState::Poisoned)
        {
            groups.entry((shard.position, shard.limit.unwrap_or(most))).or_default().push(at);
        }
        groups.into_iter().collect()
    }

    /// Most events of a batch. As long as the tables have no readers a large one is better: a row that many of its
    /// events change is written once.
    fn most(&self) -> usize {
        let any_live = self.shards.iter().any(|shard| shard.state == BuildState::Live);
        if any_live { self.means.batch } else { self.means.bulk }
    }

    /// Writes the next batch of shards that stand at one position, which goes no further than those ahead of them.
    async fn step(
        &mut self,
        lane: usize,
        ((from, limit), group): &ShardGroup,
        ahead: Option<&[usize]>,
    ) -> Result<bool, EngineFailure> {
        let (from, limit) = (*from, *limit);
        let until = ahead.map(|ahead| self.shards[ahead[0]].position);
        // Who has read all there is, or all that a live projection has read, stands with the others.
        let joined = ahead.is_none_or(|ahead| ahead.iter().any(|shard| self.shards[*shard].state == BuildState::Live));
        let joins = joined && group.iter().any(|shard| self.shards[*shard].state != BuildState::Live);
        let course = BatchRange { shards: group.clone(), from, limit, until };
        let builds = || group.iter().map(|shard| Arc::clone(&self.shards[*shard].build)).collect();
        let next = match self.lanes[lane].next(&self.means, &course, builds, joins).await {
            Err(EngineFailure::Log(LogError::Damaged(why))) => return self.damaged(lane, &course, why).await,
            next => next?,
        };
        if next.as_ref().is_none_or(|batch| batch.events.is_empty()) && damage::lacks_next(&self.means, &course).await?
        {
            let why = format!("there is no event at position {}", from + 1);
            return self.damaged(lane, &course, why).await;
        }
        let Some(PrefetchedBatch { events, mut folded }) = next else { return Ok(false) };
        let complete = events.len() < limit && joined;
        let began = Instant::now();
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => EngineConnection::relaxed(&self.means.db).await?,
        };
        if complete && joins && !self.index(&mut conn, group).await? {
            self.conn = Some(conn);
            return Ok(true);
        }
        let places: Vec<ProjectionWrite<'_>> = group.iter().map(|shard| self.shards[*shard].place(complete)).collect();
        let fence = (self.means.owner.as_str(), self.means.clock.now());
        let written = commit::commit(&mut conn, &places, (from, &events), fence, &mut folded).await?;
        self.conn = Some(conn);
        histogram!("wasend_projection_batch_seconds").record(began.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer than 2^52 events")]
        histogram!("wasend_projection_batch_events").record(events.len() as f64);
        match written {
            WriteOutcome::Done(ends) => {
                let whole = ends.iter().all(|end| end.count == events.len());
                self.moved(group, (from, &events), ends, complete);
                if events.len() < limit || !whole {
                    self.lanes[lane].end().await;
                }
            }
            WriteOutcome::Fenced => {
                // Another node wrote, or a rebuild was switched: look again where everything stands.
                self.lanes[lane].end().await;
                self.tend().await?;
            }
            WriteOutcome::Rejected { place, code } => {
                self.lanes[lane].end().await;
                self.rejected(group[place], (from, &events), code).await?;
            }
        }
        Ok(true)
    }

    fn moved(
        &mut self,
        group: &[usize],
        (from, events): (Position, &[DecodedEvent]),
        ends: Vec<ProjectionProgress>,
        complete: bool,
    ) {
        for (shard, end) in group.iter().zip(ends) {
            let shard = &mut self.shards[*shard];
            shard.state = shard.state_after(complete);
            shard.position = batch::reached(from, events, end.count);
            shard.limit = None;
            shard.upkeep.count(end.put, end.deleted);
            if let Some(poison) = &end.poison {
                let at = events.get(end.count).map_or(from, |event| event.recorded.position);
                shard.poisoned(at, poison);
            }
        }
        self.see_to_tables();
        self.publish();
        let furthest = group.iter().map(|shard| self.shards[*shard].position).max().unwrap_or(from);
        self.signals.committed.send_if_modified(|committed| std::mem::replace(committed, furthest) != furthest);
    }

    /// Does what Postgres needs for the tables of some build, beside what the daemon does.
    fn see_to_tables(&mut self) {
        let Db::Postgres(pool) = &self.means.db else { return };
        if self.chore.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let mut live = self.shards.iter_mut().filter(|shard| shard.state == BuildState::Live);
        let Some((shard, chore)) = live.find_map(|shard| shard.upkeep.due().map(|chore| (shard, chore))) else {
            return;
        };
        let (pool, build) = (pool.clone(), Arc::clone(&shard.build));
        self.chore = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = build.run_maintenance(chore, &pool).await {
                debug!(error = %StoreError::from(error), ?chore, "the server does it later by itself");
            }
        })));
    }

    /// The database refused the values of one build's rows: it goes on alone by smaller batches, so that the others
    /// are not held up, and stops at the event itself.
    async fn rejected(
        &mut self,
        which: usize,
        (from, events): (Position, &[DecodedEvent]),
        code: String,
    ) -> Result<(), EngineFailure> {
        if events.len() > 1 {
            self.shards[which].limit = Some(events.len() / 2);
            return Ok(());
        }
        let at = events.first().map_or(from, |event| event.recorded.position);
        self.poison(which, at, &PoisonCause::Rejected(code)).await
    }

    /// Makes the indexes of those that join the others; false if the database refused the values of one, which stops.
    async fn index(&mut self, conn: &mut EngineConnection, group: &[usize]) -> Result<bool, EngineFailure> {
        for which in group.iter().copied().filter(|shard| self.shards[*shard].state != BuildState::Live) {
            let shard = &self.shards[which];
            match shard.build.index(conn, shard.number).await {
                Err(error) if refuses_values(&error) => {
                    self.poison(which, shard.position, &PoisonCause::Rejected(code(&error))).await?;
                    return Ok(false);
                }
                made => made?,
            }
        }
        Ok(true)
    }

    async fn poison(&mut self, which: usize, at: Position, poison: &PoisonCause) -> Result<(), EngineFailure> {
        let mut conn = EngineConnection::durable(&self.means.db).await?;
        let mut tx = conn.begin().await?;
        checkpoints::poison(&mut tx.on(), &self.shards[which].build.id, at, poison, self.means.clock.now()).await?;
        tx.commit().await?;
        self.shards[which].poisoned(at, poison);
        self.publish();
        Ok(())
    }

    /// Renews or tries for the leases, and looks where every build stands. Nodes with the same projections compete
    /// for one lease, so that one of them folds all; a build's own lease keeps nodes of different versions apart.
    async fn tend(&mut self) -> Result<(), EngineFailure> {
        let EngineContext { clock, lease, owner, .. } = self.means.as_ref();
        let names = self.lease_names();
        let tail = self.leases.acquire(clock.as_ref(), &names[0], owner, *lease).await?;
        let granted = match tail {
            Some(_) => self.leases.acquire_all(clock.as_ref(), &names[1..], owner, *lease).await?,
            None => vec![None; self.shards.len()],
        };
        self.tend_at = clock.now().plus(*lease / 3);
        for (shard, granted) in self.shards.iter_mut().zip(granted) {
            let taken = granted.is_some() && !shard.held;
            shard.held = granted.is_some();
            if taken {
                info!(projection.name = shard.build.projection.name(), "this node folds the projection");
                shard.resume(&self.means).await?;
            }
        }
        self.refresh().await
    }

    /// Whether a lease that this node lacks is free: a node that stops in order gives its leases back.
    async fn may_take_over(&self) -> Result<bool, EngineFailure> {
        let names = self.lease_names();
        let held = self.shards.iter().map(|shard| shard.held);
        let lacking = |(name, held): (String, bool)| (!held).then_some(name);
        let any = self.shards.iter().any(|shard| shard.held);
        let lacking: Vec<String> =
            names.into_iter().zip(std::iter::once(any).chain(held)).filter_map(lacking).collect();
        Ok(!lacking.is_empty() && self.leases.any_free(self.means.clock.as_ref(), &lacking).await?)
    }

    /// The lease of the daemon of just these builds, then that of each.
    fn lease_names(&self) -> Vec<String> {
        let ids: Vec<&str> = self.shards.iter().map(|shard| shard.build.id.as_str()).collect();
        let tail = format!("tail/{}", ids.join("+"));
        std::iter::once(tail).chain(self.shards.iter().map(|shard| shard.build.lease())).collect()
    }

    async fn refresh(&mut self) -> Result<(), EngineFailure> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => EngineConnection::relaxed(&self.means.db).await?,
        };
        let entries = checkpoints::entries(&mut conn.on()).await?;
        self.conn = Some(conn);
        for entry in entries {
            if let Some(shard) = self.shards.iter_mut().find(|shard| shard.build.id == entry.id) {
                // What was prepared on other tables is of no use.
                if shard.number != entry.build {
                    self.lanes = Default::default();
                }
                (shard.number, shard.position, shard.state) = (entry.build, entry.position, entry.state);
            }
        }
        self.publish();
        Ok(())
    }

    /// Tells those who wait, and the metrics, how far the projections have come.
    fn publish(&self) {
        let live = self.shards.iter().filter(|shard| shard.state == BuildState::Live).map(|shard| shard.position).min();
        let position = live.or_else(|| self.shards.iter().map(|shard| shard.position).min()).unwrap_or(0);
        self.signals.position.send_if_modified(|known| std::mem::replace(known, position) != position);
        let head = *self.means.log.watch().borrow();
        for shard in &self.shards {
            let name = shard.build.projection.name();
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; positions below 2^52 are exact")]
            let (position, lag) = (shard.position as f64, head.saturating_sub(shard.position) as f64);
            gauge!("wasend_projection_position", "projection" => name).set(position);
            gauge!("wasend_projection_lag_events", "projection" => name).set(lag);
            gauge!("wasend_projection_poisoned", "projection" => name)
                .set(f64::from(u8::from(shard.state == BuildState::Poisoned)));
        }
    }
}
