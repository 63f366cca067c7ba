//! The caller inside GraphQL resolvers.

use async_graphql::{Context, ErrorExtensions, Guard, Result};
use wasend_domain::account::Scope;

use super::{Actor, Caller};
use crate::problem::Code;

/// How resolvers ask who is calling.
pub trait ContextExt {
    /// The holder of the key; UNAUTHENTICATED for an anonymous caller.
    fn actor(&self) -> Result<&Actor>;

    /// The same, and FORBIDDEN unless the key has the scope, which `extensions.scope` names.
    fn actor_with(&self, scope: Scope) -> Result<&Actor>;
}

impl ContextExt for Context<'_> {
    fn actor(&self) -> Result<&Actor> {
        match self.data_opt::<Caller>() {
            Some(Caller::Holder(actor)) => Ok(actor),
            Some(Caller::Anonymous) | None => Err(Code::Unauthenticated
                .graphql("an API key is needed: Authorization: Bearer wsk_… (in connection_init over WebSocket)")),
        }
    }

    fn actor_with(&self, scope: Scope) -> Result<&Actor> {
        let actor = self.actor()?;
        if actor.may(scope) {
            Ok(actor)
        } else {
            let error = Code::Forbidden.graphql(format!("the API key lacks the scope {}", scope.name()));
            Err(error.extend_with(|_, extensions| extensions.set("scope", scope.name())))
        }
    }
}

/// Lets a field through for keys with the scope: `#[graphql(guard = "require(Scope::Read)")]`.
pub struct Require(Scope);

pub const fn require(scope: Scope) -> Require {
    Require(scope)
}

impl Guard for Require {
    async fn check(&self, ctx: &Context<'_>) -> Result<()> {
        ctx.actor_with(self.0).map(|_| ())
    }
}
