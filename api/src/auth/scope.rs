//! Scopes of plain HTTP handlers, asked for by an argument's type.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use wasend_commands::Caller;
use wasend_domain::{Actor, account::KeyScope};

use super::{KeyAuthenticator, KeyHolder};
use crate::problem::{Problem, ProblemCode};

/// A scope as a type.
pub trait RequiredScope {
    /// The scope that the key must have.
    const SCOPE: KeyScope;
}

/// The scope READ.
pub struct ReadScope;

impl RequiredScope for ReadScope {
    const SCOPE: KeyScope = KeyScope::Read;
}

/// The scope SEND.
pub struct SendScope;

impl RequiredScope for SendScope {
    const SCOPE: KeyScope = KeyScope::Send;
}

/// The holder of a key with the scope `S`, as an argument of a handler. Answers 401 without a key and 403 without the scope.
pub struct ScopedKey<S> {
    pub holder: KeyHolder,
    scope: PhantomData<S>,
}

impl<S> ScopedKey<S> {
    /// The holder as the one who gives a command.
    pub const fn caller(&self) -> Caller {
        Caller { account_id: self.holder.account_id, actor: Actor::Key(self.holder.key_id) }
    }
}

impl<S: RequiredScope, A> FromRequestParts<A> for ScopedKey<S>
where
    A: Send + Sync,
    Arc<dyn KeyAuthenticator>: FromRef<A>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &A) -> Result<Self, Problem> {
        let holder = KeyHolder::from_request_parts(parts, state).await?;
        if holder.may(S::SCOPE) {
            return Ok(Self { holder, scope: PhantomData });
        }
        let detail = format!("the API key lacks the scope {}", S::SCOPE.name());
        Err(Problem::new(ProblemCode::Forbidden, detail))
    }
}
