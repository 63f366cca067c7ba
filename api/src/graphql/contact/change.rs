//! Making contacts known and changing them.

use std::collections::BTreeMap;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use wasend_commands::contact::ContactInput;
use wasend_commands::{Caller, CommandEffect, CommandError, Refusal, RefusalCode};
use wasend_domain::account::KeyScope;
use wasend_domain::contact::ConsentChannel;
use wasend_domain::phone::PhoneNumber;
use wasend_domain::{Personal, SubjectId};
use wasend_projections::contacts::ContactRow;
use wasend_vault::PersonIdentity;

use super::ContactObject;
use crate::auth::require;
use crate::graphql::error::{self, UserError};
use crate::graphql::scalar::PositionScalar;
use crate::graphql::state::{GraphqlState, MutationOutcome};

/// One custom attribute.
#[derive(InputObject)]
struct AttributeInput {
    /// At most 100 characters.
    name: String,
    /// At most 1,000 characters.
    value: String,
}

#[derive(InputObject)]
struct CreateContactInput {
    /// In international form. A contact needs a phone number or a BSUID.
    phone: Option<String>,
    bsuid: Option<String>,
    /// At most 200 characters.
    name: Option<String>,
    /// At most 50.
    attributes: Option<Vec<AttributeInput>>,
}

/// What is absent stays as it is.
#[derive(InputObject)]
struct UpdateContactInput {
    id: ID,
    /// A further number, by which the contact is found as well; it is shown from now on.
    phone: Option<String>,
    bsuid: Option<String>,
    name: Option<String>,
    /// In the place of all that there are.
    attributes: Option<Vec<AttributeInput>>,
}

/// The contact by its id, or by its phone number in international form.
#[derive(InputObject)]
struct OptOutInput {
    contact_id: Option<ID>,
    phone: Option<String>,
}

/// The contact by its id, or by its phone number in international form.
#[derive(InputObject)]
struct OptInInput {
    contact_id: Option<ID>,
    phone: Option<String>,
}

#[derive(SimpleObject)]
struct ContactPayload {
    contact: Option<ContactObject>,
    position: Option<PositionScalar>,
    errors: Vec<UserError>,
}

/// Mutations of contacts.
#[derive(Default)]
pub struct ContactMutation;

#[Object]
impl ContactMutation {
    /// Makes a contact known. Sending to a number does so as well.
    #[graphql(guard = "require(KeyScope::Send)")]
    async fn create_contact(&self, ctx: &Context<'_>, input: CreateContactInput) -> Result<ContactPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let CreateContactInput { phone, bsuid, name, attributes } = input;
        let done = match contact(phone, bsuid, name, attributes) {
            Ok(contact) => {
                state.commands.create_contact(caller, contact).await.map_err(|error| unreadable(error, "phone"))
            }
            Err(error) => Err(error),
        };
        payload(state, caller, done).await
    }

    #[graphql(guard = "require(KeyScope::Send)")]
    async fn update_contact(&self, ctx: &Context<'_>, input: UpdateContactInput) -> Result<ContactPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let UpdateContactInput { id, phone, bsuid, name, attributes } = input;
        let given = error::id("id", "contact", &id).and_then(|id| Ok((id, contact(phone, bsuid, name, attributes)?)));
        let done = match given {
            Ok((id, contact)) => {
                state.commands.update_contact(caller, id, contact).await.map_err(|error| unreadable(error, "id"))
            }
            Err(error) => Err(error),
        };
        payload(state, caller, done).await
    }

    /// No further message to the contact is accepted, and none that waits is sent.
    #[graphql(guard = "require(KeyScope::Send)")]
    async fn opt_out(&self, ctx: &Context<'_>, input: OptOutInput) -> Result<ContactPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let done = match named(state, caller, input.contact_id, input.phone).await {
            Ok((id, field)) => {
                state.commands.opt_out(caller, id, ConsentChannel::Api).await.map_err(|error| absent(error, field))
            }
            Err(error) => Err(error),
        };
        payload(state, caller, done).await
    }

    /// Messages to the contact are accepted again.
    #[graphql(guard = "require(KeyScope::Send)")]
    async fn opt_in(&self, ctx: &Context<'_>, input: OptInInput) -> Result<ContactPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let done = match named(state, caller, input.contact_id, input.phone).await {
            Ok((id, field)) => {
                state.commands.opt_in(caller, id, ConsentChannel::Api).await.map_err(|error| absent(error, field))
            }
            Err(error) => Err(error),
        };
        payload(state, caller, done).await
    }
}

fn contact(
    phone: Option<String>,
    bsuid: Option<String>,
    name: Option<String>,
    attributes: Option<Vec<AttributeInput>>,
) -> Result<ContactInput, CommandError> {
    let [phone, bsuid, name] = [phone, bsuid, name].map(|text| text.map(Personal::new));
    let attributes = attributes.map(by_name).transpose()?;
    Ok(ContactInput { phone, bsuid, name, attributes })
}

fn by_name(given: Vec<AttributeInput>) -> Result<Personal<BTreeMap<String, String>>, CommandError> {
    let mut attributes = BTreeMap::new();
    for (index, AttributeInput { name, value }) in given.into_iter().enumerate() {
        if attributes.insert(name, value).is_some() {
            let field = format!("attributes.{index}.name");
            return Err(Refusal::new(&field, RefusalCode::Duplicate, "the attribute is given twice").into());
        }
    }
    Ok(Personal::new(attributes))
}

/// Which contact an input names, and by which of its fields.
async fn named(
    state: &GraphqlState,
    caller: Caller,
    id: Option<ID>,
    phone: Option<String>,
) -> Result<(SubjectId, &'static str), CommandError> {
    match (id, phone) {
        (Some(id), None) => Ok((error::id("contactId", "contact", &id)?, "contactId")),
        (None, Some(phone)) => {
            let phone = PhoneNumber::parse(&phone);
            let phone = phone.map_err(|error| Refusal::new("phone", RefusalCode::InvalidPhone, error))?;
            let found = state.vault.find(caller.account_id, &PersonIdentity::phone(phone.as_str())).await?;
            Ok((found.ok_or_else(|| Refusal::not_found("phone", "contact"))?, "phone"))
        }
        (None, None) => Err(Refusal::new("contactId", RefusalCode::Required, "give either contactId or phone").into()),
        (Some(_), Some(_)) => {
            Err(Refusal::new("phone", RefusalCode::Invalid, "contactId and phone exclude each other").into())
        }
    }
}

fn absent(error: CommandError, field: &str) -> CommandError {
    error::about(error, RefusalCode::NotFound, field)
}

fn unreadable(error: CommandError, field: &str) -> CommandError {
    error::about(error, RefusalCode::Unreadable, field)
}

async fn payload(
    state: &GraphqlState,
    caller: Caller,
    done: Result<CommandEffect<SubjectId>, CommandError>,
) -> Result<ContactPayload> {
    let MutationOutcome { row, position, errors } = state.changed::<ContactRow, _>(caller, done).await?;
    Ok(ContactPayload { contact: row.map(ContactObject), position, errors })
}
