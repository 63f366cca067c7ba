//! API keys.

use std::collections::BTreeSet;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use wasend_commands::account::IssuedKey;
use wasend_commands::{Caller, CommandError, Done};
use wasend_domain::account;
use wasend_projections::Cell;
use wasend_projections::accounts::KeyRow;
use wasend_projections::list::Filter;

use super::account::label;
use super::erasure::{Erasure, Shown, Unavailability};
use super::error::{self, UserError};
use super::page::{Connection, Ordered, Window, connect, cost};
use super::scalar::{DateTime, Position};
use super::state::{Changed, State};
use crate::auth::require;

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "account::Scope")]
pub enum Scope {
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

pub struct ApiKey(KeyRow);

/// A key to the API. Its secret is shown once, when it is issued or rotated.
#[Object]
impl ApiKey {
    async fn id(&self) -> ID {
        self.0.id.as_str().into()
    }

    /// The first characters of the secret, by which people tell keys apart.
    async fn hint(&self) -> &str {
        &self.0.hint
    }

    async fn scopes(&self) -> Vec<Scope> {
        self.0.scopes.iter().copied().map(Scope::from).collect()
    }

    /// Needs the scope ADMIN.
    #[graphql(guard = "require(account::Scope::Admin)")]
    async fn label(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(self.shown(ctx).await?.value)
    }

    /// Set once the label is erased.
    async fn erased(&self, ctx: &Context<'_>) -> Result<Option<Erasure>> {
        Ok(self.shown(ctx).await?.erased)
    }

    /// Set while the label cannot be read.
    async fn unavailable(&self, ctx: &Context<'_>) -> Result<Option<Unavailability>> {
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

impl ApiKey {
    async fn shown(&self, ctx: &Context<'_>) -> Result<Shown<String>> {
        match &self.0.label {
            Some(sealed) => label(ctx, sealed).await,
            None => Ok(Shown::default()),
        }
    }
}

impl Ordered for KeyRow {
    const LIST: &'static str = "keys";
    const COLUMN: &'static str = "id";

    fn key(&self) -> Cell {
        Cell::from(self.id.as_str())
    }
}

#[derive(Default)]
pub struct KeyQuery;

#[Object]
impl KeyQuery {
    /// The account's API keys, oldest first; revoked ones stay in the list.
    #[graphql(guard = "require(account::Scope::Admin)", complexity = "cost(first, last, child_complexity)")]
    async fn api_keys(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<Position>,
    ) -> Result<Connection<ApiKey>> {
        let (state, actor) = State::read(ctx, min_position).await?;
        let filter = Filter::of_account(&actor.account_id.to_string());
        connect::<KeyRow, _, _, _>(state, filter, &Window::new(first, after, last, before), ApiKey).await
    }
}

#[derive(InputObject)]
struct IssueApiKeyInput {
    /// At least one.
    scopes: Vec<Scope>,
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
    key: Option<ApiKey>,
    /// To be kept by the client: it is never shown again.
    secret: Option<String>,
    position: Option<Position>,
    errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct RevokeApiKeyPayload {
    key: Option<ApiKey>,
    position: Option<Position>,
    errors: Vec<UserError>,
}

#[derive(Default)]
pub struct KeyMutation;

#[Object]
impl KeyMutation {
    /// Makes a new key. Its secret is shown here and never again.
    #[graphql(guard = "require(account::Scope::Admin)")]
    async fn issue_api_key(&self, ctx: &Context<'_>, input: IssueApiKeyInput) -> Result<IssueApiKeyPayload> {
        let (state, caller) = State::write(ctx)?;
        let scopes: BTreeSet<_> = input.scopes.into_iter().map(account::Scope::from).collect();
        issued(state, caller, state.commands.issue_key(caller, scopes, input.label.as_deref()).await).await
    }

    /// Gives the key a new secret; requests with the old one are refused at once,
    /// and subscriptions that it opened end within the keep-alive time.
    #[graphql(guard = "require(account::Scope::Admin)")]
    async fn rotate_api_key(&self, ctx: &Context<'_>, input: RotateApiKeyInput) -> Result<IssueApiKeyPayload> {
        let (state, caller) = State::write(ctx)?;
        let done = match error::id("id", "key", &input.id) {
            Ok(id) => state.commands.rotate_key(caller, id).await,
            Err(error) => Err(error),
        };
        issued(state, caller, done).await
    }

    /// Requests with the key are refused at once and for good; subscriptions that it opened end within the keep-alive time.
    #[graphql(guard = "require(account::Scope::Admin)")]
    async fn revoke_api_key(&self, ctx: &Context<'_>, input: RevokeApiKeyInput) -> Result<RevokeApiKeyPayload> {
        let (state, caller) = State::write(ctx)?;
        let done = match error::id("id", "key", &input.id) {
            Ok(id) => state.commands.revoke_key(caller, id).await,
            Err(error) => Err(error),
        };
        let Changed { row, position, errors } = state.changed::<KeyRow, _>(caller, done).await?;
        Ok(RevokeApiKeyPayload { key: row.map(ApiKey), position, errors })
    }
}

async fn issued(
    state: &State,
    caller: Caller,
    done: Result<Done<IssuedKey>, CommandError>,
) -> Result<IssueApiKeyPayload> {
    let (secret, done) = match done {
        Ok(Done { value, position }) => (Some(value.secret), Ok(Done { value: value.id, position })),
        Err(error) => (None, Err(error)),
    };
    let Changed { row, position, errors } = state.changed::<KeyRow, _>(caller, done).await?;
    let secret = secret.map(wasend_domain::Personal::into_exposed);
    Ok(IssueApiKeyPayload { key: row.map(ApiKey), secret, position, errors })
}
