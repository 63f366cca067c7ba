//! Every metric of the process, also those that other crates record. Labels are words from small fixed lists: never an
//! id of an account, a number or a person.

use metrics::Unit;

/// How a metric is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric as Prometheus is told of it.
pub struct Metric {
    pub name: &'static str,
    pub kind: MetricKind,
    pub unit: Unit,
    pub help: &'static str,
    /// Upper bounds; of histograms only.
    pub buckets: &'static [f64],
}

/// From a commit on a fast disk to a client that gave up.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const EVENTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0];

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, unit: Unit::Count, help, buckets: &[] }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Gauge, unit: Unit::Count, help, buckets: &[] }
}

const fn seconds(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Histogram, unit: Unit::Seconds, help, buckets: SECONDS }
}

const fn events(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Histogram, unit: Unit::Count, help, buckets: EVENTS }
}

/// Makes the constant of each metric's name, documented by its help text, and [`METRICS`].
macro_rules! metric_list {
    ($($shape:ident $constant:ident = $name:literal, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: &str = $name;
        )*

        /// Every metric with its kind, unit, help text and buckets.
        pub const METRICS: &[Metric] = &[$($shape($constant, $help)),*];
    };
}

metric_list! {
    counter HTTP_REQUESTS = "wasend_http_requests_total", "HTTP requests answered, by method, route and status.";
    seconds HTTP_REQUEST_SECONDS = "wasend_http_request_seconds", "Time to the head of the answer, by route.";
    gauge HTTP_CONNECTIONS = "wasend_http_connections", "Open connections, WebSockets among them.";
    counter HTTP_TURNED_AWAY = "wasend_http_turned_away_total",
        "Connections turned away because their address has too many.";
    counter GRAPHQL_OPERATIONS = "wasend_graphql_operations_total",
        "GraphQL answers, by kind of operation and outcome (ok, errors, refused).";
    seconds GRAPHQL_OPERATION_SECONDS = "wasend_graphql_operation_seconds",
        "Time of a query or a mutation over HTTP, by kind.";
    gauge GRAPHQL_STREAMS = "wasend_graphql_streams", "Operations running on WebSockets (ws) and event streams (sse).";
    counter AUTH_DENIED = "wasend_auth_denied_total",
        "API keys turned away over HTTP, by reason (invalid, unavailable).";
    seconds LOG_APPEND_SECONDS = "wasend_log_append_seconds",
        "Time from handing events to the log until they are durable.";
    counter LOG_CONFLICTS = "wasend_log_conflicts_total", "Appends turned away because their stream had moved on.";
    counter LOG_EVENTS = "wasend_log_events_total", "Events made durable.";
    events LOG_BATCH_EVENTS = "wasend_log_batch_events", "Events in one transaction of the log's writer.";
    gauge PROJECTION_POSITION = "wasend_projection_position",
        "Position up to which a read model has followed the log, by projection.";
    gauge PROJECTION_LAG = "wasend_projection_lag_events", "Events that a read model is behind the log, by projection.";
    gauge PROJECTION_POISONED = "wasend_projection_poisoned", "1 when an event stopped the read model, by projection.";
    seconds PROJECTION_BATCH_SECONDS = "wasend_projection_batch_seconds",
        "Time to fold and write one batch of events into the read models.";
    events PROJECTION_BATCH_EVENTS = "wasend_projection_batch_events", "Events in one batch of the read models.";
    counter PROJECTION_FAILURES = "wasend_projection_failures_total",
        "Batches that could not be read or written and are tried again.";
    gauge DISPATCH_WAITING = "wasend_dispatch_waiting", "Messages that wait to be handed to Meta.";
    gauge DISPATCH_IN_FLIGHT = "wasend_dispatch_in_flight", "Calls to Meta under way.";
    seconds DISPATCH_CALL_SECONDS = "wasend_dispatch_call_seconds", "Time of a call to Meta.";
    counter DISPATCH_OUTCOMES = "wasend_dispatch_outcomes_total", "Calls to Meta that ended, by outcome.";
    counter DISPATCH_UNRESOLVED = "wasend_dispatch_unresolved_total",
        "Sends whose outcome stayed unknown past the reconcile window.";
    counter MESSAGES_EXPIRED = "wasend_messages_expired_total",
        "Messages that expired before they were handed to Meta.";
    counter ERASURES = "wasend_erasures_total", "People erased.";
    counter WEBHOOK_REJECTED = "wasend_webhook_rejected_total", "Webhooks turned away, by reason.";
    counter WEBHOOK_UPDATES = "wasend_webhook_updates_total", "Updates taken from webhooks, by kind.";
    counter RETENTION_KEYS_DESTROYED = "wasend_retention_keys_destroyed_total",
        "Keys of days whose time was over that were destroyed.";
    counter IMPORT_ROWS = "wasend_import_rows_total", "Rows of files applied by imports.";
    events VAULT_CREATIONS_BATCH = "wasend_vault_creations_batch",
        "Subjects and keys made durable in one transaction of the vault.";
    counter VAULT_CACHE_HITS = "wasend_vault_cache_hits_total", "Keys found in the vault's cache.";
    counter VAULT_CACHE_MISSES = "wasend_vault_cache_misses_total", "Keys that the vault had to read from its store.";
    counter VAULT_ROTATIONS = "wasend_vault_rotations_total", "Epochs of the vault's keys that have ended.";
    counter VAULT_ROLLBACKS = "wasend_vault_rollbacks_total",
        "Times that the vault's store was found put back or replaced under this process.";
    counter VAULT_UNAVAILABLE = "wasend_vault_unavailable_total",
        "Values that could not be read although they were not erased, by why: a key missing or damaged, or the value.";
    gauge VAULT_ROTATION_WAITING = "wasend_vault_rotation_waiting", "Nodes that the end of an epoch waits for.";
}

/// Gives the recorder everyone's help text.
pub fn describe_all() {
    for metric in METRICS {
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(metric.name, metric.unit, metric.help),
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, metric.unit, metric.help),
            MetricKind::Histogram => metrics::describe_histogram!(metric.name, metric.unit, metric.help),
        }
    }
}
