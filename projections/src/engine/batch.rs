//! A batch of events folded by one projection, in memory: which rows, what becomes of them, and how far it went.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use wasend_domain::{AnyEvent, Position, RecordedEvent};

use crate::engine::batch_rows::{BatchKeys, BatchRows, TableChanges};
use crate::engine::build::ProjectionBuild;
use crate::engine::loading::{self, WantedRows};
use crate::engine::projection::{PoisonCause, Projection};
use crate::engine::rows::storable;
use crate::engine::sql::{SqlTarget, StoreError};

/// How a recorded event becomes one that folds see; none if it is not understood.
pub(crate) type DecodeFn = fn(&RecordedEvent) -> Option<AnyEvent>;

pub(crate) struct DecodedEvent {
    pub recorded: RecordedEvent,
    pub event: Option<AnyEvent>,
}

pub(crate) fn decode(events: Vec<RecordedEvent>, decode: DecodeFn) -> Vec<DecodedEvent> {
    events.into_iter().map(|recorded| DecodedEvent { event: decode(&recorded), recorded }).collect()
}

/// What became of a batch.
#[derive(Default)]
pub(crate) struct FoldedBatch {
    pub changes: Vec<TableChanges>,
    /// How many of the batch's events are folded; all of them unless the next is poisoned.
    pub count: usize,
    pub poison: Option<PoisonCause>,
}

/// A batch with the rows that one build's fold of it needs.
pub(crate) struct NamedBatch {
    pub(super) keys: BatchKeys,
    /// How many of the events the projection could be asked about, and why no more.
    pub(super) count: usize,
    pub(super) poison: Option<PoisonCause>,
}

/// Names the rows that the batch touches in some builds and loads them, all in one question. What is in `before`, for
/// each build, is newer than what the database may show.
pub(crate) async fn load(
    on: &mut SqlTarget<'_>,
    builds: &[Arc<ProjectionBuild>],
    events: &[DecodedEvent],
    before: &mut [BatchRows],
) -> Result<Vec<NamedBatch>, StoreError> {
    let mut named: Vec<NamedBatch> = builds.iter().map(|build| name(build.projection.as_ref(), events)).collect();
    let (mut wants, mut whose) = (vec![], vec![]);
    for (at, ((named, build), before)) in named.iter_mut().zip(builds).zip(before).enumerate() {
        named.keys.carry(before);
        for (table, ids) in named.keys.wanted() {
            match build.shape(table) {
                Some(shape) => {
                    wants.push(WantedRows { shape, ids });
                    whose.push((at, table));
                }
                None => named.stop(PoisonCause::Undeclared(table)),
            }
        }
    }
    for (want, row) in loading::load(on, &wants).await? {
        let (at, table) = whose[want];
        if let Err(damaged) = named[at].keys.fill(table, row) {
            named[at].stop(damaged.into());
        }
    }
    Ok(named)
}

impl NamedBatch {
    fn stop(&mut self, poison: PoisonCause) {
        (self.count, self.poison) = (0, Some(poison));
    }

    /// Folds the batch into the rows; what comes of them takes the place of those before.
    pub fn fold(self, build: &ProjectionBuild, events: &[DecodedEvent], before: &mut BatchRows) -> FoldedBatch {
        let mut rows = self.keys.into_rows();
        let folded = fold_rows(build, &events[..self.count], &mut rows);
        *before = rows;
        FoldedBatch { poison: folded.poison.or(self.poison), ..folded }
    }
}

/// Asks which rows the events touch, up to the first that the projection cannot be asked about.
pub(super) fn name(projection: &dyn Projection, events: &[DecodedEvent]) -> NamedBatch {
    let mut keys = BatchKeys::default();
    for (count, DecodedEvent { recorded, event }) in events.iter().enumerate() {
        let Some(event) = event else { return NamedBatch { keys, count, poison: Some(PoisonCause::Undecodable) } };
        let asked = catch_unwind(AssertUnwindSafe(|| projection.keys(event, recorded, &mut keys)));
        if asked.is_err() {
            return NamedBatch { keys, count, poison: Some(PoisonCause::Panicked) };
        }
    }
    NamedBatch { keys, count: events.len(), poison: None }
}

pub(super) fn fold_rows(build: &ProjectionBuild, events: &[DecodedEvent], rows: &mut BatchRows) -> FoldedBatch {
    let (count, poison) = apply(build.projection.as_ref(), events, rows);
    if poison.is_some() {
        // The poisoned event may have changed some rows before it failed.
        rows.reset();
        apply(build.projection.as_ref(), &events[..count], rows);
    }
    match verified(build, rows) {
        Ok(changes) => FoldedBatch { changes, count, poison },
        Err(_) => up_to_unstorable(build, &events[..count], rows),
    }
}

fn apply(projection: &dyn Projection, events: &[DecodedEvent], rows: &mut BatchRows) -> (usize, Option<PoisonCause>) {
    for (at, DecodedEvent { recorded, event }) in events.iter().enumerate() {
        let Some(event) = event else { return (at, Some(PoisonCause::Undecodable)) };
        let poison = match catch_unwind(AssertUnwindSafe(|| projection.fold(event, recorded, rows))) {
            Ok(Ok(())) => rows.misused().map(PoisonCause::Unnamed),
            Ok(Err(error)) => Some(error.into()),
            Err(_) => Some(PoisonCause::Panicked),
        };
        if poison.is_some() {
            return (at, poison);
        }
    }
    (events.len(), None)
}

/// Finds by bisection how many of the events leave rows that can be stored.
fn up_to_unstorable(build: &ProjectionBuild, events: &[DecodedEvent], rows: &mut BatchRows) -> FoldedBatch {
    let (mut good, mut bad) = (0, events.len());
    let mut attempt = |count: usize| {
        rows.reset();
        apply(build.projection.as_ref(), &events[..count], rows);
        verified(build, rows)
    };
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        if attempt(middle).is_ok() { good = middle } else { bad = middle }
    }
    let poison = attempt(bad).err();
    FoldedBatch { changes: attempt(good).unwrap_or_default(), count: good, poison }
}

fn verified(build: &ProjectionBuild, rows: &mut BatchRows) -> Result<Vec<TableChanges>, PoisonCause> {
    let changes = rows.changes();
    for changes in &changes {
        let table = changes.table;
        let shape = build.shape(table).ok_or(PoisonCause::Undeclared(table))?;
        for row in changes.rows() {
            storable(shape.table, row).map_err(|why| PoisonCause::Unstorable { table, why })?;
        }
    }
    Ok(changes)
}

/// The position after the first `count` events of a batch.
pub(crate) fn reached(from: Position, events: &[DecodedEvent], count: usize) -> Position {
    count.checked_sub(1).and_then(|last| events.get(last)).map_or(from, |event| event.recorded.position)
}
