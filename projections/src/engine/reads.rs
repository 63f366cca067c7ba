//! How a read model's queries get at its rows: one SQL text for both engines.

use std::collections::HashMap;
use std::sync::Arc;

use wasend_eventlog::Db;

use crate::engine::loading::{self, Want};
use crate::engine::projection::Projection;
use crate::engine::rows::{self, Shape};
use crate::engine::sql::{self, StoreError};
use crate::engine::table::{Cell, Kind, Reader, Record};
use crate::engine::turns::{Turn, Turns};
use crate::engine::{build, working::RawRow};

/// Reads the tables that serve. Clones share it.
#[derive(Clone)]
pub struct Reads {
    db: Db,
    shapes: Arc<HashMap<&'static str, Shape>>,
    turns: Arc<Turns>,
}

impl Reads {
    pub fn new(db: Db, projections: &[Arc<dyn Projection>]) -> Self {
        let shapes = projections.iter().flat_map(|projection| build::shapes(projection.as_ref(), ""));
        Self { db, shapes: Arc::new(shapes.map(|shape| (shape.table.name, shape)).collect()), turns: Arc::default() }
    }

    /// The account's turn to ask what may take long; to be held while it is asked.
    pub async fn turn(&self, account_id: &str) -> Turn {
        self.turns.take(account_id).await
    }

    /// Rows of a table. `tail` is what follows `FROM {table}` (the logical name stands for the table): `WHERE`,
    /// `ORDER BY`, `LIMIT`, with `$1…` for `binds`. Both engines compare texts by their bytes; say where nulls go.
    pub async fn fetch<R: Record>(&self, tail: &str, binds: &[Cell]) -> Result<Vec<R>, StoreError> {
        let shape = self.shape::<R>()?;
        let sql = format!("{} {tail}", shape.select());
        let rows = sql::fetch(&self.db, &sql, binds, &rows::kinds(R::TABLE)).await?;
        rows.into_iter().map(record).collect()
    }

    /// One row by its id.
    pub async fn get<R: Record>(&self, id: &str) -> Result<Option<R>, StoreError> {
        Ok(self.fetch("WHERE id = $1", &[Cell::from(id)]).await?.pop())
    }

    /// The rows among these ids that exist, in one query.
    pub async fn by_ids<R: Record>(&self, ids: &[String]) -> Result<HashMap<String, R>, StoreError> {
        let want = Want { shape: self.shape::<R>()?, ids: ids.to_vec() };
        let found = loading::load_pooled(&self.db, want).await?;
        let record = |row| record::<R>(row).map(|record| (record.id(), record));
        found.into_iter().map(record).collect()
    }

    /// How many rows of a table fulfil `tail` (a `WHERE`, or empty).
    pub async fn count<R: Record>(&self, tail: &str, binds: &[Cell]) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {} AS {} {tail}", self.physical::<R>()?, R::TABLE.name);
        let rows = self.cells(&sql, binds, &[Kind::Int]).await?;
        let count = rows.first().and_then(|row| row.first());
        Ok(if let Some(Cell::Int(Some(count))) = count { u64::try_from(*count).unwrap_or(0) } else { 0 })
    }

    /// Any query, for sums and joins over [`physical`](Self::physical) tables. Every result column must be text or
    /// BIGINT on both engines: cast sums, `CAST(sum(n) AS BIGINT)`.
    pub async fn cells(&self, sql: &str, binds: &[Cell], kinds: &[Kind]) -> Result<Vec<Vec<Cell>>, StoreError> {
        Ok(sql::fetch(&self.db, sql, binds, kinds).await?)
    }

    /// The name of a record's table in the database.
    pub fn physical<R: Record>(&self) -> Result<&str, StoreError> {
        self.shape::<R>().map(|shape| shape.physical.as_str())
    }

    fn shape<R: Record>(&self) -> Result<&Shape, StoreError> {
        self.shapes.get(R::TABLE.name).ok_or(StoreError::UnknownTable(R::TABLE.name))
    }
}

fn record<R: Record>(row: RawRow) -> Result<R, StoreError> {
    Ok(R::from_cells(&mut Reader::new(R::TABLE, row))?)
}
