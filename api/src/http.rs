//! The routes of GraphQL, health and metrics, and what surrounds every route.

pub mod body;
mod browser;
mod connection_limit;
pub mod fd_limit;
pub mod guarded_body;
mod lifecycle;
mod local;
pub mod opening;
pub mod quota;
mod ready;
mod request_metrics;
pub mod server;
mod write_timeout;

use std::{any::Any, sync::Arc};

use axum::{
    Router,
    extract::{FromRef, State},
    http::header,
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    auth::KeyAuthenticator,
    config,
    graphql::transport::{DocumentCache, GraphqlEngine, PersistedDocuments, graphiql, http as graphql},
    own_writes::OwnWrites,
    problem::{Problem, ProblemCode},
};

pub use lifecycle::ServerLifecycle;
pub use quota::AccountQuotas;
pub use ready::{Readiness, ReadinessCheck};

/// What the routes need: ports to the stores, the limits, and the word to stop.
#[derive(Clone)]
pub struct HttpState {
    pub engine: Arc<dyn GraphqlEngine>,
    pub authenticator: Arc<dyn KeyAuthenticator>,
    pub readiness: Arc<dyn Readiness>,
    pub metrics: PrometheusHandle,
    pub http: Arc<config::HttpConfig>,
    pub graphql: Arc<config::GraphqlConfig>,
    pub life: ServerLifecycle,
    pub quotas: Arc<AccountQuotas>,
    pub documents: Arc<DocumentCache>,
    pub persisted: Arc<PersistedDocuments>,
    pub own_writes: Arc<OwnWrites>,
}

impl FromRef<HttpState> for Arc<dyn KeyAuthenticator> {
    fn from_ref(shell: &HttpState) -> Self {
        shell.authenticator.clone()
    }
}

/// Everything that listens at `listen`: its own routes, and `others` with their state.
pub fn router(shell: HttpState, others: Router) -> Router {
    let metrics_here = shell.http.metrics_listen.is_none();
    let cors = browser::cors_layer(&shell.http.cors_origins);
    let routes = Router::new()
        .route("/graphql", get(graphql::graphql).post(graphql::graphql))
        .route("/graphql/stream", get(graphql::stream).post(graphql::stream))
        .route("/graphiql/{file}", get(graphiql::asset))
        .route("/healthz", get(healthz))
        .route("/readyz", get(ready::readyz));
    let routes = if metrics_here { routes.route("/metrics", get(local_metrics)) } else { routes };
    let routes = routes.with_state(shell).merge(others).layer(browser::compression_layer());
    surround(routes).layer(option_layer(cors))
}

/// What listens at `metrics_listen`.
pub fn metrics_router(shell: HttpState) -> Router {
    surround(Router::new().route("/metrics", get(metrics)).route("/healthz", get(healthz)).with_state(shell))
}

fn surround(routes: Router) -> Router {
    routes
        .fallback(async || Problem::new(ProblemCode::NotFound, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(ProblemCode::MethodNotAllowed, "the path takes another method; see the Allow header")
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(request_metrics::observe))
}

/// The process lives. Says nothing about what it depends on, so that an orchestrator does not restart it for that.
async fn healthz() -> &'static str {
    "ok\n"
}

/// At `listen`: for programs of this machine alone. Metrics speak of all accounts together, so no key of one opens them.
async fn local_metrics(local: local::LocalRequest, state: State<HttpState>) -> Response {
    if local.is_direct() {
        return metrics(state).await;
    }
    let detail = "metrics are for this machine alone here; metrics_listen serves them at an address of its own";
    Problem::new(ProblemCode::Forbidden, detail).into_response()
}

async fn metrics(State(shell): State<HttpState>) -> Response {
    let content_type = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    ([content_type], shell.metrics.render()).into_response()
}

/// The panic itself is told by the hook of [`crate::telemetry`], without its message.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::new(ProblemCode::Internal, "a fault of the server; its log tells more under the request id")
        .into_response()
}

#[cfg(test)]
pub(crate) mod tests;
