//! Imports of contacts.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject, Subscription};
use futures::{Stream, stream};
use tokio::sync::watch;
use wasend_commands::import::ImportContacts;
use wasend_domain::account::Scope;
use wasend_domain::import::{Counters, Field, Mode, Source};
use wasend_domain::{AccountId, ImportId, Personal};
use wasend_projections::Cell;
use wasend_projections::imports::{ImportRow, ImportState as StateOfRow};
use wasend_projections::list::Filter;

use super::erasure::{Erasure, Shown, Unavailability, shown};
use super::error::{self, UserError};
use super::page::{Connection, Ordered, Window, connect, cost};
use super::scalar::{DateTime, Position};
use super::state::{Changed, State};
use crate::auth::{ContextExt, require};

/// What becomes of contacts that exist already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Mode")]
enum ImportMode {
    /// Their rows are reported as duplicates.
    CreateOnly,
    /// What the file says of them is taken over; empty cells leave what there is.
    Update,
    /// They are left as they are.
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "StateOfRow")]
enum ImportState {
    Pending,
    Running,
    Done,
    /// The file cannot be imported; `failure` says why.
    Failed,
    Cancelled,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum ImportField {
    Phone,
    Bsuid,
    Name,
    /// `true` opts the contact out.
    OptedOut,
    Attribute,
    Ignore,
}

/// How many rows came out how. Each is one of created, updated, unchanged, duplicateInFile, duplicateExisting, invalid,
/// erased and unreadable.
#[derive(SimpleObject)]
struct ImportCounters {
    total: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    duplicate_in_file: u64,
    duplicate_existing: u64,
    /// Rows of people who have opted out: imported, and no message to them is accepted.
    suppressed: u64,
    invalid: u64,
    /// Rows that were imported although their number fits no numbering plan.
    warnings: u64,
    /// Rows of people who were erased after the file was received: they were skipped.
    erased: u64,
    /// Rows of contacts whose data in the vault cannot be read: they were skipped, but for an opt-out.
    unreadable: u64,
}

impl From<Counters> for ImportCounters {
    fn from(counters: Counters) -> Self {
        let Counters {
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
        } = counters;
        Self {
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
        }
    }
}

pub struct Import(ImportRow);

/// An import of contacts. What went wrong with single rows is downloaded from `/imports/{id}/errors.csv`.
#[Object]
impl Import {
    async fn id(&self) -> ID {
        self.0.id.as_str().into()
    }

    async fn state(&self) -> ImportState {
        self.0.state.into()
    }

    async fn counters(&self) -> ImportCounters {
        self.0.counters.into()
    }

    /// Null once it is erased. Needs the scope READ.
    #[graphql(guard = "require(Scope::Read)")]
    async fn filename(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(self.source(ctx).await?.value.map(|source| source.filename))
    }

    /// Set once the file's name is erased.
    async fn erased(&self, ctx: &Context<'_>) -> Result<Option<Erasure>> {
        Ok(self.source(ctx).await?.erased)
    }

    /// Set while the file's name cannot be read.
    async fn unavailable(&self, ctx: &Context<'_>) -> Result<Option<Unavailability>> {
        Ok(self.source(ctx).await?.unavailable)
    }

    async fn mode(&self) -> Option<ImportMode> {
        use Mode::{CreateOnly, Skip, Update};
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

impl Import {
    async fn source(&self, ctx: &Context<'_>) -> Result<Shown<Source>> {
        let account = ctx.actor()?.account_id;
        Ok(shown(State::of(ctx).loaders.open::<Source>(account, &self.0.source).await?))
    }
}

impl Ordered for ImportRow {
    const LIST: &'static str = "imports";
    const COLUMN: &'static str = "id";
    const DESCENDING: bool = true;

    fn key(&self) -> Cell {
        Cell::from(self.id.as_str())
    }
}

#[derive(Default)]
pub struct ImportQuery;

#[Object]
impl ImportQuery {
    #[graphql(guard = "require(Scope::Read)")]
    async fn import(&self, ctx: &Context<'_>, id: ID, min_position: Option<Position>) -> Result<Option<Import>> {
        let (state, actor) = State::read(ctx, min_position).await?;
        let Ok(id) = id.parse::<ImportId>() else { return Ok(None) };
        Ok(state.loaders.row(actor.account_id, &id.to_string()).await?.map(Import))
    }

    /// The account's imports, newest first.
    #[graphql(guard = "require(Scope::Read)", complexity = "cost(first, last, child_complexity)")]
    async fn imports(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<Position>,
    ) -> Result<Connection<Import>> {
        let (state, actor) = State::read(ctx, min_position).await?;
        let filter = Filter::of_account(&actor.account_id.to_string());
        connect::<ImportRow, _, _, _>(state, filter, &Window::new(first, after, last, before), Import).await
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
    /// The file itself, as CSV. For larger files see `uploadId`.
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
}

#[derive(InputObject)]
struct CancelImportInput {
    id: ID,
}

#[derive(SimpleObject)]
struct ImportPayload {
    import: Option<Import>,
    position: Option<Position>,
    errors: Vec<UserError>,
}

#[derive(Default)]
pub struct ImportMutation;

#[Object]
impl ImportMutation {
    /// Begins an import; `import(id)` and `importProgress(id)` tell how far it is.
    #[graphql(guard = "require(Scope::Send)")]
    async fn import_contacts(&self, ctx: &Context<'_>, input: ImportContactsInput) -> Result<ImportPayload> {
        let (state, caller) = State::write(ctx)?;
        let columns = input.columns.into_iter().map(|column| {
            let attribute = column.attribute.unwrap_or_else(|| column.header.clone());
            (column.header, column.field.into_field(attribute))
        });
        let command = ImportContacts {
            filename: Personal::new(input.filename),
            content: input.content.map(Personal::new),
            upload: input.upload_id.map(|id| id.to_string()),
            group: input.group_id.map(|id| id.to_string()),
            mode: input.mode.into(),
            dry_run: input.dry_run,
            columns: Personal::new(columns.collect()),
            region: input.default_region,
        };
        let done = state.commands.import_contacts(caller, command).await;
        let Changed { row, position, errors } = state.changed::<ImportRow, _>(caller, done).await?;
        Ok(ImportPayload { import: row.map(Import), position, errors })
    }

    /// What is applied stays; no further row is.
    #[graphql(guard = "require(Scope::Send)")]
    async fn cancel_import(&self, ctx: &Context<'_>, input: CancelImportInput) -> Result<ImportPayload> {
        let (state, caller) = State::write(ctx)?;
        let done = match error::id("id", "import", &input.id) {
            Ok(id) => state.commands.cancel_import(caller, id).await,
            Err(error) => Err(error),
        };
        let Changed { row, position, errors } = state.changed::<ImportRow, _>(caller, done).await?;
        Ok(ImportPayload { import: row.map(Import), position, errors })
    }
}

impl ImportField {
    fn into_field(self, attribute: String) -> Field {
        match self {
            Self::Phone => Field::Phone,
            Self::Bsuid => Field::Bsuid,
            Self::Name => Field::Name,
            Self::OptedOut => Field::OptedOut,
            Self::Attribute => Field::Attribute(attribute),
            Self::Ignore => Field::Ignore,
        }
    }
}

#[derive(Default)]
pub struct ImportSubscription;

/// How far imports are.
#[Subscription]
impl ImportSubscription {
    /// The import as it is now, then whenever it has gone on, until it has ended.
    #[graphql(guard = "require(Scope::Read)")]
    async fn import_progress(&self, ctx: &Context<'_>, id: ID) -> Result<impl Stream<Item = Result<Import>> + use<>> {
        let (state, actor) = State::read(ctx, None).await?;
        let (state, account) = (Arc::clone(state), actor.account_id);
        let news = state.projector.position();
        let watching = Watching { state, account, id: id.to_string(), news, last: None };
        Ok(stream::unfold(Some(watching), |watching| async { watching?.next().await }))
    }
}

struct Watching {
    state: Arc<State>,
    account: AccountId,
    id: String,
    news: watch::Receiver<wasend_domain::Position>,
    last: Option<ImportRow>,
}

impl Watching {
    async fn next(mut self) -> Option<(Result<Import>, Option<Self>)> {
        loop {
            let row = match self.state.reads.get::<ImportRow>(&self.id).await {
                Ok(row) => row.filter(|row| row.account_id == self.account.to_string())?,
                Err(error) => return Some((Err(error::unavailable(error)), None)),
            };
            if self.last.as_ref() != Some(&row) {
                let ended = row.state.has_ended();
                self.last = Some(row.clone());
                return Some((Ok(Import(row)), (!ended).then_some(self)));
            }
            self.news.changed().await.ok()?;
        }
    }
}
