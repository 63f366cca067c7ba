//! What an import would make of a file, before anything is written.

use std::collections::{HashMap, HashSet};
use std::io::Cursor;
use std::sync::Arc;

use wasend_commands::import::{EncodingCheck, ImportContacts, import_source};
use wasend_commands::{Caller, CommandError, Commands, Refusal, RefusalCode};
use wasend_domain::UploadId;
use wasend_domain::import::{ColumnTarget, FileError, FileLayout, ImportSource, NumberNotation};
use wasend_domain::phone::{InvalidPhone, PhoneNumber};

use super::cell::unescape_formula;
use super::chunks::{ChunkReader, ReadPurpose};
use super::options::ImportLimits;
use super::reading::{ReadFailure, read};
use super::row::{FileRow, ParsedRow, PersonKey, RowError};

/// Rows that are read; what most of them need is proposed.
const READ_ROWS_MAX: usize = 100;
/// Rows that are shown.
const SHOWN_ROWS_MAX: usize = 20;

/// What a file is, and what would become of its first rows.
pub struct FilePreview {
    /// How it is read; none where it cannot be.
    pub layout: Option<FileLayout>,
    pub rows: Vec<PreviewRow>,
    /// Why it would fail as a whole.
    pub failure: Option<FileError>,
    /// How its numbers should be read, where most of them cannot be as they are.
    pub proposed_numbers: Option<NumberNotation>,
}

/// A row of a file that is looked at.
pub struct PreviewRow {
    pub line: u64,
    pub cells: Vec<String>,
    /// What is read of it; the error in its place.
    pub read: Result<ParsedRow, PreviewFault>,
    pub outcome: RowOutcome,
    pub warnings: Vec<PreviewFault>,
}

/// What is wrong with a row, as its report would tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewFault {
    pub code: &'static str,
    pub reason: String,
}

/// What an import would make of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOutcome {
    /// A contact would be created.
    New,
    /// The account has the person already.
    Known,
    /// The person of an earlier row that is shown.
    DuplicateInFile,
    /// It would be refused.
    Invalid,
}

/// Reads the first rows of a file as an import of the same input would. Nothing is written, and an upload may still be
/// imported. Refused where the input is.
pub async fn preview(
    commands: &Arc<Commands>,
    caller: Caller,
    input: ImportContacts,
) -> Result<FilePreview, CommandError> {
    let source = Arc::new(import_source(&input)?);
    let (layout, rows, failure) = match (&input.content, &input.upload) {
        (Some(content), None) => first_of_text(content.expose().clone().into_bytes(), Arc::clone(&source)).await?,
        (None, Some(upload)) => first_of_upload(commands, caller, upload, Arc::clone(&source)).await?,
        _ => return Err(Refusal::new("content", RefusalCode::Required, "give either content or uploadId").into()),
    };
    let is_nameless = layout.as_ref().is_some_and(|layout| !layout.columns.iter().any(names_people));
    let failure = failure.or_else(|| is_nameless.then_some(FileError::NoPhoneColumn));
    let proposed_numbers = layout.as_ref().and_then(|layout| proposal(&rows, layout, &source));
    let shown = rows.into_iter().take(SHOWN_ROWS_MAX).collect();
    let rows = judged(commands, caller, shown).await?;
    Ok(FilePreview { layout, rows, failure, proposed_numbers })
}

fn names_people(column: &wasend_domain::import::LayoutColumn) -> bool {
    matches!(column.field, ColumnTarget::Phone | ColumnTarget::WaId | ColumnTarget::Bsuid)
}

type FirstRows = (Option<FileLayout>, Vec<FileRow>, Option<FileError>);

fn limits() -> ImportLimits {
    ImportLimits { chunk: READ_ROWS_MAX, ..ImportLimits::default() }
}

async fn first_of_text(bytes: Vec<u8>, source: Arc<ImportSource>) -> Result<FirstRows, CommandError> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut check = EncodingCheck::default();
        check.push(&bytes);
        let mut first = (None, Vec::new(), None);
        let pass = |layout: &Arc<FileLayout>, rows, _| {
            (first.0, first.1) = (Some(FileLayout::clone(layout)), rows);
            false
        };
        let (limits, purpose) = (limits(), ReadPurpose::Preview);
        let reader = ChunkReader { source: &source, limits: &limits, purpose, pass };
        let ended = reader.read(Cursor::new(bytes), check.finish());
        first.2 = failure(ended)?;
        Ok(first)
    });
    reading.await.map_err(CommandError::unavailable)?
}

async fn first_of_upload(
    commands: &Arc<Commands>,
    caller: Caller,
    upload: &str,
    source: Arc<ImportSource>,
) -> Result<FirstRows, CommandError> {
    let not_found = || CommandError::from(Refusal::not_found("uploadId", "upload"));
    let id: UploadId = upload.parse().map_err(|_| not_found())?;
    let upload =
        commands.uploads.get(id).await?.filter(|upload| {
            upload.account_id == caller.account_id && upload.content.is_some() && upload.import.is_none()
        });
    let upload = upload.ok_or_else(not_found)?;
    let mut chunks = read(commands, &upload, source, &limits(), ReadPurpose::Preview);
    match chunks.recv().await {
        None => Ok((None, Vec::new(), None)),
        Some(Ok(chunk)) => Ok((Some(FileLayout::clone(&chunk.layout)), chunk.rows, None)),
        Some(Err(broken)) => Ok((None, Vec::new(), failure(Err(broken))?)),
    }
}

fn failure(ended: Result<(), ReadFailure>) -> Result<Option<FileError>, CommandError> {
    match ended {
        Ok(()) => Ok(None),
        Err(ReadFailure::File(error)) => Ok(Some(error)),
        Err(broken @ ReadFailure::Store) => Err(CommandError::unavailable(broken)),
    }
}

/// International notation, if most numbers lack only their `+`.
fn proposal(rows: &[FileRow], layout: &FileLayout, source: &ImportSource) -> Option<NumberNotation> {
    if source.numbers != NumberNotation::AsWritten {
        return None;
    }
    let place = layout.columns.iter().position(|column| column.phone_rank == Some(1))?;
    let lacks_sign = |row: &&FileRow| {
        let needs = matches!(row.parsed, Err(RowError::Phone(InvalidPhone::NoCountryCode | InvalidPhone::Ambiguous)));
        let number = row.cells.get(place).map(|cell| PhoneNumber::parse_wa_id(unescape_formula(cell.trim())));
        needs && number.is_some_and(|number| number.is_ok_and(|number| number.is_valid()))
    };
    let lacking = rows.iter().filter(lacks_sign).count();
    (lacking * 2 > rows.len()).then_some(NumberNotation::International)
}

async fn judged(commands: &Commands, caller: Caller, rows: Vec<FileRow>) -> Result<Vec<PreviewRow>, CommandError> {
    let of = |(index, row): (usize, &FileRow)| {
        let identities = row.parsed.as_ref().map(ParsedRow::identities).unwrap_or_default();
        identities.into_iter().map(move |identity| (index, identity)).collect::<Vec<_>>()
    };
    let (owners, identities): (Vec<usize>, Vec<_>) = rows.iter().enumerate().flat_map(of).unzip();
    let bearers = commands.vault.find_many(caller.account_id, &identities).await?;
    let known = owners.into_iter().zip(bearers).filter_map(|(owner, bearer)| bearer.map(|_| owner));
    let known: HashSet<usize> = known.collect();
    let mut seen: HashMap<PersonKey, u64> = HashMap::new();
    let row = |(index, row): (usize, FileRow)| {
        let keys = row.parsed.as_ref().map(ParsedRow::keys).unwrap_or_default();
        let earlier = keys.iter().find_map(|key| seen.get(key).copied());
        if earlier.is_none() {
            seen.extend(keys.into_iter().map(|key| (key, row.line)));
        }
        shown(row, earlier, known.contains(&index))
    };
    Ok(rows.into_iter().enumerate().map(row).collect())
}

fn shown(row: FileRow, earlier: Option<u64>, is_known: bool) -> PreviewRow {
    let outcome = match (&row.parsed, earlier) {
        (Err(_), _) => RowOutcome::Invalid,
        (Ok(_), Some(_)) => RowOutcome::DuplicateInFile,
        (Ok(_), None) if is_known => RowOutcome::Known,
        (Ok(_), None) => RowOutcome::New,
    };
    let warned = row.parsed.as_ref().map(|parsed| parsed.warnings.clone()).unwrap_or_default();
    let warnings = warned.into_iter().chain(earlier.map(RowError::DuplicateInFile)).map(fault).collect();
    PreviewRow { line: row.line, cells: row.cells, read: row.parsed.map_err(fault), outcome, warnings }
}

fn fault(error: RowError) -> PreviewFault {
    PreviewFault { code: error.code(), reason: error.reason() }
}
