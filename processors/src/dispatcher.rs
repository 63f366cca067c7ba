//! The front of the dispatcher: which numbers this node sends for.
//!
//! | file | holds |
//! |---|---|
//! | `backlog` | which numbers have something to do |
//! | `context` | what the loops of all numbers share: queues, throttles, options |
//! | `worker`, `worker/answers` | one number's loop; what it does when a call ends |
//! | `queue` | one number's part of the to-do list |
//! | `prepare` | from messages that are due to calls that may be made |
//! | `call` | one call to Meta |
//! | `response_policy`, `rate_limit`, `backoff` | what an answer means; how fast a number may send; how long to wait |
//! | `outcome_writer`, `identity_updates` | recording outcomes; what Meta tells about recipients |

mod backlog;
pub(crate) mod backoff;
mod call;
mod context;
pub(crate) mod identity_updates;
pub(crate) mod outcome_writer;
mod prepare;
mod queue;
mod rate_limit;
mod response_policy;
mod worker;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use wasend_commands::CommandError;
use wasend_domain::{Actor, EventId, NumberId};
use wasend_projections::Leases;
use wasend_projections::outbox::OutboxRow;

use crate::context::ProgressWatcher;
use crate::dispatcher::backlog::{NumberBacklog, read_backlog};
use crate::dispatcher::backoff::RandomJitter;
use crate::dispatcher::context::{DispatchContext, MetaThrottles};
use crate::options::DispatchOptions;
use crate::processor::{Processor, ProcessorContext};

/// The name under which the dispatcher stands in the audit trail.
pub(crate) const DISPATCHER: Actor = Actor::System("dispatcher");

/// Outcomes that wait to be recorded; beyond them the numbers' loops wait.
const ENDED_CALLS_QUEUE_MAX: usize = 10_000;
/// Identities that wait to be learnt; beyond them they are left for the next message.
const IDENTITY_UPDATES_QUEUE_MAX: usize = 10_000;
/// A timer of nothing would be refused.
const TICK_MIN: Duration = Duration::from_millis(1);
/// How long outcomes that are already known may take to be recorded when the time to shut down is over.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Sends what waits to be sent, for every number whose lease this node gets. Dropped without
/// [`Dispatcher::shutdown`], it ends like a process that dies.
pub struct Dispatcher {
    stop: CancellationToken,
    manager: JoinHandle<()>,
    recorder: JoinHandle<()>,
    learner: JoinHandle<()>,
    leases: Leases,
    owner: String,
    held: HeldLeases,
}

/// The names of the leases that this node has.
type HeldLeases = Arc<Mutex<BTreeSet<String>>>;

impl Processor for Dispatcher {
    type Options = DispatchOptions;

    /// Starts to send for the numbers that this node gets the lease of.
    fn start(context: &ProcessorContext, options: DispatchOptions) -> Self {
        let ProcessorContext { commands, projector, leases, gateway } = context.clone();
        let (endings, ended) = mpsc::channel(ENDED_CALLS_QUEUE_MAX);
        let (lessons, taught) = mpsc::channel(IDENTITY_UPDATES_QUEUE_MAX);
        let recorder = tokio::spawn(outcome_writer::run(Arc::clone(&commands), ended, options.store_pause));
        let learner = tokio::spawn(identity_updates::run(Arc::clone(&commands), taught));
        let shared = Arc::new(DispatchContext {
            jitter: Arc::new(RandomJitter::new(options.seed)),
            calls: Arc::new(Semaphore::new(options.calls.clamp(1, Semaphore::MAX_PERMITS))),
            pauses: MetaThrottles::default(),
            commands,
            gateway,
            projector,
            options,
            endings,
            lessons,
        });
        let (stop, held, owner) = (CancellationToken::new(), HeldLeases::default(), EventId::random().to_string());
        let manager = DispatchManager {
            shared,
            leases: leases.clone(),
            owner: owner.clone(),
            held: Arc::clone(&held),
            stop: stop.clone(),
            seen: HashMap::new(),
            workers: HashMap::new(),
            running: JoinSet::new(),
        };
        let manager = tokio::spawn(manager.run());
        Self { stop, manager, recorder, learner, leases, owner, held }
    }

    /// Begins no further call, waits up to `grace` for those under way, records their outcomes and gives the leases
    /// back. A call that takes longer is cut off; its outcome is unknown.
    async fn shutdown(mut self, grace: Duration) {
        self.stop.cancel();
        if timeout(grace, &mut self.manager).await.is_err() {
            tracing::warn!("calls to Meta did not end in time; their outcome is unknown");
            self.manager.abort();
            drop((&mut self.manager).await);
        }
        // Both end when everything that they were given is done: their senders are gone with the loops.
        if timeout(SHUTDOWN_GRACE, &mut self.recorder).await.is_err() {
            tracing::warn!("outcomes could not be recorded in time; they will be unknown");
        }
        drop(timeout(SHUTDOWN_GRACE, &mut self.learner).await);
        let held: Vec<String> = lock(&self.held).iter().cloned().collect();
        if let Err(error) = self.leases.release(&held, &self.owner).await {
            tracing::warn!(%error, "the leases of the numbers could not be given back; they expire");
        }
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.manager.abort();
        self.recorder.abort();
        self.learner.abort();
    }
}

fn lock(held: &HeldLeases) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lease(number: NumberId) -> String {
    format!("dispatch/{number}")
}

/// The loop of one number, as the manager knows it.
struct WorkerHandle {
    seen: watch::Sender<NumberBacklog>,
    /// Until when the lease is ours without doubt, in microseconds.
    leased_until: Arc<AtomicI64>,
    retire: CancellationToken,
}

struct DispatchManager {
    shared: Arc<DispatchContext>,
    leases: Leases,
    owner: String,
    held: HeldLeases,
    stop: CancellationToken,
    /// Every number for which there is or may be something to do.
    seen: HashMap<NumberId, NumberBacklog>,
    workers: HashMap<NumberId, WorkerHandle>,
    running: JoinSet<NumberId>,
}

impl DispatchManager {
    async fn run(mut self) {
        let mut news = ProgressWatcher::of(&self.shared.projector);
        let mut renewal = interval((self.shared.options.lease / 3).max(TICK_MIN));
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                _ = renewal.tick() => self.renew().await,
                Some(ended) = self.running.join_next() => self.ended(ended),
                Some(shown) = news.next() => {
                    if let Err(error) = self.assign_work(shown).await {
                        tracing::warn!(%error, "the list of messages to send cannot be read");
                        tokio::time::sleep(self.shared.options.store_pause).await;
                        news.again();
                    }
                }
            }
        }
        self.workers.values().for_each(|worker| worker.retire.cancel());
        while !self.running.is_empty() {
            tokio::select! {
                _ = renewal.tick() => self.renew().await,
                Some(ended) = self.running.join_next() => self.ended(ended),
            }
        }
    }

    fn ended(&mut self, ended: Result<NumberId, tokio::task::JoinError>) {
        match ended {
            Ok(number) => drop(self.workers.remove(&number)),
            Err(error) => {
                tracing::error!(panicked = error.is_panic(), "a number's loop did not end in order");
                // Which one is not told: those without a receiver.
                self.workers.retain(|_, worker| worker.seen.receiver_count() > 0);
            }
        }
    }

    async fn assign_work(&mut self, position: u64) -> Result<(), CommandError> {
        let numbers = read_backlog(&self.shared.commands.reads, position).await?;
        let seen: HashMap<NumberId, NumberBacklog> = numbers.into_iter().filter(|(_, seen)| seen.matters()).collect();
        // Those that another node has are tried for with every renewal.
        let new: Vec<NumberId> = seen.keys().filter(|number| !self.seen.contains_key(number)).copied().collect();
        self.seen = seen;
        for (number, worker) in &self.workers {
            if let Some(seen) = self.seen.get(number) {
                worker.seen.send_if_modified(|before| {
                    seen.is_news_after(before) && {
                        *before = *seen;
                        true
                    }
                });
            } else {
                worker.retire.cancel();
            }
        }
        if !new.is_empty() {
            self.acquire(&new).await;
        }
        Ok(())
    }

    /// Renews what this node has and tries for what others have.
    async fn renew(&mut self) {
        let mut numbers: Vec<NumberId> = self.seen.keys().chain(self.workers.keys()).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        if !numbers.is_empty() {
            self.acquire(&numbers).await;
        }
        match OutboxRow::waiting(&self.shared.commands.reads).await {
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            Ok(waiting) => metrics::gauge!("wasend_dispatch_waiting").set(waiting as f64),
            Err(error) => tracing::warn!(%error, "the messages that wait cannot be counted"),
        }
    }

    /// Takes or renews the leases of these numbers; whose lease is not to be had is not sent for.
    async fn acquire(&mut self, numbers: &[NumberId]) {
        let until = self.shared.now().plus(self.shared.options.lease).micros();
        let (clock, ttl) = (&*self.shared.commands.clock, self.shared.options.lease);
        let names: Vec<String> = numbers.iter().map(|number| lease(*number)).collect();
        let granted = match self.leases.acquire_all(clock, &names, &self.owner, ttl).await {
            Ok(granted) => granted,
            Err(error) => {
                tracing::warn!(%error, "the leases of the numbers cannot be renewed");
                return;
            }
        };
        for ((number, name), epoch) in numbers.iter().zip(names).zip(granted) {
            if epoch.is_some() {
                lock(&self.held).insert(name);
                match self.workers.get(number) {
                    Some(worker) => worker.leased_until.store(until, Ordering::Release),
                    None => self.begin(*number, until),
                }
            } else {
                lock(&self.held).remove(&name);
                if let Some(worker) = self.workers.get(number) {
                    worker.retire.cancel();
                }
            }
        }
    }

    /// Starts the number's loop if there is something to do.
    fn begin(&mut self, number: NumberId, until: i64) {
        let Some(seen) = self.seen.get(&number).filter(|_| !self.stop.is_cancelled()) else { return };
        let (seen, watching) = watch::channel(*seen);
        let (retire, leased_until) = (self.stop.child_token(), Arc::new(AtomicI64::new(until)));
        let lease = worker::NumberLease { retire: retire.clone(), until: Arc::clone(&leased_until) };
        let worker = worker::run(Arc::clone(&self.shared), number, watching, lease);
        self.running.spawn(async move {
            Box::pin(worker).await;
            number
        });
        self.workers.insert(number, WorkerHandle { seen, leased_until, retire });
    }
}
