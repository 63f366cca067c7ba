//! What a client waits for while the log grows.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};
use wasend::bootstrap::SystemClock;
use wasend_domain::Clock;
use wasend_tests::Engine;

use crate::aged::Aged;
use crate::bench::Bench;
use crate::bulk;
use crate::lives::phone;
use crate::load::{latencies, record};
use crate::people::People;
use crate::report::{Line, quantile};
use crate::row::Row;

const SIZES: [u64; 4] = [10_000, 100_000, 1_000_000, 5_000_000];
const QUICK: [u64; 2] = [10_000, 100_000];
/// How often each operation is timed at each size, unless a round is over before.
const TIMES: usize = 300;

pub struct Growth;

#[async_trait(?Send)]
impl Row for Growth {
    fn name(&self) -> &'static str {
        "growth"
    }

    fn about(&self) -> &'static str {
        "one client's sends and queries over HTTP, with so many events in the log"
    }

    async fn run(&self, bench: &Bench) -> anyhow::Result<()> {
        let default: &[u64] = if bench.arguments.quick { &QUICK } else { &SIZES };
        for engine in bench.engines() {
            let mut aged = Aged::start(bench, engine).await?;
            for events in bench.sizes(default) {
                let head;
                (aged, head) = aged.grown(events).await?;
                for operation in &OPERATIONS {
                    measure(bench, engine, &aged, head, operation).await?;
                }
            }
            aged.server.end().await;
        }
        Ok(())
    }
}

/// One thing that clients do.
struct Operation {
    name: &'static str,
    document: &'static str,
    variables: fn(&Aged, usize) -> Value,
}

const OPERATIONS: [Operation; 6] = [
    Operation {
        name: "send",
        document: "mutation($input: SendMessageInput!) { sendMessage(input: $input) { message { id status } position errors { code message } } }",
        variables: |aged, _| json!({"input": bulk::message(&aged.server.number, &People::somebody())}),
    },
    Operation {
        name: "newest messages",
        document: "{ messages(first: 20) { edges { node { id status content { text } contact { phone } } } pageInfo { endCursor } } }",
        variables: |_, _| json!({}),
    },
    Operation {
        name: "messages of a contact",
        document: "query($id: ID!) { messages(first: 20, filter: {contactId: $id}) { edges { node { id status content { text } } } } }",
        variables: |aged, time| json!({"id": aged.contacts[(time * 7) % aged.contacts.len()].to_string()}),
    },
    Operation {
        name: "contact by phone",
        document: "query($phone: String!) { contact(phone: $phone) { id phone name optedOut } }",
        variables: |aged, time| json!({"phone": phone((time * 7) % aged.contacts.len())}),
    },
    Operation {
        name: "usage of today",
        document: "query($day: Date!) { usage(period: {from: $day, to: $day}) { messages delivered billable } }",
        variables: |_, _| json!({"day": SystemClock.now().day().to_string()}),
    },
    Operation {
        name: "audit trail",
        document: "{ auditTrail(last: 20) { edges { node { position eventType } } } }",
        variables: |_, _| json!({}),
    },
];

async fn measure(bench: &Bench, engine: Engine, aged: &Aged, head: u64, operation: &Operation) -> anyhow::Result<()> {
    let (client, mut latency) = (aged.server.client(), latencies());
    let (begun, round) = (Instant::now(), bench.round(Duration::from_secs(5), Duration::from_secs(1)));
    for time in 0..TIMES {
        if time > 0 && begun.elapsed() > round {
            break;
        }
        let variables = (operation.variables)(aged, time);
        let start = Instant::now();
        let data = client.data(operation.document, variables).await;
        record(&mut latency, start.elapsed());
        anyhow::ensure!(!data.to_string().contains("\"errors\":[{"), "{data}");
    }
    let line = Line::new("growth", engine, "ms", quantile(&latency, 0.5))
        .size(head)
        .with("operation", operation.name)
        .with("times", latency.len())
        .with_latency(&latency);
    bench.report.line(&line)
}
