//! A small schema for the tests of the transports.

#![expect(clippy::unused_async, reason = "the derive asks for async resolvers")]

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use async_graphql::{Context, Error, InputObject, MaybeUndefined, Object, Result, Schema, SimpleObject, Subscription};
use futures::{Stream, stream};
use wasend_domain::account::KeyScope;

use crate::auth::{ContextExt, require};

/// Queries that answer, fail and panic.
#[derive(Default)]
pub struct FakeQuery;
/// Mutations, one of which counts how often it ran.
#[derive(Default)]
pub struct FakeMutation(AtomicI32);
/// Subscriptions that end, never answer, or flood.
#[derive(Default)]
pub struct FakeSubscriptions;

/// An input with absent, null and nested values.
#[derive(InputObject)]
pub struct FakeInput {
    name: MaybeUndefined<String>,
    tags: Option<Vec<Option<String>>>,
}

/// How often a mutation ran.
#[derive(SimpleObject)]
pub struct FakeTouched {
    calls: i32,
    again: bool,
}

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

    async fn list(&self) -> Vec<FakeQuery> {
        vec![FakeQuery, FakeQuery]
    }

    /// What arrived of an argument and an input.
    async fn arrived(&self, size: Option<i32>, input: Option<FakeInput>) -> String {
        let input = input.map(|input| (input.name, input.tags));
        format!("{size:?} {input:?}")
    }
}

#[Object(name = "Mutation")]
impl FakeMutation {
    async fn bump(&self, by: i32) -> i32 {
        by + 1
    }

    async fn touch(&self) -> FakeTouched {
        FakeTouched { calls: self.0.fetch_add(1, Ordering::SeqCst) + 1, again: true }
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
    Schema::build(FakeQuery, FakeMutation::default(), FakeSubscriptions).limit_depth(20).finish()
}
