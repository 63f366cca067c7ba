//! Messages with their delivery status, and the history of each message's status.

use cqrs_es::Aggregate;
use wasend_domain::content::ContentKind;
use wasend_domain::message::{
    DeliveryStatus, Event as Change, Message, MessageDirection, MessageFailure, MessageOrigin, MessagePricing,
    PricingCategory,
};
use wasend_domain::{AccountId, AnyEvent, BlindIndex, Position, RecordedEvent, Time};

use crate::engine::reads::places;
use crate::engine::record::{named_cell, table_record};
use crate::feed::FeedRow;
use crate::{BatchKeys, BatchRows, CellValue, FoldError, Projection, ReadModels, StoreError, Table, TableRecord};

/// One message as clients see it. What it says is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    pub id: String,
    pub account_id: String,
    /// The same facts, folded by the same rules, as the aggregate decides on.
    pub state: Message,
    pub template: Option<String>,
    /// Sealed `OutboundContent` (outbound) or `InboundContent` (inbound).
    pub content: String,
    /// Sealed `Wamid`.
    pub wamid: Option<String>,
    /// Sealed `ErrorText` of the failure that counts.
    pub error_detail: Option<String>,
    pub submitted_at: Option<Time>,
    pub updated_at: Time,
    /// Of the last event that touched it.
    pub position: u64,
}

table_record! {
    /// One fact about a message, and the status that it led to. Feeds the subscriptions, in order of position.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StatusRow in "message_statuses" indexed by [["account_id", "position"], ["message_id", "position"]] {
        position pub position: u64,
        pub account_id: String,
        pub message_id: String,
        pub number_id: String,
        pub contact_id: String,
        pub direction: String,
        /// The fact, by the type of its event.
        pub fact: String,
        /// The message's status after it.
        pub status: DeliveryStatus,
        /// Whether the status is another one than before.
        pub changed: bool,
        pub code: Option<i64>,
        /// When it happened, by Meta's time for what Meta reports.
        pub at: Time,
        pub recorded_at: Time,
    }
}

impl MessageRow {
    /// Whose message it is and which way it goes.
    pub fn origin(&self) -> Option<&MessageOrigin> {
        self.state.origin.as_ref()
    }

    /// The status that queries show.
    pub fn status(&self) -> DeliveryStatus {
        self.state.status()
    }
}

named_cell!(DeliveryStatus, DeliveryStatus::named);

table_record! {
    impl MessageRow in "messages" indexed by [
        ["account_id", "id"],
        ["account_id", "status", "id"],
        ["account_id", "contact_id", "id"],
        ["account_id", "number_id", "id"],
        ["account_id", "wamid_index"]
    ] from row {
        key id: String = row.id,
        account_id: String = row.account_id,
        direction: String = of_origin(row.state.origin.as_ref(), |origin| origin.direction.name()),
        number_id: String = of_origin(row.state.origin.as_ref(), |origin| origin.number),
        contact_id: String = of_origin(row.state.origin.as_ref(), |origin| origin.contact),
        kind: String = of_origin(row.state.origin.as_ref(), |origin| origin.kind.name()),
        accepted_at: Time = row.state.origin.as_ref().map_or(Time::from_micros(0), |origin| origin.at),
        status: DeliveryStatus = row.state.status(),
        attempts: u32 = row.state.attempts,
        in_flight: bool = row.state.in_flight,
        not_before: Option<Time> = row.state.not_before,
        unknown_since: Option<Time> = row.state.unknown_since,
        unresolved: bool = row.state.unresolved,
        wamid_index: Option<String> = row.state.wamid_index.as_ref().map(|index| index.as_str().to_owned()),
        submitted: bool = row.state.submitted,
        held_at: Option<Time> = row.state.held_at,
        sent_at: Option<Time> = row.state.sent_at,
        delivered_at: Option<Time> = row.state.delivered_at,
        read_at: Option<Time> = row.state.read_at,
        failed_at: Option<Time> = row.state.failure.as_ref().map(|failure| failure.at),
        error_code: Option<i64> = row.state.failure.as_ref().and_then(|failure| failure.code),
        error_class: Option<String> = row.state.failure.as_ref().map(|failure| failure.class.clone()),
        expired_at: Option<Time> = row.state.expired_at,
        cancelled_at: Option<Time> = row.state.cancelled_at,
        priced_at: Option<Time> = row.state.pricing.as_ref().map(|pricing| pricing.at),
        category: Option<String> = row.state.pricing.as_ref().map(|pricing| pricing.category.as_str().to_owned()),
        billable: Option<bool> = row.state.pricing.as_ref().map(|pricing| pricing.billable),
        template: Option<String> = row.template,
        content: String = row.content,
        wamid: Option<String> = row.wamid,
        error_detail: Option<String> = row.error_detail,
        submitted_at: Option<Time> = row.submitted_at,
        updated_at: Time = row.updated_at,
        position: u64 = row.position,
    }
    {
        let damaged = |column| Self::TABLE.damaged(column);
        let origin = MessageOrigin {
            direction: MessageDirection::named(&direction).ok_or_else(|| damaged("direction"))?,
            number: number_id.parse().map_err(|_| damaged("number_id"))?,
            contact: contact_id.parse().map_err(|_| damaged("contact_id"))?,
            kind: ContentKind::named(&kind),
            at: accepted_at,
        };
        let failure = failed_at.map(|at| MessageFailure { at, code: error_code, class: error_class.unwrap_or_default() });
        let pricing = priced_at.map(|at| MessagePricing {
            at,
            category: PricingCategory::new(category.as_deref().unwrap_or_default()),
            billable: billable == Some(true),
        });
        let state = Message {
            origin: Some(origin),
            attempts,
            in_flight,
            not_before,
            unknown_since,
            unresolved,
            wamid_index: wamid_index.map(BlindIndex::from_hex),
            submitted,
            held_at,
            sent_at,
            delivered_at,
            read_at,
            failure,
            expired_at,
            cancelled_at,
            pricing,
            ..Message::default()
        };
        Ok(Self { id, account_id, state, template, content, wamid, error_detail, submitted_at, updated_at, position })
    }
}

/// Empty for a message without an origin, which no history gives.
fn of_origin<T: ToString>(origin: Option<&MessageOrigin>, part: impl FnOnce(&MessageOrigin) -> T) -> String {
    origin.map(|origin| part(origin).to_string()).unwrap_or_default()
}

impl MessageRow {
    /// The account's message with this blind index of its wamid.
    pub async fn by_wamid(
        reads: &ReadModels,
        account: AccountId,
        index: &BlindIndex,
    ) -> Result<Option<Self>, StoreError> {
        const TAIL: &str = "WHERE account_id = $1 AND wamid_index = $2 LIMIT 1";
        Ok(reads.fetch(TAIL, &[CellValue::text(&account), index.as_str().into()]).await?.pop())
    }
}

impl StatusRow {
    /// The facts about these messages, of whichever account, in order of position.
    pub async fn of_messages(reads: &ReadModels, messages: &[&str]) -> Result<Vec<Self>, StoreError> {
        let tail = format!("WHERE message_id IN ({}) ORDER BY position", places(1, messages.len()));
        reads.fetch(&tail, &messages.iter().copied().map(CellValue::from).collect::<Vec<_>>()).await
    }
}

impl FeedRow for StatusRow {
    const TOLD: &'static str = "changed = 1";

    fn position(&self) -> Position {
        self.position
    }

    fn account_id(&self) -> &str {
        &self.account_id
    }
}

static TABLES: &[&Table] = &[MessageRow::TABLE, StatusRow::TABLE];

/// The projection of both tables.
pub struct MessagesProjection;

impl Projection for MessagesProjection {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn version(&self) -> u32 {
        3
    }

    fn tables(&self) -> &'static [&'static Table] {
        TABLES
    }

    fn keys(&self, event: &AnyEvent, recorded: &RecordedEvent, keys: &mut BatchKeys) {
        if let AnyEvent::Message(_) = event {
            keys.touch::<MessageRow>(recorded.aggregate_id.to_string());
        }
    }

    fn fold(&self, event: &AnyEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
        let AnyEvent::Message(change) = event else { return Ok(()) };
        let id = recorded.aggregate_id.to_string();
        let before = rows.get::<MessageRow>(&id).map(MessageRow::status);
        if before.is_none() {
            rows.put(first(change, recorded).ok_or(FoldError("a message begins with its acceptance or reception"))?);
        }
        let Some(row) = rows.get_mut::<MessageRow>(&id) else { return Ok(()) };
        let failure = row.state.failure.clone();
        row.state.apply((**change).clone());
        match &**change {
            Change::Submitted { wamid, at, .. } => {
                row.wamid = Some(wamid.as_str().to_owned());
                row.submitted_at.get_or_insert(*at);
            }
            Change::Failed { detail, .. } if row.state.failure != failure => {
                row.error_detail = detail.as_ref().map(|detail| detail.as_str().to_owned());
            }
            _ => {}
        }
        // Where it stands in the usage is the usage's to keep.
        row.state.counted = None;
        row.updated_at = recorded.recorded_at;
        row.position = recorded.position;
        if let Some((at, code)) = change_time(change) {
            let status = status(row, before, recorded, at, code);
            rows.put(status);
        }
        Ok(())
    }
}

/// The row of a message that has just begun, with what never changes.
fn first(change: &Change, recorded: &RecordedEvent) -> Option<MessageRow> {
    let (content, template, wamid) = match change {
        Change::Accepted { content, template, .. } => (content.as_str(), template.clone(), None),
        Change::Received { content, wamid, .. } => (content.as_str(), None, Some(wamid.as_str().to_owned())),
        _ => return None,
    };
    Some(MessageRow {
        id: recorded.aggregate_id.to_string(),
        account_id: recorded.account_id.to_string(),
        state: Message::default(),
        template,
        content: content.to_owned(),
        wamid,
        error_detail: None,
        submitted_at: None,
        updated_at: recorded.recorded_at,
        position: recorded.position,
    })
}

/// When the fact happened and Meta's error code; none for what only counts.
fn change_time(change: &Change) -> Option<(Time, Option<i64>)> {
    match change {
        Change::Accepted { at, .. }
        | Change::Attempted { at, .. }
        | Change::Submitted { at, .. }
        | Change::Held { at }
        | Change::OutcomeUnknown { at, .. }
        | Change::Unresolved { at }
        | Change::Sent { at }
        | Change::Delivered { at }
        | Change::Read { at }
        | Change::Expired { at }
        | Change::Cancelled { at, .. } => Some((*at, None)),
        Change::Received { at, sent_at, .. } => Some((sent_at.unwrap_or(*at), None)),
        Change::Deferred { at, code, .. } | Change::Failed { at, code, .. } => Some((*at, *code)),
        Change::Priced(_) | Change::Counted { .. } => None,
    }
}

fn status(
    row: &MessageRow,
    before: Option<DeliveryStatus>,
    recorded: &RecordedEvent,
    at: Time,
    code: Option<i64>,
) -> StatusRow {
    let status = row.status();
    let origin = row.origin();
    StatusRow {
        position: recorded.position,
        account_id: row.account_id.clone(),
        message_id: row.id.clone(),
        number_id: origin.map(|o| o.number.to_string()).unwrap_or_default(),
        contact_id: origin.map(|o| o.contact.to_string()).unwrap_or_default(),
        direction: origin.map(|o| o.direction.name().to_owned()).unwrap_or_default(),
        fact: recorded.event_type.clone(),
        status,
        changed: before != Some(status),
        code,
        at,
        recorded_at: recorded.recorded_at,
    }
}

impl StatusRow {
    /// How many messages of a number Meta took since a moment, among the account's newest `most` facts.
    pub async fn submitted_since(
        reads: &ReadModels,
        (account, number): (&str, &str),
        since: Time,
        most: u32,
    ) -> Result<u64, StoreError> {
        let facts = reads.physical::<Self>()?;
        let sql = format!(
            "SELECT count(*) FROM (SELECT number_id, fact, recorded_at FROM {facts} WHERE account_id = $1 \
             ORDER BY position DESC LIMIT {most}) AS newest \
             WHERE number_id = $2 AND fact = 'MessageSubmitted' AND recorded_at >= $3"
        );
        reads.number(&sql, &[account.into(), number.into(), since.micros().into()]).await
    }

    /// The last fact about a message.
    pub async fn last_of(reads: &ReadModels, message: &str) -> Result<Option<Self>, StoreError> {
        const TAIL: &str = "WHERE message_id = $1 ORDER BY position DESC LIMIT 1";
        Ok(reads.fetch(TAIL, &[message.into()]).await?.pop())
    }
}
