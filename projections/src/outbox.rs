//! What is left to do for outbound messages: the dispatcher's list.

use wasend_domain::message::Event as Change;
use wasend_domain::{AnyEvent, NumberId, RecordedEvent, SubjectId, Time};

use crate::engine::cell::CellField;
use crate::engine::reads::{padded, places};
use crate::engine::record::{named_cell, table_record};
use crate::numbers::NumberRow;
use crate::{
    BatchKeys, BatchRows, CellValue, ColumnKind, FoldError, Projection, ReadModels, StoreError, Table, TableRecord,
};

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

/// What waits for time to pass and has waited for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverdueList {
    /// Calls whose outcome is unknown, that were not surfaced yet.
    Unresolved,
    /// Messages without a delivery.
    Undelivered,
}

/// What one number has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberTasks {
    pub number_id: String,
    /// When the number was changed last.
    pub changed_at: Time,
    pub disconnected_at: Option<Time>,
    /// When the first message is due that waits to be sent.
    pub due_at: Option<Time>,
    /// When the oldest call began whose outcome is not recorded.
    pub begun_at: Option<Time>,
}

impl OutboxRow {
    /// How many messages wait to be sent, now or later.
    pub async fn waiting(reads: &ReadModels) -> Result<u64, StoreError> {
        reads.count::<Self>("WHERE todo = 'send'", &[]).await
    }

    /// Every number with what it has to do, in one query, by id.
    pub async fn by_number(reads: &ReadModels) -> Result<Vec<NumberTasks>, StoreError> {
        let (outbox, numbers) = (reads.physical::<Self>()?, reads.physical::<NumberRow>()?);
        let first = |todo: &str| {
            format!("(SELECT min(o.due_at) FROM {outbox} o WHERE o.todo = '{todo}' AND o.number_id = n.id)")
        };
        let (send, conclude) = (first(OutboxTask::Send.name()), first(OutboxTask::Conclude.name()));
        let columns = format!("n.id, n.updated_at, n.disconnected_at, {send}, {conclude}");
        let sql = format!("SELECT {columns} FROM {numbers} n ORDER BY n.id");
        let kinds = [ColumnKind::Text, ColumnKind::Int, ColumnKind::Int, ColumnKind::Int, ColumnKind::Int];
        let rows = reads.cells(&sql, &[], &kinds).await?;
        Ok(rows.into_iter().filter_map(NumberTasks::of).collect())
    }

    /// Up to `limit` messages of the number that are due by `until`, the longest due first, without those to the contacts
    /// of `except`.
    pub async fn due(
        reads: &ReadModels,
        (number, until): (NumberId, Time),
        except: impl IntoIterator<Item = &SubjectId>,
        limit: usize,
    ) -> Result<Vec<Self>, StoreError> {
        let mut binds = vec![CellValue::text(&number), until.micros().into()];
        let except = padded(except.into_iter().map(CellValue::text));
        let others = match except.len() {
            0 => String::new(),
            count => format!("AND contact_id NOT IN ({}) ", places(3, count)),
        };
        binds.extend(except);
        binds.push(CellValue::count(limit as u64));
        let page = format!("{others}ORDER BY due_at, id LIMIT ${}", binds.len());
        reads.fetch(&format!("WHERE todo = 'send' AND number_id = $1 AND due_at <= $2 {page}"), &binds).await
    }

    /// When the next message of the number is due after `now`.
    pub async fn next_due(reads: &ReadModels, number: NumberId, now: Time) -> Result<Option<Time>, StoreError> {
        let outbox = reads.physical::<Self>()?;
        let sql = format!("SELECT min(due_at) FROM {outbox} WHERE todo = 'send' AND number_id = $1 AND due_at > $2");
        let rows = reads.cells(&sql, &[CellValue::text(&number), now.micros().into()], &[ColumnKind::Int]).await?;
        Ok(rows.into_iter().flatten().next().and_then(Time::from_cell))
    }

    /// Up to `limit` messages of the number whose call began by `until` and has no outcome, the oldest first.
    pub async fn begun(
        reads: &ReadModels,
        (number, until): (NumberId, Time),
        limit: usize,
    ) -> Result<Vec<Self>, StoreError> {
        const TAIL: &str = "WHERE todo = 'conclude' AND number_id = $1 AND due_at <= $2 ORDER BY due_at, id LIMIT $3";
        let binds = [CellValue::text(&number), until.micros().into(), CellValue::count(limit as u64)];
        reads.fetch(TAIL, &binds).await
    }

    /// Up to `limit` messages that have waited since `until` or longer, of every account, the oldest first.
    pub async fn overdue(
        reads: &ReadModels,
        list: OverdueList,
        until: Time,
        limit: usize,
    ) -> Result<Vec<Self>, StoreError> {
        let rows = match list {
            OverdueList::Unresolved => "todo = 'reconcile' AND surfaced = 0",
            // Named one by one, both values let the index serve the order.
            OverdueList::Undelivered => "todo = 'deliver' AND surfaced IN (0, 1)",
        };
        let tail = format!("WHERE {rows} AND due_at <= $1 ORDER BY due_at, id LIMIT $2");
        reads.fetch(&tail, &[until.micros().into(), CellValue::count(limit as u64)]).await
    }

    /// Up to `limit` messages to the contact that may still be sent, or are being sent.
    pub async fn unsettled(reads: &ReadModels, contact: SubjectId, limit: u64) -> Result<Vec<Self>, StoreError> {
        const TAIL: &str = "WHERE contact_id = $1 AND todo IN ('send', 'conclude') ORDER BY id LIMIT $2";
        reads.fetch(TAIL, &[CellValue::text(&contact), CellValue::count(limit)]).await
    }
}

impl NumberTasks {
    fn of(cells: Vec<CellValue>) -> Option<Self> {
        let [id, changed, disconnected, due, begun] = <[CellValue; 5]>::try_from(cells).ok()?;
        Some(Self {
            number_id: String::from_cell(id)?,
            changed_at: Time::from_cell(changed)?,
            disconnected_at: Time::from_cell(disconnected),
            due_at: Time::from_cell(due),
            begun_at: Time::from_cell(begun),
        })
    }
}

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

impl OutboxRow {
    /// How many messages of a number wait to be handed to Meta, counted up to `most`.
    pub async fn waiting_of(reads: &ReadModels, number: &str, most: u32) -> Result<u64, StoreError> {
        let outbox = reads.physical::<Self>()?;
        let sql = format!(
            "SELECT count(*) FROM \
             (SELECT id FROM {outbox} WHERE todo = 'send' AND number_id = $1 LIMIT {most}) AS waiting"
        );
        reads.number(&sql, &[number.into()]).await
    }

    /// The message of a number that is tried next.
    pub async fn next_to_send(reads: &ReadModels, number: &str) -> Result<Option<Self>, StoreError> {
        const TAIL: &str = "WHERE todo = 'send' AND number_id = $1 ORDER BY due_at, id LIMIT 1";
        Ok(reads.fetch(TAIL, &[number.into()]).await?.pop())
    }
}
