//! Writing what became of a batch: rows and checkpoints of all builds in one transaction, which another node's is fenced
//! off from.

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;
use wasend_domain::{Position, Time};

use crate::engine::batch::{DecodedEvent, FoldedBatch, reached};
use crate::engine::build::ProjectionBuild;
use crate::engine::checkpoints::{self, BuildState};
use crate::engine::projection::PoisonCause;
use crate::engine::rows::TableShape;
use crate::engine::sql::{EngineConnection, EngineTransaction, SqlTarget, StoreError, code, refuses_values};
use crate::engine::writing;

/// The largest batch that is written at once: the rows of more events go by faster ways, a statement for each table.
const SINGLE_STATEMENT_EVENTS_MAX: usize = 64;

/// A build that takes part in a write.
pub(crate) struct ProjectionWrite<'a> {
    pub build: &'a ProjectionBuild,
    /// Which build it is, by the registry.
    pub number: i64,
    /// In which state it stands after the write, unless it is poisoned.
    pub state: BuildState,
}

impl ProjectionWrite<'_> {
    fn shape(&self, table: &'static str) -> Result<&TableShape, StoreError> {
        self.build.shape(table).ok_or(StoreError::UnknownTable(table))
    }
}

impl EngineTransaction<'_> {
    async fn end(self, written: WriteOutcome) -> Result<WriteOutcome, StoreError> {
        match written {
            WriteOutcome::Done(_) => self.commit().await?,
            WriteOutcome::Fenced | WriteOutcome::Rejected { .. } => self.rollback().await?,
        }
        Ok(written)
    }
}

/// How far a build came, and why no further.
pub(crate) struct ProjectionProgress {
    pub count: usize,
    pub poison: Option<PoisonCause>,
    /// Rows that it inserted, changed and deleted.
    pub put: usize,
    pub deleted: usize,
}

/// How a write ended; but for `Done`, nothing of it may stay.
pub(crate) enum WriteOutcome {
    /// With the end of each build, in the order of their places.
    Done(Vec<ProjectionProgress>),
    /// Another node has written, or a build was switched.
    Fenced,
    /// The database refused the values of this place's rows.
    Rejected { place: usize, code: String },
}

/// Writes checkpoints and rows of several builds that stand at `from`, each as soon as it comes out of `folded`, which
/// gives them in the order of their places, and commits them. A small batch is written at once: it would wait for the
/// round trips of many statements longer than for all else.
pub(crate) async fn commit(
    conn: &mut EngineConnection,
    places: &[ProjectionWrite<'_>],
    (from, events): (Position, &[DecodedEvent]),
    (owner, now): (&str, Time),
    folded: &mut mpsc::Receiver<Result<FoldedBatch, StoreError>>,
) -> Result<WriteOutcome, StoreError> {
    let step = BatchWrite { places, from, events, owner, now };
    let folded = stream::poll_fn(|context| folded.poll_recv(context));
    if events.len() <= SINGLE_STATEMENT_EVENTS_MAX {
        let folds: Vec<FoldedBatch> = folded.take(places.len()).try_collect().await?;
        let [alone, ..] = places else { return Ok(WriteOutcome::Done(vec![])) };
        let simple = folds.len() == places.len()
            && folds.iter().all(|folded| folded.count == events.len() && folded.poison.is_none())
            && places.iter().all(|place| place.state == alone.state);
        if simple && let Some(written) = step.at_once(conn, alone.state, &folds).await? {
            return Ok(written);
        }
        let mut tx = conn.begin().await?;
        let written = step.write(&mut tx.on(), stream::iter(folds.into_iter().map(Ok))).await?;
        return tx.end(written).await;
    }
    let mut tx = conn.begin().await?;
    let written = step.write(&mut tx.on(), folded).await?;
    tx.end(written).await
}

/// The same of one build in a transaction of the caller's.
pub(crate) async fn write(
    on: &mut SqlTarget<'_>,
    place: ProjectionWrite<'_>,
    (from, events): (Position, &[DecodedEvent]),
    (owner, now): (&str, Time),
    folded: FoldedBatch,
) -> Result<WriteOutcome, StoreError> {
    let step = BatchWrite { places: &[place], from, events, owner, now };
    step.write(on, stream::iter([Ok(folded)])).await
}

/// What is written in one transaction.
struct BatchWrite<'a> {
    places: &'a [ProjectionWrite<'a>],
    from: Position,
    events: &'a [DecodedEvent],
    owner: &'a str,
    now: Time,
}

impl BatchWrite<'_> {
    /// Moves all on to one position. Those that come into the same state share a statement.
    async fn advance(&self, on: &mut SqlTarget<'_>) -> Result<bool, StoreError> {
        let mut states: Vec<(BuildState, Vec<(&str, i64)>)> = Vec::new();
        for place in self.places {
            let build = (place.build.id.as_str(), place.number);
            match states.iter_mut().find(|(state, _)| *state == place.state) {
                Some((_, builds)) => builds.push(build),
                None => states.push((place.state, vec![build])),
            }
        }
        for (state, builds) in &states {
            if !checkpoints::advance(on, builds, self.way(), (*state, self.owner, self.now)).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One build after the other. Registry rows come first: they are the lock.
    async fn write(
        &self,
        on: &mut SqlTarget<'_>,
        mut folded: impl Stream<Item = Result<FoldedBatch, StoreError>> + Unpin,
    ) -> Result<WriteOutcome, StoreError> {
        if !self.advance(on).await? {
            return Ok(WriteOutcome::Fenced);
        }
        let mut ends = Vec::with_capacity(self.places.len());
        for (at, place) in self.places.iter().enumerate() {
            // The fold has panicked: nothing of the batch may stay.
            let Some(mut folded) = folded.try_next().await? else { return Ok(WriteOutcome::Fenced) };
            self.end(on, place, &folded).await?;
            let (put, deleted) = rows(&folded);
            let tables = std::mem::take(&mut folded.changes).into_iter();
            let changed = tables.map(|changes| Ok((place.shape(changes.table)?, changes)));
            match writing::write(on, changed.collect::<Result<_, StoreError>>()?).await {
                Err(error) if refuses_values(&error) => {
                    return Ok(WriteOutcome::Rejected { place: at, code: code(&error) });
                }
                written => written?,
            }
            ends.push(ProjectionProgress { count: folded.count, poison: folded.poison, put, deleted });
        }
        Ok(WriteOutcome::Done(ends))
    }

    /// All builds at once. None if the database refused values of one of them: each by itself tells which.
    async fn at_once(
        &self,
        conn: &mut EngineConnection,
        state: BuildState,
        folds: &[FoldedBatch],
    ) -> Result<Option<WriteOutcome>, StoreError> {
        let builds: Vec<_> = self.places.iter().map(|place| (place.build.id.as_str(), place.number)).collect();
        let advancing = checkpoints::advancing(&builds, self.way(), (state, self.owner, self.now));
        let mut changed = Vec::new();
        for (place, folded) in self.places.iter().zip(folds) {
            for changes in &folded.changes {
                changed.push((place.shape(changes.table)?, changes));
            }
        }
        match writing::write_if(conn, advancing, builds.len(), &changed).await {
            Ok(true) => {
                let end = |folded: &FoldedBatch| {
                    let (put, deleted) = rows(folded);
                    ProjectionProgress { count: folded.count, poison: None, put, deleted }
                };
                Ok(Some(WriteOutcome::Done(folds.iter().map(end).collect())))
            }
            Ok(false) => Ok(Some(WriteOutcome::Fenced)),
            Err(error) if refuses_values(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn way(&self) -> (Position, Position) {
        (self.from, reached(self.from, self.events, self.events.len()))
    }

    /// Records of a build that it came less far than the others.
    async fn end(
        &self,
        on: &mut SqlTarget<'_>,
        place: &ProjectionWrite<'_>,
        folded: &FoldedBatch,
    ) -> Result<(), StoreError> {
        let (id, count) = (&place.build.id, folded.count);
        if let Some(poison) = &folded.poison {
            let at = self.events.get(count).map_or(self.from, |event| event.recorded.position);
            checkpoints::poison(on, id, at, poison, self.now).await?;
        }
        if count < self.events.len() {
            checkpoints::hold_back(on, id, reached(self.from, self.events, count)).await?;
        }
        Ok(())
    }
}

/// How many are put, and how many deleted.
fn rows(folded: &FoldedBatch) -> (usize, usize) {
    let each = folded.changes.iter().map(|changes| (changes.rows().count(), changes.deletes.len()));
    each.fold((0, 0), |(put, deleted), each| (put + each.0, deleted + each.1))
}
