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

use super::HttpState;

/// One thing that the server depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadinessCheck {
    /// Such as `log`, `vault`, `projections`.
    pub name: &'static str,
    pub is_ready: bool,
    /// What is wrong, where more can be said than the name.
    pub why: Option<String>,
}

impl ReadinessCheck {
    /// A check without an explanation.
    pub const fn of(name: &'static str, is_ready: bool) -> Self {
        Self { name, is_ready, why: None }
    }
}

/// Looks at everything that the server depends on.
#[async_trait]
pub trait Readiness: Send + Sync {
    async fn checks(&self) -> Vec<ReadinessCheck>;
}

const READYZ_TIMEOUT: Duration = Duration::from_secs(5);

/// `GET /readyz`: 200 when every check is ready, else 503, with each check's result; slow checks count as not ready.
pub async fn readyz(State(shell): State<HttpState>) -> Response {
    let mut checks = match timeout(READYZ_TIMEOUT, shell.readiness.checks()).await {
        Ok(checks) => checks,
        Err(_) => vec![ReadinessCheck::of("answer_in_time", false)],
    };
    checks.push(ReadinessCheck::of("not_stopping", !shell.life.is_stopping()));
    let not_ready: Vec<&str> = checks.iter().filter(|check| !check.is_ready).map(|check| check.name).collect();
    let status = if not_ready.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let by_name: serde_json::Map<_, _> =
        checks.iter().map(|check| (check.name.to_owned(), check.is_ready.into())).collect();
    let reasons: serde_json::Map<_, _> =
        checks.iter().filter_map(|check| Some((check.name.to_owned(), check.why.clone()?.into()))).collect();
    let body = serde_json::json!({"ready": not_ready.is_empty(), "notReady": not_ready, "checks": by_name, "reasons": reasons});
    (status, Json(body)).into_response()
}
