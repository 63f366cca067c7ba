//! How far imports are, told as they go on.

use std::sync::Arc;

use async_graphql::{Context, ID, Result, Subscription};
use futures::{Stream, stream};
use tokio::sync::watch;
use wasend_domain::AccountId;
use wasend_domain::account::KeyScope;
use wasend_projections::imports::ImportRow;

use super::super::error;
use super::super::state::GraphqlState;
use super::ImportObject;
use crate::auth::require;

/// Subscription to the progress of imports.
#[derive(Default)]
pub struct ImportSubscription;

/// How far imports are.
#[Subscription]
impl ImportSubscription {
    /// The import as it is now, then whenever it has gone on, until it has ended.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn import_progress(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<impl Stream<Item = Result<ImportObject>> + use<>> {
        let (state, actor) = GraphqlState::begin_query(ctx, None).await?;
        let (state, account) = (Arc::clone(state), actor.account_id);
        let news = state.projector.position();
        let watching = ImportWatcher { state, account, id: id.to_string(), news, last: None };
        Ok(stream::unfold(Some(watching), |watching| async { watching?.next().await }))
    }
}

struct ImportWatcher {
    state: Arc<GraphqlState>,
    account: AccountId,
    id: String,
    news: watch::Receiver<wasend_domain::Position>,
    last: Option<ImportRow>,
}

impl ImportWatcher {
    async fn next(mut self) -> Option<(Result<ImportObject>, Option<Self>)> {
        loop {
            let row = match self.state.reads.get::<ImportRow>(&self.id).await {
                Ok(row) => row.filter(|row| row.account_id == self.account.to_string())?,
                Err(error) => return Some((Err(error::unavailable(error)), None)),
            };
            if self.last.as_ref() != Some(&row) {
                let ended = row.state.has_ended();
                self.last = Some(row.clone());
                return Some((Ok(ImportObject(row)), (!ended).then_some(self)));
            }
            self.news.changed().await.ok()?;
        }
    }
}
