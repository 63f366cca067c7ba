//! Imports of contacts: what each was asked, how far it is, how it ended. Those that have not ended are the importer's
//! list of what is left to do.

use wasend_domain::import::{Event as Change, RowCounters};
use wasend_domain::{AnyEvent, RecordedEvent, Time};

use crate::engine::table::{CellReader, CellValue, Column, DamagedRow, Table, TableRecord, moment, time};
use crate::{BatchKeys, BatchRows, FoldError, Projection};

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

static IMPORTS: Table = Table {
    name: "imports",
    columns: &[
        Column::text("account_id"),
        Column::text("state"),
        Column::text("source"),
        Column::optional_text("layout"),
        Column::text("mode"),
        Column::int("dry_run"),
        Column::optional_text("group_id"),
        Column::int("bytes"),
        Column::int("bytes_read"),
        Column::int("total"),
        Column::int("created"),
        Column::int("updated"),
        Column::int("unchanged"),
        Column::int("duplicate_in_file"),
        Column::int("duplicate_existing"),
        Column::int("suppressed"),
        Column::int("invalid"),
        Column::int("warnings"),
        Column::int("erased"),
        Column::int("unreadable"),
        Column::int("blank"),
        Column::optional_text("code"),
        Column::int("created_at"),
        Column::int("updated_at"),
        Column::optional_int("ended_at"),
    ],
    indexes: &[&["account_id", "id"], &["state", "id"]],
    append_only: false,
};

impl TableRecord for ImportRow {
    const TABLE: &'static Table = &IMPORTS;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn into_cells(self) -> Vec<CellValue> {
        let c = &self.counters;
        let mut cells: Vec<CellValue> = vec![
            self.id.into(),
            self.account_id.into(),
            self.state.name().into(),
            self.source.into(),
            self.layout.into(),
            self.mode.into(),
            i64::from(self.dry_run).into(),
            self.group_id.into(),
            self.bytes.into(),
            self.bytes_read.into(),
        ];
        let counts = [c.total, c.created, c.updated, c.unchanged, c.duplicate_in_file];
        let more = [c.duplicate_existing, c.suppressed, c.invalid, c.warnings, c.erased, c.unreadable, c.blank];
        cells.extend(counts.into_iter().chain(more).map(CellValue::count));
        cells.extend([
            self.code.into(),
            self.created_at.micros().into(),
            self.updated_at.micros().into(),
            moment(self.ended_at),
        ]);
        cells
    }

    fn from_cells(cells: &mut CellReader) -> Result<Self, DamagedRow> {
        let id = cells.text()?;
        let account_id = cells.text()?;
        let state = cells.text()?;
        let state = ImportState::ALL.into_iter().find(|known| known.name() == state);
        let state = state.ok_or_else(|| cells.damaged())?;
        let (source, layout) = (cells.text()?, cells.optional_text()?);
        let (mode, dry_run, group_id) = (cells.text()?, cells.int()? != 0, cells.optional_text()?);
        let (bytes, bytes_read) = (cells.int()?, cells.int()?);
        let mut count = || Ok(u64::try_from(cells.int()?).unwrap_or(0));
        let counters = RowCounters {
            total: count()?,
            created: count()?,
            updated: count()?,
            unchanged: count()?,
            duplicate_in_file: count()?,
            duplicate_existing: count()?,
            suppressed: count()?,
            invalid: count()?,
            warnings: count()?,
            erased: count()?,
            unreadable: count()?,
            blank: count()?,
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
            code: cells.optional_text()?,
            created_at: time(cells.int()?),
            updated_at: time(cells.int()?),
            ended_at: cells.optional_int()?.map(time),
        })
    }
}

static TABLES: &[&Table] = &[&IMPORTS];

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
