//! Messages.

use async_graphql::{Context, ID, Object, Result};
use wasend_domain::account::KeyScope;
use wasend_domain::content::Wamid;
use wasend_domain::message::{DeliveryStatus, MessageDirection};
use wasend_projections::messages::MessageRow;

use super::contact::ContactObject;
use super::erasure::shown;
use super::number::NumberObject;
use super::page::times;
use super::scalar::{DateTime, PositionScalar};
use super::state::GraphqlState;
use crate::auth::{ContextExt, require};

mod content;
mod enums;
mod history;
mod list;
mod send;

pub use enums::{DirectionEnum, MessageStatusEnum};
pub use history::StatusEntry;
pub use list::MessageQuery;
pub use send::MessageMutation;

use content::MessageContent;
use enums::MessageKind;
use history::MessageError;

/// GraphQL `Message` over its row, as it is now or was at one status.
pub struct MessageObject {
    row: MessageRow,
    /// The status to show.
    status: DeliveryStatus,
    /// The read models may not show yet what the message refers to: it was accepted a moment ago.
    fresh: bool,
}

impl MessageObject {
    /// The message with the status that its row has.
    pub fn new(row: MessageRow) -> Self {
        Self { status: row.status(), row, fresh: false }
    }

    /// As it was once, for what else changed since it does not matter.
    pub fn at(row: MessageRow, status: DeliveryStatus) -> Self {
        Self { row, status, fresh: false }
    }

    /// As a command left it at a position.
    fn fresh(mut row: MessageRow, position: wasend_domain::Position) -> Self {
        row.position = row.position.max(position);
        Self { status: row.status(), row, fresh: true }
    }
}

/// One message, sent or received.
#[Object(name = "Message")]
impl MessageObject {
    async fn id(&self) -> ID {
        self.row.id.as_str().into()
    }

    async fn direction(&self) -> Option<DirectionEnum> {
        self.row.origin().map(|origin| origin.direction.into())
    }

    async fn status(&self) -> MessageStatusEnum {
        self.status.into()
    }

    async fn kind(&self) -> Option<MessageKind> {
        self.row.origin().map(|origin| origin.kind.into())
    }

    async fn number_id(&self) -> Option<ID> {
        self.row.origin().map(|origin| origin.number.to_string().into())
    }

    /// From which number it was sent, or which it reached. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn number(&self, ctx: &Context<'_>) -> Result<Option<NumberObject>> {
        let Some(origin) = self.row.origin() else { return Ok(None) };
        let number = self.settled(ctx).await.loaders.row(ctx.actor()?.account_id, &origin.number.to_string()).await?;
        Ok(number.map(NumberObject))
    }

    async fn contact_id(&self) -> Option<ID> {
        self.row.origin().map(|origin| origin.contact.to_string().into())
    }

    /// The recipient of an outbound message, the sender of an inbound one. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn contact(&self, ctx: &Context<'_>) -> Result<Option<ContactObject>> {
        let Some(origin) = self.row.origin() else { return Ok(None) };
        let (account, id) = (ctx.actor()?.account_id, origin.contact.to_string());
        let contact = self.settled(ctx).await.loaders.contact(account, &id).await?;
        Ok(contact.map(ContactObject))
    }

    /// The name of its template.
    async fn template(&self) -> Option<&str> {
        self.row.template.as_deref()
    }

    /// What it says.
    async fn content(&self, ctx: &Context<'_>) -> Result<MessageContent> {
        content::open_content(ctx, &self.row).await
    }

    /// Meta's id of it. Null until Meta took it, once it is erased, and while it cannot be read. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn wamid(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let Some(sealed) = &self.row.wamid else { return Ok(None) };
        let opened = GraphqlState::of(ctx).loaders.open::<Wamid>(ctx.actor()?.account_id, sealed).await?;
        Ok(shown(opened).value.map(|Wamid(text)| text))
    }

    /// How many calls to Meta were begun.
    async fn attempts(&self) -> u32 {
        self.row.state.attempts
    }

    /// Whether Meta has it is unknown, and no webhook told within the configured time: a person should look.
    async fn unresolved(&self) -> bool {
        self.row.state.unresolved
    }

    /// Why it failed, or failed on one of the recipient's devices.
    async fn error(&self) -> Option<MessageError> {
        MessageError::of(&self.row)
    }

    /// Meta's word for what it is charged as.
    async fn category(&self) -> Option<&str> {
        self.row.state.pricing.as_ref().map(|pricing| pricing.category.as_str())
    }

    /// Whether Meta charges it; null until Meta has said so.
    async fn billable(&self) -> Option<bool> {
        self.row.state.pricing.as_ref().map(|pricing| pricing.billable)
    }

    /// When WASend accepted or received it.
    async fn accepted_at(&self) -> Option<DateTime> {
        self.row.origin().map(|origin| DateTime(origin.at))
    }

    /// When WASend received it; null for an outbound message.
    async fn received_at(&self) -> Option<DateTime> {
        let received = self.row.origin().filter(|origin| origin.direction == MessageDirection::Inbound);
        received.map(|origin| DateTime(origin.at))
    }

    async fn submitted_at(&self) -> Option<DateTime> {
        self.row.submitted_at.map(DateTime)
    }

    async fn held_at(&self) -> Option<DateTime> {
        self.row.state.held_at.map(DateTime)
    }

    /// By Meta's time: when it was on its way to the device, and for an inbound message when the person sent it.
    async fn sent_at(&self) -> Option<DateTime> {
        self.row.state.sent_at.map(DateTime)
    }

    async fn delivered_at(&self) -> Option<DateTime> {
        self.row.state.delivered_at.map(DateTime)
    }

    async fn read_at(&self) -> Option<DateTime> {
        self.row.state.read_at.map(DateTime)
    }

    async fn failed_at(&self) -> Option<DateTime> {
        self.row.state.failure.as_ref().map(|failure| DateTime(failure.at))
    }

    async fn expired_at(&self) -> Option<DateTime> {
        self.row.state.expired_at.map(DateTime)
    }

    async fn cancelled_at(&self) -> Option<DateTime> {
        self.row.state.cancelled_at.map(DateTime)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.row.updated_at)
    }

    /// Everything that became known of it, in the order in which it did.
    #[graphql(complexity = "times(10, child_complexity)")]
    async fn status_history(&self, ctx: &Context<'_>) -> Result<Vec<StatusEntry>> {
        let rows = self.settled(ctx).await.loaders.history(ctx.actor()?.account_id, &self.row.id).await?;
        Ok(rows.into_iter().map(StatusEntry).collect())
    }

    /// Of the last event that touched it.
    async fn position(&self) -> PositionScalar {
        PositionScalar(self.row.position)
    }
}

impl MessageObject {
    /// The read models, once they show the message; not waited for long.
    async fn settled<'a>(&self, ctx: &'a Context<'_>) -> &'a GraphqlState {
        let state = GraphqlState::of(ctx);
        if self.fresh {
            state.wait_for_effect(self.row.position).await;
        }
        state
    }
}
