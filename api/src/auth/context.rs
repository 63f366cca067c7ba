//! The caller inside GraphQL resolvers.

use async_graphql::{Context, ErrorExtensions, Guard, Result};
use wasend_domain::account::KeyScope;

use super::{KeyHolder, RequestCaller};
use crate::problem::ProblemCode;

/// How resolvers ask who is calling.
pub trait ContextExt {
    /// The holder of the key; UNAUTHENTICATED for an anonymous caller.
    fn actor(&self) -> Result<&KeyHolder>;

    /// The same, and FORBIDDEN unless the key has the scope, which `extensions.scope` names.
    fn actor_with(&self, scope: KeyScope) -> Result<&KeyHolder>;
}

impl ContextExt for Context<'_> {
    fn actor(&self) -> Result<&KeyHolder> {
        match self.data_opt::<RequestCaller>() {
            Some(RequestCaller::Holder(actor)) => Ok(actor),
            Some(RequestCaller::Anonymous) | None => Err(ProblemCode::Unauthenticated
                .graphql("an API key is needed: Authorization: Bearer wsk_… (in connection_init over WebSocket)")),
        }
    }

    fn actor_with(&self, scope: KeyScope) -> Result<&KeyHolder> {
        let actor = self.actor()?;
        if actor.may(scope) {
            Ok(actor)
        } else {
            let error = ProblemCode::Forbidden.graphql(format!("the API key lacks the scope {}", scope.name()));
            Err(error.extend_with(|_, extensions| extensions.set("scope", scope.name())))
        }
    }
}

/// Lets a field through for keys with the scope: `#[graphql(guard = "require(KeyScope::Read)")]`.
pub struct ScopeGuard(KeyScope);

/// The guard that asks for one scope. Errors: UNAUTHENTICATED without a key, FORBIDDEN without the scope.
pub const fn require(scope: KeyScope) -> ScopeGuard {
    ScopeGuard(scope)
}

impl Guard for ScopeGuard {
    async fn check(&self, ctx: &Context<'_>) -> Result<()> {
        ctx.actor_with(self.0).map(|_| ())
    }
}
