//! What resolvers work with.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ErrorExtensions, Result};
use wasend_commands::message::SendBatcher;
use wasend_commands::{Caller, CommandEffect, CommandError, Commands};
use wasend_domain::{AccountId, Actor, Id};
use wasend_projections::{Projector, ReadModels};
use wasend_vault::Vault;

use super::error::{UserError, outcome, unavailable};
use super::feed::ChangeFeed;
use super::loaders::{DataLoaders, OwnedRow};
use super::scalar::PositionScalar;
use super::transport::RequestedPosition;
use crate::auth::{self, ContextExt};
use crate::own_writes::OwnWrites;
use crate::problem::ProblemCode;

/// How long a mutation waits for a thing that it has made and that is not to be seen at all; within the time of an
/// operation.
const FIRST_SIGHT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a query waits for the position that it asks for.
const QUERY_WAIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a query waits for its account's own writes.
const OWN_WRITES_WAIT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a mutation waits until the read models show what it did, before it answers all the same.
const MUTATION_WAIT_TIMEOUT: Duration = Duration::from_secs(2);

/// What the resolvers use: commands, read models, vault.
pub struct GraphqlState {
    pub commands: Arc<Commands>,
    pub intake: SendBatcher,
    pub reads: ReadModels,
    pub projector: Arc<Projector>,
    pub vault: Arc<Vault>,
    pub feed: ChangeFeed,
    pub loaders: DataLoaders,
    pub own_writes: Arc<OwnWrites>,
}

impl GraphqlState {
    /// Starts the feed of the subscriptions as well, which ends with the state.
    pub fn new(commands: Arc<Commands>, projector: Arc<Projector>, own_writes: Arc<OwnWrites>) -> Self {
        let (reads, vault) = (projector.reads().clone(), Arc::clone(&commands.vault));
        let feed = ChangeFeed::start(reads.clone(), projector.position());
        let loaders = DataLoaders::new(reads.clone(), Arc::clone(&vault));
        let intake = SendBatcher::new(Arc::clone(&commands));
        Self { commands, intake, reads, projector, vault, feed, loaders, own_writes }
    }

    /// The state of the schema that executes the operation; [`build_schema`](super::build_schema) always puts it there.
    pub fn of<'a>(ctx: &'a Context<'_>) -> &'a Arc<Self> {
        ctx.data_unchecked::<Arc<Self>>()
    }

    /// Begins a query: waits until the read models have reached what it asks for, and else what its account has written
    /// through this process.
    pub async fn begin_query<'a>(
        ctx: &'a Context<'_>,
        least: Option<PositionScalar>,
    ) -> Result<(&'a Arc<Self>, &'a auth::KeyHolder)> {
        let (state, actor) = (Self::of(ctx), ctx.actor()?);
        let requested = ctx.data_opt::<RequestedPosition>().map(|RequestedPosition(position)| *position);
        match least.map(|PositionScalar(least)| least).or(requested) {
            Some(least) => state.reach(least).await?,
            None => state.reach_own_writes(actor.account_id).await,
        }
        Ok((state, actor))
    }

    /// Begins a mutation.
    pub fn begin_mutation<'a>(ctx: &'a Context<'_>) -> Result<(&'a Arc<Self>, Caller)> {
        let actor = ctx.actor()?;
        let caller = Caller { account_id: actor.account_id, actor: Actor::Key(actor.key_id) };
        Ok((Self::of(ctx), caller))
    }

    /// Waits for a position that a caller asks for.
    pub async fn reach(&self, position: wasend_domain::Position) -> Result<()> {
        let reached = self.projector.wait_for(position, QUERY_WAIT_TIMEOUT).await;
        reached.map_err(|late| ProblemCode::PositionNotReached.graphql(late.to_string()))
    }

    /// Waits for what the account has written through this process, but not for long: the query is answered all the same.
    pub async fn reach_own_writes(&self, account: AccountId) {
        let Some(written) = self.own_writes.awaited(account) else { return };
        if *self.projector.position().borrow() < written
            && self.projector.wait_for(written, OWN_WRITES_WAIT_TIMEOUT).await.is_err()
        {
            self.own_writes.give_up(account, written);
            tracing::debug!(written, "a query was answered before the read models showed its account's last write");
        }
    }

    /// Waits until the read models show a command's effect, but not for long.
    pub async fn wait_for_effect(&self, position: wasend_domain::Position) {
        if self.projector.wait_for(position, MUTATION_WAIT_TIMEOUT).await.is_err() {
            tracing::debug!(position, "answered before the read models had caught up");
        }
    }

    /// What a command made of a thing: its row as it is now.
    pub async fn changed<R: OwnedRow, K>(
        &self,
        caller: Caller,
        done: Result<CommandEffect<Id<K>>, CommandError>,
    ) -> Result<MutationOutcome<R>> {
        let done = match outcome(done)? {
            Ok(done) => done,
            Err(errors) => return Ok(MutationOutcome { row: None, position: None, errors }),
        };
        self.wait_for_effect(done.position).await;
        let find = async || {
            let row = self.reads.get::<R>(&done.value.to_string()).await.map_err(unavailable)?;
            Ok::<_, async_graphql::Error>(row.filter(|row| row.account_id() == caller.account_id.to_string()))
        };
        let mut row = find().await?;
        if row.is_none() && self.projector.wait_for(done.position, FIRST_SIGHT_TIMEOUT).await.is_ok() {
            row = find().await?;
        }
        if row.is_none() {
            return Err(not_seen_yet(done.position));
        }
        Ok(MutationOutcome { row, position: Some(PositionScalar(done.position)), errors: vec![] })
    }
}

/// It is done, and the read models are too far behind to show it: no payload with nothing in it says so.
fn not_seen_yet(position: wasend_domain::Position) -> async_graphql::Error {
    let message = format!("it is done at position {position}, and cannot be shown yet: ask for it with minPosition");
    ProblemCode::PositionNotReached.graphql(message).extend_with(|_, extensions| extensions.set("position", position))
}

/// A payload before it has its names.
pub struct MutationOutcome<R> {
    pub row: Option<R>,
    pub position: Option<PositionScalar>,
    pub errors: Vec<UserError>,
}
