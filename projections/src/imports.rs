//! Imports of contacts: what each was asked, how far it is, how it ended. Those that have not ended are the importer's
//! list of what is left to do.

use wasend_domain::import::{Event as Change, RowCounters};
use wasend_domain::{AnyEvent, RecordedEvent, Time};

use crate::engine::record::{named_cell, table_record};
use crate::{BatchKeys, BatchRows, CellValue, FoldError, Projection, ReadModels, StoreError, Table, TableRecord};

/// How far an import has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportState {
    /// Not begun.
    Pending,
    Running,
    Done,
    Failed,
    Cancelled,
}

impl ImportState {
    /// Every value, in the order in which references list them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// The name in the database and the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Done => "DONE",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Whether nothing more happens to the import.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// An import as queries show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRow {
    pub id: String,
    pub account_id: String,
    pub state: ImportState,
    /// Sealed `import::ImportSource`.
    pub source: String,
    /// Sealed `import::FileLayout`, once the file's first rows are read.
    pub layout: Option<String>,
    pub mode: String,
    pub dry_run: bool,
    pub group_id: Option<String>,
    /// Of the file, and how many of them are read.
    pub bytes: i64,
    pub bytes_read: i64,
    pub counters: RowCounters,
    /// Why it failed.
    pub code: Option<String>,
    pub created_at: Time,
    pub updated_at: Time,
    pub ended_at: Option<Time>,
}

named_cell!(ImportState, |name| ImportState::ALL.into_iter().find(|state| state.name() == name));

table_record! {
    impl ImportRow in "imports" indexed by [["account_id", "id"], ["state", "id"]] from row {
        key id: String = row.id,
        account_id: String = row.account_id,
        state: ImportState = row.state,
        source: String = row.source,
        layout: Option<String> = row.layout,
        mode: String = row.mode,
        dry_run: bool = row.dry_run,
        group_id: Option<String> = row.group_id,
        bytes: i64 = row.bytes,
        bytes_read: i64 = row.bytes_read,
        total: u64 = row.counters.total,
        created: u64 = row.counters.created,
        updated: u64 = row.counters.updated,
        unchanged: u64 = row.counters.unchanged,
        duplicate_in_file: u64 = row.counters.duplicate_in_file,
        duplicate_existing: u64 = row.counters.duplicate_existing,
        suppressed: u64 = row.counters.suppressed,
        invalid: u64 = row.counters.invalid,
        warnings: u64 = row.counters.warnings,
        erased: u64 = row.counters.erased,
        unreadable: u64 = row.counters.unreadable,
        blank: u64 = row.counters.blank,
        code: Option<String> = row.code,
        created_at: Time = row.created_at,
        updated_at: Time = row.updated_at,
        ended_at: Option<Time> = row.ended_at,
    }
    {
        let counters = RowCounters {
            total,
            created,
            updated,
            unchanged,
            duplicate_in_file,
            duplicate_existing,
            suppressed,
            invalid,
            warnings,
            erased,
            unreadable,
            blank,
        };
        Ok(Self {
            id,
            account_id,
            state,
            source,
            layout,
            mode,
            dry_run,
            group_id,
            bytes,
            bytes_read,
            counters,
            code,
            created_at,
            updated_at,
            ended_at,
        })
    }
}

impl ImportRow {
    /// Up to `limit` imports that have not ended, of every account, oldest first.
    pub async fn open(reads: &ReadModels, limit: u64) -> Result<Vec<Self>, StoreError> {
        reads.fetch("WHERE state IN ('PENDING', 'RUNNING') ORDER BY id LIMIT $1", &[CellValue::count(limit)]).await
    }
}

static TABLES: &[&Table] = &[ImportRow::TABLE];

/// The projection of the table.
pub struct ImportsProjection;

impl Projection for ImportsProjection {
    fn name(&self) -> &'static str {
        "imports"
    }

    fn version(&self) -> u32 {
        4
    }

    fn tables(&self) -> &'static [&'static Table] {
        TABLES
    }

    fn keys(&self, event: &AnyEvent, recorded: &RecordedEvent, keys: &mut BatchKeys) {
        if let AnyEvent::Import(_) = event {
            keys.touch::<ImportRow>(recorded.aggregate_id.to_string());
        }
    }

    fn fold(&self, event: &AnyEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
        let AnyEvent::Import(change) = event else { return Ok(()) };
        let id = recorded.aggregate_id.to_string();
        if let Change::Started(start) = change {
            rows.put(ImportRow {
                id,
                account_id: recorded.account_id.to_string(),
                state: ImportState::Pending,
                source: start.source.as_str().to_owned(),
                layout: None,
                mode: start.mode.name().to_owned(),
                dry_run: start.dry_run,
                group_id: start.group.map(|group| group.to_string()),
                bytes: count(start.bytes),
                bytes_read: 0,
                counters: RowCounters::default(),
                code: None,
                created_at: start.at,
                updated_at: start.at,
                ended_at: None,
            });
            return Ok(());
        }
        let row = rows.get::<ImportRow>(&id).cloned().ok_or(FoldError("an import begins with its start"))?;
        rows.put(changed(row, change));
        Ok(())
    }
}

fn changed(mut row: ImportRow, change: &Change) -> ImportRow {
    let mut end = |state, at| {
        row.state = state;
        (row.updated_at, row.ended_at) = (at, Some(at));
    };
    match change {
        Change::Started(_) => {}
        Change::Described { layout, at } => {
            row.layout = Some(layout.as_str().to_owned());
            row.updated_at = *at;
        }
        Change::ChunkApplied { bytes, counters, at, .. } => {
            row.state = ImportState::Running;
            row.bytes_read = count(*bytes);
            row.counters = row.counters.plus(*counters);
            row.updated_at = *at;
        }
        Change::Finished { at } => {
            end(ImportState::Done, *at);
            row.bytes_read = row.bytes;
        }
        Change::Failed { code, at } => {
            end(ImportState::Failed, *at);
            row.code = Some(code.name().to_owned());
        }
        Change::Cancelled { at } => end(ImportState::Cancelled, *at),
    }
    row
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
