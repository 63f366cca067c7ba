use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt as _;
use wasend_eventlog::{BatchLimits, Batcher};
use wasend_projections::ReadModels;
use wasend_projections::accounts::ApiKeyRow;
use wasend_vault::Vault;

use crate::auth::{KeyAuthenticator, KeyHolder, KeysUnavailable};

/// Most keys that are looked up together, and how many such lookups there are at once.
const LOOKUP_BATCH_LIMITS: BatchLimits = BatchLimits { most: 128, sets: 2 };

type KeyLookup = Result<Option<KeyHolder>, KeysUnavailable>;

/// API keys, found by the keyed hash of their secret. Every request looks its key up, so that one that is revoked
/// works no more; the lookups of requests that come together are one.
pub struct ApiKeyStore {
    vault: Arc<Vault>,
    lookups: Arc<Batcher<(), String, KeyLookup>>,
}

impl ApiKeyStore {
    /// The store over the read models, where keys are looked up, and the vault, which hashes secrets. Look-ups that
    /// come together are one query.
    pub fn new(reads: ReadModels, vault: Arc<Vault>) -> Self {
        let lookups = Batcher::new(LOOKUP_BATCH_LIMITS, move |(), hashes: Vec<String>| {
            let reads = reads.clone();
            async move { look_up(&reads, hashes).await }.boxed()
        });
        Self { vault, lookups }
    }
}

#[async_trait]
impl KeyAuthenticator for ApiKeyStore {
    async fn authenticate(&self, secret: &str) -> KeyLookup {
        self.lookups.submit((), self.vault.server_hash(secret)).await.unwrap_or(Err(KeysUnavailable))
    }
}

async fn look_up(reads: &ReadModels, hashes: Vec<String>) -> Vec<KeyLookup> {
    let mut distinct: Vec<&str> = hashes.iter().map(String::as_str).collect();
    distinct.sort_unstable();
    distinct.dedup();
    match ApiKeyRow::valid(reads, &distinct).await {
        Ok(rows) => {
            let holders: HashMap<String, KeyHolder> =
                rows.into_iter().filter_map(|row| Some((row.hash.clone(), actor(&row)?))).collect();
            hashes.iter().map(|hash| Ok(holders.get(hash).cloned())).collect()
        }
        Err(error) => {
            tracing::error!(%error, "keys cannot be checked");
            vec![Err(KeysUnavailable); hashes.len()]
        }
    }
}

fn actor(row: &ApiKeyRow) -> Option<KeyHolder> {
    let scopes = row.scopes.iter().copied().collect();
    Some(KeyHolder { account_id: row.account_id.parse().ok()?, key_id: row.id.parse().ok()?, scopes })
}
