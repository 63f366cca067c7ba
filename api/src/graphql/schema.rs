//! The schema: every field that there is, put together.

use std::sync::Arc;

use async_graphql::{MergedObject, MergedSubscription, SDLExportOptions};

use super::account::{AccountMutation, AccountQuery};
use super::audit::AuditQuery;
use super::contact::{ContactMutation, ContactQuery};
use super::group::{GroupMutation, GroupQuery};
use super::import::{ImportMutation, ImportPreviewMutation, ImportQuery, ImportSubscription};
use super::key::{KeyMutation, KeyQuery};
use super::message::{MessageMutation, MessageQuery};
use super::number::{NumberMutation, NumberQuery};
use super::privacy::{PrivacyMutation, PrivacyQuery};
use super::state::GraphqlState;
use super::subscription::MessageSubscription;
use super::usage::UsageQuery;
use crate::config::GraphqlConfig;

/// What can be read. A query that names a position waits until it shows what happened up to there.
#[derive(MergedObject, Default)]
#[graphql(name = "Query")]
pub struct QueryRoot(
    AccountQuery,
    KeyQuery,
    NumberQuery,
    ContactQuery,
    GroupQuery,
    MessageQuery,
    UsageQuery,
    AuditQuery,
    PrivacyQuery,
    ImportQuery,
);

/// What can be done. What is refused is told in `errors`, and nothing was written; `position` is that of what was
/// done, for queries and subscriptions that are to show it.
#[derive(MergedObject, Default)]
#[graphql(name = "Mutation")]
pub struct MutationRoot(
    KeyMutation,
    NumberMutation,
    AccountMutation,
    ContactMutation,
    GroupMutation,
    MessageMutation,
    ImportMutation,
    ImportPreviewMutation,
    PrivacyMutation,
);

/// What happens, as it happens.
#[derive(MergedSubscription, Default)]
#[graphql(name = "Subscriptions")]
pub struct SubscriptionRoot(MessageSubscription, ImportSubscription);

/// The server's schema, with its state as data.
pub type Schema = async_graphql::Schema<QueryRoot, MutationRoot, SubscriptionRoot>;

/// Directives on one field; there are two kinds of them, and neither can be repeated.
const MAX_DIRECTIVES: usize = 2;

/// The schema over its state.
pub fn build_schema(state: GraphqlState, limits: &GraphqlConfig) -> Schema {
    Schema::build(QueryRoot::default(), MutationRoot::default(), SubscriptionRoot::default())
        .data(Arc::new(state))
        .limit_depth(limits.max_depth)
        .limit_complexity(limits.max_complexity)
        .limit_directives(MAX_DIRECTIVES)
        .finish()
}

/// The schema in GraphQL's schema definition language, sorted, so that it changes only when the schema does.
pub fn schema_sdl() -> String {
    let schema = Schema::build(QueryRoot::default(), MutationRoot::default(), SubscriptionRoot::default()).finish();
    let sorted = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .use_space_ident()
        .indent_width(2);
    schema.sdl_with_options(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdl_is_stable() {
        assert_eq!(schema_sdl(), schema_sdl());
    }
}
