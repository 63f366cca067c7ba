//! How a destruction of keys, and an epoch, reaches every node. Keys live in the memory of each; a node uses those that
//! it remembers only for a few seconds after it has last asked the store whether one was destroyed, and says up to which
//! destruction it has forgotten them. So a process that destroys a key can know, and not only hope, that no node has it
//! any more. In the same way a node says which epochs it can use, and whose keys it has destroyed.
//!
//! SQLite has one server process and perhaps a command of the terminal beside it, on one machine and with one directory
//! of keys. They ask as well; their answer is not waited for.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{task::AbortHandle, time::MissedTickBehavior};
use wasend_domain::{Clock, EventId, Time};

use crate::{
    cache::KeyCache,
    epochs::{EpochRegistry, EpochStanding},
    error::VaultFailure,
    lineage::StoreLineage,
    store::{NodeRow, VaultStore},
};

/// How often a node asks.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// How long it uses what it remembers without an answer.
const CACHE_USABLE_TTL: Duration = Duration::from_secs(8);
/// By how much the clocks of two nodes may differ.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(2);
/// After this long nothing need be known about a node that is gone.
const GONE_NODE_TTL: Duration = Duration::from_secs(3_600);

/// This process as one of the nodes; gone when it is dropped.
pub(crate) struct VaultNode {
    pulse: Arc<NodeHeartbeat>,
    beating: AbortHandle,
}

/// What a node asks of the store, and what it answers.
pub(crate) struct NodeHeartbeat {
    name: String,
    label: String,
    store: Arc<VaultStore>,
    epochs: Arc<EpochRegistry>,
    cache: Arc<KeyCache>,
    lineage: Arc<StoreLineage>,
    clock: Arc<dyn Clock>,
    complaint: Mutex<Option<String>>,
}

impl VaultNode {
    /// Asks for the first time, and keeps asking. Refused if the current epoch cannot be used here.
    pub async fn join(
        store: &Arc<VaultStore>,
        epochs: &Arc<EpochRegistry>,
        (cache, lineage): (&Arc<KeyCache>, &Arc<StoreLineage>),
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, VaultFailure> {
        let pulse = Arc::new(NodeHeartbeat {
            name: EventId::random().to_string(),
            label: label(&epochs.holder().place()),
            store: Arc::clone(store),
            epochs: Arc::clone(epochs),
            cache: Arc::clone(cache),
            lineage: Arc::clone(lineage),
            clock: Arc::clone(clock),
            complaint: Mutex::default(),
        });
        // An epoch that began before the others knew of this node is one that they did not wait for it with.
        loop {
            let standing = pulse.heartbeat().await?;
            if standing.usable >= standing.current {
                break;
            }
            epochs.follow(store).await?;
        }
        let beats = Arc::clone(&pulse);
        let beating = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(HEARTBEAT_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                // A suspension was said when it began.
                if let Err(error) = beats.heartbeat().await
                    && !matches!(error, VaultFailure::Suspended(_))
                {
                    tracing::warn!(%error, "whether keys were destroyed elsewhere is not known; none is kept in memory");
                }
            }
        });
        Ok(Self { pulse, beating: beating.abort_handle() })
    }

    /// The heartbeat of this node.
    pub fn pulse(&self) -> &NodeHeartbeat {
        &self.pulse
    }

    /// Says that this node has no keys in memory any more.
    pub async fn leave(&self, store: &VaultStore) {
        self.beating.abort();
        if store.is_alone() {
            return;
        }
        if let Err(error) = store.remove_node(&self.pulse.name).await {
            tracing::warn!(%error, "the other nodes could not be told that this one leaves");
        }
    }
}

impl Drop for VaultNode {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

impl NodeHeartbeat {
    /// Does what the store says, and tells it.
    pub async fn heartbeat(&self) -> Result<EpochStanding, VaultFailure> {
        let until = self.clock.now().plus(CACHE_USABLE_TTL);
        let number = self.lineage.check(&self.store).await?;
        let mut standing = self.epochs.standing(&self.store).await?;
        let complaint = standing.complaint.as_ref().map(ToString::to_string);
        self.complain(complaint.as_deref());
        if self.store.is_alone() {
            return Ok(standing);
        }
        let (label, usable, ended) = (self.label.clone(), standing.usable, standing.ended);
        let row = NodeRow { label, usable, ended, complaint };
        let gone = before(self.clock.now(), GONE_NODE_TTL);
        standing.current = self.store.put_node((&self.name, number, until), &row, gone).await?;
        // Only now do the others wait for us.
        self.cache.use_until(until);
        Ok(standing)
    }

    /// Once for each.
    fn complain(&self, complaint: Option<&str>) {
        let mut last = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != complaint {
            *last = complaint.map(str::to_owned);
            if let Some(complaint) = complaint {
                tracing::error!(complaint, "an epoch of the vault's keys cannot be followed on this node");
            }
        }
    }
}

/// Where the node runs and where its keys are, for people.
fn label(keys: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "a host without a name" } else { host.trim() };
    format!("process {} on {host} with the keys in {keys}", std::process::id())
}

fn before(time: Time, by: Duration) -> Time {
    Time::from_micros(time.micros().saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}

/// Nodes that have not been heard of since then use nothing any more.
pub(crate) fn alive_at(now: Time) -> Time {
    before(now, CLOCK_SKEW_MAX)
}
