//! What the store is asked.

use wasend_domain::{AccountId, Erased, SubjectId, Time};

use super::{
    VaultStore,
    sql::{BOUND_ROWS_MAX, SqlValue, with_list},
};
use crate::error::VaultFailure;

pub(super) const KEYS: &str = "SELECT k.id, k.kind, k.epoch, k.wrapped, d.destroyed_at, d.why \
     FROM keys k LEFT JOIN destroyed_keys d ON d.id = k.id WHERE k.id IN ({list})";
// A lookup for each value: given a list of values, Postgres may instead walk through everything that the account has
// and compare each row with each value, while it knows nothing of the table's size yet.
pub(super) const ALIASES: &str = "SELECT f.value, f.subject_id FROM (SELECT v.column1 AS value, \
     (SELECT a.subject_id FROM aliases a WHERE a.account_id = $1 AND a.blind_index = v.column1) AS subject_id \
     FROM (VALUES {values}) AS v) AS f WHERE f.subject_id IS NOT NULL";
pub(super) const PEOPLE: &str = "SELECT f.value, f.person FROM (SELECT v.column1 AS value, \
     (SELECT s.person FROM subjects s WHERE s.account_id = $1 AND s.subject_id = v.column1) AS person \
     FROM (VALUES {values}) AS v) AS f WHERE f.person IS NOT NULL";

/// A key as it is stored.
pub(crate) struct RootKeyRow {
    pub id: String,
    pub kind: String,
    pub epoch: i64,
    pub wrapped: String,
    pub destroyed: Option<Erased>,
}

/// The columns of [`KEYS`].
type KeyColumns = (String, String, i64, String, Option<i64>, Option<String>);

impl From<KeyColumns> for RootKeyRow {
    fn from((id, kind, epoch, wrapped, destroyed_at, why): KeyColumns) -> Self {
        let destroyed =
            destroyed_at.map(|micros| Erased { since: Time::from_micros(micros), why: why.unwrap_or_default() });
        Self { id, kind, epoch, wrapped, destroyed }
    }
}

impl VaultStore {
    /// Those of the keys that exist, in any order.
    pub async fn keys(&self, ids: &[String]) -> Result<Vec<RootKeyRow>, VaultFailure> {
        let mut rows = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(BOUND_ROWS_MAX) {
            let cells = chunk.iter().map(|id| id.as_str().into()).collect();
            let found: Vec<KeyColumns> = self.fetch(&with_list(KEYS, 1, chunk.len()), cells).await?;
            rows.extend(found.into_iter().map(RootKeyRow::from));
        }
        Ok(rows)
    }

    /// Whose the blind indexes are, for those that are known: (index, subject id).
    pub async fn aliases(&self, account: AccountId, indexes: &[&str]) -> Result<Vec<(String, String)>, VaultFailure> {
        self.of_account(ALIASES, account, indexes.iter().map(|index| (*index).into()).collect()).await
    }

    /// The sealed directory entries of those subjects that have one: (subject id, sealed person).
    pub async fn people(&self, account: AccountId, ids: &[SubjectId]) -> Result<Vec<(String, String)>, VaultFailure> {
        self.of_account(PEOPLE, account, ids.iter().map(|id| id.to_string().into()).collect()).await
    }

    async fn of_account(
        &self,
        sql: &str,
        account: AccountId,
        mut values: Vec<SqlValue<'_>>,
    ) -> Result<Vec<(String, String)>, VaultFailure> {
        let mut rows = Vec::with_capacity(values.len());
        while !values.is_empty() {
            let mut cells = values.split_off(values.len().saturating_sub(BOUND_ROWS_MAX));
            let count = cells.len();
            cells.insert(0, account.to_string().into());
            rows.extend(self.fetch(&with_list(sql, 2, count), cells).await?);
        }
        Ok(rows)
    }
}
