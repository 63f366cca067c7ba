//! What an import would make of a file.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use wasend_domain::account::KeyScope;
use wasend_processors::importer::preview::{FilePreview, PreviewFault, PreviewRow, RowOutcome, preview};

use super::super::error::{self, UserError};
use super::super::state::GraphqlState;
use super::layout::ImportLayout;
use super::{FileInput, ImportColumnInput, ImportNumbers, file_input};
use crate::auth::require;

#[derive(InputObject)]
struct PreviewImportInput {
    #[graphql(default_with = "String::from(\"preview\")")]
    filename: String,
    /// The file itself, as CSV or vCard. For larger files and workbooks see `uploadId`.
    content: Option<String>,
    /// What `POST /uploads` answered with. It may still be imported afterwards.
    upload_id: Option<ID>,
    /// Columns whose titles do not say what they hold.
    #[graphql(default)]
    columns: Vec<ImportColumnInput>,
    /// Country of numbers that name none, such as `DE`.
    default_region: Option<String>,
    /// How numbers without `+` are meant.
    #[graphql(default_with = "ImportNumbers::AsWritten")]
    numbers_are: ImportNumbers,
    /// The encoding of an upload, such as `windows-1251`, where what is detected is wrong.
    encoding: Option<String>,
}

/// What an import would make of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RowOutcome")]
enum ImportRowOutcome {
    /// A contact would be created.
    New,
    /// The account has the person already; `mode` says what becomes of them.
    Known,
    /// The person of an earlier row that is shown.
    DuplicateInFile,
    /// It would be refused.
    Invalid,
}

/// What is wrong with a row, as the import's report would tell it.
#[derive(SimpleObject)]
struct ImportRowFault {
    code: &'static str,
    reason: String,
}

/// A row of a file that is looked at.
#[derive(SimpleObject)]
struct ImportPreviewRow {
    /// On which it begins in the file.
    line: u64,
    cells: Vec<String>,
    outcome: ImportRowOutcome,
    /// The number in international form.
    phone: Option<String>,
    bsuid: Option<String>,
    name: Option<String>,
    opted_out: bool,
    /// Why it would be refused.
    fault: Option<ImportRowFault>,
    /// What would be told of it although it would be imported.
    warnings: Vec<ImportRowFault>,
}

/// What a file is, and what would become of its first 20 rows.
#[derive(SimpleObject)]
struct ImportPreview {
    /// How the file is read; null where it cannot be. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    layout: Option<ImportLayout>,
    /// Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    rows: Option<Vec<ImportPreviewRow>>,
    /// Why the file could not be imported, such as `NO_PHONE_COLUMN`.
    failure: Option<&'static str>,
    /// What `numbersAre` should be, where most numbers cannot be read as they are.
    proposed_numbers_are: Option<ImportNumbers>,
}

#[derive(SimpleObject)]
struct PreviewImportPayload {
    preview: Option<ImportPreview>,
    errors: Vec<UserError>,
}

#[derive(Default)]
pub struct ImportPreviewMutation;

#[Object]
impl ImportPreviewMutation {
    /// Shows what an import of the file would do: how it is read, what its columns are taken for, and what would become of its
    /// first rows. Nothing is written.
    #[graphql(guard = "require(KeyScope::Send)")]
    async fn preview_import(&self, ctx: &Context<'_>, input: PreviewImportInput) -> Result<PreviewImportPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let command = file_input(FileInput {
            filename: input.filename,
            content: input.content,
            upload_id: input.upload_id,
            columns: input.columns,
            default_region: input.default_region,
            numbers_are: input.numbers_are,
            encoding: input.encoding,
        });
        Ok(match error::outcome(preview(&state.commands, caller, command).await)? {
            Ok(preview) => PreviewImportPayload { preview: Some(preview.into()), errors: vec![] },
            Err(errors) => PreviewImportPayload { preview: None, errors },
        })
    }
}

impl From<FilePreview> for ImportPreview {
    fn from(preview: FilePreview) -> Self {
        Self {
            layout: preview.layout.map(ImportLayout::from),
            rows: Some(preview.rows.into_iter().map(ImportPreviewRow::from).collect()),
            failure: preview.failure.map(wasend_domain::import::FileError::name),
            proposed_numbers_are: preview.proposed_numbers.map(ImportNumbers::from),
        }
    }
}

impl From<PreviewRow> for ImportPreviewRow {
    fn from(row: PreviewRow) -> Self {
        let (read, fault) = match row.read {
            Ok(read) => (Some(read), None),
            Err(fault) => (None, Some(fault.into())),
        };
        let phone = read.as_ref().and_then(|read| read.phone.as_ref()).map(|phone| phone.as_str().to_owned());
        let bsuid = read.as_ref().and_then(|read| read.bsuid.as_ref()).map(|bsuid| bsuid.as_str().to_owned());
        Self {
            line: row.line,
            cells: row.cells,
            outcome: row.outcome.into(),
            phone,
            bsuid,
            opted_out: read.as_ref().is_some_and(|read| read.opted_out),
            name: read.and_then(|read| read.name),
            fault,
            warnings: row.warnings.into_iter().map(ImportRowFault::from).collect(),
        }
    }
}

impl From<PreviewFault> for ImportRowFault {
    fn from(fault: PreviewFault) -> Self {
        Self { code: fault.code, reason: fault.reason }
    }
}
