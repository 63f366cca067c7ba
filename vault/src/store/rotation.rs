//! Epochs and nodes: what a rotation changes.
//!
//! Storing a key, joining as a node and moving the epoch on lock the row of `current_epoch` first. So no key is
//! stored under an epoch that has passed, and no node slips in between the question whether all are ready and the step.

use wasend_domain::Time;

use super::{
    VaultStore,
    creation::NewKey,
    sql::{SqlValue, VaultTransaction},
};
use crate::error::VaultFailure;

pub(super) const CURRENT: &str = "SELECT epoch FROM current_epoch WHERE id = 1";
/// Those whose keys may still exist; there are few.
pub(super) const EPOCHS: &str = "SELECT c.epoch, e.epoch, e.check_value, e.created_at, e.ended_at, e.destroyed_at \
     FROM epochs e CROSS JOIN current_epoch c WHERE e.destroyed_at IS NULL ORDER BY e.epoch";
pub(super) const ALL_EPOCHS: &str = "SELECT c.epoch, e.epoch, e.check_value, e.created_at, e.ended_at, e.destroyed_at \
     FROM epochs e CROSS JOIN current_epoch c ORDER BY e.epoch";
/// How many destructions there had been when the oldest epoch became current whose key may still exist.
pub(super) const OVER_UNTIL: &str = "SELECT destructions FROM epochs WHERE destroyed_at IS NULL ORDER BY epoch LIMIT 1";
/// The last epoch before the first that began after a destruction: under that one, nothing of it was ever wrapped.
pub(super) const LAST_BEFORE: &str = "SELECT epoch, destroyed_at FROM epochs \
     WHERE epoch < (SELECT min(epoch) FROM epochs WHERE destructions >= $1) ORDER BY epoch DESC LIMIT 1";
pub(super) const INSERT_EPOCH: &str =
    "INSERT INTO epochs (epoch, check_value, created_at) VALUES ($1, $2, $3) ON CONFLICT (epoch) DO NOTHING";
pub(super) const COMING: &str = "SELECT epoch FROM epochs WHERE epoch > $1";
pub(super) const ABANDON: &str = "DELETE FROM epochs WHERE epoch > $1";
pub(super) const SWITCH: &str = "UPDATE current_epoch SET epoch = $1 WHERE id = 1";
/// Waits for destructions under way: each comes wholly before the epoch or wholly after its beginning.
pub(super) const NOT_WAITING: &str = "UPDATE destructions SET waiting_since = NULL WHERE id = 1";
pub(super) const BEGUN: &str =
    "UPDATE epochs SET destructions = (SELECT number FROM destructions WHERE id = 1) WHERE epoch = $1";
/// `d.id > $2` says nothing new, but keeps Postgres from walking through all that were ever destroyed each time.
pub(super) const LIVING_BEFORE: &str = "SELECT k.id, k.kind, k.epoch, k.wrapped FROM keys k \
     WHERE k.epoch < $1 AND k.id > $2 \
     AND NOT EXISTS (SELECT 1 FROM destroyed_keys d WHERE d.id = k.id AND d.id > $2) ORDER BY k.id LIMIT $3";
/// Only what is still wrapped as it was read: a key that was destroyed meanwhile stays so.
pub(super) const REWRAP: &str = "UPDATE keys SET wrapped = v.column2, epoch = CAST(v.column3 AS BIGINT) \
     FROM (VALUES {rows}) AS v WHERE keys.id = v.column1 AND keys.wrapped = v.column4";
pub(super) const END: &str = "UPDATE epochs SET ended_at = $1 WHERE epoch < $2 AND ended_at IS NULL";
pub(super) const DESTROYED: &str = "UPDATE epochs SET destroyed_at = $1 \
     WHERE epoch <= $2 AND ended_at IS NOT NULL AND destroyed_at IS NULL";
pub(super) const WAITING_SINCE: &str = "SELECT waiting_since FROM destructions WHERE id = 1";
pub(super) const PUT_NODE: &str = "INSERT INTO nodes (node, label, heard, usable_until, usable, ended, complaint) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (node) DO UPDATE SET heard = excluded.heard, \
     usable_until = excluded.usable_until, usable = excluded.usable, ended = excluded.ended, complaint = excluded.complaint";
pub(super) const NODES: &str =
    "SELECT label, usable, ended, complaint FROM nodes WHERE usable_until > $1 ORDER BY label, node";
pub(super) const FORGET_NODES: &str = "DELETE FROM nodes WHERE usable_until < $1";
pub(super) const REMOVE_NODE: &str = "DELETE FROM nodes WHERE node = $1";

/// An epoch as it is stored.
pub(crate) struct EpochRow {
    pub epoch: i64,
    pub check: String,
    pub created_at: Time,
    pub ended_at: Option<Time>,
    pub destroyed_at: Option<Time>,
}

/// A key under an earlier epoch.
pub(crate) struct OldKey {
    pub id: String,
    pub kind: String,
    pub epoch: i64,
    pub wrapped: String,
}

/// What a node says of itself.
pub(crate) struct NodeRow {
    pub label: String,
    pub usable: i64,
    pub ended: i64,
    pub complaint: Option<String>,
}

/// What came of an attempt to make an epoch the current one.
pub(crate) enum EpochSwitch {
    Done,
    /// Another process was first, or gave it up.
    Passed,
    /// These cannot use it yet.
    Waiting(Vec<NodeRow>),
}

#[derive(Clone, Copy)]
pub(super) enum EpochLock {
    Shared,
    Exclusive,
}

impl VaultTransaction {
    /// The current epoch, which stays so until the transaction ends.
    pub(super) async fn current_epoch(&mut self, lock: EpochLock) -> Result<i64, VaultFailure> {
        let suffix = match (&self, lock) {
            // The transaction holds the only write lock.
            (Self::Sqlite(_), _) => "",
            (Self::Postgres(_), EpochLock::Shared) => " FOR SHARE",
            (Self::Postgres(_), EpochLock::Exclusive) => " FOR UPDATE",
        };
        let rows: Vec<(i64,)> = self.fetch(&format!("{CURRENT}{suffix}"), Vec::new()).await?;
        rows.first().map(|(epoch,)| *epoch).ok_or(VaultFailure::DamagedKey)
    }

    /// Refuses keys that were wrapped before the epoch changed.
    pub(super) async fn require_current<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a NewKey>,
    ) -> Result<(), VaultFailure> {
        let current = self.current_epoch(EpochLock::Shared).await?;
        if keys.into_iter().any(|key| key.epoch != current) { Err(VaultFailure::EpochPassed) } else { Ok(()) }
    }

    async fn nodes(&mut self, alive_at: Time) -> Result<Vec<NodeRow>, VaultFailure> {
        let rows: Vec<NodeColumns> = self.fetch(NODES, vec![alive_at.micros().into()]).await?;
        Ok(rows.into_iter().map(NodeRow::from).collect())
    }
}

/// The columns of [`EPOCHS`], of which the first is the current epoch.
type EpochColumns = (i64, i64, String, i64, Option<i64>, Option<i64>);

impl From<EpochColumns> for EpochRow {
    fn from((_, epoch, check, created_at, ended_at, destroyed_at): EpochColumns) -> Self {
        let time = Time::from_micros;
        let (ended_at, destroyed_at) = (ended_at.map(time), destroyed_at.map(time));
        Self { epoch, check, created_at: time(created_at), ended_at, destroyed_at }
    }
}

/// The columns of [`NODES`].
type NodeColumns = (String, i64, i64, Option<String>);

impl From<NodeColumns> for NodeRow {
    fn from((label, usable, ended, complaint): NodeColumns) -> Self {
        Self { label, usable, ended, complaint }
    }
}

impl VaultStore {
    /// The epochs whose keys may still exist, in their order, and which of them is the current one; nothing if the store
    /// is new.
    pub async fn epochs(&self) -> Result<Option<(i64, Vec<EpochRow>)>, VaultFailure> {
        self.epochs_of(EPOCHS).await
    }

    /// All that ever were.
    pub async fn all_epochs(&self) -> Result<Option<(i64, Vec<EpochRow>)>, VaultFailure> {
        self.epochs_of(ALL_EPOCHS).await
    }

    async fn epochs_of(&self, sql: &str) -> Result<Option<(i64, Vec<EpochRow>)>, VaultFailure> {
        let rows: Vec<EpochColumns> = self.fetch(sql, Vec::new()).await?;
        let current = rows.first().map(|row| row.0);
        Ok(current.map(|current| (current, rows.into_iter().map(EpochRow::from).collect())))
    }

    /// Up to which destruction everything is beyond opening, also in old copies.
    pub async fn over_until(&self) -> Result<i64, VaultFailure> {
        let rows: Vec<(Option<i64>,)> = self.fetch(OVER_UNTIL, Vec::new()).await?;
        Ok(rows.first().and_then(|(number,)| *number).unwrap_or(0))
    }

    /// The last epoch in which something was wrapped that was destroyed then, and when its key was.
    pub async fn last_epoch_before(&self, destruction: i64) -> Result<Option<(i64, Option<Time>)>, VaultFailure> {
        let rows: Vec<(i64, Option<i64>)> = self.fetch(LAST_BEFORE, vec![destruction.into()]).await?;
        Ok(rows.first().map(|(epoch, destroyed_at)| (*epoch, destroyed_at.map(Time::from_micros))))
    }

    /// Adds the first epoch, or one to come unless one is coming already. Of several processes at once, the first
    /// decides.
    pub async fn add_epoch(&self, epoch: i64, check: &str, now: Time) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        let current = tx.current_epoch(EpochLock::Exclusive).await?;
        let coming: Vec<(i64,)> = tx.fetch(COMING, vec![current.into()]).await?;
        if coming.is_empty() {
            tx.execute(INSERT_EPOCH, vec![epoch.into(), check.into(), now.micros().into()]).await?;
        }
        tx.commit().await
    }

    /// Gives up an epoch to come whose key no living node has. Nothing was ever wrapped under it.
    pub async fn abandon_epoch(&self, epoch: i64, alive_at: Time) -> Result<bool, VaultFailure> {
        let mut tx = self.begin().await?;
        let current = tx.current_epoch(EpochLock::Exclusive).await?;
        if epoch <= current || tx.nodes(alive_at).await?.iter().any(|node| node.usable >= epoch) {
            return Ok(false);
        }
        tx.execute(ABANDON, vec![current.into()]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Makes the epoch the current one, if every living node can use it.
    pub async fn switch_epoch(&self, epoch: i64, alive_at: Time) -> Result<EpochSwitch, VaultFailure> {
        let mut tx = self.begin().await?;
        let current = tx.current_epoch(EpochLock::Exclusive).await?;
        let coming: Vec<(i64,)> = tx.fetch(COMING, vec![current.into()]).await?;
        if !coming.contains(&(epoch,)) {
            return Ok(EpochSwitch::Passed);
        }
        let behind: Vec<_> = tx.nodes(alive_at).await?.into_iter().filter(|node| node.usable < epoch).collect();
        if !behind.is_empty() {
            return Ok(EpochSwitch::Waiting(behind));
        }
        tx.execute(NOT_WAITING, Vec::new()).await?;
        tx.execute(SWITCH, vec![epoch.into()]).await?;
        tx.execute(BEGUN, vec![epoch.into()]).await?;
        tx.commit().await?;
        Ok(EpochSwitch::Done)
    }

    /// Living keys of epochs before this one, in the order of their ids.
    pub async fn living_before(&self, epoch: i64, after: &str, limit: i64) -> Result<Vec<OldKey>, VaultFailure> {
        let rows: Vec<(String, String, i64, String)> =
            self.fetch(LIVING_BEFORE, vec![epoch.into(), after.into(), limit.into()]).await?;
        Ok(rows.into_iter().map(|(id, kind, epoch, wrapped)| OldKey { id, kind, epoch, wrapped }).collect())
    }

    /// Puts keys under another epoch: each as it was read, and as it is wrapped from now on.
    pub async fn rewrap(&self, keys: &[(OldKey, String)], epoch: i64) -> Result<(), VaultFailure> {
        let row = |(key, after): &'_ (OldKey, String)| -> Vec<SqlValue<'static>> {
            vec![key.id.clone().into(), after.clone().into(), epoch.into(), key.wrapped.clone().into()]
        };
        let mut tx = self.begin().await?;
        tx.insert(REWRAP, keys.iter().map(row).collect()).await?;
        tx.commit().await
    }

    /// Ends all epochs before the current one. The caller has seen that no living key is under them; none can have come
    /// since.
    pub async fn end_epochs(&self, current: i64, now: Time) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        tx.execute(END, vec![now.micros().into(), current.into()]).await?;
        tx.commit().await
    }

    /// The keys of all epochs that have ended, up to this one, are destroyed.
    pub async fn epochs_destroyed(&self, last: i64, now: Time) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        tx.execute(DESTROYED, vec![now.micros().into(), last.into()]).await?;
        tx.commit().await
    }

    /// Since when something destroyed waits for the end of its epoch.
    pub async fn waiting_since(&self) -> Result<Option<Time>, VaultFailure> {
        let rows: Vec<(Option<i64>,)> = self.fetch(WAITING_SINCE, Vec::new()).await?;
        Ok(rows.first().and_then(|(since,)| *since).map(Time::from_micros))
    }

    /// Says what a node has heard and can use, and forgets those that are long gone; answers with the current epoch.
    pub async fn put_node(
        &self,
        (name, heard, until): (&str, i64, Time),
        standing: &NodeRow,
        gone: Time,
    ) -> Result<i64, VaultFailure> {
        let mut tx = self.begin().await?;
        let current = tx.current_epoch(EpochLock::Shared).await?;
        tx.execute(FORGET_NODES, vec![gone.micros().into()]).await?;
        let mut cells: Vec<SqlValue<'_>> = vec![name.into(), standing.label.as_str().into(), heard.into()];
        cells.extend([until.micros(), standing.usable, standing.ended].map(SqlValue::from));
        cells.push(standing.complaint.as_deref().into());
        tx.execute(PUT_NODE, cells).await?;
        tx.commit().await?;
        Ok(current)
    }

    /// Nodes that may be alive.
    pub async fn nodes(&self, alive_at: Time) -> Result<Vec<NodeRow>, VaultFailure> {
        let rows: Vec<NodeColumns> = self.fetch(NODES, vec![alive_at.micros().into()]).await?;
        Ok(rows.into_iter().map(NodeRow::from).collect())
    }

    /// Takes the node off those that are waited for.
    pub async fn remove_node(&self, node: &str) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        tx.execute(REMOVE_NODE, vec![node.into()]).await?;
        tx.commit().await
    }
}
