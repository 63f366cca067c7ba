//! Finding and listing messages.

use async_graphql::{Context, ID, InputObject, Object, Result};
use wasend_domain::account::KeyScope;
use wasend_domain::ids::kind;
use wasend_domain::message::{DeliveryStatus, MessageDirection as Way};
use wasend_domain::{AccountId, MessageId};
use wasend_projections::CellValue;
use wasend_projections::messages::MessageRow;
use wasend_projections::pagination::RowFilter;

use super::MessageObject;
use super::enums::{DirectionEnum, MessageStatusEnum};
use crate::auth::require;
use crate::graphql::filter::{by_id, by_text, contact_ids, contact_of, updated_after};
use crate::graphql::page::{OrderedRow, PageArguments, PageConnection, connect, cost};
use crate::graphql::scalar::{DateTime, PositionScalar};
use crate::graphql::state::GraphqlState;

impl OrderedRow for MessageRow {
    const LIST: &'static str = "messages";
    const COLUMN: &'static str = "id";
    const DESCENDING: bool = true;

    fn key(&self) -> CellValue {
        CellValue::from(self.id.as_str())
    }
}

/// What is given must all hold.
#[derive(Default, InputObject)]
struct MessageFilter {
    number_id: Option<ID>,
    contact_id: Option<ID>,
    /// The contact's phone number in international form, or its BSUID.
    to: Option<String>,
    /// Any of these.
    status: Option<Vec<MessageStatusEnum>>,
    direction: Option<DirectionEnum>,
    /// Whether the message needs attention by a person.
    unresolved: Option<bool>,
    /// Accepted or received by WASend at this moment or later, whenever it was sent.
    accepted_after: Option<DateTime>,
    /// Accepted or received by WASend before this moment.
    accepted_before: Option<DateTime>,
    /// The name of a template.
    template: Option<String>,
    /// Anything about the message happened after this position.
    updated_after: Option<PositionScalar>,
}

/// Queries of messages.
#[derive(Default)]
pub struct MessageQuery;

#[Object]
impl MessageQuery {
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn message(
        &self,
        ctx: &Context<'_>,
        id: ID,
        min_position: Option<PositionScalar>,
    ) -> Result<Option<MessageObject>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let Ok(id) = id.parse::<MessageId>() else { return Ok(None) };
        Ok(state.loaders.row(actor.account_id, &id.to_string()).await?.map(MessageObject::new))
    }

    /// The account's messages, newest first.
    #[graphql(guard = "require(KeyScope::Read)", complexity = "cost(first, last, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "one for each argument of the GraphQL field")]
    async fn messages(
        &self,
        ctx: &Context<'_>,
        filter: Option<MessageFilter>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<PositionScalar>,
    ) -> Result<PageConnection<MessageObject>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let rows = filter.unwrap_or_default().rows(state, actor.account_id).await?;
        connect(state, rows, &PageArguments::new(first, after, last, before), MessageObject::new).await
    }
}

impl MessageFilter {
    async fn rows(self, state: &GraphqlState, account: AccountId) -> Result<RowFilter> {
        let mut rows = RowFilter::of_account(&account.to_string());
        rows = by_id::<kind::NumberTag>(rows, "number_id", self.number_id.as_ref());
        if let Some(id) = &self.contact_id {
            rows = rows.one_of("contact_id", Some(contact_ids(state, account, id.parse().ok()).await?));
        }
        if let Some(to) = &self.to {
            rows = rows
                .one_of("contact_id", Some(contact_ids(state, account, contact_of(state, account, to).await?).await?));
        }
        let status = |status: MessageStatusEnum| DeliveryStatus::from(status).name().to_owned();
        rows = rows
            .one_of("status", self.status.map(|words| words.into_iter().map(status).collect()))
            .and_if("direction", "=", self.direction.map(|direction| Way::from(direction).name()))
            .and_if("unresolved", "=", self.unresolved.map(i64::from))
            .and_if("accepted_at", ">=", self.accepted_after.map(|DateTime(time)| time.micros()))
            .and_if("accepted_at", "<", self.accepted_before.map(|DateTime(time)| time.micros()));
        rows = updated_after(rows, state, "message", self.updated_after)?;
        by_text(rows, "template", self.template.as_deref())
    }
}
