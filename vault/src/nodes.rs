//! How a destruction of keys reaches every node. Keys live in the memory of each; a node uses those that it remembers
//! only for a few seconds after it has last asked the store whether one was destroyed, and says up to which destruction
//! it has forgotten them. So whoever destroys a key can know, and not only hope, that nobody has it any more.
//!
//! SQLite has one server process, which is the one that destroys.

use std::{sync::Arc, time::Duration};

use tokio::{task::AbortHandle, time::MissedTickBehavior};
use wasend_domain::{Clock, EventId, Time};

use crate::{cache::KeyCache, error::Failure, store::Store, vault::Vault};

/// How often a node asks.
const BEAT: Duration = Duration::from_secs(1);
/// How long it uses what it remembers without an answer.
const USABLE: Duration = Duration::from_secs(8);
/// By how much the clocks of two nodes may differ.
const SKEW: Duration = Duration::from_secs(2);
/// After this long nothing need be known about a node that is gone.
const GONE: Duration = Duration::from_secs(3_600);

/// This process as one of the nodes; gone when it is dropped.
pub(crate) struct Node {
    name: String,
    beating: Option<AbortHandle>,
}

impl Node {
    /// Asks for the first time, and keeps asking where there may be other nodes.
    pub async fn join(store: &Arc<Store>, cache: &Arc<KeyCache>, clock: &Arc<dyn Clock>) -> Result<Self, Failure> {
        let name = EventId::random().to_string();
        if store.is_alone() {
            return Ok(Self { name, beating: None });
        }
        beat(store, cache, &**clock, &name).await?;
        let (store, cache, clock) = (Arc::clone(store), Arc::clone(cache), Arc::clone(clock));
        let node = name.clone();
        let beating = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(BEAT);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Err(error) = beat(&store, &cache, &*clock, &node).await {
                    tracing::warn!(%error, "whether keys were destroyed elsewhere is not known; none is kept in memory");
                }
            }
        });
        Ok(Self { name, beating: Some(beating.abort_handle()) })
    }

    /// Says that this node has no keys in memory any more.
    pub async fn leave(&self, store: &Store) {
        if let Some(beating) = &self.beating {
            beating.abort();
            if let Err(error) = store.remove_node(&self.name).await {
                tracing::warn!(%error, "the other nodes could not be told that this one leaves");
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(beating) = &self.beating {
            beating.abort();
        }
    }
}

async fn beat(store: &Store, cache: &KeyCache, clock: &dyn Clock, node: &str) -> Result<(), Failure> {
    let until = clock.now().plus(USABLE);
    let number = store.destructions().await?;
    cache.heard(number);
    store.put_node(node, number, until, before(clock.now(), GONE)).await?;
    // Only now do the others wait for us.
    cache.use_until(until);
    Ok(())
}

fn before(time: Time, by: Duration) -> Time {
    Time::from_micros(time.micros().saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}

impl Vault {
    /// The number of the last destruction; see [`Self::is_forgotten`].
    pub async fn last_destruction(&self) -> Result<i64, Failure> {
        self.store.destructions().await
    }

    /// Whether no node has any key in memory that was destroyed up to that destruction. A node that has died is waited
    /// for until it could not use what it remembered.
    pub async fn is_forgotten(&self, destruction: i64) -> Result<bool, Failure> {
        if self.store.is_alone() {
            return Ok(true);
        }
        beat(&self.store, &self.cache, &*self.clock, &self.node.name).await?;
        self.store.nodes_behind(destruction, before(self.clock.now(), SKEW)).await.map(|behind| behind == 0)
    }
}
