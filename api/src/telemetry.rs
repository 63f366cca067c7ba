//! Logs and metrics.

pub mod metric;

use std::io::IsTerminal;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::{LogConfig, LogFormat};

/// Logs or metrics cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the log's level is not understood")]
    Filter(#[from] ParseError),
    #[error("logging was set up before")]
    Logging(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("metrics cannot be set up")]
    Metrics(#[from] BuildError),
}

/// Sends logs to standard error, and panics into the log. Once a process.
pub fn log(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    match config.format {
        LogFormat::Auto if terminal => builder.with_ansi(true).try_init(),
        LogFormat::Pretty => builder.with_ansi(terminal).try_init(),
        LogFormat::Auto | LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
        }
    }
    .map_err(TelemetryError::Logging)?;
    // A panic's message may quote any value; where it happened is enough to find it.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    Ok(())
}

/// Collects the metrics of the process; `/metrics` renders them. Once a process.
pub fn metrics() -> Result<PrometheusHandle, TelemetryError> {
    let handle = recorder()?.install_recorder()?;
    metric::describe_all();
    Ok(handle)
}

fn recorder() -> Result<PrometheusBuilder, BuildError> {
    metric::METRICS.iter().try_fold(PrometheusBuilder::new(), |builder, metric| match metric.buckets {
        [] => Ok(builder),
        buckets => {
            let name = metrics_exporter_prometheus::Matcher::Full(metric.name.to_owned());
            builder.set_buckets_for_metric(name, buckets)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_rendered_for_prometheus() {
        let recorder = recorder().unwrap().build_recorder();
        let handle = recorder.handle();
        ::metrics::with_local_recorder(&recorder, || {
            metric::describe_all();
            ::metrics::counter!(metric::HTTP_REQUESTS, "route" => "/graphql").increment(1);
            ::metrics::histogram!(metric::LOG_APPEND_SECONDS).record(0.003);
        });
        let page = handle.render();
        assert!(page.contains("wasend_http_requests_total{route=\"/graphql\"} 1"), "{page}");
        assert!(page.contains("wasend_log_append_seconds_bucket{le=\"0.005\"} 1"), "{page}");
        assert!(page.contains("# HELP wasend_log_append_seconds "), "{page}");
    }

    #[test]
    fn every_histogram_has_buckets_and_names_are_unique() {
        let names: std::collections::BTreeSet<_> = metric::METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), metric::METRICS.len());
        for metric in metric::METRICS {
            assert_eq!(metric.kind == metric::MetricKind::Histogram, !metric.buckets.is_empty(), "{}", metric.name);
        }
    }
}
