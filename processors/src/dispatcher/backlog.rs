//! Which numbers have something to do: one look at the list for all numbers.

use wasend_commands::CommandError;
use wasend_domain::{NumberId, Position, Time};
use wasend_projections::numbers::NumberRow;
use wasend_projections::outbox::OutboxRow;
use wasend_projections::{CellValue, ColumnKind, ReadModels};

const SELECT_BACKLOG: &str = "SELECT n.id, n.updated_at, n.disconnected_at, \
    (SELECT min(o.due_at) FROM {outbox} o WHERE o.todo = 'send' AND o.number_id = n.id), \
    (SELECT min(o.due_at) FROM {outbox} o WHERE o.todo = 'conclude' AND o.number_id = n.id) \
    FROM {numbers} n ORDER BY n.id";

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
    let tables = [("{outbox}", reads.physical::<OutboxRow>()?), ("{numbers}", reads.physical::<NumberRow>()?)];
    let sql = tables.iter().fold(SELECT_BACKLOG.to_owned(), |sql, (name, table)| sql.replace(name, table));
    let kinds = [ColumnKind::Text, ColumnKind::Int, ColumnKind::Int, ColumnKind::Int, ColumnKind::Int];
    let rows = reads.cells(&sql, &[], &kinds).await?;
    Ok(rows.iter().filter_map(|row| seen(row, position)).collect())
}

fn seen(row: &[CellValue], position: Position) -> Option<(NumberId, NumberBacklog)> {
    let [
        CellValue::Text(Some(id)),
        CellValue::Int(Some(changed)),
        CellValue::Int(gone),
        CellValue::Int(due),
        CellValue::Int(begun),
    ] = row
    else {
        return None;
    };
    let seen = NumberBacklog {
        position,
        waiting: due.is_some(),
        begun: begun.map(Time::from_micros),
        connected: gone.is_none(),
        changed_at: Time::from_micros(*changed),
    };
    Some((id.parse().ok()?, seen))
}
