//! The log on SQLite or Postgres.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::de::IgnoredAny;
use tokio::sync::{Mutex, watch};
use tokio::task::{AbortHandle, JoinHandle};
use wasend_domain::{AccountId, Clock, Position, RecordedEvent, StreamId};

use crate::postgres::PostgresEngine;
use crate::sqlite::SqliteEngine;
use crate::writer::{self, WriterQueue};
use crate::{
    Append, AppendRejection, AppendedRange, BatchLimits, Batcher, CommandId, Db, EventFilter, EventLog, LogError,
    UpcasterChain, notifications, read,
};

/// In characters.
const UUID_LENGTH: usize = 36;

/// Loads of a few streams that come together are one query.
type LoadBatcher = Batcher<(), Vec<StreamId>, Result<Vec<RecordedEvent>, LogError>>;

/// Loads of more streams than this bypass the batcher.
const BATCHER_BYPASS_STREAMS: usize = 8;

/// The batcher ended before it answered: the load that it ran for several callers panicked.
#[derive(Debug, thiserror::Error)]
#[error("the load of several streams ended without an answer")]
struct LoadAbandoned;

struct LoadGuard<'a>(&'a AtomicUsize);

impl Drop for LoadGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The log in a database of ours. Dropped without [`EventLog::close`] it still commits what is queued, as long as the
/// runtime lives.
pub struct SqlLog {
    db: Db,
    upcasters: UpcasterChain,
    queue: WriterQueue,
    loads: Arc<LoadBatcher>,
    /// Loads that have no answer yet.
    loading: AtomicUsize,
    head: watch::Sender<Position>,
    writer: Mutex<Option<JoinHandle<()>>>,
    followers: Vec<AbortHandle>,
}

impl SqlLog {
    /// Starts the writer and the followers of other nodes' commits. `clock` stamps what is recorded.
    pub async fn open(db: Db, clock: Arc<dyn Clock>, upcasters: UpcasterChain) -> Result<Self, LogError> {
        let (head, _) = watch::channel(notifications::head(&db).await?);
        let mut followers = vec![tokio::spawn(notifications::poll(db.clone(), head.clone())).abort_handle()];
        let (queue, writer): (_, BoxFuture<'static, ()>) = match &db {
            Db::Sqlite(sqlite) => {
                let (queue, writer) = writer::start(SqliteEngine::new(sqlite.clone()), clock, head.clone());
                (queue, Box::pin(writer))
            }
            Db::Postgres(pool) => {
                followers.push(tokio::spawn(notifications::listen(pool.clone(), head.clone())).abort_handle());
                followers.push(tokio::spawn(notifications::notify(pool.clone(), head.subscribe())).abort_handle());
                let (queue, writer) = writer::start(PostgresEngine::new(pool), clock, head.clone());
                (queue, Box::pin(writer))
            }
        };
        let writer = Mutex::new(Some(tokio::spawn(writer)));
        let loads = Batcher::new(BatchLimits { most: 64, sets: 2 }, {
            let db = db.clone();
            move |(), asked: Vec<Vec<StreamId>>| {
                let db = db.clone();
                async move { read::load_each(&db, &asked).await }.boxed()
            }
        });
        Ok(Self { db, upcasters, queue, loads, loading: AtomicUsize::new(0), head, writer, followers })
    }

    /// The database that holds the log.
    pub const fn db(&self) -> &Db {
        &self.db
    }
}

impl Drop for SqlLog {
    fn drop(&mut self) {
        for follower in &self.followers {
            follower.abort();
        }
    }
}

#[async_trait]
impl EventLog for SqlLog {
    #[tracing::instrument(name = "log.append", skip_all, fields(append.count = batch.len()))]
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Result<AppendedRange, AppendRejection>>, LogError> {
        batch.iter().try_for_each(check)?;
        let start = Instant::now();
        let answers = self.queue.append(batch).await;
        metrics::histogram!("wasend_log_append_seconds").record(start.elapsed().as_secs_f64());
        answers
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<RecordedEvent>, LogError> {
        let alone = self.loading.fetch_add(1, Ordering::Relaxed) == 0;
        let _loading = LoadGuard(&self.loading);
        let loaded = if alone || streams.len() > BATCHER_BYPASS_STREAMS {
            read::load(&self.db, streams).await
        } else {
            let loaded = self.loads.submit((), streams.to_vec()).await;
            loaded.unwrap_or_else(|| Err(LogError::Unavailable(Arc::new(LoadAbandoned))))
        };
        self.upcasters.apply_all(loaded?)
    }

    async fn command(&self, account_id: AccountId, command_id: &str) -> Result<Vec<RecordedEvent>, LogError> {
        self.upcasters.apply_all(read::command(&self.db, account_id, command_id).await?)
    }

    async fn recorded(&self, account_id: AccountId, command_ids: &[String]) -> Result<HashSet<String>, LogError> {
        read::recorded(&self.db, account_id, command_ids).await
    }

    async fn read(&self, after: Position, limit: usize, filter: &EventFilter) -> Result<Vec<RecordedEvent>, LogError> {
        self.upcasters.apply_all(read::read(&self.db, after, limit, filter).await?)
    }

    async fn head(&self) -> Result<Position, LogError> {
        notifications::head(&self.db).await
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    async fn close(&self) {
        self.queue.close().await;
        if let Some(writer) = self.writer.lock().await.take()
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the log's writer did not end well");
        }
        for follower in &self.followers {
            follower.abort();
        }
    }
}

/// Refuses what one of the engines could not store: it would fail the batch and its neighbours with it.
fn check(append: &Append) -> Result<(), LogError> {
    let text = |text: &str| {
        if text.contains('\0') { Err(LogError::Malformed("a text contains the character NUL")) } else { Ok(()) }
    };
    match &append.command_id {
        CommandId::Fresh(id) => text(id)?,
        // The index of repeatable commands leaves out the others by the length of theirs.
        CommandId::Repeatable { id, .. } if id.chars().count() == UUID_LENGTH => {
            return Err(LogError::Malformed("the id of a repeatable command is as long as a UUID"));
        }
        CommandId::Repeatable { id, .. } => text(id)?,
    }
    for event in append.streams.iter().flat_map(|part| &part.events) {
        text(&event.event_type)?;
        text(&event.event_version)?;
        serde_json::from_str::<IgnoredAny>(&event.payload).map_err(|_| LogError::Malformed("a payload is not JSON"))?;
    }
    Ok(())
}
