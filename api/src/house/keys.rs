use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt as _;
use wasend_eventlog::{Gather, Together};
use wasend_projections::accounts::KeyRow;
use wasend_projections::{Cell, Reads};
use wasend_vault::Vault;

use crate::auth::{Actor, Authenticator, Unavailable};

/// Most keys that are looked up together, and how many such lookups there are at once.
const TOGETHER: Together = Together { most: 128, sets: 2 };

type Answer = Result<Option<Actor>, Unavailable>;

/// API keys, found by the keyed hash of their secret. Every request looks its key up, so that one that is revoked
/// works no more; the lookups of requests that come together are one.
pub struct Keys {
    vault: Arc<Vault>,
    lookups: Arc<Gather<(), String, Answer>>,
}

impl Keys {
    pub fn new(reads: Reads, vault: Arc<Vault>) -> Self {
        let lookups = Gather::new(TOGETHER, move |(), hashes: Vec<String>| {
            let reads = reads.clone();
            async move { look_up(&reads, hashes).await }.boxed()
        });
        Self { vault, lookups }
    }
}

#[async_trait]
impl Authenticator for Keys {
    async fn authenticate(&self, secret: &str) -> Answer {
        self.lookups.ask((), self.vault.server_hash(secret)).await.unwrap_or(Err(Unavailable))
    }
}

async fn look_up(reads: &Reads, hashes: Vec<String>) -> Vec<Answer> {
    let mut distinct: Vec<&str> = hashes.iter().map(String::as_str).collect();
    distinct.sort_unstable();
    distinct.dedup();
    // Few different texts of the statement, so that each is prepared once.
    distinct.resize(distinct.len().next_power_of_two(), distinct[0]);
    let places: Vec<String> = (1..=distinct.len()).map(|place| format!("${place}")).collect();
    let tail = format!("WHERE hash IN ({}) AND revoked_at IS NULL", places.join(", "));
    let binds: Vec<Cell> = distinct.into_iter().map(Cell::from).collect();
    match reads.fetch::<KeyRow>(&tail, &binds).await {
        Ok(rows) => {
            let holders: HashMap<String, Actor> =
                rows.into_iter().filter_map(|row| Some((row.hash.clone(), actor(&row)?))).collect();
            hashes.iter().map(|hash| Ok(holders.get(hash).cloned())).collect()
        }
        Err(error) => {
            tracing::error!(%error, "keys cannot be checked");
            vec![Err(Unavailable); hashes.len()]
        }
    }
}

fn actor(row: &KeyRow) -> Option<Actor> {
    let scopes = row.scopes.iter().copied().collect();
    Some(Actor { account_id: row.account_id.parse().ok()?, key_id: row.id.parse().ok()?, scopes })
}
