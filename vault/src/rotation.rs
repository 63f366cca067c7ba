//! The end of an epoch. All living keys are wrapped under the next epoch's key and the last one's is destroyed; after
//! that every older copy of the keys (backups, write-ahead logs, dead rows) is noise, and what was destroyed in them is
//! destroyed for good.
//!
//! Each step is one durable change; the next process after one that died goes on from what the store says.
//!
//! | step | what is so after it |
//! |---|---|
//! | an epoch is announced | its key exists here; every node looks for it |
//! | every node has it: it becomes the current one | new keys are wrapped under it |
//! | keys are wrapped anew, some at a time | |
//! | none is left: the epochs before it have ended | every node destroys their keys |
//! | every node has destroyed them | it is written down |

use std::{fmt, sync::Arc};

use wasend_domain::{Erased, Time};

use crate::{
    epoch::NamedKey,
    error::VaultFailure,
    store::{EpochRow, EpochSwitch, NodeRow, OldKey},
    vault::Vault,
};

/// Keys in one transaction: few enough that no other transaction waits long for one of them.
const REWRAPPED_KEYS_MAX: i64 = 500;

/// Takes the vault through the end of an epoch, step by step.
pub struct KeyRotation {
    vault: Arc<Vault>,
    give_up_damaged: bool,
    /// Up to which id keys are wrapped under the current epoch; a new process begins again and finds them so.
    after: String,
    damaged: Vec<String>,
}

/// What a step did, or what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotationStep {
    /// No rotation is under way.
    Idle,
    /// The epoch is announced, or given up because its key was lost before it was used.
    Announced,
    Switched,
    /// So many keys are under the current epoch now.
    Rewrapped(usize),
    Ended,
    /// The keys of all epochs before the current one are destroyed.
    Destroyed,
    /// These nodes cannot use the next epoch yet, or have not destroyed the last one's key.
    Waiting(Vec<LaggingNode>),
}

/// A node that a rotation waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaggingNode {
    /// Its process, host and directory of keys.
    pub node: String,
    pub complaint: Option<String>,
}

impl fmt::Display for LaggingNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complaint = self.complaint.as_deref().unwrap_or("it has not answered yet");
        write!(f, "{}: {complaint}", self.node)
    }
}

impl From<NodeRow> for LaggingNode {
    fn from(node: NodeRow) -> Self {
        Self { node: node.label, complaint: node.complaint }
    }
}

/// How the epochs of a vault stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochStatus {
    pub epoch: i64,
    /// Whether it is still to come, wraps new keys, or has been succeeded.
    pub phase: EpochPhase,
    pub created_at: Time,
    pub destroyed_at: Option<Time>,
}

/// How far an epoch has come; in the order of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochPhase {
    Coming,
    Current,
    /// Some living keys may still be under it.
    Ending,
    /// Nothing living is under it; nodes destroy its key.
    Ended,
    Destroyed,
}

impl KeyRotation {
    /// A rotation that goes on where the last one stopped.
    pub fn of(vault: Arc<Vault>) -> Self {
        Self { vault, give_up_damaged: false, after: String::new(), damaged: Vec::new() }
    }

    /// Destroys keys whose wrapping is damaged, instead of refusing to end the epoch.
    #[must_use]
    pub fn giving_up_damaged(mut self) -> Self {
        self.give_up_damaged = true;
        self
    }

    /// Announces the next epoch, unless a rotation is under way already.
    pub async fn begin(&mut self) -> Result<(), VaultFailure> {
        let Vault { store, epochs, clock, lineage, .. } = &*self.vault;
        lineage.require_open()?;
        let (current, rows) = store.epochs().await?.ok_or(VaultFailure::DamagedKey)?;
        if rows.len() > 1 {
            return Ok(());
        }
        // Past every file that lies there, so that a key that a process made before it died is not taken for a new one.
        let epoch = current.max(epochs.holder().newest().await?) + 1;
        epochs.holder().create(epoch).await?;
        let check = epochs.check_value(epoch).await?;
        store.add_epoch(epoch, &check, clock.now()).await?;
        tracing::info!(epoch, "a new epoch of the vault's keys is announced");
        self.vault.node.pulse().heartbeat().await?;
        Ok(())
    }

    /// Goes on with what is under way.
    #[tracing::instrument(name = "vault.rotate", skip_all)]
    pub async fn step(&mut self) -> Result<RotationStep, VaultFailure> {
        let vault = Arc::clone(&self.vault);
        let Vault { store, clock, node, lineage, .. } = &*vault;
        // A key that is to be destroyed again must not be wrapped under the next epoch.
        lineage.require_open()?;
        let standing = node.pulse().heartbeat().await?;
        let (current, rows) = store.epochs().await?.ok_or(VaultFailure::DamagedKey)?;
        if let Some(coming) = rows.iter().find(|row| row.epoch > current) {
            return self.switch(coming.epoch, standing.usable).await;
        }
        let Some(last) = rows.iter().rfind(|row| row.epoch < current) else { return Ok(RotationStep::Idle) };
        if last.ended_at.is_none() {
            return self.rewrap(current).await;
        }
        let behind: Vec<_> = match store.nodes(vault.alive_at()).await? {
            nodes if !store.is_alone() => nodes.into_iter().filter(|node| node.ended < last.epoch).collect(),
            _ => Vec::new(),
        };
        if !behind.is_empty() {
            return Ok(RotationStep::Waiting(behind.into_iter().map(LaggingNode::from).collect()));
        }
        if standing.ended < last.epoch {
            let complaint = standing.complaint.map(|error| error.to_string());
            return Ok(RotationStep::Waiting(vec![LaggingNode { node: "this process".to_owned(), complaint }]));
        }
        store.epochs_destroyed(last.epoch, clock.now()).await?;
        metrics::counter!("wasend_vault_rotations_total").increment(1);
        tracing::info!(epoch = last.epoch, "an epoch of the vault's keys is over and its key destroyed");
        Ok(RotationStep::Destroyed)
    }

    async fn switch(&mut self, epoch: i64, usable: i64) -> Result<RotationStep, VaultFailure> {
        let (store, alive_at) = (&self.vault.store, self.vault.alive_at());
        // The process that announced it may have died before another had its key.
        if usable < epoch && store.abandon_epoch(epoch, alive_at).await? {
            tracing::warn!(epoch, "no node has the key of the announced epoch; it is given up");
            self.begin().await?;
            return Ok(RotationStep::Announced);
        }
        match store.switch_epoch(epoch, alive_at).await? {
            EpochSwitch::Waiting(nodes) => {
                Ok(RotationStep::Waiting(nodes.into_iter().map(LaggingNode::from).collect()))
            }
            EpochSwitch::Passed => Ok(RotationStep::Announced),
            EpochSwitch::Done => {
                self.after.clear();
                self.vault.node.pulse().heartbeat().await?;
                Ok(RotationStep::Switched)
            }
        }
    }

    /// Puts some keys under the current epoch, or ends those before it.
    async fn rewrap(&mut self, current: i64) -> Result<RotationStep, VaultFailure> {
        let Vault { store, epochs, clock, .. } = &*self.vault;
        let rows = store.living_before(current, &self.after, REWRAPPED_KEYS_MAX).await?;
        let Some(last) = rows.last() else { return self.end(current).await };
        let last = last.id.clone();
        let wrapped: Vec<_> = rows.iter().map(|row| named(row, row.epoch, row.wrapped.as_str())).collect();
        let keys = epochs.holder().unwrap(&wrapped).await?;
        let mut found = Vec::with_capacity(rows.len());
        for (row, key) in rows.into_iter().zip(keys) {
            match key {
                Some(key) => found.push((row, key)),
                None => self.damaged.push(row.id),
            }
        }
        let living: Vec<_> = found.iter().map(|(row, key)| named(row, current, key)).collect();
        let wrapped = epochs.holder().wrap(&living).await?;
        let rewrapped: Vec<_> = found.into_iter().map(|(row, _)| row).zip(wrapped).collect();
        store.rewrap(&rewrapped, current).await?;
        self.after = last;
        let gone = Erased { since: clock.now(), why: "its wrapping was damaged".to_owned() };
        if self.give_up_damaged && !self.damaged.is_empty() {
            store.destroy(&std::mem::take(&mut self.damaged), &[], &gone, &self.vault.lineage).await?;
        }
        Ok(RotationStep::Rewrapped(rewrapped.len()))
    }

    /// Looks through all of them once more from the beginning: what was wrapped before the epoch changed has come too.
    async fn end(&mut self, current: i64) -> Result<RotationStep, VaultFailure> {
        let Vault { store, clock, .. } = &*self.vault;
        self.after.clear();
        let left = store.living_before(current, "", 1).await?;
        if let Some(first) = left.into_iter().next() {
            let count = std::mem::take(&mut self.damaged).len();
            return match count {
                // Others ended it half way, or a key was written by hand: again.
                0 => Ok(RotationStep::Rewrapped(0)),
                count => Err(VaultFailure::DamagedKeys { count, first: first.id }),
            };
        }
        store.end_epochs(current, clock.now()).await?;
        Ok(RotationStep::Ended)
    }
}

fn named<'a, T: ?Sized>(row: &'a OldKey, epoch: i64, key: &'a T) -> NamedKey<'a, T> {
    NamedKey { id: &row.id, kind: &row.kind, epoch, key }
}

impl Vault {
    /// Since when something destroyed waits for the end of the epoch in which it was wrapped.
    pub async fn waiting_since(&self) -> Result<Option<Time>, VaultFailure> {
        self.store.waiting_since().await
    }

    /// Every epoch, in their order.
    pub async fn epochs(&self) -> Result<Vec<EpochStatus>, VaultFailure> {
        let (current, rows) = self.store.all_epochs().await?.ok_or(VaultFailure::DamagedKey)?;
        let status = |row: EpochRow| EpochStatus {
            epoch: row.epoch,
            phase: match row.epoch {
                epoch if epoch > current => EpochPhase::Coming,
                epoch if epoch == current => EpochPhase::Current,
                _ if row.destroyed_at.is_some() => EpochPhase::Destroyed,
                _ if row.ended_at.is_some() => EpochPhase::Ended,
                _ => EpochPhase::Ending,
            },
            created_at: row.created_at,
            destroyed_at: row.destroyed_at,
        };
        Ok(rows.into_iter().map(status).collect())
    }

    /// Nodes that may be alive, with what keeps them from following an epoch. None is known of SQLite.
    pub async fn nodes(&self) -> Result<Vec<LaggingNode>, VaultFailure> {
        let nodes = self.store.nodes(self.alive_at()).await?;
        Ok(nodes.into_iter().map(LaggingNode::from).collect())
    }

    /// Up to which destruction nothing can be opened any more, also with an old copy of the store: the epochs in which
    /// it was wrapped are over.
    pub async fn over_until(&self) -> Result<i64, VaultFailure> {
        // Before it is said of all, this process does its part.
        self.epochs.follow(&self.store).await?;
        self.store.over_until().await
    }

    /// The last of those epochs, and when its key was destroyed; nothing if that is still to come.
    pub async fn epoch_end(&self, destruction: i64) -> Result<Option<(i64, Time)>, VaultFailure> {
        if self.over_until().await? < destruction {
            return Ok(None);
        }
        let last = self.store.last_epoch_before(destruction).await?;
        Ok(last.and_then(|(epoch, destroyed_at)| Some((epoch, destroyed_at?))))
    }

    /// Whether a rotation is under way.
    pub async fn is_rotating(&self) -> Result<bool, VaultFailure> {
        Ok(self.store.epochs().await?.is_some_and(|(_, rows)| rows.len() > 1))
    }
}
