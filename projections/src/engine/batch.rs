//! A batch of events folded by one projection, in memory: which rows, what becomes of them, and how far it went.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wasend_domain::{Event, Position, Recorded, Time};

use crate::engine::build::Build;
use crate::engine::projection::{Poison, Projection};
use crate::engine::registry::{self, State};
use crate::engine::rows::storable;
use crate::engine::sql::{On, StoreError};
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

/// Loads the rows that the batch touches and folds it into them.
pub(crate) async fn fold(on: &mut On<'_>, build: &Build, events: &[Decoded]) -> Result<Folded, StoreError> {
    let projection = build.projection.as_ref();
    let (mut keys, named, poison) = name(projection, events);
    for (table, ids) in keys.wanted() {
        let Some(shape) = build.shape(table) else {
            return Ok(Folded { poison: Some(Poison::Undeclared(table)), ..Folded::default() });
        };
        let found = shape.load(on, &ids).await?;
        if let Err(damaged) = keys.fill(table, found) {
            return Ok(Folded { poison: Some(damaged.into()), ..Folded::default() });
        }
    }
    let folded = fold_rows(build, &events[..named], &mut keys.into_rows());
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

fn verified(build: &Build, rows: &Rows) -> Result<Vec<Changes>, Poison> {
    let changes = rows.changes();
    for Changes { table, upserts, .. } in &changes {
        let shape = build.shape(table).ok_or(Poison::Undeclared(table))?;
        for row in upserts {
            storable(shape.table, row).map_err(|why| Poison::Unstorable { table, why })?;
        }
    }
    Ok(changes)
}

/// One build's part of a write.
pub(crate) struct Part<'a> {
    pub build: &'a Build,
    /// Which build it is, by the registry.
    pub number: i64,
    pub folded: &'a Folded,
    /// In which state it stands after the write, unless it is poisoned.
    pub state: State,
}

/// How a write ended; but for `Done`, the transaction must be rolled back.
pub(crate) enum Written {
    Done,
    /// Another node has written, or a build was switched.
    Fenced,
    /// The database refused the values of this part's rows.
    Rejected {
        part: usize,
        code: String,
    },
}

/// Writes checkpoints and rows of several builds that stand at `from`. Registry rows come first: they are the lock.
pub(crate) async fn write(
    on: &mut On<'_>,
    parts: &[Part<'_>],
    (from, events): (Position, &[Decoded]),
    (owner, now): (&str, Time),
) -> Result<Written, StoreError> {
    if !checkpoint(on, parts, (from, events), (owner, now)).await? {
        return Ok(Written::Fenced);
    }
    for (at, part) in parts.iter().enumerate() {
        for changes in &part.folded.changes {
            let shape = part.build.shape(changes.table).ok_or(StoreError::UnknownTable(changes.table))?;
            match shape.write(on, changes).await {
                Err(error) if crate::engine::sql::refuses_values(&error) => {
                    return Ok(Written::Rejected { part: at, code: crate::engine::sql::code(&error) });
                }
                written => written?,
            }
        }
    }
    Ok(Written::Done)
}

/// A position and a state, and the builds (with their numbers) that come to stand so.
type Way<'a> = (Position, State, Vec<(&'a str, i64)>);

async fn checkpoint(
    on: &mut On<'_>,
    parts: &[Part<'_>],
    (from, events): (Position, &[Decoded]),
    (owner, now): (&str, Time),
) -> Result<bool, StoreError> {
    // Builds that go the same way in the same state share a statement: all of them, but for the rare poisoned one.
    let mut ways: Vec<Way<'_>> = Vec::new();
    for part in parts {
        let to = reached(from, events, part.folded.count);
        let build = (part.build.id.as_str(), part.number);
        match ways.iter_mut().find(|(position, state, _)| *position == to && *state == part.state) {
            Some((_, _, builds)) => builds.push(build),
            None => ways.push((to, part.state, vec![build])),
        }
    }
    for (to, state, builds) in &ways {
        if !registry::advance(on, builds, (from, *to), (*state, owner, now)).await? {
            return Ok(false);
        }
    }
    for part in parts {
        if let Some(poison) = &part.folded.poison {
            let at = events.get(part.folded.count).map_or(from, |event| event.recorded.position);
            registry::poison(on, &part.build.id, at, poison, now).await?;
        }
    }
    Ok(true)
}

/// The position after the first `count` events of a batch.
pub(crate) fn reached(from: Position, events: &[Decoded], count: usize) -> Position {
    count.checked_sub(1).and_then(|last| events.get(last)).map_or(from, |event| event.recorded.position)
}
