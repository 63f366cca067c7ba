//! Turns at the database: however much one account asks at once, it has half of the connections at most, and the rest
//! of its queries wait for each other alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Half of the connections that queries share.
const AT_ONCE: usize = 8;

#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<String, Arc<Semaphore>>>);

/// A question may be asked as long as this is held. One that asks another in the meantime could wait for itself.
pub struct Turn(#[expect(dead_code, reason = "held for its drop alone")] Option<OwnedSemaphorePermit>);

impl Turns {
    pub async fn take(&self, account_id: &str) -> Turn {
        let turns = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match all.get(account_id) {
                Some(turns) => Arc::clone(turns),
                None => {
                    Arc::clone(all.entry(account_id.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
                }
            }
        };
        // The semaphore is never closed.
        Turn(turns.acquire_owned().await.ok())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn an_account_waits_for_itself_alone() {
        let turns = Turns::default();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(turns.take("one").await);
        }
        assert!(turns.take("one").now_or_never().is_none());
        assert!(turns.take("other").now_or_never().is_some());
        held.pop();
        assert!(turns.take("one").now_or_never().is_some());
    }
}
