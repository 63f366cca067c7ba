//! Order among the commands of this process that met on one aggregate. The log would let them through one by one
//! anyway; queueing here spares them the rounds they would lose.

use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// Aggregates share a turn by chance; the more there are, the more seldom.
const TURNS: usize = 64;

static QUEUES: [Mutex<()>; TURNS] = [const { Mutex::const_new(()) }; TURNS];

/// Waits for the turn of all these aggregates.
pub(crate) async fn take(ids: impl Iterator<Item = Uuid>) -> Vec<MutexGuard<'static, ()>> {
    let mut queues: Vec<usize> = ids.map(|id| usize::from(id.as_bytes()[15]) % TURNS).collect();
    // All wait in the same order, so none waits for ever.
    queues.sort_unstable();
    queues.dedup();
    let mut turns = Vec::new();
    for queue in queues {
        turns.push(QUEUES[queue].lock().await);
    }
    turns
}
