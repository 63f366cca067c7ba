//! What is destroyed.

use sqlx::{Row, SqlitePool};
use wasend_domain::{AccountId, Erased, EventId, SubjectId};

use super::{
    VaultStore,
    creation::NewKey,
    identities::DELETE_FORMER,
    lineage::TAG,
    sql::{BOUND_ROWS_MAX, COUNT_DESTRUCTION, DELETE_ALIASES, SqlValue, with_list},
};
use crate::{error::VaultFailure, lineage::StoreLineage};

/// The longest wrapped form that is overwritten; a longer one would be a holder's that this schema does not know.
const WRAPPED_BYTES_MAX: usize = 4096;
/// Overwrites with as many zeros: SQLite then writes them into the same place.
pub(super) const OVERWRITE: &str = "UPDATE keys SET wrapped = substr($1, 1, CAST(length(wrapped) AS INTEGER)) \
     WHERE id IN ({list}) AND NOT EXISTS (SELECT 1 FROM destroyed_keys d WHERE d.id = keys.id)";
pub(super) const RECORD: &str = "INSERT INTO destroyed_keys (id, destroyed_at, why) \
     SELECT id, CAST($1 AS BIGINT), CAST($2 AS TEXT) FROM keys WHERE id IN ({list}) ORDER BY id ON CONFLICT (id) DO NOTHING";
pub(super) const FINGERPRINTS: &str =
    "SELECT fingerprint FROM keys WHERE id IN ({list}) AND fingerprint <> '' ORDER BY id";
pub(super) const DELETE_SUBJECT: &str = "DELETE FROM subjects WHERE account_id = $1 AND subject_id = $2";

impl VaultStore {
    /// Destroys the keys and gives the fingerprints of all of them that ever were. A key that is already destroyed
    /// keeps its first date and reason. `graves` are put where a key might still come to be, so that none does.
    pub async fn destroy(
        &self,
        ids: &[String],
        graves: &[NewKey],
        record: &Erased,
        lineage: &StoreLineage,
    ) -> Result<Vec<String>, VaultFailure> {
        let zeros = "0".repeat(WRAPPED_BYTES_MAX);
        let mut fingerprints = Vec::with_capacity(ids.len());
        let mut tx = self.begin().await?;
        // Held until the end, so that they are numbered in the order in which they take effect.
        tx.execute(COUNT_DESTRUCTION, vec![record.since.micros().into()]).await?;
        tx.execute(TAG, vec![EventId::random().to_string().into()]).await?;
        let writes = tx.count_write(lineage).await?;
        tx.insert_keys(graves.iter(), record.since).await?;
        for chunk in ids.chunks(BOUND_ROWS_MAX) {
            let cells = |first: Vec<SqlValue<'static>>| -> Vec<SqlValue<'_>> {
                first.into_iter().chain(chunk.iter().map(|id| id.clone().into())).collect()
            };
            tx.execute(&with_list(OVERWRITE, 2, chunk.len()), cells(vec![zeros.clone().into()])).await?;
            let when_and_why = vec![record.since.micros().into(), record.why.clone().into()];
            tx.execute(&with_list(RECORD, 3, chunk.len()), cells(when_and_why)).await?;
            let found: Vec<(String,)> = tx.fetch(&with_list(FINGERPRINTS, 1, chunk.len()), cells(Vec::new())).await?;
            fingerprints.extend(found.into_iter().map(|(fingerprint,)| fingerprint));
        }
        tx.commit().await?;
        lineage.wrote(writes);
        Ok(fingerprints)
    }

    /// Whether there was an entry.
    pub async fn remove_person(&self, account: AccountId, subject: SubjectId) -> Result<bool, VaultFailure> {
        let cells = || vec![account.to_string().into(), subject.to_string().into()];
        let mut tx = self.begin().await?;
        tx.execute(DELETE_ALIASES, cells()).await?;
        tx.execute(DELETE_FORMER, cells()).await?;
        let removed = tx.execute(DELETE_SUBJECT, cells()).await? > 0;
        tx.commit().await?;
        Ok(removed)
    }

    /// Clears old bytes from SQLite's write-ahead log. On Postgres they stay in dead rows and in its log until these
    /// are recycled; on both, ending the epoch is what makes every copy noise.
    pub async fn clear_residue(&self) -> Result<(), VaultFailure> {
        match self {
            Self::Sqlite { writer, .. } => truncate_log(writer).await,
            Self::Postgres(_) => Ok(()),
        }
    }
}

async fn truncate_log(writer: &SqlitePool) -> Result<(), VaultFailure> {
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(writer).await?;
    // Waits for readers as long as the busy timeout and then says so instead of failing.
    if row.try_get::<i64, _>(0)? == 0 { Ok(()) } else { Err(VaultFailure::Residue) }
}
