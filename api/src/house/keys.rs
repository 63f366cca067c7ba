use std::sync::Arc;

use async_trait::async_trait;
use wasend_projections::accounts::KeyRow;
use wasend_projections::{Cell, Reads};
use wasend_vault::Vault;

use crate::auth::{Actor, Authenticator, Unavailable};

const BY_HASH: &str = "WHERE hash = $1 AND revoked_at IS NULL LIMIT 1";

/// API keys, found by the keyed hash of their secret.
pub struct Keys {
    pub reads: Reads,
    pub vault: Arc<Vault>,
}

#[async_trait]
impl Authenticator for Keys {
    async fn authenticate(&self, secret: &str) -> Result<Option<Actor>, Unavailable> {
        let hash = self.vault.server_hash(secret);
        let rows = self.reads.fetch::<KeyRow>(BY_HASH, &[Cell::from(hash)]).await.map_err(|error| {
            tracing::error!(%error, "keys cannot be checked");
            Unavailable
        })?;
        Ok(rows.into_iter().next().and_then(|row| {
            let scopes = row.scopes.iter().copied().collect();
            Some(Actor { account_id: row.account_id.parse().ok()?, key_id: row.id.parse().ok()?, scopes })
        }))
    }
}
