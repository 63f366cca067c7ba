use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wasend_eventlog::EventLog;
use wasend_projections::{BuildState, ProjectionStatus, Projector};
use wasend_vault::Vault;

use crate::cli::CliFailure;
use crate::http::{Readiness, ReadinessCheck};

/// Events by which the read models may stand behind the log and still be fit to serve.
const READY_LAG_EVENTS_MAX: u64 = 100_000;
/// A check that takes longer fails.
const READINESS_TIMEOUT: Duration = Duration::from_secs(3);

/// Checks each store that the server depends on.
pub struct AppReadiness {
    pub log: Arc<dyn EventLog>,
    pub vault: Arc<Vault>,
    pub projector: Arc<Projector>,
}

#[async_trait]
impl Readiness for AppReadiness {
    async fn checks(&self) -> Vec<ReadinessCheck> {
        let log = async { self.log.head().await.is_ok() };
        let vault = async { self.vault.ping().await.is_ok() };
        let projections = async {
            let all = self.projector.status().await.unwrap_or_default();
            let current: Vec<_> = all.iter().filter(|p| p.current).collect();
            let is_ready = !current.is_empty()
                && current.iter().all(|p| p.state != BuildState::Poisoned && p.lag < READY_LAG_EVENTS_MAX);
            ReadinessCheck { name: "projections", is_ready, why: stopped(&current) }
        };
        // Together, so that one that hangs does not hide how the others are.
        let projections = tokio::time::timeout(READINESS_TIMEOUT, projections);
        let (log, vault, projections) = tokio::join!(in_time(log), in_time(vault), projections);
        let projections = projections.unwrap_or(ReadinessCheck::of("projections", false));
        let vault = ReadinessCheck {
            why: self.vault.suspended().map(|why| why.to_string()),
            ..ReadinessCheck::of("vault", vault)
        };
        vec![ReadinessCheck::of("log", log), vault, projections]
    }
}

/// Which read models stopped at an event, at which, and why.
fn stopped(projections: &[&ProjectionStatus]) -> Option<String> {
    let stopped = projections.iter().filter(|p| p.state == BuildState::Poisoned);
    let texts: Vec<String> = stopped.map(|p| stop(p)).collect();
    if texts.is_empty() { None } else { Some(texts.join("; ")) }
}

/// Neither of these shows what the event holds.
fn stop(projection: &ProjectionStatus) -> String {
    let ProjectionStatus { name, error, error_position, .. } = projection;
    let at = error_position.map_or_else(|| "an event".to_owned(), |position| format!("position {position}"));
    format!("{name} stopped at {at}: {}", error.as_deref().unwrap_or("it does not say why"))
}

/// Refuses to serve read models of which the list of erasures stopped because the log is damaged: what was erased after
/// that event is not known.
pub async fn refuse_damaged_log(projector: &Projector) -> Result<(), CliFailure> {
    let all = projector.status().await;
    let all = all.map_err(|error| CliFailure::because("the read models cannot be asked how they stand", &error))?;
    let mut stopped = all.iter().filter(|p| p.current && p.state == BuildState::Poisoned && p.log_is_damaged);
    match stopped.find(|p| p.name == "privacy") {
        Some(list) => Err(CliFailure::Damaged(format!("the read model {}; restore the log from a backup", stop(list)))),
        None => Ok(()),
    }
}

async fn in_time(is_ready: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(READINESS_TIMEOUT, is_ready).await.unwrap_or(false)
}
