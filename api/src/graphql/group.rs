//! Groups of contacts.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use wasend_commands::{Caller, CommandEffect, CommandError, Refusal, RefusalCode};
use wasend_domain::account::KeyScope;
use wasend_domain::{GroupId, SubjectId};
use wasend_projections::CellValue;
use wasend_projections::contacts::GroupRow;
use wasend_projections::pagination::RowFilter;

use super::account::label;
use super::erasure::{ErasureObject, UnavailabilityObject};
use super::error::{self, UserError, outcome};
use super::page::{OrderedRow, PageArguments, PageConnection, connect, cost};
use super::scalar::{DateTime, PositionScalar};
use super::state::{GraphqlState, MutationOutcome};
use crate::auth::require;

/// GraphQL `Group` over its row.
pub struct GroupObject(pub GroupRow);

/// A group of contacts. Its members are listed by `contacts(filter: {groupId})`.
#[Object(name = "Group")]
impl GroupObject {
    async fn id(&self) -> ID {
        self.0.id.as_str().into()
    }

    /// Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn name(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(label(ctx, &self.0.name).await?.value)
    }

    /// Set once the name is erased.
    async fn erased(&self, ctx: &Context<'_>) -> Result<Option<ErasureObject>> {
        Ok(label(ctx, &self.0.name).await?.erased)
    }

    /// Set while the name cannot be read.
    async fn unavailable(&self, ctx: &Context<'_>) -> Result<Option<UnavailabilityObject>> {
        Ok(label(ctx, &self.0.name).await?.unavailable)
    }

    /// How many contacts belong to it.
    async fn member_count(&self) -> i64 {
        self.0.members
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

impl OrderedRow for GroupRow {
    const LIST: &'static str = "groups";
    const COLUMN: &'static str = "id";

    fn key(&self) -> CellValue {
        CellValue::from(self.id.as_str())
    }
}

/// Queries of groups.
#[derive(Default)]
pub struct GroupQuery;

#[Object]
impl GroupQuery {
    /// The account's groups, oldest first.
    #[graphql(guard = "require(KeyScope::Read)", complexity = "cost(first, last, child_complexity)")]
    async fn groups(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<PositionScalar>,
    ) -> Result<PageConnection<GroupObject>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let filter = RowFilter::of_account(&actor.account_id.to_string());
        connect::<GroupRow, _, _, _>(state, filter, &PageArguments::new(first, after, last, before), GroupObject).await
    }

    #[graphql(guard = "require(KeyScope::Read)")]
    async fn group(
        &self,
        ctx: &Context<'_>,
        id: ID,
        min_position: Option<PositionScalar>,
    ) -> Result<Option<GroupObject>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let Ok(id) = id.parse::<GroupId>() else { return Ok(None) };
        Ok(state.loaders.row(actor.account_id, &id.to_string()).await?.map(GroupObject))
    }
}

#[derive(InputObject)]
struct CreateGroupInput {
    /// At most 200 characters.
    name: String,
}

#[derive(InputObject)]
struct RenameGroupInput {
    id: ID,
    name: String,
}

#[derive(InputObject)]
struct DeleteGroupInput {
    id: ID,
}

#[derive(InputObject)]
struct AddToGroupInput {
    group_id: ID,
    /// At most 1,000. All must exist, or none joins; those that belong to it already stay.
    contact_ids: Vec<ID>,
}

#[derive(InputObject)]
struct RemoveFromGroupInput {
    group_id: ID,
    /// At most 1,000.
    contact_ids: Vec<ID>,
}

#[derive(SimpleObject)]
struct GroupPayload {
    group: Option<GroupObject>,
    position: Option<PositionScalar>,
    errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct DeleteGroupPayload {
    /// Of the group that was deleted.
    id: Option<ID>,
    position: Option<PositionScalar>,
    errors: Vec<UserError>,
}

/// Mutations of groups and of who is in them.
#[derive(Default)]
pub struct GroupMutation;

#[Object]
impl GroupMutation {
    #[graphql(guard = "require(KeyScope::Send)")]
    async fn create_group(&self, ctx: &Context<'_>, input: CreateGroupInput) -> Result<GroupPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        payload(state, caller, state.commands.create_group(caller, &input.name).await).await
    }

    #[graphql(guard = "require(KeyScope::Send)")]
    async fn rename_group(&self, ctx: &Context<'_>, input: RenameGroupInput) -> Result<GroupPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let done = match error::id("id", "group", &input.id) {
            Ok(id) => state.commands.rename_group(caller, id, &input.name).await,
            Err(error) => Err(error),
        };
        payload(state, caller, done).await
    }

    /// The contacts that belong to it stay.
    #[graphql(guard = "require(KeyScope::Send)")]
    async fn delete_group(&self, ctx: &Context<'_>, input: DeleteGroupInput) -> Result<DeleteGroupPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let done = match error::id("id", "group", &input.id) {
            Ok(id) => state.commands.delete_group(caller, id).await,
            Err(error) => Err(error),
        };
        let done = match outcome(done)? {
            Ok(done) => done,
            Err(errors) => return Ok(DeleteGroupPayload { id: None, position: None, errors }),
        };
        state.wait_for_effect(done.position).await;
        let (id, position) = (done.value.to_string().into(), PositionScalar(done.position));
        Ok(DeleteGroupPayload { id: Some(id), position: Some(position), errors: vec![] })
    }

    #[graphql(guard = "require(KeyScope::Send)")]
    async fn add_to_group(&self, ctx: &Context<'_>, input: AddToGroupInput) -> Result<GroupPayload> {
        change_members(ctx, &input.group_id, &input.contact_ids, true).await
    }

    #[graphql(guard = "require(KeyScope::Send)")]
    async fn remove_from_group(&self, ctx: &Context<'_>, input: RemoveFromGroupInput) -> Result<GroupPayload> {
        change_members(ctx, &input.group_id, &input.contact_ids, false).await
    }
}

async fn change_members(ctx: &Context<'_>, group: &ID, contacts: &[ID], join: bool) -> Result<GroupPayload> {
    let (state, caller) = GraphqlState::begin_mutation(ctx)?;
    let members = error::id("groupId", "group", group).and_then(|group| Ok((group, members(contacts)?)));
    let done = match members {
        Ok((group, contacts)) => state.commands.change_members(caller, group, &contacts, join).await,
        Err(error) => Err(error),
    };
    payload(state, caller, done).await
}

fn members(contacts: &[ID]) -> Result<Vec<SubjectId>, CommandError> {
    // A list that is too long is told so before each of its items is.
    if contacts.len() > wasend_commands::group::MEMBERS_MAX {
        let text = format!("at most {} contacts at once", wasend_commands::group::MEMBERS_MAX);
        return Err(Refusal::new("contactIds", RefusalCode::TooMany, text).into());
    }
    let (mut known, mut refusals) = (Vec::with_capacity(contacts.len()), Vec::new());
    for (index, contact) in contacts.iter().enumerate() {
        match contact.parse() {
            Ok(id) => known.push(id),
            Err(_) => refusals.push(Refusal::not_found(&format!("contactIds.{index}"), "contact")),
        }
    }
    if refusals.is_empty() { Ok(known) } else { Err(CommandError::Refused(refusals)) }
}

async fn payload(
    state: &GraphqlState,
    caller: Caller,
    done: Result<CommandEffect<GroupId>, CommandError>,
) -> Result<GroupPayload> {
    let MutationOutcome { row, position, errors } = state.changed::<GroupRow, _>(caller, done).await?;
    Ok(GroupPayload { group: row.map(GroupObject), position, errors })
}
