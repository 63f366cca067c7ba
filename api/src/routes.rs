//! The paths beside GraphQL, a file each: Meta's webhook, files in and out.

mod files;
mod webhook;

use std::sync::Arc;

use axum::{Router, extract::FromRef};
use wasend_commands::{CommandError, Commands};

use crate::{
    auth::{KeyAuthenticator, KeyHolder, RequestCaller},
    http::{self, HttpState, quota::OperationPermit},
    problem::{Problem, ProblemCode},
};

/// What a handler can ask for.
#[derive(Clone)]
pub struct AppState {
    pub shell: HttpState,
    pub commands: Arc<Commands>,
}

impl FromRef<AppState> for Arc<dyn KeyAuthenticator> {
    fn from_ref(state: &AppState) -> Self {
        state.shell.authenticator.clone()
    }
}

impl AppState {
    /// A place among what the account has open, for as long as it is held. Errors: TOO_MANY_REQUESTS.
    fn open_stream(&self, holder: &KeyHolder) -> Result<OperationPermit, Problem> {
        self.shell.quotas.stream(&RequestCaller::Holder(Arc::new(holder.clone())))
    }
}

/// Every route of the server at `listen`.
pub fn router(state: AppState) -> Router {
    let routes = Router::new().merge(files::routes()).merge(webhook::routes());
    http::router(state.shell.clone(), routes.with_state(state))
}

/// The answer when a store failed; the error goes to the log.
fn unavailable(error: &CommandError) -> Problem {
    tracing::error!(%error, "a file could not be stored or read");
    Problem::new(ProblemCode::Unavailable, "the server cannot answer for now; repeat the request after a while")
}

/// The answer to what does not exist, and to what belongs to another account.
fn not_found() -> Problem {
    Problem::new(ProblemCode::NotFound, "the account has nothing under this id")
}
