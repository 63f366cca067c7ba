//! What resolvers work with.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, Result};
use wasend_commands::message::Intake;
use wasend_commands::{Caller, CommandError, Commands, Done};
use wasend_domain::{Actor, Id};
use wasend_projections::{Projector, Reads};
use wasend_vault::Vault;

use super::error::{UserError, outcome, unavailable};
use super::feed::Feed;
use super::loaders::{Loaders, Owned};
use super::scalar::Position;
use crate::auth::{self, ContextExt};
use crate::problem::Code;

/// How long a query waits for the position that it asks for.
const REACHING: Duration = Duration::from_secs(5);
/// How long a mutation waits until the read models show what it did, before it answers all the same.
const SETTLING: Duration = Duration::from_secs(2);

/// The rooms behind the schema.
pub struct State {
    pub commands: Arc<Commands>,
    pub intake: Intake,
    pub reads: Reads,
    pub projector: Arc<Projector>,
    pub vault: Arc<Vault>,
    pub feed: Feed,
    pub loaders: Loaders,
}

impl State {
    /// Starts the feed of the subscriptions as well, which ends with the state.
    pub fn new(commands: Arc<Commands>, projector: Arc<Projector>) -> Self {
        let (reads, vault) = (projector.reads().clone(), Arc::clone(&commands.vault));
        let feed = Feed::start(reads.clone(), projector.position());
        let loaders = Loaders::new(reads.clone(), Arc::clone(&vault));
        let intake = Intake::new(Arc::clone(&commands));
        Self { commands, intake, reads, projector, vault, feed, loaders }
    }

    pub fn of<'a>(ctx: &'a Context<'_>) -> &'a Arc<Self> {
        ctx.data_unchecked::<Arc<Self>>()
    }

    /// Begins a query: waits until the read models have reached what it asks for.
    pub async fn read<'a>(ctx: &'a Context<'_>, least: Option<Position>) -> Result<(&'a Arc<Self>, &'a auth::Actor)> {
        let (state, actor) = (Self::of(ctx), ctx.actor()?);
        if let Some(Position(least)) = least {
            state.reach(least).await?;
        }
        Ok((state, actor))
    }

    /// Begins a mutation.
    pub fn write<'a>(ctx: &'a Context<'_>) -> Result<(&'a Arc<Self>, Caller)> {
        let actor = ctx.actor()?;
        let caller = Caller { account_id: actor.account_id, actor: Actor::Key(actor.key_id) };
        Ok((Self::of(ctx), caller))
    }

    /// Waits for a position that a caller asks for.
    pub async fn reach(&self, position: wasend_domain::Position) -> Result<()> {
        let reached = self.projector.wait_for(position, REACHING).await;
        reached.map_err(|late| Code::PositionNotReached.graphql(late.to_string()))
    }

    /// Waits until the read models show a command's effect, but not for long.
    pub async fn settle(&self, position: wasend_domain::Position) {
        if self.projector.wait_for(position, SETTLING).await.is_err() {
            tracing::debug!(position, "answered before the read models had caught up");
        }
    }

    /// What a command made of a thing: its row as it is now.
    pub async fn changed<R: Owned, K>(
        &self,
        caller: Caller,
        done: Result<Done<Id<K>>, CommandError>,
    ) -> Result<Changed<R>> {
        let done = match outcome(done)? {
            Ok(done) => done,
            Err(errors) => return Ok(Changed { row: None, position: None, errors }),
        };
        self.settle(done.position).await;
        let row = self.reads.get::<R>(&done.value.to_string()).await.map_err(unavailable)?;
        let row = row.filter(|row| row.account_id() == caller.account_id.to_string());
        Ok(Changed { row, position: Some(Position(done.position)), errors: vec![] })
    }
}

/// A payload before it has its names.
pub struct Changed<R> {
    pub row: Option<R>,
    pub position: Option<Position>,
    pub errors: Vec<UserError>,
}
