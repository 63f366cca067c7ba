//! The mixed load for a long time: what grows is a leak.

use std::time::{Duration, Instant};

use serde_json::json;
use wasend_tests::{Client, Engine};

use crate::load::Load;
use crate::settle::settle;
use crate::stage::Stage;
use crate::verdict::{Found, Verdict};
use crate::{check, process};

/// One look at the server.
struct Sample {
    resident: u64,
    p50: Duration,
    p99: Duration,
    lag: u64,
    waiting: u64,
    wal: u64,
}

pub async fn run(verdict: &mut Verdict, engine: Engine, minutes: f64, seed: u64) {
    let Stage { world, cluster, meta, client, number } = Stage::set(engine).await;
    let nodes = [client.clone()];
    let (statuses, audit) = check::subscribers(&nodes);
    let load = Load::start(&nodes, &number, &meta, seed, 1);
    // A line a minute, and at least a dozen.
    let lasts = Duration::from_secs_f64(minutes * 60.0);
    let every = (lasts / 12).min(Duration::from_secs(60));
    let wal = match &cluster {
        Some(cluster) => cluster.directory().join("data/pg_wal"),
        None => world.data.path().join("log.db-wal"),
    };
    let (begun, mut samples) = (Instant::now(), Vec::new());
    Verdict::note("minute   resident      p50      p99      lag  waiting       WAL");
    while begun.elapsed() < lasts {
        tokio::time::sleep(every).await;
        let latencies = std::mem::take(&mut load.ledger.open().latencies);
        let sample = look(&client, world.id(), latencies, &wal).await;
        Verdict::note(format!(
            "{:6.1} {:7.1} MB {:5} ms {:5} ms {:8} {:8} {:6.1} MB",
            begun.elapsed().as_secs_f64() / 60.0,
            mega(sample.resident),
            sample.p50.as_millis(),
            sample.p99.as_millis(),
            sample.lag,
            sample.waiting,
            mega(sample.wal),
        ));
        samples.push(sample);
    }
    let book = load.stop().await;
    if minutes >= 2.0 {
        flat(verdict, &samples);
    }
    verdict.held("nothing is stuck", settle(&client, &meta, &book).await);
    check::all(verdict, &world, &client, &meta, &book, (&statuses, &audit)).await;
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

async fn look(client: &Client, id: u32, mut latencies: Vec<Duration>, wal: &std::path::Path) -> Sample {
    latencies.sort_unstable();
    let quantile = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or_default();
    let metrics = client.http.get(format!("{}metrics", client.url)).send().await;
    let metrics = match metrics {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    };
    let lag = metrics.lines().filter(|line| line.starts_with("wasend_projection_lag_events"));
    let lag = lag.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).max().unwrap_or(u64::MAX);
    let waiting = client.try_ask("{ messages(filter: {status: [ACCEPTED]}) { totalCount } }", json!({})).await;
    let waiting = waiting.ok().and_then(|answer| answer["data"]["messages"]["totalCount"].as_u64());
    let waiting = waiting.unwrap_or(u64::MAX);
    let size = |path: &std::path::Path| path.metadata().map_or(0, |meta| meta.len());
    let wal = match std::fs::read_dir(wal) {
        Ok(files) => files.flatten().map(|file| size(&file.path())).sum(),
        Err(_) => size(wal),
    };
    Sample { resident: process::resident(id), p50: quantile(50), p99: quantile(99), lag, waiting, wal }
}

/// Compares the last third with the one before it: the first is for warming up.
fn flat(verdict: &mut Verdict, samples: &[Sample]) {
    let third = samples.len() / 3;
    let (before, after) = (&samples[third..2 * third], &samples[2 * third..]);
    let grows = |what: fn(&Sample) -> u64, share: u64, free: u64| -> Found {
        let middle = |of: &[Sample]| {
            let mut values: Vec<u64> = of.iter().map(what).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        let (before, after) = (middle(before), middle(after));
        let told = format!("{before} and then {after}");
        if after <= before + before * share / 100 + free { Ok(told) } else { Err(told) }
    };
    verdict.held("memory is flat (bytes)", grows(|s| s.resident, 10, 4_000_000));
    verdict.held("latency is flat (p50, µs)", grows(|s| micros(s.p50), 50, 5_000));
    verdict.held("latency is flat (p99, µs)", grows(|s| micros(s.p99), 100, 50_000));
    verdict.held("the read models keep up (events behind)", grows(|s| s.lag, 0, 2_000));
    verdict.held("sending keeps up (messages that wait)", grows(|s| s.waiting, 0, 500));
    verdict.held("the write-ahead log stays small (bytes)", grows(|s| s.wal, 50, 70_000_000));
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
