//! What is left to do for outbound messages: the dispatcher's list.

use wasend_domain::message::Event as Change;
use wasend_domain::{AnyEvent, RecordedEvent, Time};

use crate::engine::table::{CellReader, CellValue, Column, DamagedRow, Table, TableRecord, time};
use crate::{BatchKeys, BatchRows, FoldError, Projection};

/// What a message waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxTask {
    /// To be tried, not before `due_at`.
    Send,
    /// A call was begun at `due_at` and its outcome is not recorded.
    Conclude,
    /// A webhook that tells what became of a call whose outcome is unknown since `due_at`.
    Reconcile,
    /// Delivery, within the time to live that began at `due_at`.
    Deliver,
}

impl OutboxTask {
    const ALL: [Self; 4] = [Self::Send, Self::Conclude, Self::Reconcile, Self::Deliver];

    /// The name in the database; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Conclude => "conclude",
            Self::Reconcile => "reconcile",
            Self::Deliver => "deliver",
        }
    }
}

/// One outbound message that is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The message's id.
    pub id: String,
    pub account_id: String,
    pub number_id: String,
    pub contact_id: String,
    pub todo: OutboxTask,
    pub due_at: Time,
    /// Calls begun so far.
    pub attempts: i64,
    /// It was surfaced: nothing more is done about an unknown outcome.
    pub surfaced: bool,
    pub accepted_at: Time,
    /// Sealed `OutboundContent`.
    pub content: String,
}

static OUTBOX: Table = Table {
    name: "outbox",
    columns: &[
        Column::text("account_id"),
        Column::text("number_id"),
        Column::text("contact_id"),
        Column::text("todo"),
        Column::int("due_at"),
        Column::int("attempts"),
        Column::int("surfaced"),
        Column::int("accepted_at"),
        Column::text("content"),
    ],
    indexes: &[&["todo", "number_id", "due_at", "id"], &["todo", "surfaced", "due_at"], &["contact_id", "todo"]],
    append_only: false,
};

impl TableRecord for OutboxRow {
    const TABLE: &'static Table = &OUTBOX;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn into_cells(self) -> Vec<CellValue> {
        vec![
            self.id.into(),
            self.account_id.into(),
            self.number_id.into(),
            self.contact_id.into(),
            self.todo.name().into(),
            self.due_at.micros().into(),
            self.attempts.into(),
            i64::from(self.surfaced).into(),
            self.accepted_at.micros().into(),
            self.content.into(),
        ]
    }

    fn from_cells(cells: &mut CellReader) -> Result<Self, DamagedRow> {
        let id = cells.text()?;
        let (account_id, number_id, contact_id) = (cells.text()?, cells.text()?, cells.text()?);
        let todo = cells.text()?;
        let todo = OutboxTask::ALL.into_iter().find(|known| known.name() == todo).ok_or_else(|| cells.damaged())?;
        Ok(Self {
            id,
            account_id,
            number_id,
            contact_id,
            todo,
            due_at: time(cells.int()?),
            attempts: cells.int()?,
            surfaced: cells.int()? != 0,
            accepted_at: time(cells.int()?),
            content: cells.text()?,
        })
    }
}

static TABLES: &[&Table] = &[&OUTBOX];

/// The projection of the table.
pub struct OutboxProjection;

impl Projection for OutboxProjection {
    fn name(&self) -> &'static str {
        "outbox"
    }

    fn version(&self) -> u32 {
        2
    }

    fn tables(&self) -> &'static [&'static Table] {
        TABLES
    }

    fn keys(&self, event: &AnyEvent, recorded: &RecordedEvent, keys: &mut BatchKeys) {
        if let AnyEvent::Message(_) = event {
            keys.touch::<OutboxRow>(recorded.aggregate_id.to_string());
        }
    }

    fn fold(&self, event: &AnyEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
        let AnyEvent::Message(change) = event else { return Ok(()) };
        let id = recorded.aggregate_id.to_string();
        if let Change::Accepted { number, contact, content, at, .. } = &**change {
            rows.put(OutboxRow {
                id,
                account_id: recorded.account_id.to_string(),
                number_id: number.to_string(),
                contact_id: contact.to_string(),
                todo: OutboxTask::Send,
                due_at: *at,
                attempts: 0,
                surfaced: false,
                accepted_at: *at,
                content: content.as_str().to_owned(),
            });
            return Ok(());
        }
        // Settled messages and inbound ones are on no list.
        let Some(row) = rows.get_mut::<OutboxRow>(&id) else { return Ok(()) };
        match &**change {
            Change::Attempted { attempt, at } => {
                row.attempts = i64::from(*attempt);
                (row.todo, row.due_at) = (OutboxTask::Conclude, *at);
            }
            Change::Deferred { until, .. } => (row.todo, row.due_at) = (OutboxTask::Send, *until),
            Change::OutcomeUnknown { at, .. } => (row.todo, row.due_at) = (OutboxTask::Reconcile, *at),
            Change::Unresolved { .. } => row.surfaced = true,
            Change::Submitted { .. } | Change::Sent { .. } => {
                (row.todo, row.due_at) = (OutboxTask::Deliver, row.accepted_at);
            }
            Change::Delivered { .. }
            | Change::Read { .. }
            | Change::Failed { .. }
            | Change::Expired { .. }
            | Change::Cancelled { .. } => rows.delete::<OutboxRow>(&id),
            Change::Accepted { .. }
            | Change::Received { .. }
            | Change::Held { .. }
            | Change::Priced(_)
            | Change::Counted { .. } => {}
        }
        Ok(())
    }
}
