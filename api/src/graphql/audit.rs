//! The audit trail.

use async_graphql::connection::{ConnectionNameType, EdgeNameType};
use async_graphql::{Context, ID, InputObject, Object, OutputType, Result};
use wasend_domain::AccountId;
use wasend_domain::account::KeyScope;
use wasend_projections::CellValue;
use wasend_projections::audit::AuditRow;
use wasend_projections::pagination::RowFilter;

use super::filter::by_text;
use super::page::{OrderedRow, PageArguments, PageConnection, connect, cost};
use super::scalar::{DateTime, PositionScalar};
use super::state::GraphqlState;
use crate::auth::require;

/// GraphQL `AuditEvent` over its row.
pub struct AuditEvent(pub AuditRow);

/// Something that happened, without the personal data that it was about.
#[Object]
impl AuditEvent {
    /// The event's own.
    async fn id(&self) -> ID {
        self.0.event_id.as_str().into()
    }

    /// The same, under the name that the exported history uses.
    async fn event_id(&self) -> ID {
        self.0.event_id.as_str().into()
    }

    async fn position(&self) -> PositionScalar {
        PositionScalar(self.0.position)
    }

    /// What was done, such as `MessageAccepted`.
    async fn event_type(&self) -> &str {
        &self.0.event_type
    }

    /// To what kind of thing: `account`, `number`, `contact`, `group`, `message`, `inbox`, `import`, `privacy_request` or
    /// `bucket`.
    async fn aggregate_type(&self) -> &str {
        &self.0.aggregate_type
    }

    /// To which one.
    async fn aggregate_id(&self) -> ID {
        self.0.aggregate_id.as_str().into()
    }

    /// Its place in the history of that one: 1 for the first, then without gaps.
    async fn sequence(&self) -> PositionScalar {
        PositionScalar(self.0.sequence)
    }

    /// Who did it: `key:<id>`, `system:<processor>`, `meta` or `operator`.
    async fn actor(&self) -> &str {
        &self.0.actor
    }

    /// The API key with which it was done.
    async fn key_id(&self) -> Option<ID> {
        self.0.actor.strip_prefix("key:").map(ID::from)
    }

    /// The command that caused it; a command that was repeated caused it once.
    async fn command_id(&self) -> &str {
        &self.0.command_id
    }

    async fn recorded_at(&self) -> DateTime {
        DateTime(self.0.recorded_at)
    }
}

impl OrderedRow for AuditRow {
    const LIST: &'static str = "audit";
    const COLUMN: &'static str = "position";

    fn key(&self) -> CellValue {
        CellValue::count(self.position)
    }

    fn parse(key: &str) -> Option<CellValue> {
        key.parse().ok().filter(|position: &i64| *position >= 0).map(CellValue::from)
    }
}

/// What is given must all hold.
#[derive(Default, InputObject)]
pub struct AuditFilter {
    event_type: Option<String>,
    actor: Option<String>,
    aggregate_type: Option<String>,
    aggregate_id: Option<ID>,
    /// At this position or later.
    from_position: Option<PositionScalar>,
    /// At this position or earlier.
    to_position: Option<PositionScalar>,
    /// Recorded at this moment or later.
    after: Option<DateTime>,
    /// Recorded before this moment.
    before: Option<DateTime>,
}

impl AuditFilter {
    fn rows(&self, account: AccountId) -> Result<RowFilter> {
        let mut rows = RowFilter::of_account(&account.to_string());
        rows = by_text(rows, "event_type", self.event_type.as_deref())?;
        rows = by_text(rows, "actor", self.actor.as_deref())?;
        rows = by_text(rows, "aggregate_type", self.aggregate_type.as_deref())?;
        rows = by_text(rows, "aggregate_id", self.aggregate_id.as_ref().map(|id| id.as_str()))?;
        Ok(rows
            .and_if("position", ">=", self.from_position.map(|PositionScalar(position)| CellValue::count(position)))
            .and_if("position", "<=", self.to_position.map(|PositionScalar(position)| CellValue::count(position)))
            .and_if("recorded_at", ">=", self.after.map(|DateTime(time)| time.micros()))
            .and_if("recorded_at", "<", self.before.map(|DateTime(time)| time.micros())))
    }

    /// The same, of one row.
    pub fn matches(&self, row: &AuditRow) -> bool {
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
        is(&self.event_type, &row.event_type)
            && is(&self.actor, &row.actor)
            && is(&self.aggregate_type, &row.aggregate_type)
            && self.aggregate_id.as_ref().is_none_or(|id| **id == row.aggregate_id)
            && self.from_position.is_none_or(|from| row.position >= from.0)
            && self.to_position.is_none_or(|to| row.position <= to.0)
            && self.after.is_none_or(|after| row.recorded_at >= after.0)
            && self.before.is_none_or(|before| row.recorded_at < before.0)
    }
}

/// The names of the connection; those after its nodes would say the same twice.
struct AuditConnectionNames;

impl ConnectionNameType for AuditConnectionNames {
    fn type_name<T: OutputType>() -> String {
        "AuditConnection".to_owned()
    }
}

impl EdgeNameType for AuditConnectionNames {
    fn type_name<T: OutputType>() -> String {
        "AuditEdge".to_owned()
    }
}

/// Queries of the audit trail.
#[derive(Default)]
pub struct AuditQuery;

#[Object]
impl AuditQuery {
    /// Everything that happened in the account, in the order in which it did.
    #[graphql(guard = "require(KeyScope::Audit)", complexity = "cost(first, last, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "one for each argument of the GraphQL field")]
    async fn audit_trail(
        &self,
        ctx: &Context<'_>,
        filter: Option<AuditFilter>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<PositionScalar>,
    ) -> Result<PageConnection<AuditEvent, AuditConnectionNames, AuditConnectionNames>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let rows = filter.unwrap_or_default().rows(actor.account_id)?;
        connect(state, rows, &PageArguments::new(first, after, last, before), AuditEvent).await
    }
}
