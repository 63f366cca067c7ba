//! Connecting numbers and changing them.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use wasend_commands::number::ConnectNumber;
use wasend_commands::{Caller, CommandEffect, CommandError, RefusalCode};
use wasend_domain::account::KeyScope;
use wasend_domain::{NumberId, Personal};
use wasend_projections::numbers::NumberRow;

use super::NumberObject;
use crate::auth::require;
use crate::graphql::error::{self, UserError};
use crate::graphql::scalar::PositionScalar;
use crate::graphql::state::{GraphqlState, MutationOutcome};

#[derive(InputObject)]
struct ConnectNumberInput {
    /// Meta's id of the number: digits.
    phone_number_id: String,
    /// Meta's id of the WhatsApp Business Account: digits.
    waba_id: String,
    /// The number as people read it; at most 200 characters.
    display_phone_number: String,
    access_token: String,
    app_secret: String,
    /// What Meta is told to present when it verifies the webhook.
    verify_token: String,
    /// Root of the API, one of those that the server allows.
    base_url: Option<String>,
    /// From 1 to 1,000; 80 when absent.
    messages_per_second: Option<i32>,
}

#[derive(InputObject)]
struct UpdateNumberCredentialsInput {
    id: ID,
    /// What is absent stays as it is.
    access_token: Option<String>,
    app_secret: Option<String>,
    verify_token: Option<String>,
}

#[derive(InputObject)]
struct SetNumberRateInput {
    id: ID,
    /// From 1 to 1,000.
    messages_per_second: i32,
}

#[derive(InputObject)]
struct PauseNumberInput {
    id: ID,
}

#[derive(InputObject)]
struct ResumeNumberInput {
    id: ID,
}

#[derive(InputObject)]
struct DisconnectNumberInput {
    id: ID,
}

#[derive(SimpleObject)]
struct NumberPayload {
    number: Option<NumberObject>,
    position: Option<PositionScalar>,
    errors: Vec<UserError>,
}

/// Mutations of numbers.
#[derive(Default)]
pub struct NumberMutation;

#[Object]
impl NumberMutation {
    /// Connects a WhatsApp number, from which messages can be sent then.
    #[graphql(guard = "require(KeyScope::Admin)")]
    async fn connect_number(&self, ctx: &Context<'_>, input: ConnectNumberInput) -> Result<NumberPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        payload(state, caller, state.commands.connect_number(caller, input.into()).await).await
    }

    /// Gives the number other credentials; each that is absent stays as it is.
    #[graphql(guard = "require(KeyScope::Admin)")]
    async fn update_number_credentials(
        &self,
        ctx: &Context<'_>,
        input: UpdateNumberCredentialsInput,
    ) -> Result<NumberPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let UpdateNumberCredentialsInput { id, access_token, app_secret, verify_token } = input;
        let [access, app, verify] = [access_token, app_secret, verify_token].map(|secret| secret.map(Personal::new));
        let done = match number(&id) {
            Ok(id) => state.commands.change_credentials(caller, id, access, app, verify).await,
            Err(error) => Err(error),
        };
        payload(state, caller, done).await
    }

    /// How fast messages are sent from the number at most.
    #[graphql(guard = "require(KeyScope::Admin)")]
    async fn set_number_rate(&self, ctx: &Context<'_>, input: SetNumberRateInput) -> Result<NumberPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let done = match number(&input.id) {
            Ok(id) => state.commands.change_rate(caller, id, rate(input.messages_per_second)).await,
            Err(error) => Err(error),
        };
        let done = done.map_err(|error| error::about(error, RefusalCode::OutOfRange, "messagesPerSecond"));
        payload(state, caller, done).await
    }

    /// Nothing is sent from the number until it is resumed; what is accepted meanwhile waits.
    #[graphql(guard = "require(KeyScope::Admin)")]
    async fn pause_number(&self, ctx: &Context<'_>, input: PauseNumberInput) -> Result<NumberPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let done = match number(&input.id) {
            Ok(id) => state.commands.stop_number(caller, id, None).await,
            Err(error) => Err(error),
        };
        payload(state, caller, done).await
    }

    #[graphql(guard = "require(KeyScope::Admin)")]
    async fn resume_number(&self, ctx: &Context<'_>, input: ResumeNumberInput) -> Result<NumberPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let done = match number(&input.id) {
            Ok(id) => state.commands.resume_number(caller, id).await,
            Err(error) => Err(error),
        };
        payload(state, caller, done).await
    }

    /// Nothing is sent from the number or received by it any more.
    #[graphql(guard = "require(KeyScope::Admin)")]
    async fn disconnect_number(&self, ctx: &Context<'_>, input: DisconnectNumberInput) -> Result<NumberPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let done = match number(&input.id) {
            Ok(id) => state.commands.disconnect_number(caller, id).await,
            Err(error) => Err(error),
        };
        payload(state, caller, done).await
    }
}

fn number(id: &ID) -> Result<NumberId, CommandError> {
    error::id("id", "number", id)
}

/// A negative rate is as far out of range as none at all.
fn rate(messages_per_second: i32) -> u32 {
    u32::try_from(messages_per_second).unwrap_or(0)
}

async fn payload(
    state: &GraphqlState,
    caller: Caller,
    done: Result<CommandEffect<NumberId>, CommandError>,
) -> Result<NumberPayload> {
    let MutationOutcome { row, position, errors } = state.changed::<NumberRow, _>(caller, done).await?;
    Ok(NumberPayload { number: row.map(NumberObject), position, errors })
}

impl From<ConnectNumberInput> for ConnectNumber {
    fn from(input: ConnectNumberInput) -> Self {
        Self {
            phone_number_id: input.phone_number_id,
            waba_id: input.waba_id,
            display: input.display_phone_number,
            access_token: Personal::new(input.access_token),
            app_secret: Personal::new(input.app_secret),
            verify_token: Personal::new(input.verify_token),
            base_url: input.base_url,
            rate: input.messages_per_second.map(rate),
        }
    }
}
