//! Making contacts known and changing them.

use std::collections::BTreeMap;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use wasend_commands::contact::ContactInput;
use wasend_commands::{Caller, CommandEffect, CommandError, Refusal, RefusalCode};
use wasend_domain::account::KeyScope;
use wasend_domain::contact::{self, ConsentChannel};
use wasend_domain::phone::{Bsuid, PhoneNumber};
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

/// What an opt-out is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contact::ConsentScope")]
enum ConsentScope {
    /// Every message.
    All,
    /// Marketing: templates of the category MARKETING.
    Marketing,
}

/// The contact by its id, or by its phone number in international form or its BSUID. The opt-out of a person whom the
/// account does not know is kept as well.
#[derive(InputObject)]
struct OptOutInput {
    contact_id: Option<ID>,
    phone: Option<String>,
    bsuid: Option<String>,
    #[graphql(default_with = "ConsentScope::All")]
    scope: ConsentScope,
}

/// The contact by its id, or by its phone number in international form or its BSUID.
#[derive(InputObject)]
struct OptInInput {
    contact_id: Option<ID>,
    phone: Option<String>,
    bsuid: Option<String>,
    /// `ALL` lets marketing through again as well.
    #[graphql(default_with = "ConsentScope::All")]
    scope: ConsentScope,
}

/// Two contacts that are one person.
#[derive(InputObject)]
struct MergeContactsInput {
    /// The contact that goes on as the person.
    into: ID,
    /// The contact that is merged into it.
    from: ID,
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

    /// No further message to the contact is accepted, or no further marketing, and none that waits is sent. Of a person
    /// unknown to the account the answer has neither a contact nor errors, and messages to them are refused.
    #[graphql(guard = "require(KeyScope::Send)")]
    async fn opt_out(&self, ctx: &Context<'_>, input: OptOutInput) -> Result<ContactPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let scope = input.scope.into();
        let done = match named(state, caller, input.contact_id, input.phone, input.bsuid).await {
            Ok(NamedContact::Known(id, field)) => {
                let done = state.commands.opt_out(caller, id, scope, ConsentChannel::Api).await;
                done.map_err(|error| absent(error, field))
            }
            Ok(NamedContact::Unknown(identity, _)) => {
                let now = state.commands.clock.now();
                match state.commands.opt_out_unknown(caller, &[identity], scope, now).await {
                    Ok(()) => return Ok(ContactPayload { contact: None, position: None, errors: vec![] }),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        payload(state, caller, done).await
    }

    /// Messages to the contact are accepted again.
    #[graphql(guard = "require(KeyScope::Send)")]
    async fn opt_in(&self, ctx: &Context<'_>, input: OptInInput) -> Result<ContactPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let scope = input.scope.into();
        let done = match named(state, caller, input.contact_id, input.phone, input.bsuid).await {
            Ok(NamedContact::Known(id, field)) => {
                let done = state.commands.opt_in(caller, id, scope, ConsentChannel::Api).await;
                done.map_err(|error| absent(error, field))
            }
            Ok(NamedContact::Unknown(_, field)) => Err(Refusal::not_found(field, "contact").into()),
            Err(error) => Err(error),
        };
        payload(state, caller, done).await
    }

    /// Two contacts are one person: `into` goes on, the id of `from` leads to it, and messages, groups and identities are
    /// those of both. The stricter consent wins; `into` keeps its name and attributes, and takes over what it has none of.
    /// It cannot be undone.
    #[graphql(guard = "require(KeyScope::Send)")]
    async fn merge_contacts(&self, ctx: &Context<'_>, input: MergeContactsInput) -> Result<ContactPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let ids = error::id("into", "contact", &input.into)
            .and_then(|into| Ok((into, error::id("from", "contact", &input.from)?)));
        let done = match ids {
            Ok((into, from)) => state.commands.merge_contacts(caller, into, from).await,
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

/// The contact that an input names, and by which of its fields.
enum NamedContact {
    Known(SubjectId, &'static str),
    /// The account knows no person of this identity.
    Unknown(PersonIdentity, &'static str),
}

async fn named(
    state: &GraphqlState,
    caller: Caller,
    id: Option<ID>,
    phone: Option<String>,
    bsuid: Option<String>,
) -> Result<NamedContact, CommandError> {
    let (identity, field) = match (id, phone, bsuid) {
        (Some(id), None, None) => {
            return Ok(NamedContact::Known(error::id("contactId", "contact", &id)?, "contactId"));
        }
        (None, Some(phone), None) => {
            let phone = PhoneNumber::parse(&phone);
            let phone = phone.map_err(|error| Refusal::new("phone", RefusalCode::InvalidPhone, error))?;
            (PersonIdentity::phone(phone.as_str()), "phone")
        }
        (None, None, Some(bsuid)) => {
            let bsuid = bsuid.parse::<Bsuid>();
            let bsuid = bsuid.map_err(|error| Refusal::new("bsuid", RefusalCode::Invalid, error))?;
            (PersonIdentity::bsuid(bsuid.as_str()), "bsuid")
        }
        (None, None, None) => {
            let message = "give contactId, phone or bsuid";
            return Err(Refusal::new("contactId", RefusalCode::Required, message).into());
        }
        _ => {
            let message = "contactId, phone and bsuid exclude each other";
            return Err(Refusal::new("phone", RefusalCode::Invalid, message).into());
        }
    };
    Ok(match state.vault.find(caller.account_id, &identity).await? {
        Some(subject) => NamedContact::Known(subject, field),
        None => NamedContact::Unknown(identity, field),
    })
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
