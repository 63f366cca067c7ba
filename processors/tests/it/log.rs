//! Logs that tell what was asked of them, or whose node dies.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use wasend_domain::{AccountId, Position, RecordedEvent, StreamId};
use wasend_eventlog::{Append, AppendRejection, AppendedRange, EventFilter, EventLog, LogError};

/// The log of a node that dies at one of its appends: what happens to it after that never happens.
pub struct Mortal {
    pub inner: Arc<dyn EventLog>,
    /// Appends until then.
    pub left: AtomicI64,
    /// The last one is still written.
    pub written: bool,
    pub died: Notify,
    /// So many loads of contacts panic.
    pub stumbles: AtomicI64,
}

/// Counts what is asked for.
pub struct Counting {
    pub inner: Arc<dyn EventLog>,
    pub work: Mutex<Work>,
}

#[derive(Debug, Clone, Default)]
pub struct Work {
    /// Events that were appended, by type.
    pub appended: BTreeMap<String, usize>,
    /// Most events of one stream that were loaded.
    pub longest: usize,
}

#[async_trait]
impl EventLog for Mortal {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Result<AppendedRange, AppendRejection>>, LogError> {
        if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return self.inner.append(batch).await;
        }
        if self.written {
            drop(self.inner.append(batch).await);
        }
        self.died.notify_one();
        std::future::pending().await
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<RecordedEvent>, LogError> {
        let contacts = streams.iter().any(|stream| stream.aggregate_type == "contact");
        assert!(!contacts || self.stumbles.fetch_sub(1, Ordering::SeqCst) <= 0, "it stumbles");
        self.inner.load(streams).await
    }

    async fn command(&self, account_id: AccountId, command_id: &str) -> Result<Vec<RecordedEvent>, LogError> {
        self.inner.command(account_id, command_id).await
    }

    async fn read(&self, after: Position, limit: usize, filter: &EventFilter) -> Result<Vec<RecordedEvent>, LogError> {
        self.inner.read(after, limit, filter).await
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.inner.head().await
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.inner.watch()
    }

    async fn close(&self) {}
}

#[async_trait]
impl EventLog for Counting {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Result<AppendedRange, AppendRejection>>, LogError> {
        let events = batch.iter().flat_map(|append| &append.streams).flat_map(|stream| &stream.events);
        let types: Vec<_> = events.map(|event| event.event_type.clone()).collect();
        let answers = self.inner.append(batch).await?;
        if answers.iter().all(Result::is_ok) {
            let mut work = self.work.lock().unwrap();
            for name in types {
                *work.appended.entry(name).or_default() += 1;
            }
        }
        Ok(answers)
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<RecordedEvent>, LogError> {
        let events = self.inner.load(streams).await?;
        let mut work = self.work.lock().unwrap();
        let longest = events.chunk_by(|one, two| one.aggregate_id == two.aggregate_id).map(<[_]>::len).max();
        work.longest = work.longest.max(longest.unwrap_or(0));
        Ok(events)
    }

    async fn command(&self, account_id: AccountId, command_id: &str) -> Result<Vec<RecordedEvent>, LogError> {
        self.inner.command(account_id, command_id).await
    }

    async fn read(&self, after: Position, limit: usize, filter: &EventFilter) -> Result<Vec<RecordedEvent>, LogError> {
        self.inner.read(after, limit, filter).await
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.inner.head().await
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.inner.watch()
    }

    async fn close(&self) {}
}
