//! One number's loop: takes what is due as fast as the number may send, hands it to Meta and waits for the outcomes. It
//! touches no other number's state, so a slow or stopped number never delays another.

mod answers;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wasend_commands::CommandError;
use wasend_domain::message::CancelReason;
use wasend_domain::{AccountId, NumberId, Position, Time};
use wasend_projections::numbers::NumberRow;
use wasend_whatsapp::SenderLine;

use crate::context::earlier;
use crate::dispatcher::backlog::NumberBacklog;
use crate::dispatcher::call::{CallJob, EndedCall, call};
use crate::dispatcher::context::DispatchContext;
use crate::dispatcher::outcome_writer::{EndedAttempt, RecordedOutcome};
use crate::dispatcher::prepare::{PreparedCalls, cancel, prepare};
use crate::dispatcher::queue::{NumberQueue, WaitingMessage};
use crate::dispatcher::response_policy::{AttemptOutcome, NumberThrottle};

/// When to look again.
enum NextWake {
    Now,
    At(Time),
    /// When something is heard.
    News,
    /// When a call of any number ends.
    Call,
}

pub(crate) struct NumberWorker {
    pub(crate) shared: Arc<DispatchContext>,
    pub(crate) number: NumberId,
    pub(crate) queue: NumberQueue,
    pub(crate) pace: NumberThrottle,
    /// The number was stopped at this position; the read model shows it from there on.
    pub(crate) stopped_at: Option<Position>,
    /// What the list showed when it was last searched for calls without an outcome.
    searched_at: Position,
    /// The number as it stood last, and its way to Meta.
    known: Option<(NumberRow, Arc<SenderLine>)>,
    leased_until: Arc<AtomicI64>,
    calls: JoinSet<()>,
    called: mpsc::UnboundedSender<EndedCall>,
    recorded: mpsc::UnboundedSender<RecordedOutcome>,
    /// A call that may begin.
    permit: Option<OwnedSemaphorePermit>,
}

/// The right to send for the number.
pub(crate) struct NumberLease {
    /// The right is lost, or the process ends.
    pub retire: CancellationToken,
    /// Until when it lasts without doubt, in microseconds.
    pub until: Arc<AtomicI64>,
}

/// Sends for the number until its lease ends, then waits for the outcomes of its calls.
pub(crate) async fn run(
    shared: Arc<DispatchContext>,
    number: NumberId,
    mut seen: watch::Receiver<NumberBacklog>,
    lease: NumberLease,
) {
    let NumberLease { retire, until } = lease;
    let (called, mut endings) = mpsc::unbounded_channel();
    let (recorded, mut records) = mpsc::unbounded_channel();
    let (options, jitter) = (&shared.options, Arc::clone(&shared.jitter));
    let mut worker = NumberWorker {
        queue: NumberQueue::new(number, options.page),
        pace: NumberThrottle::new(1, options, jitter, shared.now()),
        shared: Arc::clone(&shared),
        number,
        stopped_at: None,
        searched_at: 0,
        known: None,
        leased_until: until,
        calls: JoinSet::new(),
        called,
        recorded,
        permit: None,
    };
    let begun = tokio::select! {
        () = retire.cancelled() => false,
        () = worker.recover() => true,
    };
    while begun && !retire.is_cancelled() {
        while let Ok(called) = endings.try_recv() {
            answers::handle_answer(&mut worker, called).await;
        }
        while let Ok(recorded) = records.try_recv() {
            worker.queue.recorded(recorded.message, recorded.position);
        }
        let look = *seen.borrow_and_update();
        let next = match worker.step(look).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(number.id = %number, %error, cause = cause(&error), "the number cannot send for now");
                NextWake::At(shared.now().plus(shared.options.store_pause))
            }
        };
        // One that was waited for and is not needed after all is there for others.
        worker.permit = None;
        let nap = match next {
            NextWake::Now => continue,
            NextWake::At(at) => at.since(shared.now()).min(shared.options.tick),
            NextWake::News | NextWake::Call => shared.options.tick,
        };
        let calls = Arc::clone(&shared.calls);
        tokio::select! {
            () = retire.cancelled() => {}
            Some(called) = endings.recv() => answers::handle_answer(&mut worker, called).await,
            Some(recorded) = records.recv() => worker.queue.recorded(recorded.message, recorded.position),
            Ok(()) = seen.changed() => {}
            Ok(permit) = calls.acquire_owned(), if matches!(next, NextWake::Call) => worker.permit = Some(permit),
            () = tokio::time::sleep(nap) => {}
        }
    }
    while worker.queue.open() > 0 {
        tokio::select! {
            Some(called) = endings.recv() => answers::handle_answer(&mut worker, called).await,
            Some(recorded) = records.recv() => worker.queue.recorded(recorded.message, recorded.position),
            else => break,
        }
    }
}

/// What is behind a failure, without what a database or Meta may have quoted.
fn cause(error: &CommandError) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => String::new(),
    }
}

impl NumberWorker {
    /// What earlier holders of the lease began and did not conclude has an unknown outcome: it is never repeated.
    async fn recover(&mut self) {
        loop {
            match Box::pin(self.catch_up()).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(number.id = %self.number, %error, "the number cannot begin to send yet"),
            }
            tokio::time::sleep(self.shared.options.store_pause).await;
        }
    }

    /// False if the read models do not get to where the log is.
    async fn catch_up(&mut self) -> Result<bool, CommandError> {
        let head = self.shared.commands.log.head().await?;
        if self.shared.projector.wait_for(head, self.shared.options.lease).await.is_err() {
            return Ok(false);
        }
        // More than a page of them is concluded page by page, as they are recorded.
        while self.abandon_orphans(self.shared.now()).await? {}
        Ok(true)
    }

    /// False if there is none (left).
    async fn abandon_orphans(&mut self, until: Time) -> Result<bool, CommandError> {
        let orphans = self.queue.orphans(&self.shared.commands.reads, until).await?;
        let found = !orphans.is_empty();
        for (waiting, attempt) in orphans {
            tracing::warn!(message.id = %waiting.message, "an attempt was begun and never concluded");
            self.conclude(&waiting, attempt, AttemptOutcome::Unknown).await;
        }
        Ok(found)
    }

    async fn step(&mut self, seen: NumberBacklog) -> Result<NextWake, CommandError> {
        let shared = Arc::clone(&self.shared);
        let now = shared.now();
        self.queue.shown(seen.position, now);
        let abandoned = earlier(now, shared.options.orphan_after);
        if seen.begun.is_some_and(|begun| begun <= abandoned) && seen.position > self.searched_at {
            self.searched_at = seen.position;
            self.abandon_orphans(abandoned).await?;
        }
        if !seen.waiting
            || now.micros() >= self.leased_until.load(Ordering::Acquire)
            || self.stopped_at.is_some_and(|at| at > seen.position)
        {
            return Ok(NextWake::News);
        }
        self.stopped_at = None;
        if let Some(until) = self.pace.paused_until(now) {
            return Ok(NextWake::At(until));
        }
        let Some((account, line)) = self.refresh().await? else { return Ok(NextWake::News) };
        if let Some(until) = line.as_ref().and_then(|line| shared.pauses.until(account, line, now)) {
            return Ok(NextWake::At(until));
        }
        self.queue.fill(&shared.commands.reads, seen.position, now).await?;
        let Some(line) = line else { return Ok(self.withdraw(seen.position, now).await) };
        let room = shared.options.calls_per_number.max(1).saturating_sub(self.queue.open());
        let waiting = self.queue.len().min(room);
        if waiting == 0 {
            return Ok(if room == 0 {
                NextWake::News
            } else {
                self.queue.next_at().map_or(NextWake::News, NextWake::At)
            });
        }
        let available = self.pace.bucket.available(now) as usize;
        // A few together cost one append; a half burst is not worth more delay.
        let wanted = u32::try_from(waiting).unwrap_or(u32::MAX).min(self.pace.bucket.burst().div_ceil(2));
        if available < wanted as usize {
            return Ok(NextWake::At(self.pace.bucket.ready_at(wanted)));
        }
        let mut permits = self.permits(waiting.min(available));
        if permits.is_empty() {
            return Ok(NextWake::Call);
        }
        let set = self.queue.take(permits.len(), &self.pace.pairs, now);
        if set.is_empty() {
            return Ok(NextWake::Now);
        }
        permits.truncate(set.len());
        self.send(account, line, set, permits, seen.position).await?;
        Ok(NextWake::Now)
    }

    /// The account and the way to Meta (none if the number is disconnected), or nothing if nothing is to be done.
    async fn refresh(&mut self) -> Result<Option<(AccountId, Option<Arc<SenderLine>>)>, CommandError> {
        let row = self.shared.commands.reads.get::<NumberRow>(&self.number.to_string()).await?;
        let Some((row, account)) = row.and_then(|row| row.account_id.parse().ok().map(|account| (row, account))) else {
            return Ok(None);
        };
        if row.disconnected_at.is_some() {
            return Ok(Some((account, None)));
        }
        if row.stopped_at.is_some() || self.shared.commands.holds.is_held(account).await? {
            self.queue.forget_reading();
            return Ok(None);
        }
        if let Some((known, line)) = &self.known
            && *known == row
        {
            return Ok(Some((account, Some(Arc::clone(line)))));
        }
        let line = Arc::new(self.shared.commands.lines.line(&row).await?);
        self.pace.set_rate(u32::try_from(row.rate).unwrap_or(1));
        self.known = Some((row, Arc::clone(&line)));
        Ok(Some((account, Some(line))))
    }

    fn permits(&mut self, count: usize) -> Vec<OwnedSemaphorePermit> {
        let mut permits: Vec<_> = self.permit.take().into_iter().collect();
        while permits.len() < count
            && let Ok(permit) = Arc::clone(&self.shared.calls).try_acquire_owned()
        {
            permits.push(permit);
        }
        permits
    }

    /// Nothing more is sent from a number that is disconnected.
    async fn withdraw(&mut self, shown: Position, now: Time) -> NextWake {
        let set = self.queue.take_all();
        if set.is_empty() {
            return self.queue.next_at().map_or(NextWake::News, |next| NextWake::At(next.max(now)));
        }
        let mut prepared = PreparedCalls::default();
        cancel(&self.shared.commands, &set, CancelReason::NumberDisconnected, &mut prepared).await;
        self.apply_prepared(prepared, shown).await
    }

    async fn send(
        &mut self,
        account: AccountId,
        line: Arc<SenderLine>,
        set: Vec<WaitingMessage>,
        permits: Vec<OwnedSemaphorePermit>,
        shown: Position,
    ) -> Result<(), CommandError> {
        let shared = Arc::clone(&self.shared);
        let prepared = match Box::pin(prepare(&shared.commands, self.number, account, set)).await {
            Ok(prepared) => prepared,
            Err(error) => {
                self.queue.forget_reading();
                return Err(error);
            }
        };
        let mut permits = permits.into_iter();
        let mut prepared = prepared;
        for job in std::mem::take(&mut prepared.jobs) {
            let now = shared.now();
            self.pace.bucket.spend(now, 1);
            self.pace.pairs.spend(job.contact, now);
            self.queue.begin(job.message);
            self.begin(job, Arc::clone(&line), permits.next(), now);
        }
        self.apply_prepared(prepared, shown).await;
        Ok(())
    }

    fn begin(&mut self, job: CallJob, line: Arc<SenderLine>, permit: Option<OwnedSemaphorePermit>, begun: Time) {
        while self.calls.try_join_next().is_some() {}
        let (gateway, timeout) = (Arc::clone(&self.shared.gateway), self.shared.options.call_timeout);
        let called = self.called.clone();
        self.calls.spawn(async move {
            let result = call(&gateway, &line, &job, timeout).await;
            drop(permit);
            // Fails only when the loop is gone, and the process with it.
            drop(called.send(EndedCall { job, begun, result }));
        });
    }

    /// Remembers what was done with the messages of a set.
    async fn apply_prepared(&mut self, prepared: PreparedCalls, shown: Position) -> NextWake {
        for (message, position) in prepared.done {
            self.queue.recorded(message, position.max(shown + 1));
        }
        for (waiting, attempt, why) in prepared.unreadable {
            let (message, contact) = (waiting.message, waiting.contact);
            tracing::error!(message.id = %message, contact.id = %contact, %why, "a message cannot be read and is not sent");
            let ending = AttemptOutcome::Refused { code: None, class: "unreadable", text: None };
            self.conclude(&waiting, attempt, ending).await;
        }
        if prepared.failed.is_empty() {
            return NextWake::Now;
        }
        self.queue.forget_reading();
        let until = self.shared.now().plus(self.shared.options.store_pause);
        self.pace.pause(until);
        NextWake::At(until)
    }

    async fn conclude(&mut self, waiting: &WaitingMessage, attempt: u32, ending: AttemptOutcome) {
        let WaitingMessage { message, account, contact, .. } = *waiting;
        self.end(EndedAttempt { message, account, contact, attempt, ending, reply: self.recorded.clone() }).await;
    }

    /// Has an outcome recorded.
    pub(crate) async fn end(&mut self, ended: EndedAttempt) {
        self.queue.begin(ended.message);
        if self.shared.endings.send(ended).await.is_err() {
            tracing::error!(number.id = %self.number, "outcomes are no longer recorded");
        }
    }

    pub(crate) fn reply(&self) -> mpsc::UnboundedSender<RecordedOutcome> {
        self.recorded.clone()
    }

    pub(crate) fn line(&self) -> Option<Arc<SenderLine>> {
        self.known.as_ref().map(|(_, line)| Arc::clone(line))
    }
}
