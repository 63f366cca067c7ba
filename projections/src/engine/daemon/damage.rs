//! Where a damaged log breaks off: read models stop there, each as at a poisoned event, and say so.

use wasend_domain::Position;
use wasend_eventlog::{EventFilter, LogError};

use super::{EngineContext, EngineFailure, ProjectionDaemon};
use crate::engine::prefetch::BatchRange;
use crate::engine::projection::PoisonCause;

impl ProjectionDaemon {
    /// The log does not give back what was written: what stands before is folded, and builds that have come there stop.
    pub(super) async fn damaged(
        &mut self,
        lane: usize,
        course: &BatchRange,
        why: String,
    ) -> Result<bool, EngineFailure> {
        self.lanes[lane].end().await;
        match readable(&self.means, course.from, course.limit).await? {
            0 => {
                for which in &course.shards {
                    self.poison(*which, course.from + 1, &PoisonCause::LogDamaged(why.clone())).await?;
                }
            }
            // It was damaged when it was read, and is not any more.
            all if all == course.limit => return Err(LogError::Damaged(why).into()),
            some => course.shards.iter().for_each(|shard| self.shards[*shard].limit = Some(some)),
        }
        Ok(true)
    }
}

/// How many of the events after a position can be read, up to a limit.
async fn readable(means: &EngineContext, from: Position, limit: usize) -> Result<usize, LogError> {
    let (mut good, mut bad) = (0, limit + 1);
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        match means.log.read(from, middle, &EventFilter::default()).await {
            Ok(events) if events.len() == middle => good = middle,
            Ok(_) | Err(LogError::Damaged(_)) => bad = middle,
            Err(error) => return Err(error),
        }
    }
    Ok(good)
}

/// Whether the log has gone further than the course, of whose next batch nothing was read, and yet lacks its next event.
pub(super) async fn lacks_next(means: &EngineContext, course: &BatchRange) -> Result<bool, LogError> {
    let from = course.from;
    // Known without asking: that of an idle log is where the projections are.
    if course.until.is_some_and(|until| until <= from) || *means.log.watch().borrow() <= from {
        return Ok(false);
    }
    // The head before the event, which may have come since nothing was read.
    Ok(means.log.head().await? > from && means.log.read(from, 1, &EventFilter::default()).await?.is_empty())
}
