//! A shard: one build in the daemon, and its position as this node knows it.

use std::sync::Arc;

use tracing::{error, info};
use wasend_domain::Position;

use crate::engine::build::ProjectionBuild;
use crate::engine::checkpoints::{self, BuildState};
use crate::engine::commit::ProjectionWrite;
use crate::engine::context::EngineContext;
use crate::engine::projection::PoisonCause;
use crate::engine::sql::{EngineConnection, StoreError};
use crate::engine::table_maintenance::TableMaintenance;

pub(crate) struct ProjectionShard {
    pub build: Arc<ProjectionBuild>,
    /// Which build it is, by the registry.
    pub number: i64,
    pub position: Position,
    pub state: BuildState,
    /// This node has its lease.
    pub held: bool,
    /// Most events of its next batch, where they are fewer than usual: to find a row that the database refuses.
    pub limit: Option<usize>,
    pub upkeep: TableMaintenance,
}

impl ProjectionShard {
    /// The progress of a build as its checkpoint has it.
    pub fn new(build: ProjectionBuild) -> Self {
        Self {
            build: Arc::new(build),
            number: 0,
            position: 0,
            state: BuildState::CatchingUp,
            held: false,
            limit: None,
            upkeep: TableMaintenance::default(),
        }
    }

    /// Where the build stands, for the commit.
    pub fn place(&self, complete: bool) -> ProjectionWrite<'_> {
        ProjectionWrite { build: &self.build, number: self.number, state: self.state_after(complete) }
    }

    /// The state of the build once it has folded up to the position.
    pub fn state_after(&self, complete: bool) -> BuildState {
        if complete { BuildState::Live } else { self.state }
    }

    /// The build stops at the event that it cannot fold.
    pub fn poisoned(&mut self, at: Position, poison: &PoisonCause) {
        self.state = BuildState::Poisoned;
        let name = self.build.projection.name();
        error!(projection.name = name, event.position = at, error = %poison, "the projection stopped at an event");
    }

    /// Lets a projection that was poisoned try again: the node that takes its lease may run mended code.
    pub async fn resume(&self, means: &EngineContext) -> Result<(), StoreError> {
        let mut conn = EngineConnection::durable(&means.db).await?;
        let mut tx = conn.begin().await?;
        if checkpoints::resume(&mut tx.on(), &self.build.id, means.clock.now()).await? {
            info!(projection.name = self.build.projection.name(), "a poisoned projection tries again");
        }
        tx.commit().await?;
        Ok(())
    }
}
