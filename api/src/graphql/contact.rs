//! Contacts.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use wasend_domain::account::KeyScope;
use wasend_domain::contact;
use wasend_domain::content::ContactAttributes;
use wasend_domain::{Opened, Personal};
use wasend_projections::contacts::{ContactRow, MergedContactRow};
use wasend_vault::Person;

use super::erasure::{ErasureObject, UnavailabilityObject, shown};
use super::error::unavailable;
use super::group::GroupObject;
use super::page::times;
use super::scalar::DateTime;
use super::state::GraphqlState;
use crate::auth::{ContextExt, require};

mod change;
mod list;

pub use change::ContactMutation;
pub use list::ContactQuery;

/// GraphQL `Contact` over its row; personal fields are opened when they are asked for.
pub struct ContactObject(pub ContactRow);

/// How a contact became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contact::ContactOrigin")]
enum ContactSource {
    /// Created over the API.
    Api,
    /// A message was sent to it.
    Message,
    /// It wrote to the account.
    Inbound,
    /// Imported.
    Import,
}

/// The channel through which a contact opted out or in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contact::ConsentChannel")]
enum ConsentVia {
    /// Over the API.
    Api,
    /// Meta said so.
    Meta,
    /// A keyword in a message of the contact's.
    Keyword,
    /// The number was on the list of those that had opted out before they were erased, or while they were unknown.
    Suppression,
    /// A contact that was merged into it had opted out.
    Merge,
}

/// One custom attribute of a contact.
#[derive(SimpleObject)]
#[graphql(name = "Attribute")]
struct ContactAttribute {
    name: String,
    value: String,
}

/// A person that the account writes to, or that wrote to it.
#[Object(name = "Contact")]
impl ContactObject {
    async fn id(&self) -> ID {
        self.0.id.as_str().into()
    }

    /// In E.164, such as `+16505551234`. Null if only the BSUID is known, or if it is erased. Needs the
    /// scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn phone(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let person = shown(self.person(ctx).await?).value;
        Ok(person.and_then(|person| person.phone().map(str::to_owned)))
    }

    /// Meta's business-scoped user id. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn bsuid(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let person = shown(self.person(ctx).await?).value;
        Ok(person.and_then(|person| person.bsuid().map(str::to_owned)))
    }

    /// Every number by which the contact is found, the newest last. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn phones(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        Ok(shown(self.person(ctx).await?).value.map(|person| person.phones).unwrap_or_default())
    }

    /// Every BSUID by which the contact is found, also of parent portfolios, the newest last. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn bsuids(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        Ok(shown(self.person(ctx).await?).value.map(|person| person.bsuids).unwrap_or_default())
    }

    /// The name that the person gave themselves in WhatsApp. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn profile_name(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(shown(self.person(ctx).await?).value.and_then(|person| person.profile_name))
    }

    /// The person's user name in WhatsApp. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn username(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(shown(self.person(ctx).await?).value.and_then(|person| person.username))
    }

    /// The ids of contacts that turned out to be the same person and were merged into this one. Each still leads here.
    #[graphql(complexity = 10)]
    async fn merged_ids(&self, ctx: &Context<'_>) -> Result<Vec<ID>> {
        let ids = MergedContactRow::into_contact(&GraphqlState::of(ctx).reads, &self.0.id).await;
        Ok(ids.map_err(unavailable)?.into_iter().map(ID).collect())
    }

    /// The account's own name for the contact. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn name(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(shown(self.person(ctx).await?).value.and_then(|person| person.name))
    }

    /// By name. Null once they are erased. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn attributes(&self, ctx: &Context<'_>) -> Result<Option<Vec<ContactAttribute>>> {
        let attributes = shown(self.attributes_opened(ctx).await?).value;
        let attribute = |(name, value)| ContactAttribute { name, value };
        Ok(attributes.map(|ContactAttributes(attributes)| attributes.into_iter().map(attribute).collect()))
    }

    /// Set once personal data of the contact's is erased: the fields that held it are null.
    async fn erased(&self, ctx: &Context<'_>) -> Result<Option<ErasureObject>> {
        match shown(self.person(ctx).await?).erased {
            Some(erased) => Ok(Some(erased)),
            None => Ok(shown(self.attributes_opened(ctx).await?).erased),
        }
    }

    /// Set while personal data of the contact's cannot be read although it was not erased: the fields that held it are
    /// null, and the contact can be erased.
    async fn unavailable(&self, ctx: &Context<'_>) -> Result<Option<UnavailabilityObject>> {
        match shown(self.person(ctx).await?).unavailable {
            Some(unavailable) => Ok(Some(unavailable)),
            None => Ok(shown(self.attributes_opened(ctx).await?).unavailable),
        }
    }

    async fn source(&self) -> Option<ContactSource> {
        use contact::ContactOrigin::{Api, Import, Inbound, Message};
        [Api, Import, Inbound, Message].into_iter().find(|source| source.name() == self.0.source).map(Into::into)
    }

    /// No message to it is accepted.
    async fn opted_out(&self) -> bool {
        self.0.opted_out
    }

    /// No marketing to it is accepted: no template of the category MARKETING. Other messages are.
    async fn marketing_opted_out(&self) -> bool {
        self.0.opted_out || self.0.marketing_opted_out
    }

    async fn opted_out_at(&self) -> Option<DateTime> {
        self.0.choice_at.filter(|_| self.0.opted_out).map(DateTime)
    }

    async fn opted_out_via(&self) -> Option<ConsentVia> {
        self.via().filter(|_| self.0.opted_out)
    }

    /// When it last opted in again.
    async fn opted_in_at(&self) -> Option<DateTime> {
        self.0.choice_at.filter(|_| !self.0.opted_out).map(DateTime)
    }

    async fn opted_in_via(&self) -> Option<ConsentVia> {
        self.via().filter(|_| !self.0.opted_out)
    }

    /// Oldest first. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)", complexity = "times(10, child_complexity)")]
    async fn groups(&self, ctx: &Context<'_>) -> Result<Option<Vec<GroupObject>>> {
        let groups = GraphqlState::of(ctx).loaders.groups(ctx.actor()?.account_id, &self.0.id).await?;
        Ok(Some(groups.into_iter().map(GroupObject).collect()))
    }

    /// The refused requests for erasure that hold its personal data, oldest first: it is not erased until
    /// `liftErasureHold` has ended each.
    #[graphql(complexity = "times(10, child_complexity)")]
    async fn erasure_holds(&self, ctx: &Context<'_>) -> Result<Vec<ID>> {
        let holds = GraphqlState::of(ctx).loaders.holds(ctx.actor()?.account_id, &self.0.id).await?;
        Ok(holds.into_iter().map(ID).collect())
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

impl ContactObject {
    async fn person(&self, ctx: &Context<'_>) -> Result<Opened<Person>> {
        GraphqlState::of(ctx).loaders.person(ctx.actor()?.account_id, &self.0.id).await
    }

    async fn attributes_opened(&self, ctx: &Context<'_>) -> Result<Opened<ContactAttributes>> {
        match &self.0.attributes {
            Some(sealed) => GraphqlState::of(ctx).loaders.open(ctx.actor()?.account_id, sealed).await,
            None => Ok(Opened::Value(Personal::default())),
        }
    }

    fn via(&self) -> Option<ConsentVia> {
        use contact::ConsentChannel::{Api, Keyword, Merge, Meta, Suppression};
        let name = self.0.choice_via.as_deref()?;
        [Api, Keyword, Meta, Suppression, Merge].into_iter().find(|via| via.name() == name).map(Into::into)
    }
}
