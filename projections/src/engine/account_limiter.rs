//! Turns at the database: however much one account asks at once, it has half of the connections at most, and the rest
//! of its queries wait for each other alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Half of the connections that queries share.
const ACCOUNT_QUERIES_MAX: usize = 8;

#[derive(Default)]
pub(crate) struct AccountLimiter(Mutex<HashMap<String, Arc<Semaphore>>>);

/// A question may be asked as long as this is held. One that asks another in the meantime could wait for itself.
pub struct QueryPermit(#[expect(dead_code, reason = "held for its drop alone")] Option<OwnedSemaphorePermit>);

impl AccountLimiter {
    /// Waits for one of the account's places; it is free again when the permit is dropped.
    pub async fn acquire(&self, account_id: &str) -> QueryPermit {
        let turns = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match all.get(account_id) {
                Some(turns) => Arc::clone(turns),
                None => Arc::clone(
                    all.entry(account_id.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(ACCOUNT_QUERIES_MAX))),
                ),
            }
        };
        // The semaphore is never closed.
        QueryPermit(turns.acquire_owned().await.ok())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn an_account_waits_for_itself_alone() {
        let turns = AccountLimiter::default();
        let mut held = Vec::new();
        for _ in 0..ACCOUNT_QUERIES_MAX {
            held.push(turns.acquire("one").await);
        }
        assert!(turns.acquire("one").now_or_never().is_none());
        assert!(turns.acquire("other").now_or_never().is_some());
        held.pop();
        assert!(turns.acquire("one").now_or_never().is_some());
    }
}
