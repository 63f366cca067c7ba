//! Finding and listing messages.

use async_graphql::{Context, ID, InputObject, Object, Result};
use wasend_domain::account::Scope;
use wasend_domain::ids::kind;
use wasend_domain::message::{Direction as Way, Status};
use wasend_domain::{AccountId, MessageId};
use wasend_projections::Cell;
use wasend_projections::list::Filter;
use wasend_projections::messages::MessageRow;

use super::Message;
use super::words::{Direction, MessageStatus};
use crate::auth::require;
use crate::graphql::filter::{by_id, by_text, contact_of};
use crate::graphql::page::{Connection, Ordered, Window, connect, cost};
use crate::graphql::scalar::{DateTime, Position};
use crate::graphql::state::State;

impl Ordered for MessageRow {
    const LIST: &'static str = "messages";
    const COLUMN: &'static str = "id";
    const DESCENDING: bool = true;

    fn key(&self) -> Cell {
        Cell::from(self.id.as_str())
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
    status: Option<Vec<MessageStatus>>,
    direction: Option<Direction>,
    /// Whether the message needs attention by a person.
    unresolved: Option<bool>,
    /// Accepted or received at this moment or later.
    accepted_after: Option<DateTime>,
    /// Accepted or received before this moment.
    accepted_before: Option<DateTime>,
    /// The name of a template.
    template: Option<String>,
}

#[derive(Default)]
pub struct MessageQuery;

#[Object]
impl MessageQuery {
    #[graphql(guard = "require(Scope::Read)")]
    async fn message(&self, ctx: &Context<'_>, id: ID, min_position: Option<Position>) -> Result<Option<Message>> {
        let (state, actor) = State::read(ctx, min_position).await?;
        let Ok(id) = id.parse::<MessageId>() else { return Ok(None) };
        Ok(state.loaders.row(actor.account_id, &id.to_string()).await?.map(Message::new))
    }

    /// The account's messages, newest first.
    #[graphql(guard = "require(Scope::Read)", complexity = "cost(first, last, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "one for each argument of the GraphQL field")]
    async fn messages(
        &self,
        ctx: &Context<'_>,
        filter: Option<MessageFilter>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<Position>,
    ) -> Result<Connection<Message>> {
        let (state, actor) = State::read(ctx, min_position).await?;
        let rows = filter.unwrap_or_default().rows(state, actor.account_id).await?;
        connect(state, rows, &Window::new(first, after, last, before), Message::new).await
    }
}

impl MessageFilter {
    async fn rows(self, state: &State, account: AccountId) -> Result<Filter> {
        let mut rows = Filter::of_account(&account.to_string());
        rows = by_id::<kind::Number>(rows, "number_id", self.number_id.as_ref());
        rows = by_id::<kind::Subject>(rows, "contact_id", self.contact_id.as_ref());
        if let Some(to) = &self.to {
            rows = rows.one_of("contact_id", Some(contact_of(state, account, to).await?.into_iter().collect()));
        }
        let status = |status: MessageStatus| Status::from(status).name().to_owned();
        rows = rows
            .one_of("status", self.status.map(|words| words.into_iter().map(status).collect()))
            .and_if("direction", "=", self.direction.map(|direction| Way::from(direction).name()))
            .and_if("unresolved", "=", self.unresolved.map(i64::from))
            .and_if("accepted_at", ">=", self.accepted_after.map(|DateTime(time)| time.micros()))
            .and_if("accepted_at", "<", self.accepted_before.map(|DateTime(time)| time.micros()));
        by_text(rows, "template", self.template.as_deref())
    }
}
