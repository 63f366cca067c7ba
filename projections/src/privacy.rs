//! Requests under privacy laws: what compliance staff look at, and the erasure processor's list.

use wasend_domain::privacy::{Event as Change, LegalException, RequestState};
use wasend_domain::{AnyEvent, RecordedEvent, Time};

use crate::buckets::{self, BUCKETS};
use crate::engine::table::{CellReader, CellValue, Column, DamagedRow, Table, TableRecord, moment, time};
use crate::{BatchKeys, BatchRows, FoldError, Projection};

/// A request of a data subject as queries show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivacyRequestRow {
    pub id: String,
    pub account_id: String,
    /// The person it is about: a random id.
    pub contact_id: String,
    pub state: RequestState,
    pub regime: String,
    pub ground: String,
    /// Why it was refused.
    pub exception: Option<String>,
    /// Sealed `RequestReason`.
    pub reason: Option<String>,
    pub due_at: Time,
    pub received_at: Time,
    pub fenced_at: Option<Time>,
    pub destroyed_at: Option<Time>,
    /// When it was completed or refused.
    pub ended_at: Option<Time>,
    /// Of the destroyed keys, separated by spaces.
    pub fingerprints: String,
    pub suppressed: bool,
    /// The last destruction of its keys, by the vault's count.
    pub destruction: Option<i64>,
    /// When the vault had been put back to a copy in which the keys still were.
    pub repeated_at: Option<Time>,
    /// The last epoch in which the keys were wrapped, once it is over.
    pub epoch: Option<i64>,
    pub epoch_destroyed_at: Option<Time>,
    /// When the hold of its refusal was lifted.
    pub hold_lifted_at: Option<Time>,
}

/// Which rows hold the data of the person they are about: part of a condition over the table.
pub const HOLDING: &str = "state = 'REFUSED' AND exception <> 'UNIDENTIFIED' AND hold_lifted_at IS NULL";

impl PrivacyRequestRow {
    /// Whether it holds the data of the person it is about.
    pub fn holds(&self) -> bool {
        let exception = self.exception.as_deref();
        let holds = LegalException::ALL.into_iter().any(|known| known.holds() && exception == Some(known.name()));
        self.state == RequestState::Refused && holds && self.hold_lifted_at.is_none()
    }

    /// What is left to do.
    fn todo(&self) -> &'static str {
        match self.state {
            RequestState::Received | RequestState::Executing => "erase",
            RequestState::Completed if self.epoch_destroyed_at.is_none() => "end_epoch",
            RequestState::Completed | RequestState::Refused => "",
        }
    }
}

static REQUESTS: Table = Table {
    name: "privacy_requests",
    columns: &[
        Column::text("account_id"),
        Column::text("contact_id"),
        Column::text("state"),
        Column::text("regime"),
        Column::text("ground"),
        Column::optional_text("exception"),
        Column::optional_text("reason"),
        Column::int("due_at"),
        Column::int("received_at"),
        Column::optional_int("fenced_at"),
        Column::optional_int("destroyed_at"),
        Column::optional_int("ended_at"),
        Column::text("fingerprints"),
        Column::int("suppressed"),
        Column::optional_int("destruction"),
        Column::optional_int("repeated_at"),
        Column::optional_int("epoch"),
        Column::optional_int("epoch_destroyed_at"),
        Column::text("todo"),
        Column::optional_int("hold_lifted_at"),
    ],
    indexes: &[&["account_id", "id"], &["todo", "id"], &["destruction", "id"], &["contact_id", "id"]],
    append_only: false,
};

impl TableRecord for PrivacyRequestRow {
    const TABLE: &'static Table = &REQUESTS;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn into_cells(self) -> Vec<CellValue> {
        let todo = self.todo();
        vec![
            self.id.into(),
            self.account_id.into(),
            self.contact_id.into(),
            self.state.name().into(),
            self.regime.into(),
            self.ground.into(),
            self.exception.into(),
            self.reason.into(),
            self.due_at.micros().into(),
            self.received_at.micros().into(),
            moment(self.fenced_at),
            moment(self.destroyed_at),
            moment(self.ended_at),
            self.fingerprints.into(),
            i64::from(self.suppressed).into(),
            self.destruction.into(),
            moment(self.repeated_at),
            self.epoch.into(),
            moment(self.epoch_destroyed_at),
            todo.into(),
            moment(self.hold_lifted_at),
        ]
    }

    fn from_cells(cells: &mut CellReader) -> Result<Self, DamagedRow> {
        let id = cells.text()?;
        let (account_id, contact_id, state) = (cells.text()?, cells.text()?, cells.text()?);
        let state = RequestState::ALL.into_iter().find(|known| known.name() == state).ok_or_else(|| cells.damaged())?;
        let mut row = Self {
            id,
            account_id,
            contact_id,
            state,
            regime: cells.text()?,
            ground: cells.text()?,
            exception: cells.optional_text()?,
            reason: cells.optional_text()?,
            due_at: time(cells.int()?),
            received_at: time(cells.int()?),
            fenced_at: cells.optional_int()?.map(time),
            destroyed_at: cells.optional_int()?.map(time),
            ended_at: cells.optional_int()?.map(time),
            fingerprints: cells.text()?,
            suppressed: cells.int()? != 0,
            destruction: cells.optional_int()?,
            repeated_at: cells.optional_int()?.map(time),
            epoch: cells.optional_int()?,
            epoch_destroyed_at: cells.optional_int()?.map(time),
            hold_lifted_at: None,
        };
        // Follows from the rest.
        cells.text()?;
        row.hold_lifted_at = cells.optional_int()?.map(time);
        Ok(row)
    }
}

static TABLES: &[&Table] = &[&REQUESTS, &BUCKETS];

/// The projection of the requests and the buckets: of everything that must be destroyed in the vault.
pub struct PrivacyRequestsProjection;

impl Projection for PrivacyRequestsProjection {
    fn name(&self) -> &'static str {
        "privacy"
    }

    fn version(&self) -> u32 {
        4
    }

    fn tables(&self) -> &'static [&'static Table] {
        TABLES
    }

    fn keys(&self, event: &AnyEvent, recorded: &RecordedEvent, keys: &mut BatchKeys) {
        if let AnyEvent::Privacy(_) = event {
            keys.touch::<PrivacyRequestRow>(recorded.aggregate_id.to_string());
        }
        buckets::keys(event, recorded, keys);
    }

    fn fold(&self, event: &AnyEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
        let AnyEvent::Privacy(change) = event else { return buckets::fold(event, recorded, rows) };
        let id = recorded.aggregate_id.to_string();
        if let Change::Received { subject, regime, ground, reason, due_at, at } = change {
            rows.put(PrivacyRequestRow {
                id,
                account_id: recorded.account_id.to_string(),
                contact_id: subject.to_string(),
                state: RequestState::Received,
                regime: regime.name().to_owned(),
                ground: ground.name().to_owned(),
                exception: None,
                reason: reason.as_ref().map(|sealed| sealed.as_str().to_owned()),
                due_at: *due_at,
                received_at: *at,
                fenced_at: None,
                destroyed_at: None,
                ended_at: None,
                fingerprints: String::new(),
                suppressed: false,
                destruction: None,
                repeated_at: None,
                epoch: None,
                epoch_destroyed_at: None,
                hold_lifted_at: None,
            });
            return Ok(());
        }
        let row = rows.get::<PrivacyRequestRow>(&id).cloned();
        let mut row = row.ok_or(FoldError("a privacy request begins with its receipt"))?;
        match change {
            Change::Received { .. } => {}
            Change::Refused { exception, at } => {
                (row.state, row.ended_at) = (RequestState::Refused, Some(*at));
                row.exception = Some(exception.name().to_owned());
            }
            Change::HoldLifted { at } => row.hold_lifted_at = Some(*at),
            Change::Executing { .. } => row.state = RequestState::Executing,
            Change::Fenced { at, .. } => row.fenced_at = Some(*at),
            Change::KeysDestroyed { fingerprints, destruction } => {
                (row.destroyed_at, row.fingerprints) = (Some(destruction.at), fingerprints.join(" "));
                row.destruction = Some(destruction.number);
            }
            Change::Completed { suppressed, at } => {
                (row.state, row.ended_at, row.suppressed) = (RequestState::Completed, Some(*at), *suppressed);
            }
            Change::EpochDestroyed { epoch, at } => {
                (row.epoch, row.epoch_destroyed_at) = (Some(*epoch), Some(*at));
            }
            Change::Repeated { destruction, .. } => {
                (row.destruction, row.repeated_at) = (Some(destruction.number), Some(destruction.at));
                (row.epoch, row.epoch_destroyed_at) = (None, None);
            }
        }
        rows.put(row);
        Ok(())
    }
}
