use std::sync::Arc;

use async_trait::async_trait;
use wasend_eventlog::EventLog;
use wasend_projections::{Projector, State};
use wasend_vault::Vault;

use crate::http::{Check, Readiness};

/// Events by which the read models may stand behind the log and still be fit to serve.
const LAG: u64 = 100_000;

/// Asks each room that the server depends on.
pub struct Ready {
    pub log: Arc<dyn EventLog>,
    pub vault: Arc<Vault>,
    pub projector: Arc<Projector>,
}

#[async_trait]
impl Readiness for Ready {
    async fn checks(&self) -> Vec<Check> {
        let log = self.log.head().await.is_ok();
        let vault = self.vault.ping().await.is_ok();
        let projections = match self.projector.status().await {
            Ok(all) => all.iter().filter(|p| p.current).all(|p| p.state != State::Poisoned && p.lag < LAG),
            Err(_) => false,
        };
        vec![
            Check { name: "log", is_ready: log },
            Check { name: "vault", is_ready: vault },
            Check { name: "projections", is_ready: projections },
        ]
    }
}
