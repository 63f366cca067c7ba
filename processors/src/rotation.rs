//! Ending the vault's epochs. Some time after something was destroyed, the living keys are wrapped under a new epoch's
//! key and the last one's is destroyed: then old copies of the vault are noise, and every request whose person is among
//! what was destroyed is told so.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use wasend_commands::{CommandError, Commands};
use wasend_domain::privacy::Command;
use wasend_domain::{Actor, EventId};
use wasend_projections::privacy::PrivacyRequestRow;
use wasend_projections::{Leases, Projector};
use wasend_vault::{KeyRotation, LaggingNode, RotationStep};

use crate::context::earlier;
use crate::erasure::{OpenRequest, record};
use crate::processor::{Processor, ProcessorContext};

const ROTATION_LEASE: &str = "rotate";
const ROTATOR: Actor = Actor::System("rotator");
/// Requests that are told in one round.
const REQUESTS_PAGE_MAX: u64 = 100;

/// How epochs end.
#[derive(Debug, Clone)]
pub struct RotationOptions {
    /// How long after something was destroyed its epoch ends; what is destroyed meanwhile ends with it. Without it an
    /// epoch ends only by `wasend vault`.
    pub after: Option<Duration>,
    /// How often is looked whether one is to end.
    pub tick: Duration,
    /// How long a node that has died keeps the others from going on. Longer than `tick` and than any step.
    pub lease: Duration,
    /// Wait after a step failed: some would fail again.
    pub pause: Duration,
}

impl Default for RotationOptions {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { after: Some(seconds(3_600)), tick: seconds(1), lease: seconds(20), pause: seconds(30) }
    }
}

/// The processor. On several nodes one works.
pub struct RotationProcessor {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Processor for RotationProcessor {
    type Options = RotationOptions;

    /// Starts the task that ends the epoch when something destroyed waits for it.
    fn start(context: &ProcessorContext, options: RotationOptions) -> Self {
        let ProcessorContext { commands, projector, leases, .. } = context.clone();
        let stop = CancellationToken::new();
        let owner = EventId::random().to_string();
        let rotation = KeyRotation::of(commands.vault.clone());
        let rotator = RotationWorker {
            commands,
            projector,
            leases,
            owner,
            options,
            rotation,
            laggards: Vec::new(),
            stop: stop.clone(),
        };
        Self { running: tokio::spawn(rotator.run()), stop }
    }

    /// Finishes the step under way, for `grace` at most, and gives the lease back. What is left goes on with the next
    /// start.
    async fn shutdown(mut self, grace: Duration) {
        self.stop.cancel();
        if timeout(grace, &mut self.running).await.is_err() {
            tracing::warn!("the end of an epoch did not come to a rest in time; it goes on with the next start");
        }
    }
}

impl Drop for RotationProcessor {
    fn drop(&mut self) {
        self.running.abort();
    }
}

struct RotationWorker {
    commands: Arc<Commands>,
    projector: Arc<Projector>,
    leases: Leases,
    owner: String,
    options: RotationOptions,
    rotation: KeyRotation,
    /// The nodes that were waited for last.
    laggards: Vec<LaggingNode>,
    stop: CancellationToken,
}

impl RotationWorker {
    async fn run(mut self) {
        let mut ticks = interval(self.options.tick.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            if let Err(error) = Box::pin(self.round()).await {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(%error, cause, "an epoch of the vault's keys cannot end for now");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(self.options.pause) => {}
                }
            }
        }
        if let Err(error) = self.leases.release(&[ROTATION_LEASE.to_owned()], &self.owner).await {
            tracing::warn!(%error, "the lease of the vault's epochs could not be given back; it expires");
        }
    }

    async fn round(&mut self) -> Result<(), CommandError> {
        let is_due = self.is_due().await?;
        if is_due || self.commands.vault.is_rotating().await? {
            if is_due && self.holds_lease().await? {
                self.rotation.begin().await?;
            }
            self.advance().await?;
        }
        self.record_ended_epochs().await
    }

    async fn is_due(&self) -> Result<bool, CommandError> {
        let Some(after) = self.options.after else { return Ok(false) };
        let since = self.commands.vault.waiting_since().await?;
        Ok(since.is_some_and(|since| since <= earlier(self.commands.clock.now(), after)))
    }

    /// Steps may be repeated, also by two nodes at once; the lease only saves them the work.
    async fn holds_lease(&self) -> Result<bool, CommandError> {
        let lease = self.leases.acquire(&*self.commands.clock, ROTATION_LEASE, &self.owner, self.options.lease).await?;
        Ok(lease.is_some())
    }

    /// Goes as far as it is possible now.
    async fn advance(&mut self) -> Result<(), CommandError> {
        while !self.stop.is_cancelled() && self.holds_lease().await? {
            let (laggards, rests) = match self.rotation.step().await? {
                RotationStep::Idle => (Vec::new(), true),
                RotationStep::Waiting(laggards) => (laggards, true),
                _ => (Vec::new(), false),
            };
            self.wait_for(laggards);
            if rests {
                break;
            }
        }
        Ok(())
    }

    /// Logs the nodes that are waited for, once.
    #[expect(clippy::cast_precision_loss, reason = "a metric")]
    fn wait_for(&mut self, laggards: Vec<LaggingNode>) {
        metrics::gauge!("wasend_vault_rotation_waiting").set(laggards.len() as f64);
        for laggard in laggards.iter().filter(|laggard| !self.laggards.contains(laggard)) {
            let complaint = laggard.complaint.as_deref().unwrap_or_default();
            tracing::warn!(node = laggard.node, complaint, "the end of an epoch waits for a node");
        }
        self.laggards = laggards;
    }

    /// Records with the requests that the epochs of their keys are over.
    async fn record_ended_epochs(&self) -> Result<(), CommandError> {
        let Commands { vault, reads, .. } = &*self.commands;
        let over = vault.over_until().await?;
        if over == 0 {
            return Ok(());
        }
        let rows = PrivacyRequestRow::to_end_epoch(reads, over, REQUESTS_PAGE_MAX).await?;
        let mut told = None;
        for (row, open) in rows.iter().filter_map(|row| Some((row, OpenRequest::of(row)?))) {
            if self.stop.is_cancelled() || !self.holds_lease().await? {
                break;
            }
            let Some(destruction) = row.destruction else { continue };
            let Some((epoch, at)) = vault.epoch_end(destruction).await? else { continue };
            let (_, position) = record(&self.commands, &open, ROTATOR, Command::EndEpoch { epoch, at }).await?;
            told = told.max(Some(position));
        }
        // The next look must not find the same again.
        if let Some(position) = told
            && self.projector.wait_for(position, self.options.lease).await.is_err()
        {
            tracing::debug!("the list of requests does not show yet what was recorded");
        }
        Ok(())
    }
}
