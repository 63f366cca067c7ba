//! Every metric of the process, also those that other crates record. Labels are words from small fixed lists: never an
//! id of an account, a number or a person.

use metrics::Unit;

pub const HTTP_REQUESTS: &str = "wasend_http_requests_total";
pub const HTTP_REQUEST_SECONDS: &str = "wasend_http_request_seconds";
pub const HTTP_CONNECTIONS: &str = "wasend_http_connections";
pub const HTTP_TURNED_AWAY: &str = "wasend_http_turned_away_total";
pub const GRAPHQL_OPERATIONS: &str = "wasend_graphql_operations_total";
pub const GRAPHQL_OPERATION_SECONDS: &str = "wasend_graphql_operation_seconds";
pub const GRAPHQL_STREAMS: &str = "wasend_graphql_streams";
pub const AUTH_DENIED: &str = "wasend_auth_denied_total";
pub const LOG_APPEND_SECONDS: &str = "wasend_log_append_seconds";
pub const LOG_CONFLICTS: &str = "wasend_log_conflicts_total";
pub const LOG_EVENTS: &str = "wasend_log_events_total";
pub const LOG_BATCH_EVENTS: &str = "wasend_log_batch_events";
pub const PROJECTION_POSITION: &str = "wasend_projection_position";
pub const PROJECTION_LAG: &str = "wasend_projection_lag_events";
pub const PROJECTION_POISONED: &str = "wasend_projection_poisoned";
pub const PROJECTION_BATCH_SECONDS: &str = "wasend_projection_batch_seconds";
pub const PROJECTION_BATCH_EVENTS: &str = "wasend_projection_batch_events";
pub const PROJECTION_FAILURES: &str = "wasend_projection_failures_total";
pub const DISPATCH_WAITING: &str = "wasend_dispatch_waiting";
pub const DISPATCH_IN_FLIGHT: &str = "wasend_dispatch_in_flight";
pub const DISPATCH_CALL_SECONDS: &str = "wasend_dispatch_call_seconds";
pub const DISPATCH_OUTCOMES: &str = "wasend_dispatch_outcomes_total";
pub const DISPATCH_UNRESOLVED: &str = "wasend_dispatch_unresolved_total";
pub const MESSAGES_EXPIRED: &str = "wasend_messages_expired_total";
pub const ERASURES: &str = "wasend_erasures_total";
pub const WEBHOOK_REJECTED: &str = "wasend_webhook_rejected_total";
pub const WEBHOOK_UPDATES: &str = "wasend_webhook_updates_total";
pub const RETENTION_KEYS_DESTROYED: &str = "wasend_retention_keys_destroyed_total";
pub const IMPORT_ROWS: &str = "wasend_import_rows_total";
pub const VAULT_CREATIONS_BATCH: &str = "wasend_vault_creations_batch";
pub const VAULT_CACHE_HITS: &str = "wasend_vault_cache_hits_total";
pub const VAULT_CACHE_MISSES: &str = "wasend_vault_cache_misses_total";
pub const VAULT_ROTATIONS: &str = "wasend_vault_rotations_total";
pub const VAULT_ROLLBACKS: &str = "wasend_vault_rollbacks_total";
pub const VAULT_UNAVAILABLE: &str = "wasend_vault_unavailable_total";
pub const VAULT_ROTATION_WAITING: &str = "wasend_vault_rotation_waiting";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

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

pub const METRICS: &[Metric] = &[
    counter(HTTP_REQUESTS, "HTTP requests answered, by method, route and status."),
    seconds(HTTP_REQUEST_SECONDS, "Time to the head of the answer, by route."),
    gauge(HTTP_CONNECTIONS, "Open connections, WebSockets among them."),
    counter(HTTP_TURNED_AWAY, "Connections turned away because their address has too many."),
    counter(GRAPHQL_OPERATIONS, "GraphQL answers, by kind of operation and outcome (ok, errors, refused)."),
    seconds(GRAPHQL_OPERATION_SECONDS, "Time of a query or a mutation over HTTP, by kind."),
    gauge(GRAPHQL_STREAMS, "Operations running on WebSockets (ws) and event streams (sse)."),
    counter(AUTH_DENIED, "API keys turned away over HTTP, by reason (invalid, unavailable)."),
    seconds(LOG_APPEND_SECONDS, "Time from handing events to the log until they are durable."),
    counter(LOG_CONFLICTS, "Appends turned away because their stream had moved on."),
    counter(LOG_EVENTS, "Events made durable."),
    events(LOG_BATCH_EVENTS, "Events in one transaction of the log's writer."),
    gauge(PROJECTION_POSITION, "Position up to which a read model has followed the log, by projection."),
    gauge(PROJECTION_LAG, "Events that a read model is behind the log, by projection."),
    gauge(PROJECTION_POISONED, "1 when an event stopped the read model, by projection."),
    seconds(PROJECTION_BATCH_SECONDS, "Time to fold and write one batch of events into the read models."),
    events(PROJECTION_BATCH_EVENTS, "Events in one batch of the read models."),
    counter(PROJECTION_FAILURES, "Batches that could not be read or written and are tried again."),
    gauge(DISPATCH_WAITING, "Messages that wait to be handed to Meta."),
    gauge(DISPATCH_IN_FLIGHT, "Calls to Meta under way."),
    seconds(DISPATCH_CALL_SECONDS, "Time of a call to Meta."),
    counter(DISPATCH_OUTCOMES, "Calls to Meta that ended, by outcome."),
    counter(DISPATCH_UNRESOLVED, "Sends whose outcome stayed unknown past the reconcile window."),
    counter(MESSAGES_EXPIRED, "Messages that expired before they were handed to Meta."),
    counter(ERASURES, "People erased."),
    counter(WEBHOOK_REJECTED, "Webhooks turned away, by reason."),
    counter(WEBHOOK_UPDATES, "Updates taken from webhooks, by kind."),
    counter(RETENTION_KEYS_DESTROYED, "Keys of days whose time was over that were destroyed."),
    counter(IMPORT_ROWS, "Rows of files applied by imports."),
    events(VAULT_CREATIONS_BATCH, "Subjects and keys made durable in one transaction of the vault."),
    counter(VAULT_CACHE_HITS, "Keys found in the vault's cache."),
    counter(VAULT_CACHE_MISSES, "Keys that the vault had to read from its store."),
    counter(VAULT_ROTATIONS, "Epochs of the vault's keys that have ended."),
    counter(VAULT_ROLLBACKS, "Times that the vault's store was found put back or replaced under this process."),
    counter(
        VAULT_UNAVAILABLE,
        "Values that could not be read although they were not erased, by why: a key missing or damaged, or the value.",
    ),
    gauge(VAULT_ROTATION_WAITING, "Nodes that the end of an epoch waits for."),
];

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
