//! Two servers on one PostgreSQL; each in turn is killed under load, and the other takes over what it did.

use std::time::{Duration, Instant};

use serde_json::json;
use wasend_tests::{Client, Engine, until};

use crate::check;
use crate::cluster::Cluster;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::settle::settle;
use crate::stage::{Stage, server};
use crate::verdict::Verdict;

pub async fn run(verdict: &mut Verdict, kills: u32, seed: u64) {
    let cluster = Cluster::start(None);
    let database = cluster.fresh_database("faults").await;
    let keys = tempfile::tempdir().expect("a directory is made");
    let keys = keys.path().to_str().expect("a path of ASCII");
    let both = |start: wasend_tests::Start| start.with("WASEND_EPOCH_KEY_DIR", keys);
    let stage = Stage::on(Engine::Postgres, Some(cluster), Some(&database), both).await;
    let other = both(server(&stage.meta)).with_database(&database).on(Engine::Postgres).await;
    let Stage { world, cluster: _cluster, meta, client, number } = stage;
    let nodes = [client.clone(), Client::new(&other.url, &client.key)];
    let turned = [nodes[1].clone(), nodes[0].clone()];
    let (one, two) = (check::subscribers(&nodes), check::subscribers(&turned));
    let load = Load::start(&nodes, &number, &meta, seed, 1);
    let mut worlds = [world, other];
    let (mut sending, mut reading) = (Vec::new(), Vec::new());
    for kill in 0..kills as usize {
        // The node that has been up for longer does all the work: after each kill that is the other one.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (dies, lives) = (kill % 2, (kill + 1) % 2);
        worlds[dies].kill().await;
        let killed = Instant::now();
        meta.report_to(&worlds[lives].url);
        let (read, sent) = taken_over(&nodes[lives], &number, &load.ledger, killed).await;
        reading.push(read);
        sending.push(sent);
        if let Err(why) = worlds[dies].start_again().await {
            verdict.held("a killed node starts again", Err(why));
            return;
        }
    }
    Verdict::note(format!(
        "{kills} kills; the other node went on to read after {} and to send after {}",
        told(&reading),
        told(&sending)
    ));
    let book = load.stop().await;
    verdict.held("nothing is stuck", settle(&client, &meta, &book).await);
    check::all(verdict, &worlds[0], &client, &meta, &book, (&one.0, &one.1)).await;
    let audit = check::History::read(&worlds[1]).await.positions();
    verdict.held("the audit was heard whole from the other node", check::heard(&two.1, &audit).await);
    verdict.held("the statuses were heard whole from the other node", check::heard_statuses(&nodes[1], &two.0).await);
}

/// How long after the kill the other node's read models move on, and its messages are sent.
async fn taken_over(node: &Client, number: &str, ledger: &Ledger, killed: Instant) -> (Duration, Duration) {
    let input = json!({"numberId": number, "to": "+16505558000", "text": {"body": "Who sends this?"}});
    let sent = node.send(input).await;
    let id = sent["message"]["id"].as_str().expect("an id");
    let position = sent["position"].as_u64().expect("a position");
    ledger.open().book("+16505558000", id, position);
    let query = "query($at: Position) { messages(first: 1, minPosition: $at) { totalCount } }";
    until("the read models move on", || async {
        let answer = node.ask(query, json!({"at": position})).await;
        answer.get("errors").is_none().then_some(())
    })
    .await;
    let read = killed.elapsed();
    node.until_status(id, "READ").await;
    (read, killed.elapsed())
}

fn told(times: &[Duration]) -> String {
    let times: Vec<String> = times.iter().map(|time| format!("{:.1} s", time.as_secs_f64())).collect();
    times.join(", ")
}
