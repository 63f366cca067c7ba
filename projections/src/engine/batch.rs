//! A batch of events folded by one projection, in memory: which rows, what becomes of them, and how far it went.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::mpsc;
use wasend_domain::{Event, Position, Recorded, Time};

use crate::engine::build::Build;
use crate::engine::projection::{Poison, Projection};
use crate::engine::registry::{self, State};
use crate::engine::rows::storable;
use crate::engine::sql::{On, StoreError, code, refuses_values};
use crate::engine::working::{Changes, Keys, Rows};

/// How a recorded event becomes one that folds see; none if it is not understood.
pub(crate) type Decode = fn(&Recorded) -> Option<Event>;

pub(crate) struct Decoded {
    pub recorded: Recorded,
    pub event: Option<Event>,
}

pub(crate) fn decode(events: Vec<Recorded>, decode: Decode) -> Vec<Decoded> {
    events.into_iter().map(|recorded| Decoded { event: decode(&recorded), recorded }).collect()
}

/// What became of a batch.
#[derive(Default)]
pub(crate) struct Folded {
    pub changes: Vec<Changes>,
    /// How many of the batch's events are folded; all of them unless the next is poisoned.
    pub count: usize,
    pub poison: Option<Poison>,
}

/// Loads the rows that the batch touches and folds it into them. What is in `before` is newer than what the database
/// may show, and what comes of it takes its place.
pub(crate) async fn fold(
    on: &mut On<'_>,
    build: &Build,
    events: &[Decoded],
    before: &mut Rows,
) -> Result<Folded, StoreError> {
    let (mut keys, named, poison) = name(build.projection.as_ref(), events);
    keys.carry(before);
    for (table, ids) in keys.wanted() {
        let Some(shape) = build.shape(table) else {
            return Ok(Folded { poison: Some(Poison::Undeclared(table)), ..Folded::default() });
        };
        let found = shape.load(on, &ids).await?;
        if let Err(damaged) = keys.fill(table, found) {
            return Ok(Folded { poison: Some(damaged.into()), ..Folded::default() });
        }
    }
    let mut rows = keys.into_rows();
    let folded = fold_rows(build, &events[..named], &mut rows);
    *before = rows;
    Ok(Folded { poison: folded.poison.or(poison), ..folded })
}

/// Asks which rows the events touch, up to the first that the projection cannot be asked about.
pub(super) fn name(projection: &dyn Projection, events: &[Decoded]) -> (Keys, usize, Option<Poison>) {
    let mut keys = Keys::default();
    for (at, Decoded { recorded, event }) in events.iter().enumerate() {
        let Some(event) = event else { return (keys, at, Some(Poison::Undecodable)) };
        let asked = catch_unwind(AssertUnwindSafe(|| projection.keys(event, recorded, &mut keys)));
        if asked.is_err() {
            return (keys, at, Some(Poison::Panicked));
        }
    }
    (keys, events.len(), None)
}

pub(super) fn fold_rows(build: &Build, events: &[Decoded], rows: &mut Rows) -> Folded {
    let (count, poison) = apply(build.projection.as_ref(), events, rows);
    if poison.is_some() {
        // The poisoned event may have changed some rows before it failed.
        rows.reset();
        apply(build.projection.as_ref(), &events[..count], rows);
    }
    match verified(build, rows) {
        Ok(changes) => Folded { changes, count, poison },
        Err(_) => up_to_unstorable(build, &events[..count], rows),
    }
}

fn apply(projection: &dyn Projection, events: &[Decoded], rows: &mut Rows) -> (usize, Option<Poison>) {
    for (at, Decoded { recorded, event }) in events.iter().enumerate() {
        let Some(event) = event else { return (at, Some(Poison::Undecodable)) };
        let poison = match catch_unwind(AssertUnwindSafe(|| projection.fold(event, recorded, rows))) {
            Ok(Ok(())) => rows.misused().map(Poison::Unnamed),
            Ok(Err(error)) => Some(error.into()),
            Err(_) => Some(Poison::Panicked),
        };
        if poison.is_some() {
            return (at, poison);
        }
    }
    (events.len(), None)
}

/// Finds by bisection how many of the events leave rows that can be stored.
fn up_to_unstorable(build: &Build, events: &[Decoded], rows: &mut Rows) -> Folded {
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
    Folded { changes: attempt(good).unwrap_or_default(), count: good, poison }
}

fn verified(build: &Build, rows: &mut Rows) -> Result<Vec<Changes>, Poison> {
    let changes = rows.changes();
    for changes in &changes {
        let table = changes.table;
        let shape = build.shape(table).ok_or(Poison::Undeclared(table))?;
        for row in changes.rows() {
            storable(shape.table, row).map_err(|why| Poison::Unstorable { table, why })?;
        }
    }
    Ok(changes)
}

/// A build that takes part in a write.
pub(crate) struct Place<'a> {
    pub build: &'a Build,
    /// Which build it is, by the registry.
    pub number: i64,
    /// In which state it stands after the write, unless it is poisoned.
    pub state: State,
}

/// How far a build came, and why no further.
pub(crate) struct End {
    pub count: usize,
    pub poison: Option<Poison>,
}

/// How a write ended; but for `Done`, the transaction must be rolled back.
pub(crate) enum Written {
    /// With the end of each build, in the order of their places.
    Done(Vec<End>),
    /// Another node has written, or a build was switched.
    Fenced,
    /// The database refused the values of this place's rows.
    Rejected { place: usize, code: String },
}

/// Writes checkpoints and rows of several builds that stand at `from`, each as soon as it comes out of `folded`, which
/// gives them in the order of their places. Registry rows come first: they are the lock.
pub(crate) async fn write(
    on: &mut On<'_>,
    places: &[Place<'_>],
    (from, events): (Position, &[Decoded]),
    (owner, now): (&str, Time),
    folded: &mut mpsc::Receiver<Result<Folded, StoreError>>,
) -> Result<Written, StoreError> {
    if !advance(on, places, (from, reached(from, events, events.len())), (owner, now)).await? {
        return Ok(Written::Fenced);
    }
    let mut ends = Vec::with_capacity(places.len());
    for (at, place) in places.iter().enumerate() {
        // Whoever folds has died: nothing of the batch may stay.
        let Some(folded) = folded.recv().await else { return Ok(Written::Fenced) };
        let Folded { changes, count, poison } = folded?;
        if let Some(poison) = &poison {
            let at = events.get(count).map_or(from, |event| event.recorded.position);
            registry::poison(on, &place.build.id, at, poison, now).await?;
        }
        if count < events.len() {
            registry::hold_back(on, &place.build.id, reached(from, events, count)).await?;
        }
        for changes in changes {
            let shape = place.build.shape(changes.table).ok_or(StoreError::UnknownTable(changes.table))?;
            match shape.write(on, changes).await {
                Err(error) if refuses_values(&error) => {
                    return Ok(Written::Rejected { place: at, code: code(&error) });
                }
                written => written?,
            }
        }
        ends.push(End { count, poison });
    }
    Ok(Written::Done(ends))
}

/// Moves all on to one position. Those that come into the same state share a statement.
async fn advance(
    on: &mut On<'_>,
    places: &[Place<'_>],
    way: (Position, Position),
    (owner, now): (&str, Time),
) -> Result<bool, StoreError> {
    let mut states: Vec<(State, Vec<(&str, i64)>)> = Vec::new();
    for place in places {
        let build = (place.build.id.as_str(), place.number);
        match states.iter_mut().find(|(state, _)| *state == place.state) {
            Some((_, builds)) => builds.push(build),
            None => states.push((place.state, vec![build])),
        }
    }
    for (state, builds) in &states {
        if !registry::advance(on, builds, way, (*state, owner, now)).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The position after the first `count` events of a batch.
pub(crate) fn reached(from: Position, events: &[Decoded], count: usize) -> Position {
    count.checked_sub(1).and_then(|last| events.get(last)).map_or(from, |event| event.recorded.position)
}
