//! The erasure of one person, from the request until it is completed, however long the history.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use serde_json::json;
use wasend_domain::SubjectId;
use wasend_tests::{Client, Engine};

use crate::aged::Aged;
use crate::bench::Bench;
use crate::load::{latencies, record};
use crate::report::{Line, quantile};
use crate::row::Row;

const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];
const QUICK: [u64; 2] = [10_000, 100_000];
/// People who are erased one after another at each size.
const PEOPLE: usize = 20;

pub struct Erase;

#[async_trait(?Send)]
impl Row for Erase {
    fn name(&self) -> &'static str {
        "erase"
    }

    fn about(&self) -> &'static str {
        "requestErasure until COMPLETED, for a contact with ten messages among so many events"
    }

    async fn run(&self, bench: &Bench) -> anyhow::Result<()> {
        let default: &[u64] = if bench.arguments.quick { &QUICK } else { &SIZES };
        for engine in bench.engines() {
            let mut aged = Aged::start(bench, engine).await?;
            let mut erased = 0;
            for events in bench.sizes(default) {
                let head;
                (aged, head) = aged.grown(events).await?;
                measure(bench, engine, &aged, head, &mut erased).await?;
            }
            aged.server.end().await;
        }
        Ok(())
    }
}

async fn measure(bench: &Bench, engine: Engine, aged: &Aged, head: u64, erased: &mut usize) -> anyhow::Result<()> {
    let (client, mut latency) = (aged.server.client(), latencies());
    let people = aged.contacts.iter().skip(*erased).take(PEOPLE);
    for contact in people {
        let start = Instant::now();
        erase(&client, *contact).await?;
        record(&mut latency, start.elapsed());
        *erased += 1;
    }
    let line = Line::new("erase", engine, "ms", quantile(&latency, 0.5))
        .size(head)
        .with("people", latency.len())
        .with_latency(&latency);
    bench.report.line(&line)
}

async fn erase(client: &Client, contact: SubjectId) -> anyhow::Result<()> {
    let input = json!({"subject": {"contactId": contact.to_string()}, "regime": "GDPR", "ground": "OBJECTION"});
    let asked = client.mutate("requestErasure", input, "request { id } errors { code message }").await;
    let id = asked["request"]["id"].as_str().with_context(|| asked.to_string())?;
    let query = "query($id: ID!) { privacyRequest(id: $id) { state } }";
    loop {
        let request = client.data(query, json!({"id": id})).await["privacyRequest"].take();
        match request["state"].as_str() {
            Some("COMPLETED") => return Ok(()),
            state => ensure!(state.is_none_or(|state| state != "REFUSED"), "{request}"),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
