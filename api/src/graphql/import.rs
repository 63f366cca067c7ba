//! Imports of contacts.

mod counters;
mod layout;
mod preview;
mod progress;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use wasend_commands::import::ImportContacts;
use wasend_domain::account::KeyScope;
use wasend_domain::import::{ColumnTarget, FileLayout, ImportSource, MergeMode, NumberNotation};
use wasend_domain::{ImportId, Personal};
use wasend_projections::CellValue;
use wasend_projections::imports::{ImportRow, ImportState as StateOfRow};
use wasend_projections::pagination::RowFilter;

use super::erasure::{ErasureObject, ShownValue, UnavailabilityObject, shown};
use super::error::{self, UserError};
use super::page::{OrderedRow, PageArguments, PageConnection, connect, cost};
use super::scalar::{DateTime, PositionScalar};
use super::state::{GraphqlState, MutationOutcome};
use crate::auth::{ContextExt, require};

use counters::ImportCounters;
use layout::ImportLayout;
pub use preview::ImportPreviewMutation;
pub use progress::ImportSubscription;

/// What becomes of contacts that exist already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "MergeMode")]
enum ImportMode {
    /// Their rows are reported as duplicates.
    CreateOnly,
    /// What the file says of them is taken over; empty cells leave what there is.
    Update,
    /// They are left as they are.
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "ImportState", remote = "StateOfRow")]
enum ImportStateEnum {
    Pending,
    Running,
    Done,
    /// The file cannot be imported; `failure` says why.
    Failed,
    Cancelled,
}

/// How numbers without `+` are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "NumberNotation")]
enum ImportNumbers {
    /// In the form of the default region; without one they are refused.
    AsWritten,
    /// With their country code, as ids of WhatsApp are.
    International,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum ImportField {
    Phone,
    /// Ids of WhatsApp: numbers with their country code, with `+` or without.
    WaId,
    Bsuid,
    Name,
    /// First, middle and last name make the name where no column holds it whole.
    FirstName,
    MiddleName,
    LastName,
    /// A word for yes opts the contact out, in any large language; so does one that is not known, with a warning.
    OptedOut,
    Attribute,
    Ignore,
}

pub struct ImportObject(ImportRow);

/// An import of contacts. What went wrong with single rows is downloaded from `/imports/{id}/errors.csv`.
#[Object(name = "Import")]
impl ImportObject {
    async fn id(&self) -> ID {
        self.0.id.as_str().into()
    }

    async fn state(&self) -> ImportStateEnum {
        self.0.state.into()
    }

    async fn counters(&self) -> ImportCounters {
        self.0.counters.into()
    }

    /// Null once it is erased. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn filename(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(self.source(ctx).await?.value.map(|source| source.filename))
    }

    /// Set once the file's name is erased.
    async fn erased(&self, ctx: &Context<'_>) -> Result<Option<ErasureObject>> {
        Ok(self.source(ctx).await?.erased)
    }

    /// Set while the file's name cannot be read.
    async fn unavailable(&self, ctx: &Context<'_>) -> Result<Option<UnavailabilityObject>> {
        Ok(self.source(ctx).await?.unavailable)
    }

    /// How the file is read: its encoding, its delimiter and what its columns hold. Null until its first rows are read, and
    /// once it is erased. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn layout(&self, ctx: &Context<'_>) -> Result<Option<ImportLayout>> {
        let Some(layout) = &self.0.layout else { return Ok(None) };
        let account = ctx.actor()?.account_id;
        let opened = GraphqlState::of(ctx).loaders.open::<FileLayout>(account, layout).await?;
        Ok(shown::<FileLayout>(opened).value.map(ImportLayout::from))
    }

    async fn mode(&self) -> Option<ImportMode> {
        use MergeMode::{CreateOnly, Skip, Update};
        [CreateOnly, Update, Skip].into_iter().find(|mode| mode.name() == self.0.mode).map(Into::into)
    }

    /// Nothing is changed, only counted.
    async fn dry_run(&self) -> bool {
        self.0.dry_run
    }

    /// The group that the contacts join.
    async fn group_id(&self) -> Option<ID> {
        self.0.group_id.as_deref().map(ID::from)
    }

    /// Size of the file.
    async fn bytes(&self) -> i64 {
        self.0.bytes
    }

    /// How much of it is done.
    async fn bytes_read(&self) -> i64 {
        self.0.bytes_read
    }

    /// Why the file could not be imported, such as `NO_PHONE_COLUMN`.
    async fn failure(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    async fn ended_at(&self) -> Option<DateTime> {
        self.0.ended_at.map(DateTime)
    }
}

impl ImportObject {
    async fn source(&self, ctx: &Context<'_>) -> Result<ShownValue<ImportSource>> {
        let account = ctx.actor()?.account_id;
        Ok(shown(GraphqlState::of(ctx).loaders.open::<ImportSource>(account, &self.0.source).await?))
    }
}

impl OrderedRow for ImportRow {
    const LIST: &'static str = "imports";
    const COLUMN: &'static str = "id";
    const DESCENDING: bool = true;

    fn key(&self) -> CellValue {
        CellValue::from(self.id.as_str())
    }
}

/// Queries of imports.
#[derive(Default)]
pub struct ImportQuery;

#[Object]
impl ImportQuery {
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn import(
        &self,
        ctx: &Context<'_>,
        id: ID,
        min_position: Option<PositionScalar>,
    ) -> Result<Option<ImportObject>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let Ok(id) = id.parse::<ImportId>() else { return Ok(None) };
        Ok(state.loaders.row(actor.account_id, &id.to_string()).await?.map(ImportObject))
    }

    /// The account's imports, newest first.
    #[graphql(guard = "require(KeyScope::Read)", complexity = "cost(first, last, child_complexity)")]
    async fn imports(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<PositionScalar>,
    ) -> Result<PageConnection<ImportObject>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let filter = RowFilter::of_account(&actor.account_id.to_string());
        connect::<ImportRow, _, _, _>(state, filter, &PageArguments::new(first, after, last, before), ImportObject)
            .await
    }
}

#[derive(InputObject)]
struct ImportColumnInput {
    /// Its title in the file.
    header: String,
    field: ImportField,
    /// Name of the attribute; the title when absent.
    attribute: Option<String>,
}

#[derive(InputObject)]
struct ImportContactsInput {
    filename: String,
    /// The file itself, as CSV or vCard. For larger files and workbooks see `uploadId`.
    content: Option<String>,
    /// What `POST /uploads` answered with.
    upload_id: Option<ID>,
    /// The contacts that are created, and in the mode UPDATE also those that exist, join it.
    group_id: Option<ID>,
    #[graphql(default_with = "ImportMode::Update")]
    mode: ImportMode,
    /// Changes nothing and tells what would be changed.
    #[graphql(default)]
    dry_run: bool,
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

#[derive(InputObject)]
struct CancelImportInput {
    id: ID,
}

#[derive(SimpleObject)]
struct ImportPayload {
    import: Option<ImportObject>,
    position: Option<PositionScalar>,
    errors: Vec<UserError>,
}

/// Mutations that begin and cancel imports.
#[derive(Default)]
pub struct ImportMutation;

#[Object]
impl ImportMutation {
    /// Begins an import; `import(id)` and `importProgress(id)` tell how far it is.
    #[graphql(guard = "require(KeyScope::Send)")]
    async fn import_contacts(&self, ctx: &Context<'_>, input: ImportContactsInput) -> Result<ImportPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let command = ImportContacts {
            group: input.group_id.map(|id| id.to_string()),
            mode: input.mode.into(),
            dry_run: input.dry_run,
            ..file_input(FileInput {
                filename: input.filename,
                content: input.content,
                upload_id: input.upload_id,
                columns: input.columns,
                default_region: input.default_region,
                numbers_are: input.numbers_are,
                encoding: input.encoding,
            })
        };
        let done = state.commands.import_contacts(caller, command).await;
        let MutationOutcome { row, position, errors } = state.changed::<ImportRow, _>(caller, done).await?;
        Ok(ImportPayload { import: row.map(ImportObject), position, errors })
    }

    /// What is applied stays; no further row is.
    #[graphql(guard = "require(KeyScope::Send)")]
    async fn cancel_import(&self, ctx: &Context<'_>, input: CancelImportInput) -> Result<ImportPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let done = match error::id("id", "import", &input.id) {
            Ok(id) => state.commands.cancel_import(caller, id).await,
            Err(error) => Err(error),
        };
        let MutationOutcome { row, position, errors } = state.changed::<ImportRow, _>(caller, done).await?;
        Ok(ImportPayload { import: row.map(ImportObject), position, errors })
    }
}

/// The part of an input that says which file it is and how it is read.
struct FileInput {
    filename: String,
    content: Option<String>,
    upload_id: Option<ID>,
    columns: Vec<ImportColumnInput>,
    default_region: Option<String>,
    numbers_are: ImportNumbers,
    encoding: Option<String>,
}

fn file_input(input: FileInput) -> ImportContacts {
    let columns = input.columns.into_iter().map(|column| {
        let attribute = column.attribute.unwrap_or_else(|| column.header.clone());
        (column.header, column.field.into_field(attribute))
    });
    ImportContacts {
        filename: Personal::new(input.filename),
        content: input.content.map(Personal::new),
        upload: input.upload_id.map(|id| id.to_string()),
        group: None,
        mode: MergeMode::Update,
        dry_run: true,
        columns: Personal::new(columns.collect()),
        region: input.default_region,
        numbers: input.numbers_are.into(),
        encoding: input.encoding,
    }
}

impl ImportField {
    fn into_field(self, attribute: String) -> ColumnTarget {
        match self {
            Self::Phone => ColumnTarget::Phone,
            Self::WaId => ColumnTarget::WaId,
            Self::Bsuid => ColumnTarget::Bsuid,
            Self::Name => ColumnTarget::Name,
            Self::FirstName => ColumnTarget::FirstName,
            Self::MiddleName => ColumnTarget::MiddleName,
            Self::LastName => ColumnTarget::LastName,
            Self::OptedOut => ColumnTarget::OptedOut,
            Self::Attribute => ColumnTarget::Attribute(attribute),
            Self::Ignore => ColumnTarget::Ignore,
        }
    }
}
