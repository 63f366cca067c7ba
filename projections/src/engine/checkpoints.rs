//! The registry: how far each build has come, and in which state it is. Its rows are written in the transactions
//! that write the tables.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use wasend_domain::{Position, Time};

use crate::engine::build::{PROJECTION_LEASE_PREFIX, ProjectionBuild};
use crate::engine::cell::CellField;
use crate::engine::cell::{CellValue, ColumnKind};
use crate::engine::projection::PoisonCause;
use crate::engine::sql::{SqlTarget, StoreError};
use crate::engine::table::{CellReader, Table};

/// What a build is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildState {
    /// New or resumed: it has not reached the others yet, and does not serve complete answers.
    CatchingUp,
    Live,
    /// Stopped at an event that it cannot fold.
    Poisoned,
    /// Being built beside the one that serves.
    Rebuilding,
}

impl fmt::Display for BuildState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Poisoned => "poisoned",
            Self::Rebuilding => "rebuilding",
        })
    }
}

impl FromStr for BuildState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "catching_up" => Ok(Self::CatchingUp),
            "live" => Ok(Self::Live),
            "poisoned" => Ok(Self::Poisoned),
            "rebuilding" => Ok(Self::Rebuilding),
            _ => Err(()),
        }
    }
}

impl CellField for BuildState {
    const KIND: ColumnKind = ColumnKind::Text;

    fn into_cell(self) -> CellValue {
        self.to_string().into()
    }

    fn from_cell(cell: CellValue) -> Option<Self> {
        String::from_cell(cell)?.parse().ok()
    }
}

/// One row of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckpointRow {
    pub id: String,
    pub name: String,
    pub version: u32,
    pub build: i64,
    pub position: Position,
    pub state: BuildState,
    pub error: Option<String>,
    pub error_position: Option<i64>,
    pub updated_at: Time,
}

/// The registry's columns, described as those of a read model are, for decoding alone.
static REGISTRY: Table = Table { name: "projections", columns: &[], indexes: &[], append_only: false };

const ENTRIES: &str = "SELECT id, name, version, build, position, state, error, error_position, updated_at \
    FROM projections ORDER BY id";
const LOCK: &str = "UPDATE projections SET updated_at = $2 WHERE id = $1 \
    RETURNING id, name, version, build, position, state, error, error_position, updated_at";
const KINDS: [ColumnKind; 9] = [
    ColumnKind::Text,
    ColumnKind::Text,
    ColumnKind::Int,
    ColumnKind::Int,
    ColumnKind::Int,
    ColumnKind::Text,
    ColumnKind::Text,
    ColumnKind::Int,
    ColumnKind::Int,
];
const INSERT: &str = "INSERT INTO projections (id, name, version, build, shape, position, state, updated_at) \
    VALUES ($1, $2, $3, $4, $5, 0, $6, $7) ON CONFLICT (id) DO NOTHING";
const DEFINITION: &str = "SELECT shape FROM projections WHERE id = $1";
const POISON: &str = "UPDATE projections SET state = 'poisoned', error = $2, error_position = $3, updated_at = $4 \
    WHERE id = $1";
const HOLD_BACK: &str = "UPDATE projections SET position = $2 WHERE id = $1";
const RESUME: &str = "UPDATE projections SET state = 'catching_up', error = NULL, error_position = NULL, \
    updated_at = $2 WHERE id = $1 AND state = 'poisoned'";
const SWITCH: &str = "UPDATE projections SET position = $2, build = $3, state = $4, error = NULL, \
    error_position = NULL, updated_at = $5 WHERE id = $1";
const DELETE: &str = "DELETE FROM projections WHERE id = $1";

pub(crate) async fn entries(on: &mut SqlTarget<'_>) -> Result<Vec<CheckpointRow>, StoreError> {
    on.fetch(ENTRIES, &[], &KINDS).await?.into_iter().map(entry).collect()
}

/// Takes the row's lock until the transaction ends: neither the daemon nor another switch writes meanwhile.
pub(crate) async fn lock(on: &mut SqlTarget<'_>, id: &str, now: Time) -> Result<Option<CheckpointRow>, StoreError> {
    on.fetch(LOCK, &[id.into(), now.micros().into()], &KINDS).await?.pop().map(entry).transpose()
}

/// Registers a build at position 0; false if it is registered.
pub(crate) async fn insert(
    on: &mut SqlTarget<'_>,
    build: &ProjectionBuild,
    number: i64,
    state: BuildState,
    now: Time,
) -> Result<bool, StoreError> {
    let (name, version) = (build.projection.name(), i64::from(build.projection.version()));
    let binds: [CellValue; 7] = [
        build.id.as_str().into(),
        name.into(),
        version.into(),
        number.into(),
        build.definition().into(),
        state.to_string().into(),
        now.micros().into(),
    ];
    Ok(on.execute(INSERT, &binds).await? == 1)
}

/// The definition of the tables with which a build was registered.
pub(crate) async fn definition(on: &mut SqlTarget<'_>, id: &str) -> Result<Option<String>, StoreError> {
    let mut rows = on.fetch(DEFINITION, &[id.into()], &[ColumnKind::Text]).await?;
    Ok(rows.pop().and_then(|mut row| match row.pop() {
        Some(CellValue::Text(text)) => text,
        _ => None,
    }))
}

/// Moves builds (with their numbers) that stand at `from` on to `to`, if `owner` holds the lease of each. Fewer rows
/// than builds mean that another node has written, or switched a build, and that this transaction must not commit.
pub(crate) async fn advance(
    on: &mut SqlTarget<'_>,
    builds: &[(&str, i64)],
    way: (Position, Position),
    how: (BuildState, &str, Time),
) -> Result<bool, StoreError> {
    let (sql, binds) = advancing(builds, way, how);
    Ok(on.execute(&sql, &binds).await? == builds.len() as u64)
}

/// The statement of [`advance`], with what is bound to it.
pub(crate) fn advancing(
    builds: &[(&str, i64)],
    (from, to): (Position, Position),
    (state, owner, now): (BuildState, &str, Time),
) -> (String, Vec<CellValue>) {
    let mut sql = format!(
        "UPDATE projections SET position = $1, state = $2, updated_at = $3 WHERE position = $4 AND state <> 'poisoned' \
         AND EXISTS (SELECT 1 FROM leases WHERE leases.name = '{PROJECTION_LEASE_PREFIX}' || projections.id AND leases.owner = $5) \
         AND (id, build) IN (VALUES "
    );
    let mut binds: Vec<CellValue> =
        vec![CellValue::count(to), state.to_string().into(), now.micros().into(), CellValue::count(from), owner.into()];
    for (at, (id, number)) in builds.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(sql, "{comma}(${}, ${})", binds.len() + 1, binds.len() + 2).expect("writing to a String cannot fail");
        binds.extend([CellValue::from(*id), CellValue::from(*number)]);
    }
    sql.push(')');
    (sql, binds)
}

pub(crate) async fn poison(
    on: &mut SqlTarget<'_>,
    id: &str,
    at: Position,
    why: &PoisonCause,
    now: Time,
) -> Result<(), StoreError> {
    on.execute(POISON, &[id.into(), why.to_string().into(), CellValue::count(at), now.micros().into()]).await?;
    Ok(())
}

/// Says that a build came less far than the others that were moved with it.
pub(crate) async fn hold_back(on: &mut SqlTarget<'_>, id: &str, at: Position) -> Result<(), StoreError> {
    on.execute(HOLD_BACK, &[id.into(), CellValue::count(at)]).await?;
    Ok(())
}

/// Lets a poisoned build try again.
pub(crate) async fn resume(on: &mut SqlTarget<'_>, id: &str, now: Time) -> Result<bool, StoreError> {
    Ok(on.execute(RESUME, &[id.into(), now.micros().into()]).await? == 1)
}

/// Records that the serving build is another one.
pub(crate) async fn switch(
    on: &mut SqlTarget<'_>,
    id: &str,
    (position, number): (Position, i64),
    state: BuildState,
    now: Time,
) -> Result<(), StoreError> {
    let binds = [id.into(), CellValue::count(position), number.into(), state.to_string().into(), now.micros().into()];
    on.execute(SWITCH, &binds).await?;
    Ok(())
}

pub(crate) async fn delete(on: &mut SqlTarget<'_>, id: &str) -> Result<(), StoreError> {
    on.execute(DELETE, &[id.into()]).await?;
    Ok(())
}

fn entry(row: Vec<CellValue>) -> Result<CheckpointRow, StoreError> {
    let mut cells = CellReader::new(&REGISTRY, row);
    Ok(CheckpointRow {
        id: cells.field()?,
        name: cells.field()?,
        version: cells.field()?,
        build: cells.field()?,
        position: cells.field()?,
        state: cells.field()?,
        error: cells.field()?,
        error_position: cells.field()?,
        updated_at: cells.field()?,
    })
}
