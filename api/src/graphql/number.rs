//! Connected WhatsApp numbers.

use async_graphql::{Context, Enum, ID, Object, Result};
use wasend_domain::NumberId;
use wasend_domain::account::KeyScope;
use wasend_projections::CellValue;
use wasend_projections::numbers::NumberRow;
use wasend_projections::pagination::RowFilter;

use super::account::label;
use super::erasure::{ErasureObject, UnavailabilityObject};
use super::page::{OrderedRow, PageArguments, PageConnection, connect, cost, times};
use super::scalar::{DateTime, PositionScalar};
use super::state::GraphqlState;
use crate::auth::require;

mod change;
mod sending;

pub use change::NumberMutation;
use sending::NumberSending;

/// GraphQL `Number` over its row; never holds credentials.
pub struct NumberObject(pub NumberRow);

/// Whether a number sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum NumberState {
    Connected,
    /// Nothing is sent until it is resumed; what is accepted meanwhile waits.
    Paused,
    /// For good: connect it anew to use it again.
    Disconnected,
}

/// A WhatsApp phone number from which the account sends.
#[Object(name = "Number")]
impl NumberObject {
    async fn id(&self) -> ID {
        self.0.id.as_str().into()
    }

    /// Meta's id of the number.
    async fn phone_number_id(&self) -> &str {
        &self.0.phone_number_id
    }

    /// Meta's id of the WhatsApp Business Account.
    async fn waba_id(&self) -> &str {
        &self.0.waba_id
    }

    /// The number as people read it. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn display_phone_number(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(label(ctx, &self.0.display).await?.value)
    }

    /// Set once the number's own names are erased.
    async fn erased(&self, ctx: &Context<'_>) -> Result<Option<ErasureObject>> {
        Ok(label(ctx, &self.0.display).await?.erased)
    }

    /// Set while the number's own names cannot be read.
    async fn unavailable(&self, ctx: &Context<'_>) -> Result<Option<UnavailabilityObject>> {
        Ok(label(ctx, &self.0.display).await?.unavailable)
    }

    /// Root of the API that it speaks to; the server's own when null.
    async fn base_url(&self) -> Option<&str> {
        self.0.base_url.as_deref()
    }

    /// The pace at which its messages are handed to Meta at most; `sending` tells the real one.
    async fn messages_per_second(&self) -> i64 {
        self.0.rate
    }

    /// How fast it sends now, and what its messages wait for. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)", complexity = "times(10, child_complexity)")]
    async fn sending(&self, ctx: &Context<'_>) -> Result<NumberSending> {
        sending::of_number(GraphqlState::of(ctx), &self.0).await
    }

    async fn state(&self) -> NumberState {
        match (self.0.disconnected_at, self.0.stopped_at) {
            (Some(_), _) => NumberState::Disconnected,
            (None, Some(_)) => NumberState::Paused,
            (None, None) => NumberState::Connected,
        }
    }

    async fn paused_at(&self) -> Option<DateTime> {
        self.0.stopped_at.map(DateTime)
    }

    /// Meta's error code, if Meta is why it paused.
    async fn pause_code(&self) -> Option<i64> {
        self.0.stop_code
    }

    async fn connected_at(&self) -> DateTime {
        DateTime(self.0.connected_at)
    }

    async fn disconnected_at(&self) -> Option<DateTime> {
        self.0.disconnected_at.map(DateTime)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

impl OrderedRow for NumberRow {
    const LIST: &'static str = "numbers";
    const COLUMN: &'static str = "id";

    fn key(&self) -> CellValue {
        CellValue::from(self.id.as_str())
    }
}

/// Queries of numbers.
#[derive(Default)]
pub struct NumberQuery;

#[Object]
impl NumberQuery {
    /// The account's numbers, oldest first; disconnected ones stay in the list.
    #[graphql(guard = "require(KeyScope::Read)", complexity = "cost(first, last, child_complexity)")]
    async fn numbers(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<PositionScalar>,
    ) -> Result<PageConnection<NumberObject>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let filter = RowFilter::of_account(&actor.account_id.to_string());
        connect::<NumberRow, _, _, _>(state, filter, &PageArguments::new(first, after, last, before), NumberObject)
            .await
    }

    #[graphql(guard = "require(KeyScope::Read)")]
    async fn number(
        &self,
        ctx: &Context<'_>,
        id: ID,
        min_position: Option<PositionScalar>,
    ) -> Result<Option<NumberObject>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let Ok(id) = id.parse::<NumberId>() else { return Ok(None) };
        Ok(state.loaders.row(actor.account_id, &id.to_string()).await?.map(NumberObject))
    }
}
