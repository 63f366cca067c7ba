//! What an erasure changes besides the keys: the list of those who are not written to, and the count of destructions.

use wasend_domain::{AccountId, BlindIndex, SubjectId, Time};

use super::{
    Store,
    destruction::DELETE_ALIASES,
    sql::{CHUNK, Cell, with_list},
};
use crate::error::Failure;

pub(super) const INSERT_SUPPRESSIONS: &str =
    "INSERT INTO suppressions (account_id, blind_index) VALUES {rows} ON CONFLICT (account_id, blind_index) DO NOTHING";
pub(super) const SUPPRESSED: &str =
    "SELECT blind_index FROM suppressions WHERE account_id = $1 AND blind_index IN ({list})";
pub(super) const UNSUPPRESS: &str = "DELETE FROM suppressions WHERE account_id = $1 AND blind_index IN ({list})";
pub(super) const DESTRUCTIONS: &str = "SELECT number FROM destructions WHERE id = 1";
pub(super) const COUNT_DESTRUCTION: &str =
    "UPDATE destructions SET number = number + 1, waiting_since = COALESCE(waiting_since, $1) WHERE id = 1";
pub(super) const NODES_BEHIND: &str = "SELECT count(*) FROM nodes WHERE heard < $1 AND usable_until > $2";
pub(super) const MARKS: &str =
    "SELECT id, fingerprint FROM keys WHERE id IN ({list}) AND fingerprint <> '' ORDER BY id";
pub(super) const LIVING: &str = "SELECT k.id, k.fingerprint FROM keys k WHERE k.id IN ({list}) \
     AND NOT EXISTS (SELECT 1 FROM destroyed_keys d WHERE d.id = k.id) ORDER BY k.id";
pub(super) const DESTROYED: &str = "SELECT d.id FROM destroyed_keys d WHERE d.id IN ({list})";

impl Store {
    /// Whether no other process keeps keys of this store in memory.
    pub const fn is_alone(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    /// Removes the subject's aliases and puts the hashes on the list, in one transaction.
    pub async fn unlink(&self, account: AccountId, subject: SubjectId, hashes: &[BlindIndex]) -> Result<(), Failure> {
        let (account, subject) = (account.to_string(), subject.to_string());
        let mut tx = self.begin().await?;
        let rows = hashes.iter().map(|hash| vec![account.as_str().into(), hash.as_str().into()]);
        tx.insert(INSERT_SUPPRESSIONS, rows.collect()).await?;
        tx.execute(DELETE_ALIASES, vec![account.as_str().into(), subject.as_str().into()]).await?;
        tx.commit().await
    }

    /// Those of the hashes that are on the list.
    pub async fn suppressed(&self, account: AccountId, hashes: &[BlindIndex]) -> Result<Vec<String>, Failure> {
        let mut found = Vec::new();
        for chunk in hashes.chunks(CHUNK) {
            let rows: Vec<(String,)> =
                self.fetch(&with_list(SUPPRESSED, 2, chunk.len()), cells(account, chunk)).await?;
            found.extend(rows.into_iter().map(|(hash,)| hash));
        }
        Ok(found)
    }

    pub async fn unsuppress(&self, account: AccountId, hashes: &[BlindIndex]) -> Result<(), Failure> {
        let mut tx = self.begin().await?;
        for chunk in hashes.chunks(CHUNK) {
            tx.execute(&with_list(UNSUPPRESS, 2, chunk.len()), cells(account, chunk)).await?;
        }
        tx.commit().await
    }

    /// Ids and fingerprints of those of the keys that ever were.
    pub async fn marks(&self, ids: &[String]) -> Result<Vec<(String, String)>, Failure> {
        let list = ids.iter().map(|id| id.as_str().into()).collect();
        self.fetch(&with_list(MARKS, 1, ids.len()), list).await
    }

    /// Those of the keys that are destroyed.
    pub async fn destroyed(&self, ids: &[String]) -> Result<Vec<String>, Failure> {
        let mut found = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            let list = chunk.iter().map(|id| id.as_str().into()).collect();
            let rows: Vec<(String,)> = self.fetch(&with_list(DESTROYED, 1, chunk.len()), list).await?;
            found.extend(rows.into_iter().map(|(id,)| id));
        }
        Ok(found)
    }

    /// Those of the keys that are not destroyed.
    pub async fn living(&self, ids: &[String]) -> Result<Vec<(String, String)>, Failure> {
        let mut found = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            let list = chunk.iter().map(|id| id.as_str().into()).collect();
            found.extend(self.fetch::<(String, String)>(&with_list(LIVING, 1, chunk.len()), list).await?);
        }
        Ok(found)
    }

    pub async fn destructions(&self) -> Result<i64, Failure> {
        let rows: Vec<(i64,)> = self.fetch(DESTRUCTIONS, Vec::new()).await?;
        rows.first().map(|(number,)| *number).ok_or(Failure::DamagedKey)
    }

    /// How many nodes may still use a key that was destroyed up to that destruction.
    pub async fn nodes_behind(&self, destruction: i64, now: Time) -> Result<i64, Failure> {
        let rows: Vec<(i64,)> = self.fetch(NODES_BEHIND, vec![destruction.into(), now.micros().into()]).await?;
        Ok(rows.first().map_or(0, |(count,)| *count))
    }
}

fn cells(account: AccountId, hashes: &[BlindIndex]) -> Vec<Cell<'_>> {
    let mut cells: Vec<Cell<'_>> = vec![account.to_string().into()];
    cells.extend(hashes.iter().map(|hash| Cell::from(hash.as_str())));
    cells
}
