//! What became of a message, step by step, and why it failed.

use async_graphql::{Context, Object, Result};
use wasend_domain::account::KeyScope;
use wasend_domain::content::ErrorText;
use wasend_projections::messages::{MessageRow, StatusRow};

use super::enums::{FailureClass, MessageStatusEnum};
use crate::auth::{ContextExt, require};
use crate::graphql::erasure::{ErasureObject, ShownValue, UnavailabilityObject, shown};
use crate::graphql::scalar::{DateTime, PositionScalar};
use crate::graphql::state::GraphqlState;

/// GraphQL `StatusEntry` over its row.
pub struct StatusEntry(pub StatusRow);

/// One fact about a message.
#[Object]
impl StatusEntry {
    async fn position(&self) -> PositionScalar {
        PositionScalar(self.0.position)
    }

    /// The fact, by the type of its event, such as `MessageSent`.
    async fn fact(&self) -> &str {
        &self.0.fact
    }

    /// The message's status after it.
    async fn status(&self) -> MessageStatusEnum {
        self.0.status.into()
    }

    /// Whether the status was another one before.
    async fn changed(&self) -> bool {
        self.0.changed
    }

    /// Meta's error code, if the fact has one.
    async fn code(&self) -> Option<i64> {
        self.0.code
    }

    /// When it happened: by Meta's time for what Meta reports.
    async fn at(&self) -> DateTime {
        DateTime(self.0.at)
    }

    async fn recorded_at(&self) -> DateTime {
        DateTime(self.0.recorded_at)
    }
}

/// GraphQL `MessageError`: why a message failed.
pub struct MessageError {
    code: Option<i64>,
    class: FailureClass,
    /// Sealed.
    detail: Option<String>,
}

impl MessageError {
    /// The failure of a message; none while it has not failed.
    pub fn of(row: &MessageRow) -> Option<Self> {
        let failure = row.state.failure.as_ref()?;
        Some(Self { code: failure.code, class: FailureClass::of(&failure.class), detail: row.error_detail.clone() })
    }

    async fn text(&self, ctx: &Context<'_>) -> Result<ShownValue<String>> {
        let Some(sealed) = &self.detail else { return Ok(ShownValue::default()) };
        let opened = GraphqlState::of(ctx).loaders.open::<ErrorText>(ctx.actor()?.account_id, sealed).await?;
        Ok(shown(opened).map(|ErrorText(text)| text))
    }
}

/// Why a message failed.
#[Object]
impl MessageError {
    /// Meta's error code; null if Meta was not reached.
    async fn code(&self) -> Option<i64> {
        self.code
    }

    /// What kind of failure it is, and so what to do about it.
    async fn class(&self) -> FailureClass {
        self.class
    }

    /// What Meta said about it. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn detail(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(self.text(ctx).await?.value)
    }

    /// Set once the detail is erased.
    async fn erased(&self, ctx: &Context<'_>) -> Result<Option<ErasureObject>> {
        Ok(self.text(ctx).await?.erased)
    }

    /// Set while the detail cannot be read.
    async fn unavailable(&self, ctx: &Context<'_>) -> Result<Option<UnavailabilityObject>> {
        Ok(self.text(ctx).await?.unavailable)
    }
}
