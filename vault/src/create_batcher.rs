//! Group commit of what is created: whatever waits is stored in one transaction, so that many new subjects at once
//! do not pay for a flush of the disk each.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use wasend_domain::{Clock, SubjectId};

use crate::{
    error::VaultFailure,
    lineage::StoreLineage,
    store::{CreationBatch, VaultStore},
};

/// Callers that wait for room when more than this many are in line.
const CREATE_QUEUE_MAX: usize = 4096;
/// Rows of one transaction, give or take the last caller's.
const CREATE_ROWS_MAX: usize = 20_000;
const CREATE_ATTEMPTS_MAX: u32 = 5;

type CreationAnswer = Result<Vec<Option<SubjectId>>, VaultFailure>;

struct CreationRequest {
    batch: CreationBatch,
    answer: oneshot::Sender<CreationAnswer>,
}

enum BatcherMessage {
    Create(CreationRequest),
    Stop,
}

/// The way to the writer.
pub(crate) struct CreateBatcher {
    orders: mpsc::Sender<BatcherMessage>,
    writer: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl CreateBatcher {
    /// Starts the task that writes; one a process.
    pub fn start(store: Arc<VaultStore>, clock: Arc<dyn Clock>, lineage: Arc<StoreLineage>) -> Self {
        let (orders, line) = mpsc::channel(CREATE_QUEUE_MAX);
        let writer = CreationWriter { store, clock, lineage, line };
        Self { orders, writer: tokio::sync::Mutex::new(Some(tokio::spawn(writer.run()))) }
    }

    /// Answers when the batch is durable; see [`VaultStore::create`].
    pub async fn create(&self, batch: CreationBatch) -> CreationAnswer {
        let (answer, answered) = oneshot::channel();
        let order = BatcherMessage::Create(CreationRequest { batch, answer });
        self.orders.send(order).await.map_err(|_| VaultFailure::Closed)?;
        answered.await.map_err(|_| VaultFailure::Closed)?
    }

    /// Answers what stands in line and stops.
    pub async fn stop(&self) {
        if let Some(writer) = self.writer.lock().await.take() {
            let stopping = self.orders.send(BatcherMessage::Stop).await;
            let ended = writer.await;
            if stopping.is_err() || ended.is_err() {
                tracing::error!("the vault's writer had stopped before it was told to");
            }
        }
    }
}

struct CreationWriter {
    store: Arc<VaultStore>,
    clock: Arc<dyn Clock>,
    lineage: Arc<StoreLineage>,
    line: mpsc::Receiver<BatcherMessage>,
}

impl CreationWriter {
    async fn run(mut self) {
        let sizes = metrics::histogram!("wasend_vault_creations_batch");
        while let Some(first) = self.line.recv().await {
            let (whole, answers, stop) = self.gather(first);
            if !answers.is_empty() {
                #[expect(clippy::cast_precision_loss, reason = "a metric")]
                sizes.record((whole.keys.len() + whole.subjects.len()) as f64);
                hand_out(self.store(&whole).await, answers);
            }
            if stop {
                return;
            }
        }
    }

    /// Takes what is waiting, without waiting for more: (everything together, who asked for how much, whether to stop).
    fn gather(
        &mut self,
        first: BatcherMessage,
    ) -> (CreationBatch, Vec<(usize, oneshot::Sender<CreationAnswer>)>, bool) {
        let (mut whole, mut answers) = (CreationBatch::default(), Vec::new());
        let mut next = Some(first);
        while let Some(order) = next {
            let BatcherMessage::Create(CreationRequest { mut batch, answer }) = order else {
                return (whole, answers, true);
            };
            answers.push((batch.subjects.len(), answer));
            whole.keys.append(&mut batch.keys);
            whole.subjects.append(&mut batch.subjects);
            let full = whole.keys.len() + whole.subjects.len() >= CREATE_ROWS_MAX;
            next = if full { None } else { self.line.try_recv().ok() };
        }
        (whole, answers, false)
    }

    #[tracing::instrument(name = "vault.create", skip_all, fields(keys = batch.keys.len(), subjects = batch.subjects.len()))]
    async fn store(&self, batch: &CreationBatch) -> CreationAnswer {
        let mut attempt = 1;
        loop {
            match self.store.create(batch, self.clock.now(), &self.lineage).await {
                Err(failure) if attempt < CREATE_ATTEMPTS_MAX && is_collision(&failure) => attempt += 1,
                result => return result,
            }
        }
    }
}

/// Whether the database undid the transaction in favour of another node's: a deadlock or a serialisation failure.
fn is_collision(failure: &VaultFailure) -> bool {
    let VaultFailure::Store(error) = failure else { return false };
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| matches!(&*code, "40P01" | "40001"))
}

fn hand_out(result: CreationAnswer, answers: Vec<(usize, oneshot::Sender<CreationAnswer>)>) {
    let mut rest = result.map(Vec::into_iter);
    for (count, answer) in answers {
        let own = match &mut rest {
            Ok(subjects) => Ok(subjects.by_ref().take(count).collect()),
            Err(failure) => Err(failure.clone()),
        };
        // A caller that went away finds what it created when it asks again.
        drop(answer.send(own));
    }
}
