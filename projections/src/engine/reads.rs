//! How a read model's queries get at its rows: one SQL text for both engines.

use std::collections::HashMap;
use std::sync::Arc;

use wasend_eventlog::Db;

use crate::engine::account_limiter::{AccountLimiter, QueryPermit};
use crate::engine::cell::{CellValue, ColumnKind};
use crate::engine::loading::{self, WantedRows};
use crate::engine::projection::Projection;
use crate::engine::rows::{self, TableShape};
use crate::engine::sql::{self, StoreError};
use crate::engine::table::{CellReader, TableRecord};
use crate::engine::{batch_rows::RawRow, build};

/// Reads the tables that serve. Clones share it.
#[derive(Clone)]
pub struct ReadModels {
    db: Db,
    shapes: Arc<HashMap<&'static str, TableShape>>,
    turns: Arc<AccountLimiter>,
}

impl ReadModels {
    /// Reads of the current versions of these projections.
    pub fn new(db: Db, projections: &[Arc<dyn Projection>]) -> Self {
        let shapes = projections.iter().flat_map(|projection| build::shapes(projection.as_ref(), ""));
        Self { db, shapes: Arc::new(shapes.map(|shape| (shape.table.name, shape)).collect()), turns: Arc::default() }
    }

    /// The account's turn to ask what may take long; to be held while it is asked.
    pub async fn query_permit(&self, account_id: &str) -> QueryPermit {
        self.turns.acquire(account_id).await
    }

    /// Rows of a table. `tail` is what follows `FROM {table}` (the logical name stands for the table): `WHERE`,
    /// `ORDER BY`, `LIMIT`, with `$1…` for `binds`. Both engines compare texts by their bytes; say where nulls go.
    pub async fn fetch<R: TableRecord>(&self, tail: &str, binds: &[CellValue]) -> Result<Vec<R>, StoreError> {
        let shape = self.shape::<R>()?;
        let sql = format!("{} {tail}", shape.select());
        let rows = sql::fetch(&self.db, &sql, binds, &rows::kinds(R::TABLE)).await?;
        rows.into_iter().map(record).collect()
    }

    /// One row by its id.
    pub async fn get<R: TableRecord>(&self, id: &str) -> Result<Option<R>, StoreError> {
        Ok(self.fetch("WHERE id = $1", &[CellValue::from(id)]).await?.pop())
    }

    /// The rows among these ids that exist, in one query.
    pub async fn by_ids<R: TableRecord>(&self, ids: &[String]) -> Result<HashMap<String, R>, StoreError> {
        let want = WantedRows { shape: self.shape::<R>()?, ids: ids.to_vec() };
        let found = loading::load_pooled(&self.db, want).await?;
        let record = |row| record::<R>(row).map(|record| (record.id(), record));
        found.into_iter().map(record).collect()
    }

    /// How many rows of a table fulfil `tail` (a `WHERE`, or empty).
    pub async fn count<R: TableRecord>(&self, tail: &str, binds: &[CellValue]) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {} AS {} {tail}", self.physical::<R>()?, R::TABLE.name);
        self.number(&sql, binds).await
    }

    /// The one number that a query gives; 0 for none.
    pub(crate) async fn number(&self, sql: &str, binds: &[CellValue]) -> Result<u64, StoreError> {
        let rows = self.cells(sql, binds, &[ColumnKind::Int]).await?;
        let count = rows.first().and_then(|row| row.first());
        Ok(if let Some(CellValue::Int(Some(count))) = count { u64::try_from(*count).unwrap_or(0) } else { 0 })
    }

    /// Any query, for sums and joins over [`physical`](Self::physical) tables. Every result column must be text or
    /// BIGINT on both engines: cast sums, `CAST(sum(n) AS BIGINT)`.
    pub async fn cells(
        &self,
        sql: &str,
        binds: &[CellValue],
        kinds: &[ColumnKind],
    ) -> Result<Vec<Vec<CellValue>>, StoreError> {
        Ok(sql::fetch(&self.db, sql, binds, kinds).await?)
    }

    /// The name of a record's table in the database.
    pub fn physical<R: TableRecord>(&self) -> Result<&str, StoreError> {
        self.shape::<R>().map(|shape| shape.physical.as_str())
    }

    fn shape<R: TableRecord>(&self) -> Result<&TableShape, StoreError> {
        self.shapes.get(R::TABLE.name).ok_or(StoreError::UnknownTable(R::TABLE.name))
    }
}

/// Places for `IN (…)`: `count` of them, from `$first` on; `NULL`, which nothing equals, for none.
pub(crate) fn places(first: usize, count: usize) -> String {
    let places: Vec<String> = (first..first + count).map(|place| format!("${place}")).collect();
    if places.is_empty() { "NULL".to_owned() } else { places.join(", ") }
}

/// Values for `IN (…)`, the first repeated up to a power of two: few different texts of the statement, so that each is
/// prepared once.
pub(crate) fn padded(values: impl IntoIterator<Item = CellValue>) -> Vec<CellValue> {
    let mut values: Vec<CellValue> = values.into_iter().collect();
    if let Some(first) = values.first().cloned() {
        values.resize(values.len().next_power_of_two(), first);
    }
    values
}

fn record<R: TableRecord>(row: RawRow) -> Result<R, StoreError> {
    Ok(R::from_cells(&mut CellReader::new(R::TABLE, row))?)
}
