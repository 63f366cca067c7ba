//! The account that asks.

use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use wasend_domain::account::{AccountKeywords, KeyScope};
use wasend_domain::content::CustomerLabel;
use wasend_projections::accounts::AccountRow;

use super::erasure::{ErasureObject, ShownValue, UnavailabilityObject, shown};
use super::error::{UserError, unavailable};
use super::scalar::{DateTime, PositionScalar};
use super::state::{GraphqlState, MutationOutcome};
use crate::auth::{ContextExt, require};
use crate::problem::ProblemCode;

/// GraphQL `Account` over its row.
pub struct AccountObject(AccountRow);

/// A business that uses WASend.
#[Object(name = "Account")]
impl AccountObject {
    async fn id(&self) -> async_graphql::ID {
        self.0.id.as_str().into()
    }

    /// Null once it is erased. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn name(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(label(ctx, &self.0.name).await?.value)
    }

    /// Set once the account's own names are erased.
    async fn erased(&self, ctx: &Context<'_>) -> Result<Option<ErasureObject>> {
        Ok(label(ctx, &self.0.name).await?.erased)
    }

    /// Set while the account's own names cannot be read.
    async fn unavailable(&self, ctx: &Context<'_>) -> Result<Option<UnavailabilityObject>> {
        Ok(label(ctx, &self.0.name).await?.unavailable)
    }

    /// The words with which people opt out and in.
    #[expect(clippy::unused_async, reason = "fields of an object are asynchronous")]
    async fn consent_keywords(&self, ctx: &Context<'_>) -> Result<ConsentKeywordLists> {
        let own = self.0.keywords.as_deref().map(serde_json::from_str::<AccountKeywords>).transpose();
        let AccountKeywords { stop, start } = own.map_err(unavailable)?.unwrap_or_default();
        let server = &GraphqlState::of(ctx).commands.keywords;
        Ok(ConsentKeywordLists {
            is_default: stop.is_none() && start.is_none(),
            stop: stop.unwrap_or_else(|| server.stop().to_vec()),
            start: start.unwrap_or_else(|| server.start().to_vec()),
        })
    }

    async fn opened_at(&self) -> DateTime {
        DateTime(self.0.opened_at)
    }

    /// Set while nothing is sent for the account, because the vault was restored from an earlier copy and may lack
    /// opt-outs. The server's operator ends it (`wasend vault resume-sending`).
    async fn sending_hold(&self) -> Option<SendingHold> {
        let lost_people = i32::try_from(self.0.lost_people).unwrap_or(i32::MAX);
        self.0.sending_held_at.map(|since| SendingHold { since: DateTime(since), lost_people })
    }
}

/// Words with which people opt out and in; each is a whole message, compared without case, accents, and the punctuation
/// around it.
#[derive(Debug, SimpleObject)]
struct ConsentKeywordLists {
    stop: Vec<String>,
    start: Vec<String>,
    /// Both lists are the server's.
    is_default: bool,
}

/// Words of the account's own. A list that is absent or null is the server's.
#[derive(InputObject)]
struct SetConsentKeywordsInput {
    /// At most 200 words of 1 to 40 characters.
    stop: Option<Vec<String>>,
    /// At most 200 words of 1 to 40 characters, none of which is in the other list.
    start: Option<Vec<String>>,
}

#[derive(SimpleObject)]
struct AccountPayload {
    account: Option<AccountObject>,
    position: Option<PositionScalar>,
    errors: Vec<UserError>,
}

/// Mutations of the caller's account.
#[derive(Default)]
pub struct AccountMutation;

#[Object]
impl AccountMutation {
    /// Replaces the words with which people opt out and in.
    #[graphql(guard = "require(KeyScope::Admin)")]
    async fn set_consent_keywords(&self, ctx: &Context<'_>, input: SetConsentKeywordsInput) -> Result<AccountPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let keywords = AccountKeywords { stop: input.stop, start: input.start };
        let done = state.commands.set_keywords(caller, keywords).await;
        let MutationOutcome { row, position, errors } = state.changed::<AccountRow, _>(caller, done).await?;
        Ok(AccountPayload { account: row.map(AccountObject), position, errors })
    }
}

/// Why nothing is sent for the account. Messages are refused with `SENDING_HELD`; what was accepted before waits.
#[derive(Debug, SimpleObject)]
struct SendingHold {
    since: DateTime,
    /// Contacts that the vault knows nothing of any more.
    lost_people: i32,
}

/// Opens a label of the account's own, given in its sealed form.
pub async fn label(ctx: &Context<'_>, sealed: &str) -> Result<ShownValue<String>> {
    let account = ctx.actor()?.account_id;
    let opened = GraphqlState::of(ctx).loaders.open::<CustomerLabel>(account, sealed).await?;
    Ok(shown(opened).map(|CustomerLabel(text)| text))
}

/// Queries of the caller's account.
#[derive(Default)]
pub struct AccountQuery;

#[Object]
impl AccountQuery {
    /// The account that the API key belongs to.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn account(&self, ctx: &Context<'_>, min_position: Option<PositionScalar>) -> Result<AccountObject> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let row = state.reads.get::<AccountRow>(&actor.account_id.to_string()).await.map_err(unavailable)?;
        let row =
            row.ok_or_else(|| ProblemCode::Unavailable.graphql("the account is not readable yet; repeat the request"))?;
        Ok(AccountObject(row))
    }

    /// How far the read models have read: what happened up to here, queries show.
    async fn position(&self, ctx: &Context<'_>) -> Result<PositionScalar> {
        let (state, _) = GraphqlState::begin_query(ctx, None).await?;
        Ok(PositionScalar(*state.projector.position().borrow()))
    }
}
