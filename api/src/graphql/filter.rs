//! Arguments by which lists are filtered.

use async_graphql::{ID, Result};
use wasend_domain::phone::Recipient;
use wasend_domain::{AccountId, Id, Position};
use wasend_projections::list::Filter;
use wasend_vault::Identity;

use super::error::{invalid, unavailable};
use super::state::State;
use crate::problem::Code;

/// Lets rows through that refer to the id; an id of nothing lets none through, and so does what is no id.
pub fn by_id<K>(filter: Filter, column: &'static str, id: Option<&ID>) -> Filter {
    match id.map(|text| text.parse::<Id<K>>()) {
        None => filter,
        Some(Ok(id)) => filter.and(column, "=", id.to_string()),
        Some(Err(_)) => filter.one_of(column, Some(vec![])),
    }
}

/// Lets rows through that hold the text.
pub fn by_text(filter: Filter, column: &'static str, text: Option<&str>) -> Result<Filter> {
    match text {
        // Postgres cannot compare it with anything.
        Some(text) if text.contains('\0') => Err(invalid("a text of the filter contains a NUL character")),
        text => Ok(filter.and_if(column, "=", text)),
    }
}

/// A position as the databases hold it.
pub fn stored(position: Position) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// The contact that has a phone number or BSUID.
pub async fn contact_of(state: &State, account: AccountId, address: &str) -> Result<Option<String>> {
    let identity = match Recipient::parse(address) {
        Ok(Recipient::Phone(phone)) => Identity::phone(phone.as_str()),
        Ok(Recipient::Bsuid(bsuid)) => Identity::bsuid(bsuid.as_str()),
        Err(error) => return Err(Code::InvalidPhone.graphql(error.to_string())),
    };
    let found = state.vault.find(account, &identity).await.map_err(unavailable)?;
    Ok(found.map(|subject| subject.to_string()))
}
