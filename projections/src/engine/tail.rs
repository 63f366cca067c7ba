//! The tail: follows the log for every build at once. Those at the front go together, in one transaction a batch;
//! one that lags catches up by batches of its own in between, until it stands where the others do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};
use wasend_domain::{Clock, Position, Time};
use wasend_eventlog::{Db, EventLog, Filter, LogError};

use crate::engine::batch::{self, Decode, Decoded, Folded, Part, Written};
use crate::engine::build::Build;
use crate::engine::lease::Leases;
use crate::engine::projection::Poison;
use crate::engine::registry::{self, State};
use crate::engine::sql::{Conn, StoreError};

/// The wait after a failure of the database, doubled up to the longest while it lasts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the tail works with.
pub(crate) struct Means {
    pub db: Db,
    pub log: Arc<dyn EventLog>,
    pub clock: Arc<dyn Clock>,
    /// This node, for the leases.
    pub owner: String,
    pub decode: Decode,
    pub batch: usize,
    pub lease: Duration,
    pub poll: Duration,
}

/// How others hear of the tail and wake it.
#[derive(Clone)]
pub(crate) struct Signals {
    /// What all live projections have reached, whichever node folds them.
    pub position: Arc<watch::Sender<Position>>,
    /// What this node has committed.
    pub committed: Arc<watch::Sender<Position>>,
    pub wake: Arc<Notify>,
    pub stop: CancellationToken,
}

/// A build and where it stands, as this node knows it.
pub(crate) struct Seat {
    pub build: Build,
    number: i64,
    position: Position,
    state: State,
    held: bool,
    /// Most events of its next batch; lowered to find a row that the database refuses.
    limit: usize,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

pub(crate) struct Tail {
    means: Arc<Means>,
    signals: Signals,
    leases: Leases,
    seats: Vec<Seat>,
    conn: Option<Conn>,
    /// When the leases are to be renewed or tried for.
    tend_at: Time,
}

impl Tail {
    pub fn new(means: Arc<Means>, signals: Signals, builds: Vec<Build>) -> Self {
        let limit = means.batch;
        let seat = |build| Seat { build, number: 0, position: 0, state: State::CatchingUp, held: false, limit };
        Self {
            leases: Leases::new(means.db.clone()),
            seats: builds.into_iter().map(seat).collect(),
            conn: None,
            tend_at: Time::from_micros(i64::MIN),
            means,
            signals,
        }
    }

    /// Runs until it is told to stop, then gives its leases back.
    pub async fn run(mut self) {
        let mut head = self.means.log.watch();
        let mut pause = FIRST_PAUSE;
        while !self.signals.stop.is_cancelled() {
            head.borrow_and_update();
            match self.turn().await {
                Ok(true) => pause = FIRST_PAUSE,
                Ok(false) => {
                    pause = FIRST_PAUSE;
                    self.rest(&mut head).await;
                }
                Err(failure) => {
                    warn!(error = %failure, "projections could not be brought forward");
                    counter!("wasend_projection_failures_total").increment(1);
                    self.conn = None;
                    tokio::select! {
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
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

    /// One step of the front and one of whoever lags most; false if there was nothing to do.
    async fn turn(&mut self) -> Result<bool, Failure> {
        let due = self.means.clock.now() >= self.tend_at;
        if due || self.may_take_over().await? {
            self.tend().await?;
        } else if self.seats.iter().any(|seat| !seat.held) {
            self.refresh().await?;
        }
        let mut groups = self.groups();
        let Some((_, front)) = groups.pop() else { return Ok(false) };
        let mut worked = self.step(&front, None).await?;
        if let Some((_, last)) = groups.first() {
            let ahead = groups.get(1).map_or(&front, |(_, ahead)| ahead);
            worked |= self.step(last, Some(ahead)).await?;
        }
        Ok(worked)
    }

    /// The held seats that are not poisoned, grouped by where they stand, from the last to the front.
    fn groups(&self) -> Vec<((Position, usize), Vec<usize>)> {
        let mut groups = std::collections::BTreeMap::<(Position, usize), Vec<usize>>::new();
        for (at, seat) in self.seats.iter().enumerate().filter(|(_, seat)| seat.held && seat.state != State::Poisoned) {
            groups.entry((seat.position, seat.limit)).or_default().push(at);
        }
        groups.into_iter().collect()
    }

    /// Folds the next batch for seats that stand at one position, no further than those ahead of them.
    async fn step(&mut self, group: &[usize], ahead: Option<&[usize]>) -> Result<bool, Failure> {
        let (from, limit) = (self.seats[group[0]].position, self.seats[group[0]].limit);
        let until = ahead.map(|ahead| self.seats[ahead[0]].position);
        let events = self.means.log.read(from, limit, &Filter { until, ..Filter::default() }).await?;
        // Who has read all there is, or all that a live projection has read, stands with the others.
        let joined = ahead.is_none_or(|ahead| ahead.iter().any(|seat| self.seats[*seat].state == State::Live));
        let complete = events.len() < limit && joined;
        let joins = complete && group.iter().any(|seat| self.seats[*seat].state != State::Live);
        if events.is_empty() && !joins {
            return Ok(false);
        }
        let events = batch::decode(events, self.means.decode);
        let began = Instant::now();
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => Conn::relaxed(&self.means.db).await?,
        };
        let folded = self.fold(&mut conn, group, &events).await?;
        let written = self.write(&mut conn, group, (from, &events), &folded, complete).await?;
        self.conn = Some(conn);
        histogram!("wasend_projection_batch_seconds").record(began.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer than 2^52 events")]
        histogram!("wasend_projection_batch_events").record(events.len() as f64);
        match written {
            Written::Done => self.moved(group, (from, &events), &folded, complete),
            Written::Fenced => {
                // Another node wrote, or a rebuild was switched: look again where everything stands.
                self.tend().await?;
            }
            Written::Rejected { part, code } => self.rejected(group[part], (from, &events), code).await?,
        }
        Ok(true)
    }

    async fn fold(&self, conn: &mut Conn, group: &[usize], events: &[Decoded]) -> Result<Vec<Folded>, Failure> {
        let mut folded = Vec::with_capacity(group.len());
        for seat in group {
            let build = &self.seats[*seat].build;
            let span = info_span!("projection.fold", projection.name = build.projection.name(), events = events.len());
            folded.push(batch::fold(&mut conn.on(), build, events).instrument(span).await?);
        }
        Ok(folded)
    }

    async fn write(
        &self,
        conn: &mut Conn,
        group: &[usize],
        (from, events): (Position, &[Decoded]),
        folded: &[Folded],
        complete: bool,
    ) -> Result<Written, Failure> {
        let parts: Vec<Part<'_>> = group
            .iter()
            .zip(folded)
            .map(|(seat, folded)| {
                let seat = &self.seats[*seat];
                Part { build: &seat.build, number: seat.number, folded, state: seat.state_after(complete) }
            })
            .collect();
        let mut tx = conn.begin().await?;
        let fence = (self.means.owner.as_str(), self.means.clock.now());
        let written = batch::write(&mut tx.on(), &parts, (from, events), fence).await?;
        match written {
            Written::Done => tx.commit().await?,
            Written::Fenced | Written::Rejected { .. } => tx.rollback().await?,
        }
        Ok(written)
    }

    fn moved(&mut self, group: &[usize], (from, events): (Position, &[Decoded]), folded: &[Folded], complete: bool) {
        for (seat, folded) in group.iter().zip(folded) {
            let seat = &mut self.seats[*seat];
            seat.state = seat.state_after(complete);
            seat.position = batch::reached(from, events, folded.count);
            seat.limit = self.means.batch;
            if let Some(poison) = &folded.poison {
                let at = events.get(folded.count).map_or(from, |event| event.recorded.position);
                seat.poisoned(at, poison);
            }
        }
        self.publish();
        let furthest = group.iter().map(|seat| self.seats[*seat].position).max().unwrap_or(from);
        self.signals.committed.send_if_modified(|committed| std::mem::replace(committed, furthest) != furthest);
    }

    /// The database refused the values of one build's rows: it goes on alone by smaller batches, so that the others
    /// are not held up, and stops at the event itself.
    async fn rejected(
        &mut self,
        seat: usize,
        (from, events): (Position, &[Decoded]),
        code: String,
    ) -> Result<(), Failure> {
        let seat = &mut self.seats[seat];
        if events.len() > 1 {
            seat.limit = events.len() / 2;
            return Ok(());
        }
        let poison = Poison::Rejected(code);
        let at = events.first().map_or(from, |event| event.recorded.position);
        let mut conn = Conn::durable(&self.means.db).await?;
        let mut tx = conn.begin().await?;
        registry::poison(&mut tx.on(), &seat.build.id, at, &poison, self.means.clock.now()).await?;
        tx.commit().await?;
        seat.poisoned(at, &poison);
        self.publish();
        Ok(())
    }

    /// Renews or tries for the leases, and looks where every build stands. Nodes with the same projections compete
    /// for one lease, so that one of them folds all; a build's own lease keeps nodes of different versions apart.
    async fn tend(&mut self) -> Result<(), Failure> {
        let Means { clock, lease, owner, .. } = self.means.as_ref();
        let names = self.lease_names();
        let tail = self.leases.acquire(clock.as_ref(), &names[0], owner, *lease).await?;
        let granted = match tail {
            Some(_) => self.leases.acquire_all(clock.as_ref(), &names[1..], owner, *lease).await?,
            None => vec![None; self.seats.len()],
        };
        self.tend_at = clock.now().plus(*lease / 3);
        for (seat, granted) in self.seats.iter_mut().zip(granted) {
            let taken = granted.is_some() && !seat.held;
            seat.held = granted.is_some();
            if taken {
                info!(projection.name = seat.build.projection.name(), "this node folds the projection");
                resume(&self.means, seat).await?;
            }
        }
        self.refresh().await
    }

    /// Whether a lease that this node lacks is free: a node that stops in order gives its leases back.
    async fn may_take_over(&self) -> Result<bool, Failure> {
        let names = self.lease_names();
        let held = self.seats.iter().map(|seat| seat.held);
        let lacking = |(name, held): (String, bool)| (!held).then_some(name);
        let any = self.seats.iter().any(|seat| seat.held);
        let lacking: Vec<String> =
            names.into_iter().zip(std::iter::once(any).chain(held)).filter_map(lacking).collect();
        Ok(!lacking.is_empty() && self.leases.any_free(self.means.clock.as_ref(), &lacking).await?)
    }

    /// The lease of the tail of just these builds, then that of each.
    fn lease_names(&self) -> Vec<String> {
        let ids: Vec<&str> = self.seats.iter().map(|seat| seat.build.id.as_str()).collect();
        let tail = format!("tail/{}", ids.join("+"));
        std::iter::once(tail).chain(self.seats.iter().map(|seat| seat.build.lease())).collect()
    }

    async fn refresh(&mut self) -> Result<(), Failure> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => Conn::relaxed(&self.means.db).await?,
        };
        let entries = registry::entries(&mut conn.on()).await?;
        self.conn = Some(conn);
        for entry in entries {
            if let Some(seat) = self.seats.iter_mut().find(|seat| seat.build.id == entry.id) {
                (seat.number, seat.position, seat.state) = (entry.build, entry.position, entry.state);
            }
        }
        self.publish();
        Ok(())
    }

    /// Tells those who wait, and the metrics, how far the projections have come.
    fn publish(&self) {
        let live = self.seats.iter().filter(|seat| seat.state == State::Live).map(|seat| seat.position).min();
        let position = live.or_else(|| self.seats.iter().map(|seat| seat.position).min()).unwrap_or(0);
        self.signals.position.send_if_modified(|known| std::mem::replace(known, position) != position);
        let head = *self.means.log.watch().borrow();
        for seat in &self.seats {
            let name = seat.build.projection.name();
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; positions below 2^52 are exact")]
            let (position, lag) = (seat.position as f64, head.saturating_sub(seat.position) as f64);
            gauge!("wasend_projection_position", "projection" => name).set(position);
            gauge!("wasend_projection_lag_events", "projection" => name).set(lag);
            gauge!("wasend_projection_poisoned", "projection" => name)
                .set(f64::from(u8::from(seat.state == State::Poisoned)));
        }
    }
}

impl Seat {
    fn state_after(&self, complete: bool) -> State {
        if complete { State::Live } else { self.state }
    }

    fn poisoned(&mut self, at: Position, poison: &Poison) {
        self.state = State::Poisoned;
        let name = self.build.projection.name();
        error!(projection.name = name, event.position = at, error = %poison, "the projection stopped at an event");
    }
}

/// Lets a projection that was poisoned try again: whoever takes its lease may run mended code.
async fn resume(means: &Means, seat: &Seat) -> Result<(), StoreError> {
    let mut conn = Conn::durable(&means.db).await?;
    let mut tx = conn.begin().await?;
    if registry::resume(&mut tx.on(), &seat.build.id, means.clock.now()).await? {
        info!(projection.name = seat.build.projection.name(), "a poisoned projection tries again");
    }
    tx.commit().await?;
    Ok(())
}
