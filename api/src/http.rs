//! All routes on one screen, and what surrounds every one of them.

mod address;
pub mod body;
pub mod descriptors;
pub mod held;
mod lifecycle;
mod local;
mod observe;
pub mod opening;
pub mod quota;
mod ready;
pub mod server;
mod stall;

use std::{any::Any, sync::Arc};

use axum::{
    Router,
    extract::{FromRef, State},
    http::header,
    middleware,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    auth::Authenticator,
    config,
    graphql::transport::{Documents, Engine, graphiql, http as graphql},
    problem::{Code, Problem},
};

pub use lifecycle::Lifecycle;
pub use quota::Quotas;
pub use ready::{Check, Readiness};

/// What the routes need: the rooms as ports, the limits, and the word to stop.
#[derive(Clone)]
pub struct Shell {
    pub engine: Arc<dyn Engine>,
    pub authenticator: Arc<dyn Authenticator>,
    pub readiness: Arc<dyn Readiness>,
    pub metrics: PrometheusHandle,
    pub http: Arc<config::Http>,
    pub graphql: Arc<config::GraphQl>,
    pub life: Lifecycle,
    pub quotas: Arc<Quotas>,
    pub documents: Arc<Documents>,
}

impl FromRef<Shell> for Arc<dyn Authenticator> {
    fn from_ref(shell: &Shell) -> Self {
        shell.authenticator.clone()
    }
}

/// Everything that listens at `listen`. `whatsapp` answers Meta's webhook, GET and POST; it reads its body with
/// [`body::read`] under `webhook_body_limit`. `files` takes uploads and gives exports.
pub fn router(shell: Shell, whatsapp: MethodRouter, files: Router) -> Router {
    let metrics_here = shell.http.metrics_listen.is_none();
    let routes = Router::new()
        .route("/graphql", get(graphql::graphql).post(graphql::graphql))
        .route("/graphql/stream", get(graphql::stream).post(graphql::stream))
        .route("/graphiql/{file}", get(graphiql::asset))
        .route("/healthz", get(healthz))
        .route("/readyz", get(ready::readyz));
    let routes = if metrics_here { routes.route("/metrics", get(local_metrics)) } else { routes };
    surround(routes.with_state(shell).route("/webhooks/whatsapp", whatsapp).merge(files))
}

/// What listens at `metrics_listen`.
pub fn metrics_router(shell: Shell) -> Router {
    surround(Router::new().route("/metrics", get(metrics)).route("/healthz", get(healthz)).with_state(shell))
}

fn surround(routes: Router) -> Router {
    routes
        .fallback(async || Problem::new(Code::NotFound, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "the path takes another method; see the Allow header")
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(observe::observe))
}

/// The process lives. Says nothing about what it depends on, so that an orchestrator does not restart it for that.
async fn healthz() -> &'static str {
    "ok\n"
}

/// At `listen`: for programs of this machine alone. Metrics speak of all accounts together, so no key of one opens them.
async fn local_metrics(local: local::Local, state: State<Shell>) -> Response {
    if local.is_direct() {
        return metrics(state).await;
    }
    let detail = "metrics are for this machine alone here; metrics_listen serves them at an address of its own";
    Problem::new(Code::Forbidden, detail).into_response()
}

async fn metrics(State(shell): State<Shell>) -> Response {
    let content_type = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    ([content_type], shell.metrics.render()).into_response()
}

/// The panic itself is told by the hook of [`crate::telemetry`], without its message.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::new(Code::Internal, "a fault of the server; its log tells more under the request id").into_response()
}

#[cfg(test)]
pub(crate) mod tests;
