//! Which numbers have something to do: one look at the list for all numbers.

use wasend_commands::CommandError;
use wasend_domain::{NumberId, Position, Time};
use wasend_projections::ReadModels;
use wasend_projections::outbox::{NumberTasks, OutboxRow};

/// What the list showed for a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NumberBacklog {
    /// Everything up to here was shown.
    pub position: Position,
    /// Some message waits to be sent, now or later.
    pub waiting: bool,
    /// When the oldest call began whose outcome is not recorded.
    pub begun: Option<Time>,
    pub connected: bool,
    /// When the number was changed last.
    pub changed_at: Time,
}

impl NumberBacklog {
    /// Whether the number's loop has anything to do.
    pub const fn matters(&self) -> bool {
        self.connected || self.waiting || self.begun.is_some()
    }

    /// Whether the loop should look again.
    pub fn is_news_after(&self, before: &Self) -> bool {
        self.waiting || Self { position: before.position, ..*self } != *before
    }
}

pub(crate) async fn read_backlog(
    reads: &ReadModels,
    position: Position,
) -> Result<Vec<(NumberId, NumberBacklog)>, CommandError> {
    let numbers = OutboxRow::by_number(reads).await?;
    Ok(numbers.into_iter().filter_map(|tasks| seen(&tasks, position)).collect())
}

fn seen(tasks: &NumberTasks, position: Position) -> Option<(NumberId, NumberBacklog)> {
    let seen = NumberBacklog {
        position,
        waiting: tasks.due_at.is_some(),
        begun: tasks.begun_at,
        connected: tasks.disconnected_at.is_none(),
        changed_at: tasks.changed_at,
    };
    Some((tasks.number_id.parse().ok()?, seen))
}
