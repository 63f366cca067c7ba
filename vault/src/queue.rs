//! Group commit of what is created: whatever waits is stored in one transaction, so that many new subjects at once
//! do not pay for a flush of the disk each.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use wasend_domain::{Clock, SubjectId};

use crate::{
    error::Failure,
    lineage::Lineage,
    store::{Batch, Store},
};

/// Callers that wait for room when more than this many are in line.
const LINE: usize = 4096;
/// Rows of one transaction, give or take the last caller's.
const ROWS: usize = 20_000;
const ATTEMPTS: u32 = 5;

type Answer = Result<Vec<Option<SubjectId>>, Failure>;

struct Creation {
    batch: Batch,
    answer: oneshot::Sender<Answer>,
}

enum Order {
    Create(Creation),
    Stop,
}

/// The way to the writer.
pub(crate) struct Queue {
    orders: mpsc::Sender<Order>,
    writer: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Queue {
    pub fn start(store: Arc<Store>, clock: Arc<dyn Clock>, lineage: Arc<Lineage>) -> Self {
        let (orders, line) = mpsc::channel(LINE);
        let writer = Writer { store, clock, lineage, line };
        Self { orders, writer: tokio::sync::Mutex::new(Some(tokio::spawn(writer.run()))) }
    }

    /// Answers when the batch is durable; see [`Store::create`].
    pub async fn create(&self, batch: Batch) -> Answer {
        let (answer, answered) = oneshot::channel();
        let order = Order::Create(Creation { batch, answer });
        self.orders.send(order).await.map_err(|_| Failure::Closed)?;
        answered.await.map_err(|_| Failure::Closed)?
    }

    /// Answers what stands in line and stops.
    pub async fn stop(&self) {
        if let Some(writer) = self.writer.lock().await.take() {
            let stopping = self.orders.send(Order::Stop).await;
            let ended = writer.await;
            if stopping.is_err() || ended.is_err() {
                tracing::error!("the vault's writer had stopped before it was told to");
            }
        }
    }
}

struct Writer {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    lineage: Arc<Lineage>,
    line: mpsc::Receiver<Order>,
}

impl Writer {
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
    fn gather(&mut self, first: Order) -> (Batch, Vec<(usize, oneshot::Sender<Answer>)>, bool) {
        let (mut whole, mut answers) = (Batch::default(), Vec::new());
        let mut next = Some(first);
        while let Some(order) = next {
            let Order::Create(Creation { mut batch, answer }) = order else {
                return (whole, answers, true);
            };
            answers.push((batch.subjects.len(), answer));
            whole.keys.append(&mut batch.keys);
            whole.subjects.append(&mut batch.subjects);
            let full = whole.keys.len() + whole.subjects.len() >= ROWS;
            next = if full { None } else { self.line.try_recv().ok() };
        }
        (whole, answers, false)
    }

    #[tracing::instrument(name = "vault.create", skip_all, fields(keys = batch.keys.len(), subjects = batch.subjects.len()))]
    async fn store(&self, batch: &Batch) -> Answer {
        let mut attempt = 1;
        loop {
            match self.store.create(batch, self.clock.now(), &self.lineage).await {
                Err(failure) if attempt < ATTEMPTS && is_collision(&failure) => attempt += 1,
                result => return result,
            }
        }
    }
}

/// Whether the database undid the transaction in favour of another node's: a deadlock or a serialisation failure.
fn is_collision(failure: &Failure) -> bool {
    let Failure::Store(error) = failure else { return false };
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| matches!(&*code, "40P01" | "40001"))
}

fn hand_out(result: Answer, answers: Vec<(usize, oneshot::Sender<Answer>)>) {
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
