//! What an erasure changes besides the keys: the list of those who are not written to, and the count of destructions.

use std::collections::BTreeSet;

use wasend_domain::{AccountId, BlindIndex, SubjectId, Time};

use super::{
    VaultStore,
    anchor::INSERT_LISTED,
    identities::DELETE_FORMER,
    sql::{BOUND_ROWS_MAX, DELETE_ALIASES, SqlValue, with_list},
};
use crate::{error::VaultFailure, lineage::StoreLineage};

pub(super) const INSERT_SUPPRESSIONS: &str = "INSERT INTO suppressions (account_id, blind_index, opted_out_at) \
    VALUES {rows} ON CONFLICT (account_id, blind_index) DO UPDATE SET opted_out_at = excluded.opted_out_at \
    WHERE suppressions.opted_out_at < excluded.opted_out_at";
pub(super) const SUPPRESSED: &str =
    "SELECT blind_index, opted_out_at FROM suppressions WHERE account_id = $1 AND blind_index IN ({list})";
pub(super) const UNSUPPRESS: &str =
    "DELETE FROM suppressions WHERE account_id = $1 AND opted_out_at < $2 AND blind_index IN ({list})";
pub(super) const INSERT_ERASED: &str = "INSERT INTO erased_identities (account_id, blind_index, erased_at) \
    VALUES {rows} ON CONFLICT (account_id, blind_index) DO UPDATE SET erased_at = excluded.erased_at \
    WHERE erased_identities.erased_at < excluded.erased_at";
pub(super) const ANY_ERASED: &str =
    "SELECT erased_at FROM erased_identities WHERE account_id = $1 AND erased_at >= $2 LIMIT 1";
pub(super) const ERASED: &str = "SELECT blind_index, erased_at FROM erased_identities \
    WHERE account_id = $1 AND erased_at >= $2 AND blind_index IN ({list})";
pub(super) const FORGET_ERASED: &str = "DELETE FROM erased_identities WHERE erased_at < $1";
pub(super) const DESTRUCTIONS: &str = "SELECT number FROM destructions WHERE id = 1";
pub(super) const NODES_BEHIND: &str = "SELECT count(*) FROM nodes WHERE heard < $1 AND usable_until > $2";
pub(super) const MARKS: &str =
    "SELECT id, fingerprint FROM keys WHERE id IN ({list}) AND fingerprint <> '' ORDER BY id";
pub(super) const LIVING: &str = "SELECT k.id, k.fingerprint FROM keys k WHERE k.id IN ({list}) \
     AND NOT EXISTS (SELECT 1 FROM destroyed_keys d WHERE d.id = k.id) ORDER BY k.id";
pub(super) const DESTROYED: &str = "SELECT d.id FROM destroyed_keys d WHERE d.id IN ({list})";

impl VaultStore {
    /// Whether no other process keeps keys of this store in memory.
    pub const fn is_alone(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    /// Removes the subject's aliases and puts the hashes on their lists, in one transaction.
    pub async fn unlink(
        &self,
        account: AccountId,
        subject: SubjectId,
        erased: ListedHashes<'_>,
        suppressed: Option<ListedHashes<'_>>,
    ) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        tx.insert(INSERT_ERASED, erased.rows(account)).await?;
        if let Some(suppressed) = suppressed {
            tx.insert(INSERT_SUPPRESSIONS, suppressed.rows(account)).await?;
        }
        for text in [DELETE_ALIASES, DELETE_FORMER] {
            tx.execute(text, vec![account.to_string().into(), subject.to_string().into()]).await?;
        }
        tx.commit().await
    }

    /// Puts the hashes on the list of erased people; one that is there keeps its later moment.
    pub async fn remember_erased(&self, account: AccountId, erased: ListedHashes<'_>) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        tx.insert(INSERT_ERASED, erased.rows(account)).await?;
        tx.commit().await
    }

    /// Puts the hashes on the list of opt-outs; one that is there keeps its later moment.
    pub async fn remember_suppressed(
        &self,
        account: AccountId,
        suppressed: ListedHashes<'_>,
    ) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        tx.insert(INSERT_SUPPRESSIONS, suppressed.rows(account)).await?;
        tx.commit().await
    }

    /// Puts the hashes on the list of opt-outs, and the listing's id beside; one that is there keeps its later moment.
    /// Whether that changed anything: else the id is not kept.
    pub async fn suppress(
        &self,
        account: AccountId,
        suppressed: ListedHashes<'_>,
        listing: &str,
        lineage: &StoreLineage,
    ) -> Result<bool, VaultFailure> {
        let mut tx = self.begin().await?;
        if tx.insert(INSERT_SUPPRESSIONS, suppressed.rows(account)).await? == 0 {
            return Ok(false);
        }
        let writes = tx.count_write(lineage).await?;
        tx.execute(INSERT_LISTED, vec![listing.into()]).await?;
        tx.commit().await?;
        lineage.wrote(writes);
        Ok(true)
    }

    /// Those of the hashes that are on the list, each with the moment of its opt-out.
    pub async fn suppressed(
        &self,
        account: AccountId,
        hashes: &[BlindIndex],
    ) -> Result<Vec<(String, i64)>, VaultFailure> {
        let mut found = Vec::new();
        for chunk in hashes.chunks(BOUND_ROWS_MAX) {
            let cells = cells(account, None, chunk);
            found.extend(self.fetch::<(String, i64)>(&with_list(SUPPRESSED, 2, chunk.len()), cells).await?);
        }
        Ok(found)
    }

    /// Takes those off the list whose opt-out is older than the moment.
    pub async fn unsuppress(
        &self,
        account: AccountId,
        hashes: &[BlindIndex],
        before: Time,
    ) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        for chunk in hashes.chunks(BOUND_ROWS_MAX) {
            tx.execute(&with_list(UNSUPPRESS, 3, chunk.len()), cells(account, Some(before), chunk)).await?;
        }
        tx.commit().await
    }

    /// Whether any erasure of the account since then is remembered.
    pub async fn any_erased(&self, account: AccountId, since: Time) -> Result<bool, VaultFailure> {
        let rows: Vec<(i64,)> = self.fetch(ANY_ERASED, cells(account, Some(since), &[])).await?;
        Ok(!rows.is_empty())
    }

    /// Those of the hashes whose owners were erased since then, each with the moment.
    pub async fn erased(
        &self,
        account: AccountId,
        hashes: &[BlindIndex],
        since: Time,
    ) -> Result<Vec<(String, i64)>, VaultFailure> {
        let mut found = Vec::new();
        for chunk in hashes.chunks(BOUND_ROWS_MAX) {
            let cells = cells(account, Some(since), chunk);
            found.extend(self.fetch::<(String, i64)>(&with_list(ERASED, 3, chunk.len()), cells).await?);
        }
        Ok(found)
    }

    /// Forgets who was erased before then; how many hashes that were.
    pub async fn forget_erased(&self, before: Time) -> Result<u64, VaultFailure> {
        let mut tx = self.begin().await?;
        let forgotten = tx.execute(FORGET_ERASED, vec![before.micros().into()]).await?;
        tx.commit().await?;
        Ok(forgotten)
    }

    /// Ids and fingerprints of those of the keys that ever were.
    pub async fn marks(&self, ids: &[String]) -> Result<Vec<(String, String)>, VaultFailure> {
        let list = ids.iter().map(|id| id.as_str().into()).collect();
        self.fetch(&with_list(MARKS, 1, ids.len()), list).await
    }

    /// Those of the keys that are destroyed.
    pub async fn destroyed(&self, ids: &[String]) -> Result<Vec<String>, VaultFailure> {
        let mut found = Vec::new();
        for chunk in ids.chunks(BOUND_ROWS_MAX) {
            let list = chunk.iter().map(|id| id.as_str().into()).collect();
            let rows: Vec<(String,)> = self.fetch(&with_list(DESTROYED, 1, chunk.len()), list).await?;
            found.extend(rows.into_iter().map(|(id,)| id));
        }
        Ok(found)
    }

    /// Those of the keys that are not destroyed.
    pub async fn living(&self, ids: &[String]) -> Result<Vec<(String, String)>, VaultFailure> {
        let mut found = Vec::new();
        for chunk in ids.chunks(BOUND_ROWS_MAX) {
            let list = chunk.iter().map(|id| id.as_str().into()).collect();
            found.extend(self.fetch::<(String, String)>(&with_list(LIVING, 1, chunk.len()), list).await?);
        }
        Ok(found)
    }

    /// How many destructions there have been.
    pub async fn destructions(&self) -> Result<i64, VaultFailure> {
        let rows: Vec<(i64,)> = self.fetch(DESTRUCTIONS, Vec::new()).await?;
        rows.first().map(|(number,)| *number).ok_or(VaultFailure::DamagedKey)
    }

    /// How many nodes may still use a key that was destroyed up to that destruction.
    pub async fn nodes_behind(&self, destruction: i64, now: Time) -> Result<i64, VaultFailure> {
        let rows: Vec<(i64,)> = self.fetch(NODES_BEHIND, vec![destruction.into(), now.micros().into()]).await?;
        Ok(rows.first().map_or(0, |(count,)| *count))
    }
}

/// Hashes that are put on a list under one moment, each once.
#[derive(Clone, Copy)]
pub(crate) struct ListedHashes<'a> {
    pub hashes: &'a [BlindIndex],
    pub at: Time,
}

impl ListedHashes<'_> {
    fn rows(&self, account: AccountId) -> Vec<Vec<SqlValue<'_>>> {
        let row =
            |hash| vec![SqlValue::from(account.to_string()), SqlValue::from(hash), SqlValue::from(self.at.micros())];
        // Postgres refuses a statement that names a row twice; the order keeps two writers from waiting for each other.
        let hashes: BTreeSet<&str> = self.hashes.iter().map(BlindIndex::as_str).collect();
        hashes.into_iter().map(row).collect()
    }
}

fn cells(account: AccountId, moment: Option<Time>, hashes: &[BlindIndex]) -> Vec<SqlValue<'_>> {
    let mut cells: Vec<SqlValue<'_>> = vec![account.to_string().into()];
    cells.extend(moment.map(|moment| SqlValue::from(moment.micros())));
    cells.extend(hashes.iter().map(|hash| SqlValue::from(hash.as_str())));
    cells
}
