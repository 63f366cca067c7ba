//! How nodes hear of one another's progress on Postgres. A lost notification costs no more than a poll interval.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::{Notify, watch};
use tracing::debug;
use wasend_domain::Position;

const CHANNEL: &str = "wasend_projected";
const NOTIFY: &str = "SELECT pg_notify('wasend_projected', '')";
/// Before a lost connection is made again.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// Wakes this node's daemon whenever another has committed.
pub(crate) async fn listen(pool: PgPool, wake: Arc<Notify>) {
    loop {
        if let Err(error) = listen_once(&pool, &wake).await {
            debug!(error = %crate::engine::sql::code(&error), "not listening for other nodes' projections");
        }
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}

async fn listen_once(pool: &PgPool, wake: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        listener.recv().await?;
        wake.notify_one();
    }
}

/// Tells the other nodes of this one's commits, after them: a transaction that notifies takes a lock on the whole
/// server when it commits. Commits that come while one notification is under way share the next.
pub(crate) async fn notify(pool: PgPool, mut committed: watch::Receiver<Position>) {
    while committed.changed().await.is_ok() {
        committed.borrow_and_update();
        if let Err(error) = sqlx::query(NOTIFY).execute(&pool).await {
            debug!(error = %crate::engine::sql::code(&error), "other nodes were not told of a projected batch");
            tokio::time::sleep(RECONNECT_DELAY).await;
        }
    }
}
