//! The rows of the lineage: the history of destructions, and how many transactions of each process are stored.

use super::{VaultStore, sql::VaultTransaction};
use crate::{error::VaultFailure, lineage::StoreLineage};

pub(super) const STATE: &str = "SELECT d.number, \
     (SELECT h.tag FROM destruction_history h WHERE h.number = $1), \
     (SELECT w.writes FROM writers w WHERE w.writer = $2), \
     (SELECT h.tag FROM destruction_history h WHERE h.number = d.number) \
     FROM destructions d WHERE d.id = 1";
pub(super) const JOIN: &str = "INSERT INTO writers (writer, writes) VALUES ($1, 0) \
     ON CONFLICT (writer) DO UPDATE SET writes = 0";
pub(super) const LEAVE: &str = "DELETE FROM writers WHERE writer = $1";
pub(super) const COUNT_WRITE: &str =
    "UPDATE writers SET writes = writes + 1 WHERE writer = $1 AND writes >= $2 RETURNING writes";
pub(super) const TAG: &str = "INSERT INTO destruction_history (number, tag) \
     SELECT d.number, $1 FROM destructions d WHERE d.id = 1 ON CONFLICT (number) DO NOTHING";
/// A renewed lineage goes on after every number that was ever given out.
pub(super) const RENEW: &str =
    "UPDATE destructions SET number = CASE WHEN number > $1 THEN number ELSE $2 END + 1 WHERE id = 1";

/// What the store says of its lineage.
pub(crate) struct LineageState {
    /// The number of the newest destruction, and its tag.
    pub newest: (i64, Option<String>),
    /// The tag of the destruction that was asked about.
    pub tag_of_heard: Option<String>,
    /// How many transactions of the process are stored; none if the store never heard of it.
    pub writes: Option<i64>,
}

/// The columns of [`STATE`].
type StateColumns = (i64, Option<String>, Option<i64>, Option<String>);

impl VaultStore {
    /// The state of the lineage, as seen by a process that has heard of destructions up to `heard`.
    pub async fn lineage(&self, heard: i64, writer: &str) -> Result<LineageState, VaultFailure> {
        let rows: Vec<StateColumns> = self.fetch(STATE, vec![heard.into(), writer.into()]).await?;
        let (number, tag_of_heard, stored, tag) = rows.into_iter().next().ok_or(VaultFailure::DamagedKey)?;
        Ok(LineageState { newest: (number, tag), tag_of_heard, writes: stored })
    }

    /// Enters the process among the writers, with no transaction yet.
    pub async fn join_writers(&self, writer: &str) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        tx.execute(JOIN, vec![writer.into()]).await?;
        tx.commit().await
    }

    /// Takes the process off the writers.
    pub async fn leave_writers(&self, writer: &str) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        tx.execute(LEAVE, vec![writer.into()]).await?;
        tx.commit().await
    }

    /// Begins a new lineage: numbers go on after `past`, under a tag of their own, and the process is entered anew.
    pub async fn renew_lineage(&self, past: i64, tag: &str, writer: &str) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        tx.execute(RENEW, vec![past.into(), past.into()]).await?;
        tx.execute(TAG, vec![tag.into()]).await?;
        tx.execute(JOIN, vec![writer.into()]).await?;
        tx.commit().await
    }
}

impl VaultTransaction {
    /// Counts the transaction as one of the process's; refused if the store lacks one that was counted before.
    pub(super) async fn count_write(&mut self, lineage: &StoreLineage) -> Result<i64, VaultFailure> {
        let cells = vec![lineage.writer().into(), lineage.writes().into()];
        let rows: Vec<(i64,)> = self.fetch(COUNT_WRITE, cells).await?;
        match rows.first() {
            Some((writes,)) => Ok(*writes),
            None => Err(lineage.broken()),
        }
    }
}
