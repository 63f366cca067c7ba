//! What processors share: hearing of progress, the context of their commands, and time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use wasend_domain::{AccountId, Actor, EventId, Position, Time};
use wasend_eventlog::{CommandContext, CommandId};
use wasend_projections::Projector;

/// A list of what is to be done is looked at so often at most: under load every batch of events is news.
const PROGRESS_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Tells when the read models have moved on, now and then.
pub(crate) struct ProgressWatcher {
    position: watch::Receiver<Position>,
    last: Instant,
}

impl ProgressWatcher {
    /// The position as it is now is news.
    pub fn of(projector: &Projector) -> Self {
        let mut position = projector.position();
        position.mark_changed();
        Self { position, last: Instant::now() }
    }

    /// The position, when it has changed. Giving up the wait loses nothing.
    pub async fn next(&mut self) -> Option<Position> {
        tokio::time::sleep_until(self.last + PROGRESS_INTERVAL_MIN).await;
        self.position.changed().await.ok()?;
        self.last = Instant::now();
        Some(*self.position.borrow_and_update())
    }

    /// Tells the same once more.
    pub fn again(&mut self) {
        self.position.mark_changed();
    }
}

/// The context of a command that a processor gives once.
pub(crate) fn once(account_id: AccountId, actor: Actor) -> CommandContext {
    CommandContext { account_id, actor, command: CommandId::Fresh(EventId::random().to_string()) }
}

pub(crate) fn earlier(time: Time, duration: Duration) -> Time {
    Time::from_micros(time.micros().saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
}
