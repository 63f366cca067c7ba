//! Which numbers the simulator plays Meta for.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{PoisonError, RwLock},
};

use async_trait::async_trait;

use crate::redacted::SECRET;

/// The numbers that exist; asked on every call, so they may come and go.
#[async_trait]
pub trait SimulatedLines: Send + Sync {
    async fn line(&self, phone_number_id: &str) -> Result<Option<SimulatedLine>, LinesUnavailable>;

    /// The numbers of a business account; empty if there is no such account.
    async fn waba(&self, waba_id: &str) -> Result<Vec<SimulatedLine>, LinesUnavailable>;
}

/// Which numbers exist is not known for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("which numbers exist is not known for now")]
pub struct LinesUnavailable;

/// A number that the simulator stands in for, with its credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct SimulatedLine {
    pub phone_number_id: String,
    pub waba_id: String,
    /// Digits, as in `metadata.display_phone_number`.
    pub display_phone_number: String,
    pub access_token: String,
    pub app_secret: String,
}

impl fmt::Debug for SimulatedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedLine")
            .field("phone_number_id", &self.phone_number_id)
            .field("waba_id", &self.waba_id)
            .field("access_token", &SECRET)
            .field("app_secret", &SECRET)
            .finish_non_exhaustive()
    }
}

/// Numbers that are simply listed.
#[derive(Debug, Default)]
pub struct MemoryLines(RwLock<BTreeMap<String, SimulatedLine>>);

impl MemoryLines {
    /// Lines that are known from the start.
    pub fn new(lines: impl IntoIterator<Item = SimulatedLine>) -> Self {
        let all = Self::default();
        for line in lines {
            all.put(line);
        }
        all
    }

    /// Adds a number, or changes the one with the same id.
    pub fn put(&self, line: SimulatedLine) {
        let mut lines = self.0.write().unwrap_or_else(PoisonError::into_inner);
        lines.insert(line.phone_number_id.clone(), line);
    }
}

#[async_trait]
impl SimulatedLines for MemoryLines {
    async fn line(&self, phone_number_id: &str) -> Result<Option<SimulatedLine>, LinesUnavailable> {
        let lines = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(lines.get(phone_number_id).cloned())
    }

    async fn waba(&self, waba_id: &str) -> Result<Vec<SimulatedLine>, LinesUnavailable> {
        let lines = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let of_account = lines.values().filter(|line| line.waba_id == waba_id);
        Ok(of_account.cloned().collect())
    }
}
