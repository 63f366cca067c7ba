//! What mends the directory's index.

use wasend_domain::{AccountId, BlindIndex, SubjectId};

use super::{VaultStore, creation::INSERT_ALIASES};
use crate::error::VaultFailure;

pub(super) const PEOPLE_AFTER: &str =
    "SELECT subject_id, person FROM subjects WHERE account_id = $1 AND subject_id > $2 ORDER BY subject_id LIMIT $3";
/// Holds the entry, so that it is not removed before an alias to it is stored.
pub(super) const HOLD_ENTRY: &str = "UPDATE subjects SET person = person WHERE account_id = $1 AND subject_id = $2";
pub(super) const POINT_ALIAS: &str =
    "UPDATE aliases SET subject_id = $1 WHERE account_id = $2 AND blind_index = $3 AND subject_id = $4";
pub(super) const DROP_ALIAS: &str =
    "DELETE FROM aliases WHERE account_id = $1 AND blind_index = $2 AND subject_id = $3";

impl VaultStore {
    /// The next entries of the account in the order of their subjects: (subject id, sealed person).
    pub async fn people_after(
        &self,
        account: AccountId,
        after: &str,
        limit: i64,
    ) -> Result<Vec<(String, String)>, VaultFailure> {
        self.fetch(PEOPLE_AFTER, vec![account.to_string().into(), after.into(), limit.into()]).await
    }

    /// Nothing changes if the index is there already, or the subject's entry is not there any more.
    pub async fn put_alias(
        &self,
        account: AccountId,
        index: &BlindIndex,
        subject: SubjectId,
    ) -> Result<(), VaultFailure> {
        let (account, subject) = (account.to_string(), subject.to_string());
        let mut tx = self.begin().await?;
        if tx.execute(HOLD_ENTRY, vec![account.as_str().into(), subject.as_str().into()]).await? > 0 {
            let row = vec![account.as_str().into(), index.as_str().into(), subject.as_str().into()];
            tx.insert(INSERT_ALIASES, vec![row]).await?;
        }
        tx.commit().await
    }

    /// Lets an index lead to the subject, if it still says what it did and the subject's entry is there; the number of
    /// rows changed.
    pub async fn point_alias(
        &self,
        account: AccountId,
        (index, said): (&str, &str),
        subject: SubjectId,
    ) -> Result<u64, VaultFailure> {
        let (account, subject) = (account.to_string(), subject.to_string());
        let mut tx = self.begin().await?;
        if tx.execute(HOLD_ENTRY, vec![account.as_str().into(), subject.as_str().into()]).await? == 0 {
            return Ok(0);
        }
        let cells = vec![subject.as_str().into(), account.as_str().into(), index.into(), said.into()];
        let changed = tx.execute(POINT_ALIAS, cells).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Removes an index, if it still says what it did.
    pub async fn drop_alias(&self, account: AccountId, (index, said): (&str, &str)) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        tx.execute(DROP_ALIAS, vec![account.to_string().into(), index.into(), said.into()]).await?;
        tx.commit().await
    }
}
