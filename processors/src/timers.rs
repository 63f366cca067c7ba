//! What happens because time passes: calls whose outcome stays unknown are shown to people, messages that are not
//! delivered in time expire.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use wasend_commands::{CommandError, Commands};
use wasend_domain::message::{Command, Message};
use wasend_domain::{Actor, EventId, MessageId, Time};
use wasend_eventlog::execute_all;
use wasend_projections::outbox::{OutboxRow, OverdueList};
use wasend_projections::{Leases, Projector};

use crate::context::{earlier, once};
use crate::options::TimerOptions;
use crate::processor::{Processor, ProcessorContext};

/// One kind of overdue message and what is done with it.
struct MessageTimer {
    lease: &'static str,
    actor: Actor,
    overdue: OverdueList,
    after: Duration,
    command: fn(Time) -> Command,
    count: fn(u64),
}

/// The timers. On several nodes one runs each.
pub struct MessageTimers {
    stop: CancellationToken,
    running: Vec<JoinHandle<()>>,
}

impl Processor for MessageTimers {
    type Options = TimerOptions;

    /// Starts the tasks of what happens because time passes.
    fn start(context: &ProcessorContext, options: TimerOptions) -> Self {
        let surfacer = MessageTimer {
            lease: "surface",
            actor: Actor::System("surfacer"),
            overdue: OverdueList::Unresolved,
            after: options.reconcile_after,
            command: |at| Command::Surface { at },
            count: |count| metrics::counter!("wasend_dispatch_unresolved_total").increment(count),
        };
        let expiry = MessageTimer {
            lease: "expire",
            actor: Actor::System("expiry"),
            overdue: OverdueList::Undelivered,
            after: options.message_ttl,
            command: |at| Command::Expire { at },
            count: |count| metrics::counter!("wasend_messages_expired_total").increment(count),
        };
        let (stop, owner) = (CancellationToken::new(), EventId::random().to_string());
        let start = |runner: MessageTimer| {
            let clockwork = TimerLoop {
                runner,
                commands: Arc::clone(&context.commands),
                projector: Arc::clone(&context.projector),
                leases: context.leases.clone(),
                owner: owner.clone(),
                options: options.clone(),
            };
            tokio::spawn(clockwork.run(stop.clone()))
        };
        Self { running: vec![start(surfacer), start(expiry)], stop: stop.clone() }
    }

    /// Finishes the batches under way, for `grace` at most, and gives the leases back.
    async fn shutdown(mut self, grace: Duration) {
        self.stop.cancel();
        let all = futures::future::join_all(self.running.iter_mut());
        if timeout(grace, all).await.is_err() {
            tracing::warn!("the runners did not end in time");
        }
    }
}

impl Drop for MessageTimers {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

struct TimerLoop {
    runner: MessageTimer,
    commands: Arc<Commands>,
    projector: Arc<Projector>,
    leases: Leases,
    owner: String,
    options: TimerOptions,
}

impl TimerLoop {
    async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(self.options.tick.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.round(&stop).await {
                tracing::warn!(runner = self.runner.lease, %error, "what is overdue cannot be handled for now");
            }
        }
        if let Err(error) = self.leases.release(&[self.runner.lease.to_owned()], &self.owner).await {
            tracing::warn!(runner = self.runner.lease, %error, "the lease could not be given back; it expires");
        }
    }

    /// Handles everything that is overdue, batch by batch, as long as the lease is ours and it goes forward.
    async fn round(&self, stop: &CancellationToken) -> Result<(), CommandError> {
        let Self { runner, leases, owner, options, commands, .. } = self;
        while !stop.is_cancelled() {
            let clock = &*commands.clock;
            if leases.acquire(clock, runner.lease, owner, options.lease).await?.is_none() {
                return Ok(());
            }
            let overdue = earlier(clock.now(), runner.after);
            let rows = OutboxRow::overdue(&commands.reads, runner.overdue, overdue, options.batch).await?;
            let full = rows.len() >= options.batch;
            let handled = Box::pin(self.handle(&rows)).await;
            // The next batch must not begin with the same rows.
            let Some(position) = handled.filter(|_| full) else { return Ok(()) };
            if self.projector.wait_for(position, options.lease).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Where the last of what was recorded is; nothing if nothing was.
    #[tracing::instrument(name = "dispatch.overdue", skip_all, fields(runner = self.runner.lease, messages = rows.len()))]
    async fn handle(&self, rows: &[OutboxRow]) -> Option<u64> {
        let at = self.commands.clock.now();
        let command = |row: &OutboxRow| {
            let (account, message) = (row.account_id.parse().ok()?, row.id.parse::<MessageId>().ok()?);
            Some((once(account, self.runner.actor), message.uuid(), (self.runner.command)(at)))
        };
        let batch: Vec<_> = rows.iter().filter_map(command).collect();
        if batch.is_empty() {
            return None;
        }
        let (mut recorded, mut last) = (0, None);
        for answer in execute_all::<Message>(&*self.commands.log, &*self.commands.clock, batch).await {
            match answer {
                Ok(done) if done.events.is_empty() => {}
                Ok(done) => {
                    recorded += 1;
                    last = last.max(Some(done.position));
                }
                Err(error) => tracing::warn!(runner = self.runner.lease, %error, "an overdue message was not handled"),
            }
        }
        (self.runner.count)(recorded);
        last
    }
}
