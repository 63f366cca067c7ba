//! Suspending the vault while its store has not been compared with the log, and opening it again.

use super::Vault;
use crate::{
    error::{VaultFailure, VaultSuspension},
    lineage,
};

impl Vault {
    /// Opens and seals nothing until [`Self::resume`]: the store has not been compared with the log yet.
    pub fn suspend(&self) {
        drop(self.lineage.suspend(VaultSuspension::NotCompared));
    }

    /// Why nothing is opened or sealed now.
    pub fn suspended(&self) -> Option<VaultSuspension> {
        self.lineage.suspended()
    }

    /// Does work that ends a suspension: it may open values while nothing else may.
    pub async fn reapplying<T>(&self, work: impl Future<Output = T>) -> T {
        lineage::reapplying(work).await
    }

    /// Begins a new lineage of a store that was put back: its numbers go on after `past` and after every one that this
    /// process has heard of. The suspension stays.
    pub async fn renew_lineage(&self, past: i64) -> Result<(), VaultFailure> {
        self.lineage.renew(&self.store, past).await
    }

    /// Ends the suspension: what the log says was destroyed is destroyed. Refused if the store was put back once more
    /// meanwhile.
    pub async fn resume(&self) -> Result<(), VaultFailure> {
        self.lineage.resume(&self.store).await
    }
}
