//! Erasing people. Each request goes its way step by step; every step may be repeated, and where a process dies the
//! next one goes on. What is not possible yet (a call to Meta under way, a node that has not heard) is left for the next
//! look, so that one request never holds up another.
//!
//! None of the steps grows with what happened before: messages are not touched, only those that are not sent yet.
//!
//! [`reconcile()`] does it again after the vault was put back to an earlier copy.

mod comparison;
pub mod losses;
mod reconcile;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use wasend_commands::{CommandError, Commands, erasure_reason};
use wasend_domain::contact::Contact;
use wasend_domain::message::{self, CallOutcome, CancelReason, Message};
use wasend_domain::privacy::{Command, KeyDestruction, KeyMark, PrivacyRequest, RequestState};
use wasend_domain::{AccountId, Actor, EventId, KeyPurpose, MessageId, Position, PrivacyRequestId, SubjectId, Time};
use wasend_eventlog::{LoadedAggregate, StreamLookup, execute, execute_all, load};
use wasend_projections::outbox::{OutboxRow, OutboxTask};
use wasend_projections::privacy::PrivacyRequestRow;
use wasend_projections::{Leases, Projector};
use wasend_vault::OptOutMoments;

pub use comparison::ComparisonRefused;
pub use reconcile::{ReconcileReport, compare, reconcile};

use crate::anchor;
use crate::context::{ProgressWatcher, earlier, once};
use crate::processor::{Processor, ProcessorContext};

const ERASURE_LEASE: &str = "erase";
const ERASER: Actor = Actor::System("eraser");
/// Requests that are looked at in one round.
const REQUESTS_PAGE_MAX: u64 = 100;
/// Messages that are cancelled in one append.
const CANCELLED_BATCH_MAX: u64 = 500;

/// How erasures run.
#[derive(Debug, Clone)]
pub struct ErasureOptions {
    /// How often is looked for requests, besides whenever something was recorded.
    pub tick: Duration,
    /// How long a node that has died keeps the others from going on. Longer than `tick`.
    pub lease: Duration,
    /// A call to Meta that was begun this long ago has ended, whatever came of it. Longer than any call may take.
    pub settled_after: Duration,
    /// How often the vault's store is compared with everything that was ever erased, besides at the start and whenever
    /// it was put back to an earlier copy.
    pub sweep: Duration,
}

impl Default for ErasureOptions {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { tick: seconds(1), lease: seconds(5), settled_after: seconds(240), sweep: seconds(300) }
    }
}

/// The processor. On several nodes one works.
pub struct ErasureProcessor {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Processor for ErasureProcessor {
    type Options = ErasureOptions;

    /// Starts the task that takes every request as far as it can go.
    fn start(context: &ProcessorContext, options: ErasureOptions) -> Self {
        let ProcessorContext { commands, projector, leases, .. } = context.clone();
        let stop = CancellationToken::new();
        let owner = EventId::random().to_string();
        let eraser = ErasureWorker { commands, projector, leases, owner, options };
        Self { running: tokio::spawn(eraser.run(stop.clone())), stop }
    }

    /// Finishes the steps under way, for `grace` at most, and gives the lease back.
    async fn shutdown(mut self, grace: Duration) {
        self.stop.cancel();
        if timeout(grace, &mut self.running).await.is_err() {
            tracing::warn!("an erasure did not come to a rest in time; it goes on with the next start");
        }
    }
}

impl Drop for ErasureProcessor {
    fn drop(&mut self) {
        self.running.abort();
    }
}

struct ErasureWorker {
    commands: Arc<Commands>,
    projector: Arc<Projector>,
    leases: Leases,
    owner: String,
    options: ErasureOptions,
}

/// A request that is not done, and the person it is about.
pub(crate) struct OpenRequest {
    pub account: AccountId,
    pub request: PrivacyRequestId,
    pub subject: SubjectId,
    /// Every subject that the person is, the request's own first.
    pub subjects: Vec<SubjectId>,
    pub received_at: Time,
}

impl OpenRequest {
    /// The request of the row, none if its ids cannot be read.
    pub fn of(row: &PrivacyRequestRow) -> Option<Self> {
        let (account, subject) = (row.account_id.parse().ok()?, row.contact_id.parse().ok()?);
        let subjects = row.contact_ids().map(|id| id.parse().ok()).collect::<Option<_>>()?;
        Some(Self { account, request: row.id.parse().ok()?, subject, subjects, received_at: row.received_at })
    }

    /// What is shown in the place of what was erased.
    pub fn why(&self) -> String {
        erasure_reason(self.request)
    }
}

impl ErasureWorker {
    async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(self.options.tick.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut news = ProgressWatcher::of(&self.projector);
        let mut next_sweep = Instant::now() + self.options.sweep;
        let mut said = String::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
                Some(_) = news.next() => {}
            }
            if self.commands.vault.suspended().is_some() {
                if let Err(error) = Box::pin(reconcile(&self.commands, &self.projector)).await {
                    say_once(&mut said, &cause(&error));
                    continue;
                }
                said.clear();
            }
            if Instant::now() >= next_sweep {
                next_sweep = Instant::now() + self.options.sweep;
                if let Err(error) = Box::pin(self.sweep()).await {
                    tracing::warn!(%error, cause = cause(&error), "the vault could not be compared with what was erased");
                }
            }
            if let Err(error) = Box::pin(self.round(&stop)).await {
                tracing::warn!(%error, "erasures cannot go on for now");
                tokio::time::sleep(self.options.tick).await;
            }
        }
        if let Err(error) = self.leases.release(&[ERASURE_LEASE.to_owned()], &self.owner).await {
            tracing::warn!(%error, "the lease of the erasures could not be given back; it expires");
        }
    }

    /// Compares the vault's store with everything that was ever erased; on several nodes one does.
    async fn sweep(&self) -> Result<(), CommandError> {
        let lease = self.leases.acquire(&*self.commands.clock, ERASURE_LEASE, &self.owner, self.options.lease).await?;
        if lease.is_some() {
            reconcile(&self.commands, &self.projector).await?;
        }
        Ok(())
    }

    /// Takes every request as far as it can go now.
    async fn round(&self, stop: &CancellationToken) -> Result<(), CommandError> {
        let rows = PrivacyRequestRow::to_erase(&self.commands.reads, REQUESTS_PAGE_MAX).await?;
        for open in rows.iter().filter_map(OpenRequest::of) {
            let clock = &*self.commands.clock;
            // Steps may be repeated, also by two nodes at once; the lease only saves them the work.
            if stop.is_cancelled()
                || self.leases.acquire(clock, ERASURE_LEASE, &self.owner, self.options.lease).await?.is_none()
            {
                return Ok(());
            }
            if let Err(error) = Box::pin(self.advance(&open)).await {
                tracing::warn!(request.id = %open.request, %error, cause = cause(&error), "an erasure is tried again");
            }
        }
        Ok(())
    }

    #[tracing::instrument(name = "erasure.advance", skip_all, fields(request.id = %open.request))]
    async fn advance(&self, open: &OpenRequest) -> Result<(), CommandError> {
        let vault = &self.commands.vault;
        let Some(request) = self.load::<PrivacyRequest>(open, open.request.uuid()).await? else { return Ok(()) };
        let mut request = request.state;
        if matches!(request.state, RequestState::Completed | RequestState::Refused) {
            return Ok(());
        }
        if request.state == RequestState::Received {
            request = self.record(open, Command::Begin { at: self.commands.clock.now() }).await?;
        }
        let Some(contact) = self.load::<Contact>(open, open.subject.uuid()).await? else { return Ok(()) };
        if request.fence.is_none() {
            let state = &contact.state;
            let opted_out = OptOutMoments { all: state.opted_out_at(), marketing: state.marketing_opted_out_at() };
            let (mut unreadable, mut keys) = (None, Vec::new());
            for subject in &open.subjects {
                let why = vault.unlink(open.account, *subject, open.received_at, opted_out).await?;
                unreadable = unreadable.or(why);
            }
            for subject in &open.subjects {
                if !self.cancel_pending(open, *subject, contact.position).await? {
                    return Ok(());
                }
                let marks = vault.marks(open.account, *subject).await?;
                keys.extend(marks.into_iter().map(|(id, fingerprint)| KeyMark { id, fingerprint }));
            }
            request = self.record(open, Command::Fence { keys, unreadable, at: self.commands.clock.now() }).await?;
        }
        let destruction = match request.destruction {
            Some(destruction) => destruction,
            None => self.destroy(open).await?,
        };
        if !vault.is_forgotten(destruction.number).await? {
            return Ok(());
        }
        // Whose number could not be read is on no list by this request.
        let suppressed = contact.state.opted_out && request.unreadable.is_none();
        let at = self.commands.clock.now();
        self.record(open, Command::Complete { suppressed, at }).await?;
        metrics::counter!("wasend_erasures_total").increment(1);
        tracing::info!("a person is erased");
        Ok(())
    }

    /// Destroys the keys and what the directory holds, and records it.
    async fn destroy(&self, open: &OpenRequest) -> Result<KeyDestruction, CommandError> {
        let (vault, why) = (&self.commands.vault, open.why());
        // A log that was put back to before the fence is known by it.
        anchor::move_to_head(&self.commands).await?;
        let mut fingerprints = Vec::new();
        for subject in &open.subjects {
            fingerprints.extend(vault.destroy_subject(open.account, *subject, &KeyPurpose::ALL, &why).await?);
            vault.remove_from_directory(open.account, *subject).await?;
        }
        let destruction = KeyDestruction { number: vault.last_destruction().await?, at: self.commands.clock.now() };
        self.record(open, Command::Destroyed { fingerprints, destruction }).await?;
        Ok(destruction)
    }

    /// Cancels what waits for the person. Whether nothing is under way any more: the contact is closed since `fence`,
    /// so once the list shows that position, nothing can come to it.
    async fn cancel_pending(&self, open: &OpenRequest, subject: SubjectId, fence: u64) -> Result<bool, CommandError> {
        if self.projector.wait_for(fence, self.options.lease).await.is_err() {
            return Ok(false);
        }
        loop {
            let rows = OutboxRow::unsettled(&self.commands.reads, subject, CANCELLED_BATCH_MAX).await?;
            let mut commands = Vec::new();
            let mut under_way = false;
            for row in &rows {
                let Ok(message) = row.id.parse::<MessageId>() else { continue };
                if let Some(command) = self.settling(row) {
                    commands.push((once(open.account, ERASER), message.uuid(), command));
                } else {
                    under_way = true;
                }
            }
            if commands.is_empty() {
                return Ok(!under_way);
            }
            let mut shown = None;
            for done in execute_all::<Message>(&*self.commands.log, &*self.commands.clock, commands).await {
                match done {
                    Ok(done) => shown = shown.max(Some(done.position)),
                    // Its attempt began this moment: the list shows it soon.
                    Err(wasend_eventlog::CommandFailure::Refused(_)) => under_way = true,
                    Err(failure) => return Err(CommandError::unavailable(failure)),
                }
            }
            // Read again only when the list can show what was done.
            match shown {
                Some(position) if self.projector.wait_for(position, self.options.lease).await.is_ok() => {}
                _ => return Ok(false),
            }
            if under_way {
                return Ok(false);
            }
        }
    }

    /// What is done with a message that is not settled; nothing if its call may still be under way.
    fn settling(&self, row: &OutboxRow) -> Option<message::Command> {
        let now = self.commands.clock.now();
        match row.todo {
            OutboxTask::Send => Some(message::Command::Cancel { reason: CancelReason::Erased, at: now }),
            // The node that made the call is gone, and so is the call.
            OutboxTask::Conclude if row.due_at <= earlier(now, self.options.settled_after) => {
                let attempt = u32::try_from(row.attempts).unwrap_or(0);
                Some(message::Command::Conclude { attempt, outcome: CallOutcome::Unknown, at: now })
            }
            OutboxTask::Conclude | OutboxTask::Reconcile | OutboxTask::Deliver => None,
        }
    }

    async fn load<A: wasend_eventlog::ExecutableAggregate>(
        &self,
        open: &OpenRequest,
        id: uuid::Uuid,
    ) -> Result<Option<LoadedAggregate<A>>, CommandError> {
        let mut found = load::<A>(&*self.commands.log, open.account, &[id]).await?;
        Ok(found.remove(&id).and_then(StreamLookup::present))
    }

    async fn record(&self, open: &OpenRequest, command: Command) -> Result<PrivacyRequest, CommandError> {
        record(&self.commands, open, ERASER, command).await.map(|(request, _)| request)
    }
}

/// Records what was done about a request; answers with the request and where that stands.
pub(crate) async fn record(
    commands: &Commands,
    open: &OpenRequest,
    actor: Actor,
    command: Command,
) -> Result<(PrivacyRequest, Position), CommandError> {
    let (log, clock) = (&*commands.log, &*commands.clock);
    let context = once(open.account, actor);
    let done = execute::<PrivacyRequest>(log, clock, context, open.request.uuid(), command).await;
    done.map(|done| (done.state, done.position)).map_err(CommandError::unavailable)
}

/// Logs why the vault stays suspended, unless that was the last thing said.
fn say_once(said: &mut String, why: &str) {
    if said != why {
        why.clone_into(said);
        tracing::error!(why, "the vault stays suspended");
    }
}

/// What is behind a failure; none of ours holds personal data.
fn cause(error: &CommandError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
