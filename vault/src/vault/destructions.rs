//! Whether every node has forgotten the keys that were destroyed.

use wasend_domain::Time;

use super::Vault;
use crate::{error::VaultFailure, node_registry};

impl Vault {
    /// The number of the last destruction; see [`Self::is_forgotten`].
    pub async fn last_destruction(&self) -> Result<i64, VaultFailure> {
        self.store.destructions().await
    }

    /// Whether no node has any key in memory that was destroyed up to that destruction. A node that has died is waited
    /// for until it could not use what it remembered.
    pub async fn is_forgotten(&self, destruction: i64) -> Result<bool, VaultFailure> {
        if self.store.is_alone() {
            return Ok(true);
        }
        self.node.pulse().heartbeat().await?;
        self.store.nodes_behind(destruction, self.alive_at()).await.map(|behind| behind == 0)
    }

    /// Nodes that have not been heard of since then use nothing any more.
    pub(crate) fn alive_at(&self) -> Time {
        node_registry::alive_at(self.clock.now())
    }
}
