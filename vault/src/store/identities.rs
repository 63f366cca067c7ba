//! What changes when more is learnt of who a subject is: former aliases, and subjects that turn out to be one person.

use wasend_domain::{AccountId, BlindIndex, SubjectId, Time};

use super::{
    VaultStore,
    creation::UPDATE_PERSON,
    sql::{BOUND_ROWS_MAX, SqlValue, with_list},
};
use crate::error::VaultFailure;

pub(super) const MOVE_ALIASES: &str = "UPDATE aliases SET subject_id = $1 WHERE account_id = $2 AND subject_id = $3";
pub(super) const COPY_FORMER: &str = "INSERT INTO former_aliases (account_id, blind_index, subject_id, until) \
     SELECT account_id, blind_index, CAST($1 AS TEXT), until FROM former_aliases WHERE account_id = $2 AND subject_id = $3 \
     ON CONFLICT (account_id, blind_index, subject_id) DO NOTHING";
pub(super) const DELETE_FORMER: &str = "DELETE FROM former_aliases WHERE account_id = $1 AND subject_id = $2";
pub(super) const DROP_ALIASES: &str =
    "DELETE FROM aliases WHERE account_id = $1 AND subject_id = $2 AND blind_index IN ({list})";
pub(super) const INSERT_FORMER: &str = "INSERT INTO former_aliases (account_id, blind_index, subject_id, until) \
     VALUES {rows} ON CONFLICT (account_id, blind_index, subject_id) DO UPDATE SET until = excluded.until \
     WHERE former_aliases.until < excluded.until";
pub(super) const FORMER: &str = "SELECT blind_index, subject_id, until FROM former_aliases \
     WHERE account_id = $1 AND until >= $2 AND blind_index IN ({list}) ORDER BY until DESC";
pub(super) const CREATED: &str =
    "SELECT subject_id, created_at FROM subjects WHERE account_id = $1 AND subject_id IN ({list})";

/// An entry as it was and as it becomes.
pub(crate) struct EntryChange<'a> {
    pub subject: SubjectId,
    pub before: &'a str,
    pub after: &'a str,
}

impl VaultStore {
    /// Points every alias of `from` to `into` and changes both entries in one transaction. False, and nothing stored,
    /// if either entry is not what it was.
    pub async fn merge(
        &self,
        account: AccountId,
        into: EntryChange<'_>,
        from: EntryChange<'_>,
    ) -> Result<bool, VaultFailure> {
        let account = account.to_string();
        let mut tx = self.begin().await?;
        for change in [&into, &from] {
            let cells = vec![
                change.after.into(),
                account.as_str().into(),
                change.subject.to_string().into(),
                change.before.into(),
            ];
            if tx.execute(UPDATE_PERSON, cells).await? == 0 {
                return Ok(false);
            }
        }
        let (into, from) = (into.subject.to_string(), from.subject.to_string());
        for text in [MOVE_ALIASES, COPY_FORMER] {
            tx.execute(text, vec![into.as_str().into(), account.as_str().into(), from.as_str().into()]).await?;
        }
        tx.execute(DELETE_FORMER, vec![account.as_str().into(), from.as_str().into()]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes the aliases from the subject and remembers that they were its own until then. False, and nothing stored, if
    /// the entry is not what it was.
    pub async fn release(
        &self,
        account: AccountId,
        change: EntryChange<'_>,
        indexes: &[BlindIndex],
        until: Time,
    ) -> Result<bool, VaultFailure> {
        let (account, subject) = (account.to_string(), change.subject.to_string());
        let mut tx = self.begin().await?;
        let cells = vec![change.after.into(), account.as_str().into(), subject.as_str().into(), change.before.into()];
        if tx.execute(UPDATE_PERSON, cells).await? == 0 {
            return Ok(false);
        }
        let mut cells: Vec<SqlValue<'_>> = vec![account.as_str().into(), subject.as_str().into()];
        cells.extend(indexes.iter().map(|index| SqlValue::from(index.as_str())));
        tx.execute(&with_list(DROP_ALIASES, 3, indexes.len()), cells).await?;
        let row = |index: &'_ BlindIndex| {
            let (account, subject, index) = (account.clone(), subject.clone(), index.as_str().to_owned());
            vec![account.into(), index.into(), subject.into(), until.micros().into()]
        };
        tx.insert(INSERT_FORMER, indexes.iter().map(row).collect()).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Which subjects the indexes led to at the moment, of those that have been given up since: (index, subject id), the
    /// one that had it first last.
    pub async fn former(
        &self,
        account: AccountId,
        indexes: &[BlindIndex],
        at: Time,
    ) -> Result<Vec<(String, String)>, VaultFailure> {
        let mut found = Vec::new();
        for chunk in indexes.chunks(BOUND_ROWS_MAX) {
            let mut cells: Vec<SqlValue<'_>> = vec![account.to_string().into(), at.micros().into()];
            cells.extend(chunk.iter().map(|index| SqlValue::from(index.as_str())));
            let rows: Vec<(String, String, i64)> = self.fetch(&with_list(FORMER, 3, chunk.len()), cells).await?;
            found.extend(rows.into_iter().map(|(index, subject, _)| (index, subject)));
        }
        Ok(found)
    }

    /// When the entries of the subjects were created, in microseconds, in any order.
    pub async fn created(
        &self,
        account: AccountId,
        subjects: &[SubjectId],
    ) -> Result<Vec<(String, i64)>, VaultFailure> {
        let mut cells: Vec<SqlValue<'_>> = vec![account.to_string().into()];
        cells.extend(subjects.iter().map(|subject| SqlValue::from(subject.to_string())));
        self.fetch(&with_list(CREATED, 2, subjects.len()), cells).await
    }
}
