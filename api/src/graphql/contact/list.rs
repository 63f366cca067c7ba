//! Finding and listing contacts.

use async_graphql::{Context, ID, InputObject, Object, Result};
use futures::FutureExt;
use wasend_domain::account::KeyScope;
use wasend_domain::{AccountId, GroupId, SubjectId};
use wasend_projections::CellValue;
use wasend_projections::contacts::{ContactRow, GroupRow, MembershipRow};
use wasend_projections::pagination::{PageRequest, RowFilter, RowPage};

use super::ContactObject;
use crate::auth::require;
use crate::graphql::error::{invalid, unavailable};
use crate::graphql::filter::{contact_of, updated_after};
use crate::graphql::page::{OrderedRow, PageArguments, PageConnection, TotalCount, connect, connection, cost};
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
    /// Anything about the contact happened after this position. Not together with `groupId`.
    updated_after: Option<PositionScalar>,
}

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
        if filter.group_id.is_some() && filter.updated_after.is_some() {
            return Err(invalid("updatedAfter and groupId exclude each other"));
        }
        if let Some(group) = filter.group_id {
            return GroupMembers::of(state, actor.account_id, &group, ids, filter.opted_out)
                .await?
                .page(state, &window)
                .await;
        }
        let rows = RowFilter::of_account(&actor.account_id.to_string()).one_of("id", ids);
        let rows = rows.and_if("opted_out", "=", filter.opted_out.map(i64::from));
        let rows = updated_after(rows, state, "contact", filter.updated_after)?;
        connect(state, rows, &window, ContactObject).await
    }

    /// By its id, or by its phone number in international form.
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
            (None, Some(phone)) => contact_of(state, actor.account_id, &phone).await?,
            _ => return Err(invalid("give either id or phone")),
        };
        let Some(id) = id else { return Ok(None) };
        Ok(state.loaders.row(actor.account_id, &id).await?.map(ContactObject))
    }
}

impl ContactFilter {
    /// The only contacts that may be listed, if the filter names persons.
    async fn persons(&self, state: &GraphqlState, account: AccountId) -> Result<Option<Vec<String>>> {
        let mut ids: Option<Vec<String>> = None;
        for address in [&self.phone, &self.bsuid].into_iter().flatten() {
            let found = contact_of(state, account, address).await?;
            let known = ids.as_ref().is_none_or(|ids| found.as_ref().is_some_and(|id| ids.contains(id)));
            ids = Some(found.filter(|_| known).into_iter().collect());
        }
        Ok(ids)
    }
}

/// The contacts of one group: a join, which the lists of the read models do not know.
#[derive(Clone)]
struct GroupMembers {
    account: String,
    conditions: Vec<String>,
    binds: Vec<CellValue>,
}

impl GroupMembers {
    async fn of(
        state: &GraphqlState,
        account: AccountId,
        group: &ID,
        ids: Option<Vec<String>>,
        opted_out: Option<bool>,
    ) -> Result<Self> {
        // Who belonged to a group that was deleted still has the membership.
        let group = match group.parse::<GroupId>() {
            Ok(id) => state.loaders.row::<GroupRow>(account, &id.to_string()).await?,
            Err(_) => None,
        };
        let mut members = Self { account: account.to_string(), conditions: vec![], binds: vec![] };
        let account = members.bind(CellValue::text(&account));
        let group = members.bind(CellValue::from(group.map_or_else(String::new, |group| group.id)));
        let memberships = state.reads.physical::<MembershipRow>().map_err(unavailable)?;
        let of_group = format!("id IN (SELECT contact_id FROM {memberships} WHERE group_id = {group})");
        members.conditions.extend([format!("account_id = {account}"), of_group]);
        if let Some(opted_out) = opted_out {
            let opted_out = members.bind(i64::from(opted_out).into());
            members.conditions.push(format!("opted_out = {opted_out}"));
        }
        if let Some(ids) = ids {
            let places: Vec<_> = ids.into_iter().map(|id| members.bind(id.into())).collect();
            let places = if places.is_empty() { "NULL".to_owned() } else { places.join(", ") };
            members.conditions.push(format!("id IN ({places})"));
        }
        Ok(members)
    }

    fn bind(&mut self, value: CellValue) -> String {
        self.binds.push(value);
        format!("${}", self.binds.len())
    }

    fn tail(&self) -> String {
        format!("WHERE {}", self.conditions.join(" AND "))
    }

    async fn page(self, state: &GraphqlState, window: &PageArguments) -> Result<PageConnection<ContactObject>> {
        let PageRequest { column, after, before, limit, from_end, .. } = window.page::<ContactRow>()?;
        let (has_after, has_before) = (after.is_some(), before.is_some());
        let mut cut = self.clone();
        for (operator, cursor) in [(">", after), ("<", before)] {
            if let Some(cursor) = cursor {
                let place = cut.bind(cursor);
                cut.conditions.push(format!("{column} {operator} {place}"));
            }
        }
        let order = if from_end { "DESC" } else { "ASC" };
        let tail = format!("{} ORDER BY {column} {order} LIMIT {}", cut.tail(), limit + 1);
        let turn = state.reads.query_permit(&self.account).await;
        let mut rows = state.reads.fetch::<ContactRow>(&tail, &cut.binds).await.map_err(unavailable)?;
        drop(turn);
        let more = rows.len() > limit;
        rows.truncate(limit);
        if from_end {
            rows.reverse();
        }
        let (has_next, has_previous) = if from_end { (has_before, more) } else { (more, has_after) };
        let total = TotalCount::new(move |reads| {
            let members = self.clone();
            async move {
                let _turn = reads.query_permit(&members.account).await;
                reads.count::<ContactRow>(&members.tail(), &members.binds).await
            }
            .boxed()
        });
        Ok(connection(RowPage { rows, has_next, has_previous }, total, ContactObject))
    }
}
