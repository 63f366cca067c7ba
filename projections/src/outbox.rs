//! What is left to do for outbound messages: the dispatcher's list.

use wasend_domain::message::Event as Change;
use wasend_domain::{AnyEvent, RecordedEvent, Time};

use crate::engine::record::{named_cell, table_record};
use crate::{BatchKeys, BatchRows, FoldError, Projection, Table, TableRecord};

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

table_record! {
    /// One outbound message that is not settled.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct OutboxRow in "outbox" indexed by [["todo", "number_id", "due_at", "id"], ["todo", "surfaced", "due_at"], ["contact_id", "todo"]] {
        /// The message's id.
        key pub id: String,
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
}

named_cell!(OutboxTask, |name| OutboxTask::ALL.into_iter().find(|task| task.name() == name));

static TABLES: &[&Table] = &[OutboxRow::TABLE];

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
