//! Keys as the vault hands them to its own work: from memory, else from the store, or made.

use std::collections::HashMap;

use super::Vault;
use crate::{
    error::VaultFailure,
    key::{KeyName, RootKey},
    key_resolver::{KeyResolver, read},
    store::CreationBatch,
};

impl Vault {
    /// Those of the keys that exist, from memory or else all together from the store. No key in it was destroyed
    /// before this was called.
    ///
    /// Refused with [`VaultFailure::Suspended`] while nothing may be opened; rows of a store that was put back to an earlier
    /// copy are never used, since the lineage is compared after they were read.
    pub(crate) async fn ring(&self, names: &[KeyName]) -> Result<KeyResolver, VaultFailure> {
        loop {
            self.lineage.require_open()?;
            let now = self.clock.now();
            let (stamp, found) = self.cache.look_up(names, now);
            let mut ring = HashMap::with_capacity(names.len());
            let mut missing = Vec::new();
            for (name, held) in names.iter().zip(found) {
                match held {
                    Some(held) => _ = ring.insert(*name, held),
                    None => missing.push(*name),
                }
            }
            if missing.is_empty() {
                return Ok(KeyResolver::new(ring));
            }
            missing.sort_unstable();
            missing.dedup();
            let read = read(&self.store, &self.epochs, &missing).await?;
            self.lineage.check(&self.store).await?;
            // A key was destroyed meanwhile, and it may be one of these.
            if self.cache.keep(stamp, now, read.iter().cloned()) {
                ring.extend(read);
                return Ok(KeyResolver::new(ring));
            }
        }
    }

    /// Makes those of the keys that do not exist yet; a destroyed one stays so.
    pub(crate) async fn create_keys(&self, names: &[KeyName]) -> Result<(), VaultFailure> {
        let keys: Vec<_> =
            names.iter().map(|name| Ok((*name, RootKey::random()?))).collect::<Result<_, VaultFailure>>()?;
        let pairs: Vec<_> = keys.iter().map(|(name, key)| (*name, key)).collect();
        loop {
            let keys = self.epochs.wrap(&pairs).await?;
            match self.queue.create(CreationBatch { keys, subjects: Vec::new() }).await {
                Err(VaultFailure::EpochPassed) => _ = self.epochs.follow(&self.store).await?,
                result => return result.map(drop),
            }
        }
    }
}
