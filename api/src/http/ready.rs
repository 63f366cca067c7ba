//! Whether the server can do its work.

use std::time::Duration;

use async_trait::async_trait;
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tokio::time::timeout;

use super::Shell;

/// One thing that the server depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Such as `log`, `vault`, `projections`.
    pub name: &'static str,
    pub is_ready: bool,
}

/// Looks at everything that the server depends on.
#[async_trait]
pub trait Readiness: Send + Sync {
    async fn checks(&self) -> Vec<Check>;
}

const PATIENCE: Duration = Duration::from_secs(5);

pub async fn readyz(State(shell): State<Shell>) -> Response {
    let mut checks = match timeout(PATIENCE, shell.readiness.checks()).await {
        Ok(checks) => checks,
        Err(_) => vec![Check { name: "answer_in_time", is_ready: false }],
    };
    checks.push(Check { name: "not_stopping", is_ready: !shell.life.is_stopping() });
    let not_ready: Vec<&str> = checks.iter().filter(|check| !check.is_ready).map(|check| check.name).collect();
    let status = if not_ready.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let by_name: serde_json::Map<_, _> =
        checks.iter().map(|check| (check.name.to_owned(), check.is_ready.into())).collect();
    let body = serde_json::json!({"ready": not_ready.is_empty(), "notReady": not_ready, "checks": by_name});
    (status, Json(body)).into_response()
}
