//! Access tokens, and what is known of a number.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, header::AUTHORIZATION},
};
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::{Simulator, lines::SimulatedLine, refusal::GraphRefusal};

/// The object in a path, with or without a version before it.
#[derive(Deserialize)]
pub(super) struct GraphNode {
    pub(super) id: String,
}

impl Simulator {
    /// The number that a request names, if it exists and the token is its.
    pub(super) async fn number(&self, id: &str, headers: &HeaderMap) -> Result<SimulatedLine, GraphRefusal> {
        let token = bearer(headers)?;
        let line = self.inner.options.lines.line(id).await?;
        let line = line.ok_or_else(GraphRefusal::unknown_object)?;
        if opens(&line, token) { Ok(line) } else { Err(GraphRefusal::bad_token()) }
    }

    /// Checks that a business account exists and the token is that of one of its numbers.
    pub(super) async fn account(&self, id: &str, headers: &HeaderMap) -> Result<(), GraphRefusal> {
        let token = bearer(headers)?;
        let lines = self.inner.options.lines.waba(id).await?;
        if lines.is_empty() {
            return Err(GraphRefusal::unknown_object());
        }
        let known = lines.iter().any(|line| opens(line, token));
        if known { Ok(()) } else { Err(GraphRefusal::bad_token()) }
    }
}

pub(super) async fn phone_number(
    State(simulator): State<Simulator>,
    Path(node): Path<GraphNode>,
    headers: HeaderMap,
) -> Result<Json<Value>, GraphRefusal> {
    let line = simulator.number(&node.id, &headers).await?;
    Ok(Json(json!({
        "id": line.phone_number_id,
        "display_phone_number": line.display_phone_number,
        "verified_name": "Simulated Business",
        "code_verification_status": "VERIFIED",
        "quality_rating": "GREEN",
        "platform_type": "CLOUD_API",
        "throughput": {"level": "STANDARD"},
        "whatsapp_business_manager_messaging_limit": "TIER_2K",
    })))
}

fn bearer(headers: &HeaderMap) -> Result<&str, GraphRefusal> {
    let header = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    header.and_then(|header| header.strip_prefix("Bearer ")).ok_or_else(GraphRefusal::bad_token)
}

fn opens(line: &SimulatedLine, token: &str) -> bool {
    line.access_token.as_bytes().ct_eq(token.as_bytes()).into()
}
