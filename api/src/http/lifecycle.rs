//! Stopping: the word to stop reaches everything that runs, and the server waits for what still does.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Tells tasks to stop, and waits for them. Clones speak of the same server.
#[derive(Debug, Clone, Default)]
pub struct ServerLifecycle {
    stopping: CancellationToken,
    tracker: TaskTracker,
}

impl ServerLifecycle {
    /// A token that is cancelled when the server is to stop.
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Tasks that the server waits for before it ends.
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Tells everything to stop; [`Self::drained`] can end from then on.
    pub fn stop(&self) {
        self.stopping.cancel();
        self.tracker.close();
    }

    /// Waits for the tracked tasks; false when some still ran after `grace`.
    pub async fn drained(&self, grace: Duration) -> bool {
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}
