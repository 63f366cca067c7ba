//! Meta's error answers, and answers that are not Meta's.

use axum::{
    Json,
    body::{Body, Bytes},
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use futures::stream;
use serde_json::json;

use super::{behaviour::SimulatedBehaviour, lines::LinesUnavailable};

/// An error in Meta's envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GraphRefusal {
    pub(super) http_status: u16,
    pub(super) code: i64,
    pub(super) subcode: Option<i64>,
    pub(super) details: Option<String>,
    /// Seconds.
    pub(super) retry_after: Option<u64>,
}

impl GraphRefusal {
    pub(super) fn new(http_status: u16, code: i64) -> Self {
        Self { http_status, code, subcode: None, details: None, retry_after: None }
    }

    pub(super) fn invalid(details: impl Into<String>) -> Self {
        Self::new(400, 100).details(details)
    }

    pub(super) fn bad_token() -> Self {
        Self::new(401, 190)
    }

    /// Meta's answer for an id that does not exist, or that the token may not see.
    pub(super) fn unknown_object() -> Self {
        Self { subcode: Some(33), ..Self::invalid("Unsupported request. Object does not exist or cannot be loaded") }
    }

    pub(super) fn details(self, details: impl Into<String>) -> Self {
        Self { details: Some(details.into()), ..self }
    }
}

/// Meta's answer to an internal fault: the caller may try again.
impl From<LinesUnavailable> for GraphRefusal {
    fn from(_: LinesUnavailable) -> Self {
        Self::new(503, 131_016)
    }
}

impl IntoResponse for GraphRefusal {
    fn into_response(self) -> Response {
        let mut error = json!({
            "message": format!("(#{}) {}", self.code, title(self.code)),
            "type": "OAuthException",
            "code": self.code,
            "fbtrace_id": "Simulated",
        });
        if let Some(subcode) = self.subcode {
            error["error_subcode"] = json!(subcode);
        }
        if let Some(details) = self.details {
            error["error_data"] = json!({"messaging_product": "whatsapp", "details": details});
        }
        let status = StatusCode::from_u16(self.http_status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, Json(json!({"error": error}))).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// The refusal that a script asks for, if it asks for one.
pub(super) fn scripted(behaviours: &[SimulatedBehaviour]) -> Option<Response> {
    behaviours.iter().find_map(|behaviour| match behaviour {
        SimulatedBehaviour::RateLimited { code, retry_after, .. } => {
            // Meta documents 400 for all of them; 130429 has been seen with 429.
            let http_status = if *code == 130_429 { 429 } else { 400 };
            let refusal = GraphRefusal { retry_after: *retry_after, ..GraphRefusal::new(http_status, *code) };
            Some(refusal.into_response())
        }
        SimulatedBehaviour::Error { http_status, code, .. } => {
            Some(GraphRefusal::new(*http_status, *code).into_response())
        }
        SimulatedBehaviour::UnavailableBefore { .. } => Some(GraphRefusal::new(503, 131_016).into_response()),
        SimulatedBehaviour::GatewayErrorBefore { .. } => Some(bare(StatusCode::BAD_GATEWAY)),
        _ => None,
    })
}

/// An answer as a proxy gives it.
pub(super) fn bare(status: StatusCode) -> Response {
    (status, format!("<html><body>{status}</body></html>")).into_response()
}

/// No answer: a body that fails before its first byte makes the server close the connection with nothing written.
pub(super) fn dropped() -> Response {
    let broken = stream::once(async { Err::<Bytes, _>(std::io::Error::other("dropped on purpose")) });
    Body::from_stream(broken).into_response()
}

/// Meta's title for a code.
pub(super) fn title(code: i64) -> &'static str {
    match code {
        4 => "Application request limit reached",
        100 => "Invalid parameter",
        190 => "Access token has expired or is invalid",
        80_007 => "Rate limit issues",
        130_429 => "Rate limit hit",
        130_472 => "User's number is part of an experiment",
        131_000 => "Something went wrong",
        131_008 => "Required parameter is missing",
        131_009 => "Parameter value is not valid",
        131_016 => "Service unavailable",
        131_021 => "Recipient cannot be sender",
        131_026 => "Message undeliverable",
        131_031 => "Account has been locked",
        131_042 => "Business eligibility payment issue",
        131_047 => "Re-engagement message",
        131_048 => "Spam rate limit hit",
        131_049 => "This message was not delivered to maintain healthy ecosystem engagement",
        131_050 => "User has stopped marketing messages from this business",
        131_051 => "Unsupported message type",
        131_056 => "Business account to user account pair rate limit hit",
        132_000 => "Number of parameters does not match the expected number of params",
        132_001 => "Template name does not exist in the translation",
        132_012 => "Parameter format does not match format in the created template",
        132_015 => "Template is paused",
        132_016 => "Template is disabled",
        137_000 => "Identity key hash does not match",
        _ => "Simulated error",
    }
}
