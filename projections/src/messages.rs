//! Messages with their delivery status, and the history of each message's status.

use cqrs_es::Aggregate;
use wasend_domain::content::ContentKind;
use wasend_domain::message::{
    DeliveryStatus, Event as Change, Message, MessageDirection, MessageFailure, MessageOrigin, MessagePricing,
    PricingCategory,
};
use wasend_domain::{AnyEvent, BlindIndex, RecordedEvent, Time};

use crate::engine::table::{CellReader, CellValue, Column, DamagedRow, Table, TableRecord, moment, time};
use crate::{BatchKeys, BatchRows, FoldError, Projection};

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

/// One fact about a message, and the status that it led to. Feeds the subscriptions, in order of position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRow {
    pub position: u64,
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

static MESSAGES: Table = Table {
    name: "messages",
    columns: &[
        Column::text("account_id"),
        Column::text("direction"),
        Column::text("number_id"),
        Column::text("contact_id"),
        Column::text("kind"),
        Column::int("accepted_at"),
        Column::text("status"),
        Column::int("attempts"),
        Column::int("in_flight"),
        Column::optional_int("not_before"),
        Column::optional_int("unknown_since"),
        Column::int("unresolved"),
        Column::optional_text("wamid_index"),
        Column::int("submitted"),
        Column::optional_int("held_at"),
        Column::optional_int("sent_at"),
        Column::optional_int("delivered_at"),
        Column::optional_int("read_at"),
        Column::optional_int("failed_at"),
        Column::optional_int("error_code"),
        Column::optional_text("error_class"),
        Column::optional_int("expired_at"),
        Column::optional_int("cancelled_at"),
        Column::optional_int("priced_at"),
        Column::optional_text("category"),
        Column::optional_int("billable"),
        Column::optional_text("template"),
        Column::text("content"),
        Column::optional_text("wamid"),
        Column::optional_text("error_detail"),
        Column::optional_int("submitted_at"),
        Column::int("updated_at"),
        Column::int("position"),
    ],
    indexes: &[
        &["account_id", "id"],
        &["account_id", "status", "id"],
        &["account_id", "contact_id", "id"],
        &["account_id", "number_id", "id"],
        &["account_id", "wamid_index"],
    ],
    append_only: false,
};

static STATUSES: Table = Table {
    name: "message_statuses",
    columns: &[
        Column::text("account_id"),
        Column::text("message_id"),
        Column::text("number_id"),
        Column::text("contact_id"),
        Column::text("direction"),
        Column::text("fact"),
        Column::text("status"),
        Column::int("changed"),
        Column::optional_int("code"),
        Column::int("at"),
        Column::int("recorded_at"),
    ],
    indexes: &[&["account_id", "position"], &["message_id", "position"]],
    append_only: true,
};

impl TableRecord for MessageRow {
    const TABLE: &'static Table = &MESSAGES;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn into_cells(self) -> Vec<CellValue> {
        let status = self.status().name();
        let s = &self.state;
        let origin = s.origin.as_ref();
        let text = |value: Option<String>| CellValue::Text(Some(value.unwrap_or_default()));
        vec![
            self.id.into(),
            self.account_id.into(),
            text(origin.map(|o| o.direction.name().to_owned())),
            text(origin.map(|o| o.number.to_string())),
            text(origin.map(|o| o.contact.to_string())),
            text(origin.map(|o| o.kind.name().to_owned())),
            origin.map_or(0, |o| o.at.micros()).into(),
            status.into(),
            i64::from(s.attempts).into(),
            i64::from(s.in_flight).into(),
            moment(s.not_before),
            moment(s.unknown_since),
            i64::from(s.unresolved).into(),
            s.wamid_index.as_ref().map(|index| index.as_str().to_owned()).into(),
            i64::from(s.submitted).into(),
            moment(s.held_at),
            moment(s.sent_at),
            moment(s.delivered_at),
            moment(s.read_at),
            moment(s.failure.as_ref().map(|f| f.at)),
            s.failure.as_ref().and_then(|f| f.code).into(),
            s.failure.as_ref().map(|f| f.class.clone()).into(),
            moment(s.expired_at),
            moment(s.cancelled_at),
            moment(s.pricing.as_ref().map(|p| p.at)),
            s.pricing.as_ref().map(|p| p.category.as_str().to_owned()).into(),
            s.pricing.as_ref().map(|p| i64::from(p.billable)).into(),
            self.template.into(),
            self.content.into(),
            self.wamid.into(),
            self.error_detail.into(),
            moment(self.submitted_at),
            self.updated_at.micros().into(),
            CellValue::count(self.position),
        ]
    }

    fn from_cells(cells: &mut CellReader) -> Result<Self, DamagedRow> {
        let id = cells.text()?;
        let account_id = cells.text()?;
        let direction = cells.text()?;
        let direction = MessageDirection::named(&direction).ok_or_else(|| cells.damaged())?;
        let (number, contact) = (cells.parse()?, cells.parse()?);
        let kind = ContentKind::named(&cells.text()?);
        let at = time(cells.int()?);
        // The status is derived; the column is there to be filtered by.
        cells.text()?;
        let attempts = u32::try_from(cells.int()?).map_err(|_| cells.damaged())?;
        let mut state = Message {
            origin: Some(MessageOrigin { direction, number, contact, kind, at }),
            attempts,
            in_flight: cells.int()? != 0,
            not_before: cells.optional_int()?.map(time),
            unknown_since: cells.optional_int()?.map(time),
            unresolved: cells.int()? != 0,
            wamid_index: cells.optional_text()?.map(BlindIndex::from_hex),
            submitted: cells.int()? != 0,
            held_at: cells.optional_int()?.map(time),
            sent_at: cells.optional_int()?.map(time),
            delivered_at: cells.optional_int()?.map(time),
            read_at: cells.optional_int()?.map(time),
            ..Message::default()
        };
        let (failed_at, code, class) = (cells.optional_int()?, cells.optional_int()?, cells.optional_text()?);
        state.failure = failed_at.map(|at| MessageFailure { at: time(at), code, class: class.unwrap_or_default() });
        state.expired_at = cells.optional_int()?.map(time);
        state.cancelled_at = cells.optional_int()?.map(time);
        let (priced_at, category, billable) = (cells.optional_int()?, cells.optional_text()?, cells.optional_int()?);
        state.pricing = priced_at.map(|at| MessagePricing {
            at: time(at),
            category: PricingCategory::new(category.as_deref().unwrap_or_default()),
            billable: billable == Some(1),
        });
        Ok(Self {
            id,
            account_id,
            state,
            template: cells.optional_text()?,
            content: cells.text()?,
            wamid: cells.optional_text()?,
            error_detail: cells.optional_text()?,
            submitted_at: cells.optional_int()?.map(time),
            updated_at: time(cells.int()?),
            position: cells.count()?,
        })
    }
}

impl TableRecord for StatusRow {
    const TABLE: &'static Table = &STATUSES;

    fn id(&self) -> String {
        self.position.to_string()
    }

    fn into_cells(self) -> Vec<CellValue> {
        vec![
            CellValue::count(self.position),
            self.account_id.into(),
            self.message_id.into(),
            self.number_id.into(),
            self.contact_id.into(),
            self.direction.into(),
            self.fact.into(),
            self.status.name().into(),
            i64::from(self.changed).into(),
            self.code.into(),
            self.at.micros().into(),
            self.recorded_at.micros().into(),
        ]
    }

    fn from_cells(cells: &mut CellReader) -> Result<Self, DamagedRow> {
        Ok(Self {
            position: cells.count()?,
            account_id: cells.text()?,
            message_id: cells.text()?,
            number_id: cells.text()?,
            contact_id: cells.text()?,
            direction: cells.text()?,
            fact: cells.text()?,
            status: DeliveryStatus::named(&cells.text()?).ok_or_else(|| cells.damaged())?,
            changed: cells.int()? != 0,
            code: cells.optional_int()?,
            at: time(cells.int()?),
            recorded_at: time(cells.int()?),
        })
    }
}

static TABLES: &[&Table] = &[&MESSAGES, &STATUSES];

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
