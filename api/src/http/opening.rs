//! What is answered before the server is open: the process lives, and is not ready, and why.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use serde_json::json;

use super::surround;
use crate::problem::{Problem, ProblemCode};

/// `/healthz`, `/readyz` with the reason, and 503 for everything else. Each answer closes its connection, so that the next
/// request comes on one that is served by what is open then.
pub fn router(why: &str) -> Router {
    let routes = Router::new().route("/healthz", get(super::healthz)).route("/readyz", get(readyz));
    let routes = routes.route("/", any(closed)).route("/{*path}", any(closed)).with_state(why.to_owned());
    surround(routes).layer(middleware::map_response(async |mut response: Response| {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }))
}

async fn readyz(State(why): State<String>) -> Response {
    let body = json!({"ready": false, "notReady": ["open"], "checks": {"open": false}, "reasons": {"open": why}});
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn closed() -> Response {
    let problem = Problem::new(ProblemCode::Unavailable, "the server does not serve yet; /readyz says why");
    ([(header::RETRY_AFTER, "5")], problem).into_response()
}
