//! Scripting the simulator over HTTP.
//!
//! | endpoint | does |
//! |---|---|
//! | `POST /_simulator/scripts` | adds a [`RecipientScript`] |
//! | `DELETE /_simulator/scripts` | forgets all scripts |
//! | `GET /_simulator/messages?limit=` | a [`LedgerSummary`] of what was accepted |
//! | `POST /_simulator/inbound` | posts a message from a user, an [`InboundRequest`]; answers with [`PostedWebhook`] |
//! | `POST /_simulator/raw` | signs and posts any `body` for a `phone_number_id`; answers with [`PostedWebhook`] |

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Simulator,
    behaviour::RecipientScript,
    inbound::{InboundError, InboundRequest, PostedWebhook},
    ledger::AcceptedMessage,
    lock,
    scripts::TooManyScripts,
};

const LISTED_MESSAGES_DEFAULT: usize = 100;

/// What was accepted.
#[derive(Serialize)]
pub struct LedgerSummary {
    /// Messages accepted since the start.
    pub accepted: u64,
    /// Requests since the start that were answered with a refusal.
    pub refused: u64,
    /// Messages whose statuses are still to come, and batches still to be posted.
    pub pending: usize,
    /// How many of the messages still remembered carry each `biz_opaque_callback_data`.
    pub counts: BTreeMap<String, u64>,
    /// Those of `counts` that are more than one: what was sent twice.
    pub repeated: BTreeMap<String, u64>,
    /// The newest `limit` (by default 100) messages, newest first.
    pub messages: Vec<AcceptedMessage>,
}

#[derive(Deserialize)]
struct LimitArguments {
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhookRequest {
    phone_number_id: String,
    body: String,
}

impl Simulator {
    /// With the newest `limit` messages.
    pub fn summary(&self, limit: usize) -> LedgerSummary {
        let ledger = lock(&self.inner.ledger);
        let counts = ledger.counts().clone();
        let repeated = counts.iter().filter(|(_, count)| **count > 1);
        LedgerSummary {
            accepted: ledger.accepted(),
            refused: ledger.refused(),
            pending: self.pending(),
            repeated: repeated.map(|(data, count)| (data.clone(), *count)).collect(),
            counts,
            messages: ledger.messages().rev().take(limit).cloned().collect(),
        }
    }
}

pub(super) fn routes() -> Router<Simulator> {
    Router::new()
        .route("/_simulator/scripts", post(add_script).delete(clear_scripts))
        .route("/_simulator/messages", get(messages))
        .route("/_simulator/inbound", post(inbound))
        .route("/_simulator/raw", post(raw))
}

async fn add_script(
    State(simulator): State<Simulator>,
    Json(script): Json<RecipientScript>,
) -> Result<Response, TooManyScripts> {
    simulator.script(script)?;
    let scripts = lock(&simulator.inner.scripts).len();
    Ok((StatusCode::CREATED, Json(json!({"scripts": scripts}))).into_response())
}

async fn clear_scripts(State(simulator): State<Simulator>) -> StatusCode {
    simulator.clear_scripts();
    StatusCode::NO_CONTENT
}

async fn messages(State(simulator): State<Simulator>, Query(query): Query<LimitArguments>) -> Json<LedgerSummary> {
    Json(simulator.summary(query.limit.unwrap_or(LISTED_MESSAGES_DEFAULT)))
}

async fn inbound(
    State(simulator): State<Simulator>,
    Json(request): Json<InboundRequest>,
) -> Result<Json<PostedWebhook>, InboundError> {
    simulator.inbound(request).await.map(Json)
}

async fn raw(
    State(simulator): State<Simulator>,
    Json(raw): Json<RawWebhookRequest>,
) -> Result<Json<PostedWebhook>, InboundError> {
    simulator.post_raw(&raw.phone_number_id, raw.body).await.map(Json)
}

impl IntoResponse for InboundError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::UnknownLine => StatusCode::NOT_FOUND,
            Self::Incomplete => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(json!({"error": self.to_string()}))).into_response()
    }
}

impl IntoResponse for TooManyScripts {
    fn into_response(self) -> Response {
        let error = Json(json!({"error": self.to_string()}));
        (StatusCode::INSUFFICIENT_STORAGE, error).into_response()
    }
}
