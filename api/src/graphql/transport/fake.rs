//! A small schema for the tests of the transports.

#![expect(clippy::unused_async, reason = "the derive asks for async resolvers")]

use std::time::Duration;

use async_graphql::{Context, Error, Object, Result, Schema, Subscription};
use futures::{Stream, stream};
use wasend_domain::account::KeyScope;

use crate::auth::{ContextExt, require};

/// Queries that answer, fail and panic.
pub struct FakeQuery;
/// A mutation without effect.
pub struct FakeMutation;
/// Subscriptions that end, never answer, or flood.
pub struct FakeSubscriptions;

#[Object(name = "Query")]
impl FakeQuery {
    async fn hello(&self) -> &'static str {
        "world"
    }

    async fn echo(&self, text: String) -> String {
        text
    }

    async fn key(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(ctx.actor()?.key_id.to_string())
    }

    #[graphql(guard = "require(KeyScope::Audit)")]
    async fn audited(&self) -> bool {
        true
    }

    async fn fault(&self) -> Result<Option<bool>> {
        Err(Error::new("the row of +16505551234 is gone"))
    }

    async fn panics(&self) -> bool {
        let nothing: Vec<bool> = Vec::new();
        nothing[0]
    }

    async fn nested(&self) -> FakeQuery {
        FakeQuery
    }
}

#[Object(name = "Mutation")]
impl FakeMutation {
    async fn bump(&self, by: i32) -> i32 {
        by + 1
    }
}

#[Subscription(name = "Subscriptions")]
impl FakeSubscriptions {
    async fn count(&self, to: i32) -> impl Stream<Item = i32> {
        stream::iter(1..=to)
    }

    async fn never(&self) -> impl Stream<Item = i32> {
        stream::pending()
    }

    async fn tick(&self) -> impl Stream<Item = i32> {
        stream::unfold(0, async |n| {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((n, n + 1))
        })
    }

    async fn flood(&self) -> impl Stream<Item = String> {
        stream::repeat_with(|| "x".repeat(65_536))
    }

    async fn key(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = String>> {
        let key = ctx.actor()?.key_id.to_string();
        Ok(stream::iter([key]))
    }
}

/// The schema, with a depth limit of 20.
pub fn schema() -> Schema<FakeQuery, FakeMutation, FakeSubscriptions> {
    Schema::build(FakeQuery, FakeMutation, FakeSubscriptions).limit_depth(20).finish()
}
