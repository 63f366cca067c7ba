//! Ends the server, and PostgreSQL under it, at random moments while every kind of client is at work.

use std::time::{Duration, Instant};

use fastrand::Rng;
use wasend_tests::Engine;

use crate::load::Load;
use crate::settle::settle;
use crate::stage::Stage;
use crate::verdict::Verdict;
use crate::{check, process};

/// Between two kills, in milliseconds: from before the server has done anything to well into its work.
const KILL_INTERVAL_MILLIS: std::ops::Range<u64> = 20..3_000;
/// A server that takes longer than this to start again is stuck.
const START_TIMEOUT: Duration = Duration::from_secs(60);

pub async fn run(verdict: &mut Verdict, engine: Engine, kills: u32, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let Stage { mut world, cluster, meta, client, number } = Stage::set(engine).await;
    odd_recipients(&meta);
    let nodes = [client.clone()];
    let (statuses, audit) = check::subscribers(&nodes);
    let load = Load::start(&nodes, &number, &meta, seed, 1);
    let (mut killed, mut databases, mut backends, mut slowest) = (0, 0, 0, Duration::ZERO);
    while killed < kills {
        tokio::time::sleep(Duration::from_millis(rng.u64(KILL_INTERVAL_MILLIS))).await;
        // On Postgres, the server of the database dies about as often as ours: alone, one process of it, or with ours.
        if let Some(cluster) = &cluster {
            match rng.u8(0..4) {
                0 | 1 => {
                    cluster.kill();
                    databases += 1;
                    if rng.bool() {
                        // Ours meets a database that is not there.
                        tokio::time::sleep(Duration::from_millis(rng.u64(0..1_500))).await;
                        cluster.start_again();
                        continue;
                    }
                    world.kill().await;
                    cluster.start_again();
                }
                2 => {
                    if let Some(backend) = rng.choice(cluster.backends("faults")) {
                        process::signal("KILL", &[backend]);
                        backends += 1;
                    }
                    continue;
                }
                _ => world.kill().await,
            }
        } else {
            world.kill().await;
        }
        killed += 1;
        let begun = Instant::now();
        if let Err(why) =
            tokio::time::timeout(START_TIMEOUT, world.start_again()).await.unwrap_or(Err("no word".to_owned()))
        {
            verdict.held("the server starts again", Err(why));
            return;
        }
        slowest = slowest.max(begun.elapsed());
    }
    let book = load.stop().await;
    Verdict::note(format!(
        "{killed} kills of the server, {databases} of PostgreSQL, {backends} of a connection's process"
    ));
    verdict.check("the server starts again", true, format!("within {} ms", slowest.as_millis()));
    verdict.held("nothing is stuck", settle(&client, &meta, &book).await);
    check::all(verdict, &world, &client, &meta, &book, (&statuses, &audit)).await;
}

/// Recipients for which Meta does what it does now and then.
fn odd_recipients(meta: &crate::meta::Meta) {
    use serde_json::json;
    let oddities = [
        json!([{"type": "duplicate"}, {"type": "reorder"}]),
        json!([{"type": "drop_after"}]),
        json!([{"type": "server_error_after"}]),
        json!([{"type": "delay", "ms": 1_000}]),
        json!([{"type": "skip_delivered"}, {"type": "duplicate"}]),
    ];
    for (at, behaviours) in oddities.iter().cycle().take(200).enumerate() {
        meta.script(&format!("+1650555{:04}", at * 7), behaviours);
    }
}
