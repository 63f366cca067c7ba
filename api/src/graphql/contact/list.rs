//! Finding and listing contacts.

use async_graphql::{Context, ID, InputObject, Object, Result};
use wasend_domain::account::KeyScope;
use wasend_domain::{AccountId, GroupId, SubjectId};
use wasend_projections::CellValue;
use wasend_projections::contacts::{ContactRow, GroupRow};
use wasend_projections::pagination::RowFilter;

use super::ContactObject;
use crate::auth::require;
use crate::graphql::error::{invalid, unavailable};
use crate::graphql::filter::{contact_of, updated_after};
use crate::graphql::page::{OrderedRow, PageArguments, PageConnection, connect, cost};
use crate::graphql::scalar::PositionScalar;
use crate::graphql::state::GraphqlState;

impl OrderedRow for ContactRow {
    const LIST: &'static str = "contacts";
    const COLUMN: &'static str = "listed";

    fn key(&self) -> CellValue {
        CellValue::from(self.listed())
    }
}

/// What is given must all hold.
#[derive(Default, InputObject)]
struct ContactFilter {
    /// In international form; the whole number.
    phone: Option<String>,
    bsuid: Option<String>,
    group_id: Option<ID>,
    opted_out: Option<bool>,
    /// Anything about the contact happened after this position.
    updated_after: Option<PositionScalar>,
}

/// Queries of contacts.
#[derive(Default)]
pub struct ContactQuery;

#[Object]
impl ContactQuery {
    /// The account's contacts, oldest first.
    #[graphql(guard = "require(KeyScope::Read)", complexity = "cost(first, last, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "one for each argument of the GraphQL field")]
    async fn contacts(
        &self,
        ctx: &Context<'_>,
        filter: Option<ContactFilter>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<PositionScalar>,
    ) -> Result<PageConnection<ContactObject>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let (filter, window) = (filter.unwrap_or_default(), PageArguments::new(first, after, last, before));
        let ids = filter.persons(state, actor.account_id).await?;
        let mut rows = RowFilter::of_account(&actor.account_id.to_string());
        if let Some(group) = filter.group_id {
            rows = members(state, actor.account_id, rows, &group).await?;
        }
        let rows = rows.and_if("opted_out", "=", filter.opted_out.map(i64::from)).one_of("id", ids);
        let rows = updated_after(rows, state, "contact", filter.updated_after)?;
        connect(state, rows, &window, ContactObject).await
    }

    /// By its id, or by its phone number in international form. The id of a contact that was merged gives the contact that
    /// goes on as the person.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn contact(
        &self,
        ctx: &Context<'_>,
        id: Option<ID>,
        phone: Option<String>,
        min_position: Option<PositionScalar>,
    ) -> Result<Option<ContactObject>> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let id = match (id, phone) {
            (Some(id), None) => id.parse::<SubjectId>().ok().map(|id| id.to_string()),
            (None, Some(phone)) => contact_of(state, actor.account_id, &phone).await?.map(|id| id.to_string()),
            _ => return Err(invalid("give either id or phone")),
        };
        let Some(id) = id else { return Ok(None) };
        Ok(state.loaders.contact(actor.account_id, &id).await?.map(ContactObject))
    }
}

/// Narrows the list to the contacts of the account's group; to none where there is no such group.
async fn members(state: &GraphqlState, account: AccountId, list: RowFilter, group: &ID) -> Result<RowFilter> {
    // Who belonged to a group that was deleted still has the membership.
    let group = match group.parse::<GroupId>() {
        Ok(id) => state.loaders.row::<GroupRow>(account, &id.to_string()).await?,
        Err(_) => None,
    };
    let group = group.map_or_else(String::new, |group| group.id);
    ContactRow::in_group(&state.reads, list, &group).map_err(unavailable)
}

impl ContactFilter {
    /// The only contacts that may be listed, if the filter names persons.
    async fn persons(&self, state: &GraphqlState, account: AccountId) -> Result<Option<Vec<String>>> {
        let mut ids: Option<Vec<String>> = None;
        for address in [&self.phone, &self.bsuid].into_iter().flatten() {
            let found = contact_of(state, account, address).await?.map(|id| id.to_string());
            let known = ids.as_ref().is_none_or(|ids| found.as_ref().is_some_and(|id| ids.contains(id)));
            ids = Some(found.filter(|_| known).into_iter().collect());
        }
        Ok(ids)
    }
}
