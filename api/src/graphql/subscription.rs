//! Subscriptions: what happens, as it happens, resumable after a position.

use async_graphql::{Context, ID, InputObject, Result, SimpleObject, Subscription};
use futures::{Stream, StreamExt};
use std::sync::Arc;
use wasend_domain::account::KeyScope;
use wasend_domain::message::{DeliveryStatus, MessageDirection as Way};
use wasend_domain::{AccountId, Position as At};
use wasend_projections::messages::{MessageRow, StatusRow};

use super::audit::{AuditEvent, AuditFilter};
use super::error::{invalid, unavailable};
use super::feed::FEED_RETRY_DELAY;
use super::message::{DirectionEnum, MessageObject, MessageStatusEnum};
use super::scalar::{DateTime, PositionScalar};
use super::state::GraphqlState;
use crate::auth::{ContextExt, require};
use crate::problem::ProblemCode;

/// Changes whose messages are loaded together.
const CHANGES_BATCH_MAX: usize = 64;

/// A message has another status than before.
#[derive(SimpleObject)]
struct MessageStatusChange {
    /// To resume after.
    position: PositionScalar,
    /// With the status that it had then; the rest is as it is now.
    message: MessageObject,
    /// The message's status after it.
    status: MessageStatusEnum,
    /// When it happened: by Meta's time for what Meta reports.
    at: DateTime,
    /// What happened, by the type of its event, such as `MessageDelivered`.
    fact: String,
}

/// What is given must all hold.
#[derive(Default, InputObject)]
struct MessageStatusFilter {
    number_id: Option<ID>,
    /// Any of these.
    message_ids: Option<Vec<ID>>,
    contact_id: Option<ID>,
    /// Any of these.
    statuses: Option<Vec<MessageStatusEnum>>,
    direction: Option<DirectionEnum>,
}

impl MessageStatusFilter {
    fn matches(&self, row: &StatusRow) -> bool {
        let is = |wanted: &Option<ID>, id: &str| wanted.as_ref().is_none_or(|wanted| **wanted == id);
        is(&self.number_id, &row.number_id)
            && is(&self.contact_id, &row.contact_id)
            && self.message_ids.as_ref().is_none_or(|ids| ids.iter().any(|id| **id == row.message_id))
            && self
                .statuses
                .as_ref()
                .is_none_or(|words| words.iter().any(|word| DeliveryStatus::from(*word) == row.status))
            && self.direction.is_none_or(|direction| Way::from(direction).name() == row.direction)
    }
}

/// Subscriptions to messages and to the audit trail.
#[derive(Default)]
pub struct MessageSubscription;

/// What happens, as it happens. Positions are to resume after, when a connection is lost.
#[Subscription(name = "Subscription")]
impl MessageSubscription {
    /// Every change of a message's status, in the order of the history: those after a position and then those to come,
    /// or only those to come. None is left out or told twice.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn message_status_changed(
        &self,
        ctx: &Context<'_>,
        filter: Option<MessageStatusFilter>,
        after: Option<PositionScalar>,
    ) -> Result<impl Stream<Item = Result<MessageStatusChange>> + use<>> {
        let (state, account) = (Arc::clone(GraphqlState::of(ctx)), ctx.actor()?.account_id);
        let after = resume(&state, after).await?;
        let rows = state.feed.statuses.follow(account, after).await.map_err(unavailable)?;
        let filter = filter.unwrap_or_default();
        let wanted = rows.filter(move |row| {
            let wanted = filter.matches(row);
            async move { wanted }
        });
        let changes = wanted.map(move |row| {
            let state = Arc::clone(&state);
            async move { change(&state, account, row).await }
        });
        Ok(changes.buffered(CHANGES_BATCH_MAX))
    }

    /// Everything that happens in the account, in order: what happened after a position and then what is to come, or
    /// only what is to come. Nothing is left out or told twice.
    #[graphql(guard = "require(KeyScope::Audit)")]
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        filter: Option<AuditFilter>,
        after: Option<PositionScalar>,
    ) -> Result<impl Stream<Item = AuditEvent> + use<>> {
        let (state, account) = (GraphqlState::of(ctx), ctx.actor()?.account_id);
        let after = resume(state, after).await?;
        let rows = state.feed.audit.follow(account, after).await.map_err(unavailable)?;
        let filter = filter.unwrap_or_default();
        let wanted = rows.filter(move |row| {
            let wanted = filter.matches(row);
            async move { wanted }
        });
        Ok(wanted.map(AuditEvent))
    }
}

/// Checks the position that a client resumes after. One that a mutation has just answered with may not be folded yet.
async fn resume(state: &GraphqlState, after: Option<PositionScalar>) -> Result<Option<At>> {
    let Some(PositionScalar(after)) = after else { return Ok(None) };
    if after > *state.projector.position().borrow() {
        let head = state.commands.log.head().await.map_err(unavailable)?;
        if after > head {
            return Err(invalid("nothing has happened at this position yet; resume after one that was given out"));
        }
        state.reach(after).await?;
    }
    Ok(Some(after))
}

async fn change(state: &GraphqlState, account: AccountId, row: StatusRow) -> Result<MessageStatusChange> {
    // A change whose message cannot be read for now is told late: told as an error, it would be left out.
    let message = loop {
        match state.loaders.row::<MessageRow>(account, &row.message_id).await {
            Ok(message) => break message,
            Err(_) => tokio::time::sleep(FEED_RETRY_DELAY).await,
        }
    };
    let message = message.ok_or_else(|| ProblemCode::Internal.graphql("the message of a change is missing"))?;
    Ok(MessageStatusChange {
        position: PositionScalar(row.position),
        message: MessageObject::at(message, row.status),
        status: row.status.into(),
        at: DateTime(row.at),
        fact: row.fact,
    })
}
