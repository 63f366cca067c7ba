//! How this process learns that another one has moved the head: Postgres says so, and both are asked now and then.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use sqlx::{ConnectOptions as _, Executor as _, PgConnection};
use tokio::sync::watch;
use wasend_domain::Position;

use crate::writer::moved;
use crate::{Db, LogError, rows, with_db};

const CHANNEL: &str = "wasend_log";
const NOTIFY: &str = "SELECT pg_notify('wasend_log', $1)";
pub(crate) const HEAD: &str = "SELECT position FROM log_head WHERE id = 1";

/// How often SQLite is asked for what another process has written: the command line beside a running server.
const POLL_SQLITE: Duration = Duration::from_millis(250);
/// How often Postgres is asked, in case a notification was lost.
const POSTGRES_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Notifications are sent at most this often: one tells of all commits before it.
const NOTIFY_INTERVAL_MIN: Duration = Duration::from_millis(5);
/// Before a lost connection is made again.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

pub(crate) async fn head(db: &Db) -> Result<Position, LogError> {
    let found: Option<(i64,)> = with_db!(db, pool => sqlx::query_as(HEAD).fetch_optional(pool).await)?;
    let (position,) = found.ok_or_else(|| LogError::Damaged("its head is missing".to_owned()))?;
    rows::position(position)
}

/// Asks for the head for as long as it has watchers.
pub(crate) async fn poll(db: Db, known: watch::Sender<Position>) {
    let every = match &db {
        Db::Sqlite(_) => POLL_SQLITE,
        Db::Postgres(_) => POSTGRES_POLL_INTERVAL,
    };
    loop {
        tokio::time::sleep(every).await;
        match head(&db).await {
            Ok(position) => moved(&known, position),
            Err(error) => tracing::warn!(%error, "the head of the log could not be read"),
        }
    }
}

/// Hears of the commits of other nodes.
pub(crate) async fn listen(pool: PgPool, known: watch::Sender<Position>) {
    loop {
        if let Err(error) = listen_once(&pool, &known).await {
            tracing::warn!(%error, "not listening for other nodes' commits");
        }
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}

async fn listen_once(pool: &PgPool, known: &watch::Sender<Position>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        let notification = listener.recv().await?;
        if let Ok(position) = notification.payload().parse() {
            moved(known, position);
        }
    }
}

/// Tells other nodes of this one's commits, outside their transactions: a transaction that notifies takes a lock on
/// the whole server when it commits.
pub(crate) async fn notify(pool: PgPool, mut known: watch::Receiver<Position>) {
    let mut connection = None;
    while known.changed().await.is_ok() {
        let position = *known.borrow_and_update();
        match notify_once(&pool, connection.take(), position).await {
            Ok(open) => connection = Some(open),
            Err(error) => {
                tracing::warn!(%error, "other nodes were not told of a commit");
                tokio::time::sleep(RECONNECT_DELAY).await;
            }
        }
        tokio::time::sleep(NOTIFY_INTERVAL_MIN).await;
    }
}

async fn notify_once(
    pool: &PgPool,
    open: Option<PgConnection>,
    position: Position,
) -> Result<PgConnection, sqlx::Error> {
    let mut connection = if let Some(connection) = open {
        connection
    } else {
        let mut connection = pool.connect_options().connect().await?;
        // A notification needs no disk.
        connection.execute("SET synchronous_commit = off").await?;
        connection
    };
    sqlx::query(NOTIFY).bind(position.to_string()).execute(&mut connection).await?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row as _};

    use super::HEAD;
    use crate::{Db, DbOptions};

    #[tokio::test]
    async fn sqlite_finds_the_head_without_reading_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(directory.path().join("log.db").to_str().unwrap(), &DbOptions::default()).await.unwrap();
        let Db::Sqlite(sqlite) = &db else { unreachable!() };
        let program = sqlx::query(AssertSqlSafe(format!("EXPLAIN {HEAD}"))).fetch_all(sqlite.pool()).await.unwrap();
        let steps: Vec<String> = program.iter().map(|step| step.get("opcode")).collect();
        // A loop over a table begins with Rewind; its end is found by Last. https://sqlite.org/opcode.html
        assert!(steps.iter().any(|step| step == "Last") && !steps.iter().any(|step| step == "Rewind"), "{steps:?}");
        db.close().await;
    }
}
