//! Arguments by which lists are filtered.

use async_graphql::{ID, Result};
use wasend_domain::phone::MessageRecipient;
use wasend_domain::{AccountId, Id, SubjectId};
use wasend_projections::audit::AuditRow;
use wasend_projections::contacts::MergedContactRow;
use wasend_projections::pagination::RowFilter;
use wasend_vault::PersonIdentity;

use super::error::{invalid, unavailable};
use super::scalar::PositionScalar;
use super::state::GraphqlState;
use crate::problem::ProblemCode;

/// Lets rows through that refer to the id; an id of nothing lets none through, and so does what is no id.
pub fn by_id<K>(filter: RowFilter, column: &'static str, id: Option<&ID>) -> RowFilter {
    match id.map(|text| text.parse::<Id<K>>()) {
        None => filter,
        Some(Ok(id)) => filter.and(column, "=", id.to_string()),
        Some(Err(_)) => filter.one_of(column, Some(vec![])),
    }
}

/// Lets rows through that hold the text.
pub fn by_text(filter: RowFilter, column: &'static str, text: Option<&str>) -> Result<RowFilter> {
    match text {
        // Postgres cannot compare it with anything.
        Some(text) if text.contains('\0') => Err(invalid("a text of the filter contains a NUL character")),
        text => Ok(filter.and_if(column, "=", text)),
    }
}

/// Lets rows through about which something happened after a position.
pub fn updated_after(
    filter: RowFilter,
    state: &GraphqlState,
    aggregate_type: &'static str,
    position: Option<PositionScalar>,
) -> Result<RowFilter> {
    let Some(PositionScalar(position)) = position else { return Ok(filter) };
    AuditRow::narrow_to_changed(&state.reads, filter, aggregate_type, position).map_err(unavailable)
}

/// Every id that the contact's messages may carry: its own, and those of contacts that were merged into it. The id may be
/// that of a merged contact itself.
pub async fn contact_ids(state: &GraphqlState, account: AccountId, contact: Option<SubjectId>) -> Result<Vec<String>> {
    let Some(id) = contact.map(|id| id.to_string()) else { return Ok(vec![]) };
    let id = state.loaders.row::<MergedContactRow>(account, &id).await?.map_or(id, |merged| merged.into_id);
    let mut ids = MergedContactRow::into_contact(&state.reads, &id).await.map_err(unavailable)?;
    ids.push(id);
    Ok(ids)
}

/// The contact that has a phone number or BSUID.
pub async fn contact_of(state: &GraphqlState, account: AccountId, address: &str) -> Result<Option<SubjectId>> {
    let identity = match MessageRecipient::parse(address) {
        Ok(MessageRecipient::Phone(phone)) => PersonIdentity::phone(phone.as_str()),
        Ok(MessageRecipient::Bsuid(bsuid)) => PersonIdentity::bsuid(bsuid.as_str()),
        Err(error) => return Err(ProblemCode::InvalidPhone.graphql(error.to_string())),
    };
    state.vault.find(account, &identity).await.map_err(unavailable)
}
