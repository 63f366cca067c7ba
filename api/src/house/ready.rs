use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wasend_eventlog::EventLog;
use wasend_projections::{Projector, State};
use wasend_vault::Vault;

use crate::http::{Check, Readiness};

/// Events by which the read models may stand behind the log and still be fit to serve.
const LAG: u64 = 100_000;
/// A room that takes longer to answer is not ready.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks each room that the server depends on.
pub struct Ready {
    pub log: Arc<dyn EventLog>,
    pub vault: Arc<Vault>,
    pub projector: Arc<Projector>,
}

#[async_trait]
impl Readiness for Ready {
    async fn checks(&self) -> Vec<Check> {
        let log = async { self.log.head().await.is_ok() };
        let vault = async { self.vault.ping().await.is_ok() };
        let projections = async {
            let all = self.projector.status().await.unwrap_or_default();
            let mut current = all.iter().filter(|p| p.current).peekable();
            current.peek().is_some() && current.all(|p| p.state != State::Poisoned && p.lag < LAG)
        };
        // Together, so that one that hangs does not hide how the others are.
        let (log, vault, projections) = tokio::join!(in_time(log), in_time(vault), in_time(projections));
        vec![
            Check { name: "log", is_ready: log },
            Check { name: "vault", is_ready: vault },
            Check { name: "projections", is_ready: projections },
        ]
    }
}

async fn in_time(is_ready: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(PATIENCE, is_ready).await.unwrap_or(false)
}
