//! Past one machine: what a commit costs is measured, what many nodes and many logs make of it is simulated.
//!
//! Nodes take turns at their log's head, and each takes with it what has gathered since its last turn. Accounts are
//! spread over logs by rendezvous hashing and are as unequal as words (Zipf); the log with the largest share is full
//! first.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use wasend::bootstrap::SystemClock;
use wasend_domain::AccountId;
use wasend_eventlog::{EventLog, SqlLog, UpcasterChain};
use wasend_tests::Engine;

use crate::bench::Bench;
use crate::event;
use crate::report::Line;
use crate::row::Row;

/// Nodes of each log, and logs. The embedded log has one node.
const EMBEDDED: [(u32, u32); 4] = [(1, 1), (1, 2), (1, 4), (1, 8)];
const SERVED: [(u32, u32); 4] = [(1, 1), (4, 1), (4, 4), (4, 16)];
/// Events that wait to be appended on the nodes of a log together.
const WAITING: u32 = 1_000;
/// Between an answer and the next append of the same client, in which it prepares that.
const PREPARING: f64 = 0.005;
const ACCOUNTS: u32 = 10_000;
/// How long the simulation runs, in simulated seconds.
const SIMULATED: f64 = 20.0;

pub struct Scale;

#[async_trait(?Send)]
impl Row for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn about(&self) -> &'static str {
        "a commit's cost measured here, and simulated from it: several nodes on a log, accounts spread over several logs"
    }

    async fn run(&self, bench: &Bench) -> anyhow::Result<()> {
        for engine in bench.engines() {
            let cost = measure(bench, engine).await?;
            let scenarios = if engine == Engine::Sqlite { EMBEDDED } else { SERVED };
            for (nodes, logs) in scenarios {
                let (rate, waited) = simulate(cost, nodes);
                let share = largest_share(logs);
                let line = Line::new("scale", engine, "events/s", rate / share)
                    .with("nodes_a_log", nodes)
                    .with("logs", logs)
                    .with_number("largest_share", share)
                    .with_number("waited_ms", waited * 1_000.0)
                    .with_number("commit_us", cost.commit * 1e6)
                    .with_number("event_us", cost.event * 1e6);
                bench.report.line(&line)?;
            }
        }
        Ok(())
    }
}

/// Of a batch, in seconds.
#[derive(Debug, Clone, Copy)]
struct Cost {
    commit: f64,
    event: f64,
}

/// The cost of a batch of one, and how it grows up to a thousand: the medians of several.
async fn measure(bench: &Bench, engine: Engine) -> anyhow::Result<Cost> {
    let store = bench.store(engine).await?;
    let log = SqlLog::open(store.open().await?, Arc::new(SystemClock), UpcasterChain::default()).await?;
    let time = bench.round(Duration::from_secs(3), Duration::from_secs(1)) / 2;
    let (one, thousand) = (median(&log, 1, time).await?, median(&log, WAITING, time).await?);
    log.close().await;
    log.db().close().await;
    store.remove().await?;
    let event = ((thousand - one) / f64::from(WAITING - 1)).max(f64::MIN_POSITIVE);
    Ok(Cost { commit: one, event })
}

async fn median(log: &SqlLog, events: u32, time: Duration) -> anyhow::Result<f64> {
    let (account, begun, mut taken) = (AccountId::random(), Instant::now(), Vec::new());
    while taken.len() < 3 || begun.elapsed() < time {
        let batch = (0..events).map(|_| event::append(account)).collect::<Result<Vec<_>, _>>()?;
        let start = Instant::now();
        for answer in log.append(batch).await? {
            answer?;
        }
        taken.push(start.elapsed().as_secs_f64());
    }
    taken.sort_by(f64::total_cmp);
    Ok(taken[taken.len() / 2])
}

/// Events a second that the nodes of one log append together, and how long one waits in the middle, in seconds.
fn simulate(cost: Cost, nodes: u32) -> (f64, f64) {
    let clients = WAITING / nodes;
    // Of each node: when its waiting clients came.
    let mut waiting: Vec<VecDeque<f64>> = (0..nodes).map(|_| (0..clients).map(|_| 0.0).collect()).collect();
    let (mut now, mut done, mut waited) = (0.0_f64, 0_u32, Vec::new());
    while now < SIMULATED {
        let before = now;
        for node in &mut waiting {
            let ready = node.iter().take_while(|came| **came <= now).count();
            if ready == 0 {
                continue;
            }
            #[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
            let end = now + cost.commit + cost.event * ready as f64;
            for came in node.drain(..ready).collect::<Vec<_>>() {
                waited.push(end - came);
                node.push_back(end + PREPARING);
                done += 1;
            }
            now = end;
        }
        if now <= before {
            // No node was ready: on to the first that will be.
            now = waiting.iter().filter_map(|node| node.front().copied()).fold(f64::INFINITY, f64::min);
        }
    }
    waited.sort_by(f64::total_cmp);
    (f64::from(done) / now, waited[waited.len() / 2])
}

/// The part of all work that falls to the fullest of so many logs.
fn largest_share(logs: u32) -> f64 {
    let mut shares = vec![0.0; logs as usize];
    for account in 0..ACCOUNTS {
        let weight = |log: &u32| {
            let mut hasher = DefaultHasher::new();
            (account, *log).hash(&mut hasher);
            hasher.finish()
        };
        let home = (0..logs).max_by_key(weight).unwrap_or(0);
        shares[home as usize] += 1.0 / f64::from(account + 1);
    }
    shares.iter().copied().fold(0.0, f64::max) / shares.iter().sum::<f64>()
}
