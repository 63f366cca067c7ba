//! Tells the vault's store, about every second, how far the log has come that it belongs to. A store that is put back to
//! an earlier copy is known by it, and so is a log that is.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use wasend_commands::{CommandError, Commands};
use wasend_domain::Position;
use wasend_eventlog::{EventFilter, EventLog};
use wasend_vault::{LogAnchor, VaultFailure};

use crate::processor::{Processor, ProcessorContext};

/// Between two looks at how far the log has come.
const TICK: Duration = Duration::from_secs(1);

/// Moves the anchor of this node's vault while it runs.
pub struct AnchorProcessor {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Processor for AnchorProcessor {
    type Options = ();

    /// Starts the task; the first look is at once.
    fn start(context: &ProcessorContext, (): ()) -> Self {
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(Arc::clone(&context.commands), stop.clone()));
        Self { stop, running }
    }

    /// Moves the anchor once more, waiting for `grace` at most.
    async fn shutdown(mut self, grace: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(grace, &mut self.running).await.is_err() {
            tracing::warn!("the vault was not told in time how far the log has come");
        }
    }
}

impl Drop for AnchorProcessor {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn run(commands: Arc<Commands>, stop: CancellationToken) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reached = None;
    let mut is_last = false;
    while !is_last {
        tokio::select! {
            () = stop.cancelled() => is_last = true,
            _ = ticks.tick() => {}
        }
        match Box::pin(advance(&commands, reached)).await {
            Ok(position) => reached = position,
            // A suspension was said when it began.
            Err(_) if commands.vault.suspended().is_some() => {}
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(%error, cause, "the vault could not be told how far the log has come");
            }
        }
    }
}

/// Moves the anchor to the log's head, unless that stands at `reached` still; the position of the head. A log that is
/// behind is an earlier copy: then nothing is opened any more.
async fn advance(commands: &Commands, reached: Option<Position>) -> Result<Option<Position>, CommandError> {
    let head = commands.log.head().await?;
    if reached == Some(head) {
        return Ok(reached);
    }
    if reached.is_some_and(|reached| head < reached) {
        tracing::error!(?reached, head, "the log was put back to an earlier copy under this server");
        commands.vault.suspend();
        return Ok(reached);
    }
    move_to_head(commands).await.map(|()| Some(head))
}

/// Moves the anchor of the vault's store to the log's head.
pub(crate) async fn move_to_head(commands: &Commands) -> Result<(), CommandError> {
    if let Some(anchor) = newest(&*commands.log).await? {
        commands.vault.move_log_anchor(&anchor).await?;
    }
    Ok(())
}

/// The log's newest event; none of a log that is empty.
pub async fn newest(log: &dyn EventLog) -> Result<Option<LogAnchor>, CommandError> {
    let head = log.head().await?;
    if head == 0 {
        return Ok(None);
    }
    at(log, head).await
}

/// The event at the position, if the log has one there.
pub(crate) async fn at(log: &dyn EventLog, position: Position) -> Result<Option<LogAnchor>, CommandError> {
    let filter = EventFilter { until: Some(position), ..EventFilter::default() };
    let found = log.read(position.saturating_sub(1), 1, &filter).await?;
    Ok(found.first().map(|event| LogAnchor {
        position: event.position,
        event_id: event.event_id,
        recorded_at: event.recorded_at,
    }))
}

/// Ties the vault's store to a log that was put back to an earlier copy, or to another one, at the operator's word.
pub async fn accept_log(log: &dyn EventLog, vault: &wasend_vault::Vault) -> Result<Option<LogAnchor>, CommandError> {
    let newest = newest(log).await?;
    let anchor = newest.unwrap_or(LogAnchor {
        position: 0,
        event_id: wasend_domain::EventId::random(),
        recorded_at: wasend_domain::Time::from_micros(0),
    });
    vault.replace_log_anchor(&anchor).await.map_err(|error: VaultFailure| CommandError::from(error))?;
    Ok(newest)
}
