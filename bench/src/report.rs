//! What was measured, as a table or as one JSON object a line.

use std::collections::BTreeMap;
use std::io::Write;

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::Value;
use wasend_tests::Engine;

use crate::row::Row;

/// One figure, beside the peer's if there is one.
#[derive(Debug, Serialize)]
pub struct Line {
    bench: &'static str,
    engine: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    unit: &'static str,
    ours: f64,
    peer: Option<f64>,
    /// How many times the peer's figure ours is.
    ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_name: Option<String>,
    #[serde(flatten)]
    more: BTreeMap<&'static str, Value>,
}

impl Line {
    pub fn new(bench: &'static str, engine: Engine, unit: &'static str, ours: f64) -> Self {
        let (peer, ratio, peer_name, more) = (None, None, None, BTreeMap::new());
        let (engine, ours) = (engine.name(), rounded(ours));
        Self { bench, engine, clients: None, size: None, unit, ours, peer, ratio, peer_name, more }
    }

    pub const fn clients(mut self, clients: usize) -> Self {
        self.clients = Some(clients);
        self
    }

    /// Events in the log, or rows of a file.
    pub const fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    pub fn peer(mut self, name: String, figure: f64) -> Self {
        self.peer_name = Some(name);
        self.peer = Some(rounded(figure));
        self.ratio = (figure > 0.0).then(|| rounded(self.ours / figure));
        self
    }

    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.more.insert(name, value.into());
        self
    }

    pub fn with_number(self, name: &'static str, value: f64) -> Self {
        self.with(name, rounded(value))
    }

    /// The middle and the worst hundredth.
    pub fn with_latency(self, latency: &Histogram<u64>) -> Self {
        self.with_number("p50_ms", quantile(latency, 0.5)).with_number("p99_ms", quantile(latency, 0.99))
    }

    fn text(&self) -> String {
        let at = match (self.clients, self.size) {
            (Some(1), _) => "1 client".to_owned(),
            (Some(clients), _) => format!("{clients} clients"),
            (None, Some(size)) => format!("size {size}"),
            (None, None) => String::new(),
        };
        let beside = match (&self.peer_name, self.peer, self.ratio) {
            (Some(name), Some(peer), Some(ratio)) => format!("{peer:>11} {name} ({ratio} x)"),
            (Some(name), Some(peer), None) => format!("{peer:>11} {name}"),
            _ => String::new(),
        };
        let more: Vec<String> = self.more.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("  {:<9}{at:<15}{:>11} {:<14} {beside:<60} {}", self.engine, self.ours, self.unit, more.join(" "))
    }
}

/// Of a histogram of microseconds, in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "an hour of microseconds is far below 2^52")]
pub fn quantile(latency: &Histogram<u64>, quantile: f64) -> f64 {
    latency.value_at_quantile(quantile) as f64 / 1_000.0
}

/// As many digits as mean something.
fn rounded(figure: f64) -> f64 {
    let places = if figure >= 100.0 { 1.0 } else { 1_000.0 };
    (figure * places).round() / places
}

pub struct Report {
    json: bool,
}

impl Report {
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    pub fn heading(&self, row: &dyn Row) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { say(&format!("\n{}: {}", row.name(), row.about())) }
    }

    pub fn line(&self, line: &Line) -> anyhow::Result<()> {
        say(&if self.json { serde_json::to_string(line)? } else { line.text() })
    }

    /// What the figures depend on.
    pub fn environment(&self, facts: &[(&'static str, Value)]) -> anyhow::Result<()> {
        if self.json {
            let mut object: serde_json::Map<_, _> =
                facts.iter().map(|(name, value)| (name.replace(' ', "_"), value.clone())).collect();
            object.insert("bench".to_owned(), "environment".into());
            return say(&Value::Object(object).to_string());
        }
        for (name, value) in facts {
            say(&format!("{name:<20} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))?;
        }
        Ok(())
    }
}

/// At once, so that a long run can be watched.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
