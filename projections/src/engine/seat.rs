//! A build in the tail: where it stands, as this node knows it.

use std::sync::Arc;

use tracing::{error, info};
use wasend_domain::Position;

use crate::engine::build::Build;
use crate::engine::commit::Place;
use crate::engine::projection::Poison;
use crate::engine::registry::{self, State};
use crate::engine::sql::{Conn, StoreError};
use crate::engine::tail::Means;
use crate::engine::upkeep::Upkeep;

pub(crate) struct Seat {
    pub build: Arc<Build>,
    /// Which build it is, by the registry.
    pub number: i64,
    pub position: Position,
    pub state: State,
    /// This node has its lease.
    pub held: bool,
    /// Most events of its next batch, where they are fewer than usual: to find a row that the database refuses.
    pub limit: Option<usize>,
    pub upkeep: Upkeep,
}

impl Seat {
    pub fn new(build: Build) -> Self {
        Self {
            build: Arc::new(build),
            number: 0,
            position: 0,
            state: State::CatchingUp,
            held: false,
            limit: None,
            upkeep: Upkeep::default(),
        }
    }

    pub fn place(&self, complete: bool) -> Place<'_> {
        Place { build: &self.build, number: self.number, state: self.state_after(complete) }
    }

    pub fn state_after(&self, complete: bool) -> State {
        if complete { State::Live } else { self.state }
    }

    pub fn poisoned(&mut self, at: Position, poison: &Poison) {
        self.state = State::Poisoned;
        let name = self.build.projection.name();
        error!(projection.name = name, event.position = at, error = %poison, "the projection stopped at an event");
    }

    /// Lets a projection that was poisoned try again: the node that takes its lease may run mended code.
    pub async fn resume(&self, means: &Means) -> Result<(), StoreError> {
        let mut conn = Conn::durable(&means.db).await?;
        let mut tx = conn.begin().await?;
        if registry::resume(&mut tx.on(), &self.build.id, means.clock.now()).await? {
            info!(projection.name = self.build.projection.name(), "a poisoned projection tries again");
        }
        tx.commit().await?;
        Ok(())
    }
}
