//! Reading and folding ahead: the batches of some builds that stand together are read, folded and handed over one
//! after the other, while the daemon still writes the one before.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, info_span};
use wasend_domain::Position;
use wasend_eventlog::{EventFilter, LogError};

use crate::engine::batch::{self, DecodedEvent, FoldedBatch};
use crate::engine::batch_rows::BatchRows;
use crate::engine::build::ProjectionBuild;
use crate::engine::context::{EngineContext, EngineFailure};
use crate::engine::sql::{EngineConnection, StoreError};

/// Whose batch is next, and which events are in it: so many after a position, and none after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BatchRange {
    /// The builds, by their shards.
    pub shards: Vec<usize>,
    pub from: Position,
    pub limit: usize,
    pub until: Option<Position>,
}

/// A batch, and what each build makes of it, in the order of the shards and as soon as it is folded.
pub(crate) struct PrefetchedBatch {
    pub events: Arc<Vec<DecodedEvent>>,
    pub folded: mpsc::Receiver<Result<FoldedBatch, StoreError>>,
}

/// Where the batches of one course after another are prepared. Dropping it gives up what it has prepared.
#[derive(Default)]
pub(crate) struct Prefetcher {
    ahead: Option<PrefetchStream>,
    /// On which rows are loaded, while nothing is prepared.
    conn: Option<EngineConnection>,
}

impl Prefetcher {
    /// The next batch of a course, prepared ahead if it is the one that was expected. None if there is no event, and
    /// none is needed for a build to join the others.
    pub async fn next(
        &mut self,
        means: &Arc<EngineContext>,
        course: &BatchRange,
        builds: impl FnOnce() -> Vec<Arc<ProjectionBuild>>,
        joins: bool,
    ) -> Result<Option<PrefetchedBatch>, EngineFailure> {
        if let Some(ahead) = self.ahead.as_mut().filter(|ahead| ahead.course == *course)
            && let Some(batch) = ahead.next().await?
        {
            return Ok(Some(batch));
        }
        self.end().await;
        let BatchRange { from, limit, until, .. } = *course;
        let events = read(Arc::clone(means), from, limit, until).await?;
        if events.is_empty() && !joins {
            return Ok(None);
        }
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => EngineConnection::durable(&means.db).await?,
        };
        let ahead = PrefetchStream::start(Arc::clone(means), conn, builds(), course.clone(), events);
        Ok(self.ahead.insert(ahead).next().await?)
    }

    /// Gives up what is prepared.
    pub async fn end(&mut self) {
        if let Some(ahead) = self.ahead.take() {
            self.conn = ahead.end().await;
        }
    }
}

/// The batches after the one in hand.
struct PrefetchStream {
    /// Of the next batch.
    course: BatchRange,
    batches: mpsc::Receiver<Result<PrefetchedBatch, LogError>>,
    /// Gives back the connection on which it loads rows.
    task: AbortOnDropHandle<EngineConnection>,
}

impl PrefetchStream {
    /// Begins with `events`, the first batch of the course.
    fn start(
        means: Arc<EngineContext>,
        conn: EngineConnection,
        builds: Vec<Arc<ProjectionBuild>>,
        course: BatchRange,
        events: Vec<DecodedEvent>,
    ) -> Self {
        let (sender, batches) = mpsc::channel(1);
        let folder = PrefetchTask { means, conn, builds, limit: course.limit, until: course.until, sender };
        let task = AbortOnDropHandle::new(tokio::spawn(folder.run(events).in_current_span()));
        Self { course, batches, task }
    }

    /// The next batch; none after the last event that there was to be read.
    async fn next(&mut self) -> Result<Option<PrefetchedBatch>, LogError> {
        let batch = self.batches.recv().await.transpose()?;
        if let Some(last) = batch.as_ref().and_then(|batch| batch.events.last()) {
            self.course.from = last.recorded.position;
        }
        Ok(batch)
    }

    /// Waits for its end, which comes when there is no further batch; the connection, for the next.
    async fn end(self) -> Option<EngineConnection> {
        drop(self.batches);
        match self.task.await {
            Ok(conn) => Some(conn),
            Err(died) if died.is_panic() => std::panic::resume_unwind(died.into_panic()),
            Err(_) => None,
        }
    }
}

struct PrefetchTask {
    means: Arc<EngineContext>,
    conn: EngineConnection,
    builds: Vec<Arc<ProjectionBuild>>,
    limit: usize,
    until: Option<Position>,
    sender: mpsc::Sender<Result<PrefetchedBatch, LogError>>,
}

impl PrefetchTask {
    /// A batch is begun when the one before it has been taken to be written, so when the one before that is committed:
    /// what it touches is as the database shows it, or as the batch before has left it.
    async fn run(mut self, events: Vec<DecodedEvent>) -> EngineConnection {
        let mut before: Vec<BatchRows> = self.builds.iter().map(|_| BatchRows::default()).collect();
        let mut events = Arc::new(events);
        loop {
            let last = events.last().filter(|_| events.len() == self.limit).map(|event| event.recorded.position);
            let further = last.map(|from| {
                let further = read(Arc::clone(&self.means), from, self.limit, self.until);
                AbortOnDropHandle::new(tokio::spawn(further))
            });
            let (sender, folded) = mpsc::channel(self.builds.len());
            if self.sender.send(Ok(PrefetchedBatch { events: Arc::clone(&events), folded })).await.is_err() {
                return self.conn;
            }
            let span = info_span!("projection.load", events = events.len());
            let mut on = self.conn.on();
            let loaded = match batch::load(&mut on, &self.builds, &events, &mut before).instrument(span).await {
                Ok(loaded) => loaded,
                Err(error) => {
                    // The receiver is gone if this fails.
                    drop(sender.send(Err(error)).await);
                    return self.conn;
                }
            };
            let mut whole = true;
            for ((build, named), rows) in self.builds.iter().zip(loaded).zip(&mut before) {
                let name = build.projection.name();
                let span = info_span!("projection.fold", projection.name = name, events = events.len());
                let folded = span.in_scope(|| named.fold(build, &events, rows));
                whole &= folded.count == events.len();
                if sender.send(Ok(folded)).await.is_err() {
                    return self.conn;
                }
            }
            // Who came less far than the others goes on alone.
            let Some(further) = further.filter(|_| whole) else { return self.conn };
            match further.await {
                Ok(Ok(further)) => events = Arc::new(further),
                Ok(Err(error)) => {
                    // The receiver is gone if this fails.
                    drop(self.sender.send(Err(error)).await);
                    return self.conn;
                }
                Err(_) => return self.conn,
            }
        }
    }
}

/// The next events, decoded.
async fn read(
    means: Arc<EngineContext>,
    from: Position,
    limit: usize,
    until: Option<Position>,
) -> Result<Vec<DecodedEvent>, LogError> {
    let events = means.log.read(from, limit, &EventFilter { until, ..EventFilter::default() }).await?;
    Ok(batch::decode(events, means.decode))
}
