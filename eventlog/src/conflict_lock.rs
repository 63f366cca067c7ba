//! Order among the commands of this process that met on one aggregate. The log would let them through one by one
//! anyway; queueing here spares them the rounds they would lose.

use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// Aggregates share a turn by chance; the more there are, the more seldom.
const CONFLICT_LOCKS: usize = 64;

static LOCKS: [Mutex<()>; CONFLICT_LOCKS] = [const { Mutex::const_new(()) }; CONFLICT_LOCKS];

/// Waits for the turn of all these aggregates.
pub(crate) async fn lock_all(ids: impl Iterator<Item = Uuid>) -> Vec<MutexGuard<'static, ()>> {
    let mut queues: Vec<usize> = ids.map(|id| usize::from(id.as_bytes()[15]) % CONFLICT_LOCKS).collect();
    // All wait in the same order, so none waits for ever.
    queues.sort_unstable();
    queues.dedup();
    let mut turns = Vec::new();
    for queue in queues {
        turns.push(LOCKS[queue].lock().await);
    }
    turns
}
