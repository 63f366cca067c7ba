//! Groups of contacts.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use wasend_commands::{Caller, Code, CommandError, Done, Refusal};
use wasend_domain::account::Scope;
use wasend_domain::{GroupId, SubjectId};
use wasend_projections::Cell;
use wasend_projections::contacts::GroupRow;
use wasend_projections::list::Filter;

use super::account::label;
use super::erasure::{Erasure, Unavailability};
use super::error::{self, UserError, outcome};
use super::page::{Connection, Ordered, Window, connect, cost};
use super::scalar::{DateTime, Position};
use super::state::{Changed, State};
use crate::auth::require;

pub struct Group(pub GroupRow);

/// A group of contacts. Its members are listed by `contacts(filter: {groupId})`.
#[Object]
impl Group {
    async fn id(&self) -> ID {
        self.0.id.as_str().into()
    }

    /// Needs the scope READ.
    #[graphql(guard = "require(Scope::Read)")]
    async fn name(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(label(ctx, &self.0.name).await?.value)
    }

    /// Set once the name is erased.
    async fn erased(&self, ctx: &Context<'_>) -> Result<Option<Erasure>> {
        Ok(label(ctx, &self.0.name).await?.erased)
    }

    /// Set while the name cannot be read.
    async fn unavailable(&self, ctx: &Context<'_>) -> Result<Option<Unavailability>> {
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

impl Ordered for GroupRow {
    const LIST: &'static str = "groups";
    const COLUMN: &'static str = "id";

    fn key(&self) -> Cell {
        Cell::from(self.id.as_str())
    }
}

#[derive(Default)]
pub struct GroupQuery;

#[Object]
impl GroupQuery {
    /// The account's groups, oldest first.
    #[graphql(guard = "require(Scope::Read)", complexity = "cost(first, last, child_complexity)")]
    async fn groups(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<Position>,
    ) -> Result<Connection<Group>> {
        let (state, actor) = State::read(ctx, min_position).await?;
        let filter = Filter::of_account(&actor.account_id.to_string());
        connect::<GroupRow, _, _, _>(state, filter, &Window::new(first, after, last, before), Group).await
    }

    #[graphql(guard = "require(Scope::Read)")]
    async fn group(&self, ctx: &Context<'_>, id: ID, min_position: Option<Position>) -> Result<Option<Group>> {
        let (state, actor) = State::read(ctx, min_position).await?;
        let Ok(id) = id.parse::<GroupId>() else { return Ok(None) };
        Ok(state.loaders.row(actor.account_id, &id.to_string()).await?.map(Group))
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
    group: Option<Group>,
    position: Option<Position>,
    errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct DeleteGroupPayload {
    /// Of the group that was deleted.
    id: Option<ID>,
    position: Option<Position>,
    errors: Vec<UserError>,
}

#[derive(Default)]
pub struct GroupMutation;

#[Object]
impl GroupMutation {
    #[graphql(guard = "require(Scope::Send)")]
    async fn create_group(&self, ctx: &Context<'_>, input: CreateGroupInput) -> Result<GroupPayload> {
        let (state, caller) = State::write(ctx)?;
        payload(state, caller, state.commands.create_group(caller, &input.name).await).await
    }

    #[graphql(guard = "require(Scope::Send)")]
    async fn rename_group(&self, ctx: &Context<'_>, input: RenameGroupInput) -> Result<GroupPayload> {
        let (state, caller) = State::write(ctx)?;
        let done = match error::id("id", "group", &input.id) {
            Ok(id) => state.commands.rename_group(caller, id, &input.name).await,
            Err(error) => Err(error),
        };
        payload(state, caller, done).await
    }

    /// The contacts that belong to it stay.
    #[graphql(guard = "require(Scope::Send)")]
    async fn delete_group(&self, ctx: &Context<'_>, input: DeleteGroupInput) -> Result<DeleteGroupPayload> {
        let (state, caller) = State::write(ctx)?;
        let done = match error::id("id", "group", &input.id) {
            Ok(id) => state.commands.delete_group(caller, id).await,
            Err(error) => Err(error),
        };
        let done = match outcome(done)? {
            Ok(done) => done,
            Err(errors) => return Ok(DeleteGroupPayload { id: None, position: None, errors }),
        };
        state.settle(done.position).await;
        let (id, position) = (done.value.to_string().into(), Position(done.position));
        Ok(DeleteGroupPayload { id: Some(id), position: Some(position), errors: vec![] })
    }

    #[graphql(guard = "require(Scope::Send)")]
    async fn add_to_group(&self, ctx: &Context<'_>, input: AddToGroupInput) -> Result<GroupPayload> {
        change_members(ctx, &input.group_id, &input.contact_ids, true).await
    }

    #[graphql(guard = "require(Scope::Send)")]
    async fn remove_from_group(&self, ctx: &Context<'_>, input: RemoveFromGroupInput) -> Result<GroupPayload> {
        change_members(ctx, &input.group_id, &input.contact_ids, false).await
    }
}

async fn change_members(ctx: &Context<'_>, group: &ID, contacts: &[ID], join: bool) -> Result<GroupPayload> {
    let (state, caller) = State::write(ctx)?;
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
        return Err(Refusal::new("contactIds", Code::TooMany, text).into());
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

async fn payload(state: &State, caller: Caller, done: Result<Done<GroupId>, CommandError>) -> Result<GroupPayload> {
    let Changed { row, position, errors } = state.changed::<GroupRow, _>(caller, done).await?;
    Ok(GroupPayload { group: row.map(Group), position, errors })
}
