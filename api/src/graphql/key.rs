//! API keys.

use std::collections::BTreeSet;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use wasend_commands::account::IssuedKey;
use wasend_commands::{Caller, CommandEffect, CommandError};
use wasend_domain::account;
use wasend_projections::CellValue;
use wasend_projections::accounts::ApiKeyRow;
use wasend_projections::pagination::RowFilter;

use super::account::label;
use super::erasure::{ErasureObject, ShownValue, UnavailabilityObject};
use super::error::{self, UserError};
use super::page::{OrderedRow, PageArguments, PageConnection, connect, cost};
use super::scalar::{DateTime, PositionScalar};
use super::state::{GraphqlState, MutationOutcome};
use crate::auth::require;

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "Scope", remote = "account::KeyScope")]
pub enum ScopeEnum {
    /// Send and cancel messages; change contacts and groups.
    Send,
    /// Read messages, contacts, groups and numbers.
    Read,
    /// Read the usage.
    Billing,
    /// Read the audit trail and the event history.
    Audit,
    /// Requests of data subjects, and personal values in exported history.
    Privacy,
    /// Everything about keys and numbers.
    Admin,
}

/// GraphQL `ApiKey` over its row; never holds the secret.
pub struct ApiKeyObject(ApiKeyRow);

/// A key to the API. Its secret is shown once, when it is issued or rotated.
#[Object(name = "ApiKey")]
impl ApiKeyObject {
    async fn id(&self) -> ID {
        self.0.id.as_str().into()
    }

    /// The first characters of the secret, by which people tell keys apart.
    async fn hint(&self) -> &str {
        &self.0.hint
    }

    async fn scopes(&self) -> Vec<ScopeEnum> {
        self.0.scopes.iter().copied().map(ScopeEnum::from).collect()
    }

    /// Needs the scope ADMIN.
    #[graphql(guard = "require(account::KeyScope::Admin)")]
    async fn label(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(self.shown(ctx).await?.value)
    }

    /// Set once the label is erased.
    async fn erased(&self, ctx: &Context<'_>) -> Result<Option<ErasureObject>> {
        Ok(self.shown(ctx).await?.erased)
    }

    /// Set while the label cannot be read.
    async fn unavailable(&self, ctx: &Context<'_>) -> Result<Option<UnavailabilityObject>> {
        Ok(self.shown(ctx).await?.unavailable)
    }

    async fn issued_at(&self) -> DateTime {
        DateTime(self.0.issued_at)
    }

    async fn rotated_at(&self) -> Option<DateTime> {
        self.0.rotated_at.map(DateTime)
    }

    /// Since when it no longer works.
    async fn revoked_at(&self) -> Option<DateTime> {
        self.0.revoked_at.map(DateTime)
    }
}

impl ApiKeyObject {
    async fn shown(&self, ctx: &Context<'_>) -> Result<ShownValue<String>> {
        match &self.0.label {
            Some(sealed) => label(ctx, sealed).await,
            None => Ok(ShownValue::default()),
        }
    }
}

impl OrderedRow for ApiKeyRow {
    const LIST: &'static str = "keys";
    const COLUMN: &'static str = "id";

    fn key(&self) -> CellValue {
        CellValue::from(self.id.as_str())
    }
}

/// Queries of API keys.
#[derive(Default)]
pub struct KeyQuery;

#[Object]
impl KeyQuery {
    /// The account's API keys, oldest first; revoked ones stay in the list.
    #[graphql(guard = "require(account::KeyScope::Admin)", complexity = "cost(first, last, child_complexity)")]
    async fn api_keys(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<PositionScalar>,
    ) -> Result<PageConnection<ApiKeyObject>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let filter = RowFilter::of_account(&actor.account_id.to_string());
        connect::<ApiKeyRow, _, _, _>(state, filter, &PageArguments::new(first, after, last, before), ApiKeyObject)
            .await
    }
}

#[derive(InputObject)]
struct IssueApiKeyInput {
    /// At least one.
    scopes: Vec<ScopeEnum>,
    /// At most 200 characters.
    label: Option<String>,
}

#[derive(InputObject)]
struct RotateApiKeyInput {
    id: ID,
}

#[derive(InputObject)]
struct RevokeApiKeyInput {
    id: ID,
}

#[derive(SimpleObject)]
struct IssueApiKeyPayload {
    key: Option<ApiKeyObject>,
    /// To be kept by the client: it is never shown again.
    secret: Option<String>,
    position: Option<PositionScalar>,
    errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct RevokeApiKeyPayload {
    key: Option<ApiKeyObject>,
    position: Option<PositionScalar>,
    errors: Vec<UserError>,
}

/// Mutations of API keys.
#[derive(Default)]
pub struct KeyMutation;

#[Object]
impl KeyMutation {
    /// Makes a new key. Its secret is shown here and never again.
    #[graphql(guard = "require(account::KeyScope::Admin)")]
    async fn issue_api_key(&self, ctx: &Context<'_>, input: IssueApiKeyInput) -> Result<IssueApiKeyPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let scopes: BTreeSet<_> = input.scopes.into_iter().map(account::KeyScope::from).collect();
        issued(state, caller, state.commands.issue_key(caller, scopes, input.label.as_deref()).await).await
    }

    /// Gives the key a new secret; requests with the old one are refused at once,
    /// and subscriptions that it opened end within the keep-alive time.
    #[graphql(guard = "require(account::KeyScope::Admin)")]
    async fn rotate_api_key(&self, ctx: &Context<'_>, input: RotateApiKeyInput) -> Result<IssueApiKeyPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let done = match error::id("id", "key", &input.id) {
            Ok(id) => state.commands.rotate_key(caller, id).await,
            Err(error) => Err(error),
        };
        issued(state, caller, done).await
    }

    /// Requests with the key are refused at once and for good; subscriptions that it opened end within the keep-alive time.
    #[graphql(guard = "require(account::KeyScope::Admin)")]
    async fn revoke_api_key(&self, ctx: &Context<'_>, input: RevokeApiKeyInput) -> Result<RevokeApiKeyPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let done = match error::id("id", "key", &input.id) {
            Ok(id) => state.commands.revoke_key(caller, id).await,
            Err(error) => Err(error),
        };
        let MutationOutcome { row, position, errors } = state.changed::<ApiKeyRow, _>(caller, done).await?;
        Ok(RevokeApiKeyPayload { key: row.map(ApiKeyObject), position, errors })
    }
}

async fn issued(
    state: &GraphqlState,
    caller: Caller,
    done: Result<CommandEffect<IssuedKey>, CommandError>,
) -> Result<IssueApiKeyPayload> {
    let (secret, done) = match done {
        Ok(CommandEffect { value, position }) => (Some(value.secret), Ok(CommandEffect { value: value.id, position })),
        Err(error) => (None, Err(error)),
    };
    let MutationOutcome { row, position, errors } = state.changed::<ApiKeyRow, _>(caller, done).await?;
    let secret = secret.map(wasend_domain::Personal::into_exposed);
    Ok(IssueApiKeyPayload { key: row.map(ApiKeyObject), secret, position, errors })
}
