//! The audit trail: who did what to what, when, with which key, at which position.

use wasend_domain::{AnyEvent, Position, RecordedEvent, Time};

use crate::engine::record::table_record;
use crate::feed::FeedRow;
use crate::pagination::RowFilter;
use crate::{BatchKeys, BatchRows, FoldError, Projection, ReadModels, StoreError, Table, TableRecord};

table_record! {
    /// One entry: an event, without its content.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AuditRow in "audit" indexed by [["account_id", "position"], ["aggregate_id", "position"]] {
        position pub position: u64,
        pub event_id: String,
        pub account_id: String,
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
}

impl FeedRow for AuditRow {
    const TOLD: &'static str = "1 = 1";

    fn position(&self) -> Position {
        self.position
    }

    fn account_id(&self) -> &str {
        &self.account_id
    }
}

static TABLES: &[&Table] = &[AuditRow::TABLE];

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

impl AuditRow {
    /// Narrows a list of aggregates of a type, such as `message`, to those to which something happened after a position.
    pub fn narrow_to_changed(
        reads: &ReadModels,
        list: RowFilter,
        aggregate_type: &str,
        position: u64,
    ) -> Result<RowFilter, StoreError> {
        Ok(list.changed_after(reads.physical::<Self>()?, aggregate_type, position))
    }
}
