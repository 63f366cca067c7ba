//! Leases: who alone may do something for a while. They keep two nodes from doing the same work; what must not
//! happen twice is guarded by the transaction that does it.

use std::time::Duration;

use wasend_domain::{Clock, Time};
use wasend_eventlog::{Db, with_transaction};

use crate::engine::cell::{CellValue, ColumnKind};
use crate::engine::sql::{self, StoreError};

const ACQUIRE: &str = "INSERT INTO leases (name, owner, until, epoch) VALUES ($1, $2, $3, 1) \
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until, \
    epoch = leases.epoch + CASE WHEN leases.owner = excluded.owner THEN 0 ELSE 1 END \
    WHERE leases.owner = excluded.owner OR leases.until < $4 RETURNING epoch";
const END_ALL: &str = "UPDATE leases SET until = 0 WHERE until > 0";
const RELEASE: &str = "UPDATE leases SET until = 0 WHERE name = $1 AND owner = $2";

/// Leases in the shared database. Their ends are compared with each node's own clock, so nodes' clocks must differ
/// by much less than the time a lease lasts.
#[derive(Clone)]
pub struct Leases {
    db: Db,
}

impl Leases {
    /// Leases that are kept in this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Takes or renews a lease until `ttl` from now: its epoch, which rises whenever the lease changes hands, or
    /// nothing if another owner has it.
    pub async fn acquire(
        &self,
        clock: &dyn Clock,
        name: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<i64>, StoreError> {
        Ok(self.acquire_all(clock, &[name.to_owned()], owner, ttl).await?.pop().flatten())
    }

    /// Takes or renews several leases in one transaction, each on its own merits; answers in the same order.
    pub async fn acquire_all(
        &self,
        clock: &dyn Clock,
        names: &[String],
        owner: &str,
        ttl: Duration,
    ) -> Result<Vec<Option<i64>>, StoreError> {
        let now: Time = clock.now();
        let until = now.plus(ttl).micros();
        let mut granted = Vec::with_capacity(names.len());
        with_transaction!(&self.db, tx => for name in names {
            let query = sqlx::query_as::<_, (i64,)>(ACQUIRE).bind(name).bind(owner).bind(until).bind(now.micros());
            granted.push(query.fetch_optional(&mut *tx).await?.map(|(epoch,)| epoch));
        });
        Ok(granted)
    }

    /// Whether one of these leases has run out or was given back, asked without writing.
    pub async fn any_free(&self, clock: &dyn Clock, names: &[String]) -> Result<bool, StoreError> {
        let places: Vec<String> = (0..names.len()).map(|at| format!("${}", at + 2)).collect();
        let sql = format!("SELECT name FROM leases WHERE until < $1 AND name IN ({}) LIMIT 1", places.join(", "));
        let now = CellValue::from(clock.now().micros());
        let binds: Vec<CellValue> = std::iter::once(now).chain(names.iter().map(|name| name.as_str().into())).collect();
        Ok(!sql::fetch(&self.db, &sql, &binds, &[ColumnKind::Text]).await?.is_empty())
    }

    /// Ends every lease. For callers that know the holders to be gone; a node that lives renews its own.
    pub async fn end_all(&self) -> Result<(), StoreError> {
        with_transaction!(&self.db, tx => { sqlx::query(END_ALL).execute(&mut *tx).await?; });
        Ok(())
    }

    /// Gives leases back; those that another owner has by now stay as they are.
    pub async fn release(&self, names: &[String], owner: &str) -> Result<(), StoreError> {
        with_transaction!(&self.db, tx => for name in names {
            sqlx::query(RELEASE).bind(name).bind(owner).execute(&mut *tx).await?;
        });
        Ok(())
    }
}
