//! Registering a build of a projection with its tables, and dropping both.

use wasend_domain::Time;
use wasend_eventlog::LogError;

use crate::engine::build::ProjectionBuild;
use crate::engine::checkpoints::{self, BuildState};
use crate::engine::sql::{EngineConnection, StoreError};

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the tables of projection {0} were changed: raise its version")]
    Changed(String),
    #[error("two projections have the table {0}")]
    TableTwice(&'static str),
}

impl From<sqlx::Error> for StartError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Registers a build and makes its tables, if that has not been done.
pub(crate) async fn ensure(conn: &mut EngineConnection, build: &ProjectionBuild, now: Time) -> Result<(), StartError> {
    let mut tx = conn.begin().await?;
    if checkpoints::insert(&mut tx.on(), build, 1, BuildState::CatchingUp, now).await? {
        build.create(&mut tx.on()).await?;
    } else if checkpoints::definition(&mut tx.on(), &build.id).await? != Some(build.definition()) {
        return Err(StartError::Changed(build.id.clone()));
    }
    tx.commit().await?;
    Ok(())
}

/// Drops a build and its registration.
pub(crate) async fn forget(conn: &mut EngineConnection, build: &ProjectionBuild) -> Result<(), StoreError> {
    let mut tx = conn.begin().await?;
    build.remove(&mut tx.on()).await?;
    checkpoints::delete(&mut tx.on(), &build.id).await?;
    Ok(tx.commit().await?)
}

/// Refuses two projections that would fill one table.
pub(crate) fn no_table_twice(builds: &[ProjectionBuild]) -> Result<(), StartError> {
    let mut names: Vec<&str> = Vec::new();
    for shape in builds.iter().flat_map(|build| &build.shapes) {
        if names.contains(&shape.table.name) {
            return Err(StartError::TableTwice(shape.table.name));
        }
        names.push(shape.table.name);
    }
    Ok(())
}
