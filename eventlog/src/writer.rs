//! Group commit: all appends of a process go through one queue to one writer, which takes what is waiting, commits it
//! as one transaction and only then answers. No timer: a lone append is committed at once, and while one batch is
//! being committed the next one gathers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use wasend_domain::{Clock, Position, Time};

use crate::{Append, AppendRejection, AppendedRange, LogError};

/// Callers that may wait in the queue before others wait to enter it.
const WRITER_QUEUE_MAX: usize = 4_096;
/// A batch is closed once it holds this many events or bytes of payload; the last append may go over.
const BATCH_EVENTS_MAX: usize = 10_000;
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

pub(crate) type BatchAnswers = Vec<Result<AppendedRange, AppendRejection>>;

/// What a committed batch came to.
#[derive(Debug)]
pub(crate) struct CommittedBatch {
    pub answers: BatchAnswers,
    pub head: Position,
    pub events: usize,
}

/// Why a batch was not committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The database took longer than a batch may take.
    #[error("the database did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The database's answer contradicts what was asked or what the log holds.
    #[error("the database's answer about a batch is inconsistent: {0}")]
    Inconsistent(&'static str),
}

impl From<CommitError> for LogError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Database(error) => error.into(),
            error => Self::Unavailable(Arc::new(error)),
        }
    }
}

/// Where batches are committed.
#[async_trait]
pub(crate) trait CommitEngine: Send + 'static {
    /// Judges the appends and commits the accepted ones in one transaction. After an error the engine is ready for
    /// the next batch, and nothing of this one may be acknowledged.
    async fn commit(&mut self, batch: &[&Append], now: Time) -> Result<CommittedBatch, CommitError>;

    async fn close(&mut self);
}

enum WriterMessage {
    Append(AppendJob),
    Close,
}

struct AppendJob {
    appends: Vec<Append>,
    answer: oneshot::Sender<Result<BatchAnswers, LogError>>,
}

/// The way into the queue.
pub(crate) struct WriterQueue(mpsc::Sender<WriterMessage>);

impl WriterQueue {
    /// Queues the appends and waits for the commit of their batch. Fails with [`LogError::Closed`] after the end of the
    /// writer.
    pub async fn append(&self, appends: Vec<Append>) -> Result<BatchAnswers, LogError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(WriterMessage::Append(AppendJob { appends, answer })).await.map_err(|_| LogError::Closed)?;
        answered.await.map_err(|_| LogError::Closed)?
    }

    /// Refuses appends after those that already wait.
    pub async fn close(&self) {
        // A writer that is gone is closed already.
        drop(self.0.send(WriterMessage::Close).await);
    }
}

/// Starts the writer. It ends when the queue is closed or dropped and everything in it is answered.
pub(crate) fn start(
    engine: impl CommitEngine,
    clock: Arc<dyn Clock>,
    head: watch::Sender<Position>,
) -> (WriterQueue, impl Future<Output = ()> + Send) {
    let (sender, messages) = mpsc::channel(WRITER_QUEUE_MAX);
    (WriterQueue(sender), write(engine, clock, head, messages))
}

async fn write(
    mut engine: impl CommitEngine,
    clock: Arc<dyn Clock>,
    head: watch::Sender<Position>,
    mut messages: mpsc::Receiver<WriterMessage>,
) {
    while let Some(message) = messages.recv().await {
        // Callers answered by the last batch may already want more: let them in before this one starts.
        tokio::task::yield_now().await;
        let jobs = gather(message, &mut messages);
        if !jobs.is_empty() {
            commit(&mut engine, clock.now(), &head, jobs).await;
        }
    }
    engine.close().await;
}

/// Takes what is waiting, up to the limits of a batch.
fn gather(first: WriterMessage, messages: &mut mpsc::Receiver<WriterMessage>) -> Vec<AppendJob> {
    let (mut jobs, mut events, mut bytes) = (Vec::new(), 0, 0);
    let mut next = Some(first);
    while let Some(message) = next {
        match message {
            WriterMessage::Close => messages.close(),
            WriterMessage::Append(job) => {
                for event in job.appends.iter().flat_map(|a| &a.streams).flat_map(|s| &s.events) {
                    events += 1;
                    bytes += event.payload.len();
                }
                jobs.push(job);
            }
        }
        next = if events < BATCH_EVENTS_MAX && bytes < BATCH_BYTES_MAX && jobs.len() < WRITER_QUEUE_MAX {
            messages.try_recv().ok()
        } else {
            None
        };
    }
    jobs
}

async fn commit(engine: &mut impl CommitEngine, now: Time, head: &watch::Sender<Position>, jobs: Vec<AppendJob>) {
    let appends: Vec<&Append> = jobs.iter().flat_map(|job| &job.appends).collect();
    match engine.commit(&appends, now).await {
        Ok(committed) => {
            measure(&committed);
            moved(head, committed.head);
            let mut answers = committed.answers.into_iter();
            for job in jobs {
                let mine = answers.by_ref().take(job.appends.len()).collect();
                // A caller that has gone away is not waiting for its answer.
                drop(job.answer.send(Ok(mine)));
            }
        }
        Err(error) => {
            tracing::error!(%error, "a batch was not committed");
            let error = LogError::from(error);
            for job in jobs {
                drop(job.answer.send(Err(error.clone())));
            }
        }
    }
}

fn measure(committed: &CommittedBatch) {
    let conflicts =
        committed.answers.iter().filter(|answer| matches!(answer, Err(AppendRejection::Conflict { .. }))).count();
    if conflicts > 0 {
        metrics::counter!("wasend_log_conflicts_total").increment(conflicts as u64);
    }
    if committed.events > 0 {
        metrics::counter!("wasend_log_events_total").increment(committed.events as u64);
        #[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^52")]
        metrics::histogram!("wasend_log_batch_events").record(committed.events as f64);
    }
}

/// Tells the watchers of a new head; what is already known to lie behind is not news.
pub(crate) fn moved(head: &watch::Sender<Position>, position: Position) {
    head.send_if_modified(|known| {
        let news = position > *known;
        if news {
            *known = position;
        }
        news
    });
}
