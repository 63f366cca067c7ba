//! The audit trail: who did what to what, when, with which key, at which position.

use wasend_domain::{AnyEvent, RecordedEvent, Time};

use crate::engine::table::{CellReader, CellValue, Column, DamagedRow, Table, TableRecord, time};
use crate::{BatchKeys, BatchRows, FoldError, Projection};

/// One entry: an event, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    pub event_id: String,
    pub account_id: String,
    pub position: u64,
    /// What was done, such as `MessageAccepted`.
    pub event_type: String,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: u64,
    /// Who did it: `key:<id>`, `system:<processor>`, `meta` or `operator`.
    pub actor: String,
    pub command_id: String,
    pub recorded_at: Time,
}

static AUDIT: Table = Table {
    name: "audit",
    columns: &[
        Column::text("event_id"),
        Column::text("account_id"),
        Column::text("event_type"),
        Column::text("aggregate_type"),
        Column::text("aggregate_id"),
        Column::int("sequence"),
        Column::text("actor"),
        Column::text("command_id"),
        Column::int("recorded_at"),
    ],
    indexes: &[&["account_id", "position"], &["aggregate_id", "position"]],
    append_only: true,
};

impl TableRecord for AuditRow {
    const TABLE: &'static Table = &AUDIT;

    fn id(&self) -> String {
        self.position.to_string()
    }

    fn into_cells(self) -> Vec<CellValue> {
        vec![
            CellValue::count(self.position),
            self.event_id.into(),
            self.account_id.into(),
            self.event_type.into(),
            self.aggregate_type.into(),
            self.aggregate_id.into(),
            CellValue::count(self.sequence),
            self.actor.into(),
            self.command_id.into(),
            self.recorded_at.micros().into(),
        ]
    }

    fn from_cells(cells: &mut CellReader) -> Result<Self, DamagedRow> {
        Ok(Self {
            position: cells.count()?,
            event_id: cells.text()?,
            account_id: cells.text()?,
            event_type: cells.text()?,
            aggregate_type: cells.text()?,
            aggregate_id: cells.text()?,
            sequence: cells.count()?,
            actor: cells.text()?,
            command_id: cells.text()?,
            recorded_at: time(cells.int()?),
        })
    }
}

static TABLES: &[&Table] = &[&AUDIT];

/// The projection of the table.
pub struct AuditProjection;

impl Projection for AuditProjection {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn version(&self) -> u32 {
        3
    }

    fn tables(&self) -> &'static [&'static Table] {
        TABLES
    }

    fn keys(&self, _: &AnyEvent, _: &RecordedEvent, _: &mut BatchKeys) {}

    fn fold(&self, _: &AnyEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
        rows.put(AuditRow {
            event_id: recorded.event_id.to_string(),
            account_id: recorded.account_id.to_string(),
            position: recorded.position,
            event_type: recorded.event_type.clone(),
            aggregate_type: recorded.aggregate_type.clone(),
            aggregate_id: recorded.aggregate_id.to_string(),
            sequence: recorded.sequence,
            actor: recorded.metadata.actor().to_owned(),
            command_id: recorded.command_id.clone(),
            recorded_at: recorded.recorded_at,
        });
        Ok(())
    }
}
