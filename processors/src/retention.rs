//! Retention: when the time of a bucket is over, its key is destroyed, and with it what the account kept of that category
//! and day. The key is named in the log before it is touched and its destruction is recorded when no node holds it any
//! more; every step may be repeated, and where a process dies the next one goes on.
//!
//! [`reapply`] does it again after the vault was put back to an earlier copy.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use wasend_commands::{CommandError, Commands};
use wasend_domain::bucket::{BucketContents, Command, RetentionBucket};
use wasend_domain::privacy::KeyDestruction;
use wasend_domain::{AccountId, Actor, Day, EventId, Position};
use wasend_eventlog::execute;
use wasend_projections::buckets::BucketRow;
use wasend_projections::{Leases, Projector, ReadModels};
use wasend_vault::{BucketKey, Vault};

use crate::context::{earlier, once};
use crate::processor::{Processor, ProcessorContext};

const LEASE: &str = "retention";
const RETENTION: Actor = Actor::System("retention");
/// Buckets that are looked at in one step.
const PAGE: u64 = 500;

/// How long what is kept for a time is kept.
#[derive(Debug, Clone)]
pub struct RetentionOptions {
    /// The key of a day's webhooks of unknown form is destroyed this long after the day's end (UTC).
    pub unknown_webhooks: Duration,
    /// How often is looked for what is over.
    pub tick: Duration,
    /// How long a node that has died keeps the others from looking. Longer than `tick`.
    pub lease: Duration,
}

impl Default for RetentionOptions {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { unknown_webhooks: seconds(7 * 86_400), tick: seconds(5), lease: seconds(20) }
    }
}

/// The processor. On several nodes one works.
pub struct RetentionProcessor {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Processor for RetentionProcessor {
    type Options = RetentionOptions;

    /// Starts the task that destroys the keys of days whose time is over.
    fn start(context: &ProcessorContext, options: RetentionOptions) -> Self {
        let ProcessorContext { commands, projector, leases, .. } = context.clone();
        let stop = CancellationToken::new();
        let owner = EventId::random().to_string();
        let keeper = RetentionWorker { commands, projector, leases, owner, options };
        Self { running: tokio::spawn(keeper.run(stop.clone())), stop }
    }

    /// Finishes the step under way, for `grace` at most, and gives the lease back.
    async fn shutdown(mut self, grace: Duration) {
        self.stop.cancel();
        if timeout(grace, &mut self.running).await.is_err() {
            tracing::warn!("retention did not come to a rest in time; it goes on with the next start");
        }
    }
}

impl Drop for RetentionProcessor {
    fn drop(&mut self) {
        self.running.abort();
    }
}

struct RetentionWorker {
    commands: Arc<Commands>,
    projector: Arc<Projector>,
    leases: Leases,
    owner: String,
    options: RetentionOptions,
}

impl RetentionWorker {
    async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(self.options.tick.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            if let Err(error) = Box::pin(self.round(&stop)).await {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(%error, cause, "what is kept for a time cannot be destroyed for now");
            }
        }
        if let Err(error) = self.leases.release(&[LEASE.to_owned()], &self.owner).await {
            tracing::warn!(%error, "the lease of retention could not be given back; it expires");
        }
    }

    /// Destroys the key of every bucket whose time is over.
    async fn round(&self, stop: &CancellationToken) -> Result<(), CommandError> {
        let Commands { vault, reads, clock, .. } = &*self.commands;
        if vault.suspended().is_some() {
            return Ok(());
        }
        let last = last_day(earlier(clock.now(), self.options.unknown_webhooks).day());
        let rows = BucketRow::to_expire(reads, last, PAGE).await?;
        let mut shown = None;
        for (account, contents) in rows.iter().filter_map(parsed) {
            // Steps may be repeated, also by two nodes at once; the lease only saves them the work.
            if stop.is_cancelled()
                || self.leases.acquire(&**clock, LEASE, &self.owner, self.options.lease).await?.is_none()
            {
                break;
            }
            shown = shown.max(self.expire(account, contents).await?);
        }
        // The next look must not find the same again.
        if let Some(position) = shown
            && self.projector.wait_for(position, self.options.lease).await.is_err()
        {
            tracing::debug!("the list of buckets does not show yet what was recorded");
        }
        Ok(())
    }

    /// Names the key, destroys it, and records it when no node holds it any more: else that is left for the next look.
    #[tracing::instrument(name = "retention.expire", skip_all, fields(category = contents.category.name(), day = %contents.day))]
    async fn expire(&self, account: AccountId, contents: BucketContents) -> Result<Option<Position>, CommandError> {
        let Commands { vault, clock, .. } = &*self.commands;
        let BucketContents { category, day } = contents;
        let fingerprint = vault.bucket_mark(account, category, day).await?;
        let fence = Command::Fence { contents, fingerprint, at: clock.now() };
        record(&self.commands, account, contents, fence).await?;
        vault.destroy_bucket(account, category, day, &contents.reason()).await?;
        let destruction = KeyDestruction { number: vault.last_destruction().await?, at: clock.now() };
        if !vault.is_forgotten(destruction.number).await? {
            return Ok(None);
        }
        let position = record(&self.commands, account, contents, Command::Destroyed { destruction }).await?;
        metrics::counter!("wasend_retention_keys_destroyed_total").increment(1);
        tracing::info!("the key of a day is destroyed");
        Ok(Some(position))
    }
}

/// The last day that was over when the given one began.
const fn last_day(day: Day) -> Day {
    Day::from_number(day.number() - 1)
}

fn parsed(row: &BucketRow) -> Option<(AccountId, BucketContents)> {
    Some((row.account_id.parse().ok()?, row.contents()))
}

async fn record(
    commands: &Commands,
    account: AccountId,
    contents: BucketContents,
    command: Command,
) -> Result<Position, CommandError> {
    let (context, id) = (once(account, RETENTION), contents.of(account).uuid());
    let done = execute::<RetentionBucket>(&*commands.log, &*commands.clock, context, id, command).await;
    done.map(|done| done.position).map_err(CommandError::unavailable)
}

/// The vault's store holds keys that the log says were destroyed.
#[derive(Debug, thiserror::Error)]
#[error(
    "the vault's store is an earlier copy than the history, with {0} keys of days whose time is over: start the server, \
     which destroys them again"
)]
struct ReturnedKeys(usize);

/// Destroys again the keys of buckets that the vault's store holds although the log names them as destroyed, or about to
/// be, and keeps those that have left no trace from being made; how many lived. To be called while the list of requests is
/// known up to the log's head, before the vault opens anything.
pub(crate) async fn reapply(commands: &Commands) -> Result<u64, CommandError> {
    let vault = &commands.vault;
    let (mut repeated, mut after) = (0, String::new());
    while let Some(page) = next_page(&commands.reads, &mut after).await? {
        for (row, (account, category, day), lives) in not_applied(vault, &page).await? {
            let contents = BucketContents { category, day };
            if lives && row.destruction.is_some() {
                let fingerprint = vault.bucket_mark(account, category, day).await?;
                let destruction =
                    KeyDestruction { number: vault.last_destruction().await? + 1, at: commands.clock.now() };
                record(commands, account, contents, Command::Repeat { fingerprint, destruction }).await?;
                tracing::warn!(
                    category = category.name(), %day, "the key of a day whose time is over was in the vault's store again"
                );
            }
            vault.destroy_bucket(account, category, day, &contents.reason()).await?;
            repeated += u64::from(lives);
        }
    }
    Ok(repeated)
}

/// For a command of the terminal: refuses a store that holds a key which the log says was destroyed.
pub(crate) async fn compare(reads: &ReadModels, vault: &Vault) -> Result<(), CommandError> {
    let (mut living, mut after) = (0, String::new());
    while let Some(page) = next_page(reads, &mut after).await? {
        let returned = not_applied(vault, &page).await?;
        living += returned.iter().filter(|(row, _, lives)| *lives && row.destruction.is_some()).count();
    }
    if living > 0 { Err(CommandError::unavailable(ReturnedKeys(living))) } else { Ok(()) }
}

async fn next_page(reads: &ReadModels, after: &mut String) -> Result<Option<Vec<BucketRow>>, CommandError> {
    let rows = BucketRow::fenced(reads, after, PAGE).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    after.clone_from(&last.id);
    Ok(Some(rows))
}

/// Those of the buckets whose keys the store does not show as destroyed, and whether each lives.
async fn not_applied<'a>(
    vault: &Vault,
    page: &'a [BucketRow],
) -> Result<Vec<(&'a BucketRow, BucketKey, bool)>, CommandError> {
    let key = |row| parsed(row).map(|(account, BucketContents { category, day })| (account, category, day));
    let keys: Vec<BucketKey> = page.iter().filter_map(key).collect();
    let found = vault.buckets_not_destroyed(&keys).await?;
    let row = |bucket: &BucketKey| page.iter().find(|row| key(row) == Some(*bucket));
    Ok(found.into_iter().filter_map(|(bucket, lives)| Some((row(&bucket)?, bucket, lives))).collect())
}

#[cfg(test)]
mod tests {
    use wasend_domain::Time;

    use super::*;

    #[test]
    fn a_day_is_over_when_its_last_moment_is_as_long_ago_as_it_is_kept() {
        let week = Duration::from_secs(7 * 86_400);
        let midnight = Time::from_seconds(20_008 * 86_400);
        let last = |now| last_day(earlier(now, week).day());
        assert_eq!(last(midnight), Day::from_number(20_000));
        assert_eq!(last(Time::from_micros(midnight.micros() - 1)), Day::from_number(19_999));
        let soon = last_day(earlier(midnight.plus(Duration::from_secs(1)), Duration::from_secs(1)).day());
        assert_eq!(soon, Day::from_number(20_007), "a day that is not over is never touched");
    }
}
