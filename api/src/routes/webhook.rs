//! `/webhooks/whatsapp`: Meta is answered 200 once what it said is durable, and not before.

use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use wasend_commands::webhook::{UpdateCounts, WebhookError};
use wasend_whatsapp::signature::{self, SIGNATURE_HEADER};

use super::AppState;
use crate::http::body;
use crate::problem::{Problem, ProblemCode};

/// How long the stores may take to keep what a webhook says.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// GET for the subscription handshake, POST for what Meta reports.
pub fn routes() -> Router<AppState> {
    Router::new().route("/webhooks/whatsapp", get(subscribe).post(receive_webhook))
}

async fn subscribe(State(state): State<AppState>, RawQuery(query): RawQuery) -> Response {
    let _turn = match state.shell.quotas.handshake().await {
        Ok(turn) => turn,
        Err(problem) => return problem.into_response(),
    };
    match state.commands.subscription_challenge(query.as_deref().unwrap_or_default()).await {
        Ok(Some(challenge)) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], challenge).into_response(),
        Ok(None) => Problem::new(ProblemCode::Forbidden, "no connected number has this verify token").into_response(),
        Err(_) => unavailable(),
    }
}

async fn receive_webhook(State(state): State<AppState>, headers: HeaderMap, request: Request) -> Response {
    let signature = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
    // What cannot be authentic is not even read.
    if !signature.is_some_and(signature::is_well_formed) {
        return unsigned();
    }
    let (limit, mut charge) = (state.shell.http.webhook_body_limit, state.shell.quotas.webhook());
    let raw = match body::read(&headers, request.into_body(), limit, state.shell.http.body_timeout, &mut charge).await {
        Ok(raw) => raw,
        Err(problem) => {
            let why = if problem.code == ProblemCode::PayloadTooLarge { "too_large" } else { "body" };
            return counted(why, problem.into_response());
        }
    };
    let taken = tokio::time::timeout(WEBHOOK_TIMEOUT, state.commands.take_webhook(&raw, signature)).await;
    let Ok(taken) = taken else {
        tracing::error!("a webhook was given up: the stores took too long");
        return counted("unavailable", unavailable());
    };
    match taken {
        Ok(taken) => {
            count(taken);
            StatusCode::OK.into_response()
        }
        Err(WebhookError::Malformed) => {
            counted("malformed", Problem::new(ProblemCode::BadRequest, "the body is not JSON").into_response())
        }
        Err(WebhookError::Signature) => unsigned(),
        Err(WebhookError::Failed(error)) => {
            tracing::error!(error = %chain(&error), "a webhook could not be taken in");
            counted("unavailable", unavailable())
        }
    }
}

fn unsigned() -> Response {
    let detail = "the signature is missing or not of a number that the body speaks of";
    counted("signature", Problem::new(ProblemCode::Unauthenticated, detail).into_response())
}

/// Meta repeats what is not answered with 200 for seven days.
fn unavailable() -> Response {
    Problem::new(ProblemCode::Unavailable, "the webhook could not be stored; repeat it").into_response()
}

fn counted(why: &'static str, response: Response) -> Response {
    metrics::counter!("wasend_webhook_rejected_total", "why" => why).increment(1);
    response
}

fn count(taken: UpdateCounts) {
    let UpdateCounts { statuses, inbound, preferences, identities, erased, kept } = taken;
    let kinds = [
        ("status", statuses),
        ("inbound", inbound),
        ("preference", preferences),
        ("identity", identities),
        ("erased", erased),
        ("unknown", kept),
    ];
    for (kind, n) in kinds {
        metrics::counter!("wasend_webhook_updates_total", "kind" => kind).increment(n as u64);
    }
}

/// The error with its causes; none of ours holds personal data.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
