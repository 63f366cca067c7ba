//! Status webhooks as Meta posts them, signed, over HTTP: answered once they are durable.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use serde_json::{Value, json};
use wasend::bootstrap::SystemClock;
use wasend_domain::Clock;
use wasend_tests::{Engine, until};
use wasend_whatsapp::signature::{SIGNATURE_HEADER, sign};

use crate::bench::Bench;
use crate::bulk::Caller;
use crate::http::Connection;
use crate::load::{Client, drive, on_one_thread};
use crate::people::People;
use crate::report::Line;
use crate::row::Row;
use crate::server::{APP_SECRET, PHONE_NUMBER_ID, Server, WABA_ID};

/// Messages whose statuses are posted.
const MESSAGES: u64 = 20_000;
const QUICK: u64 = 5_000;
/// As fast as a number can be told to send, so that Meta has them soon.
const RATE: u32 = 1_000;
/// Updates in one body, how many connections post such bodies, and which statuses they tell. No status is told twice.
const WAYS: [(usize, usize, &[&str]); 2] = [(1, 64, &["sent"]), (1_000, 4, &["delivered", "read"])];

pub struct Statuses;

#[async_trait(?Send)]
impl Row for Statuses {
    fn name(&self) -> &'static str {
        "statuses"
    }

    fn about(&self) -> &'static str {
        "status webhooks with 1 and with 1,000 updates, about messages that were sent before"
    }

    async fn run(&self, bench: &Bench) -> anyhow::Result<()> {
        let default = if bench.arguments.quick { QUICK } else { MESSAGES };
        for engine in bench.engines() {
            for messages in bench.sizes(&[default]) {
                measure(bench, engine, messages).await?;
            }
        }
        Ok(())
    }
}

async fn measure(bench: &Bench, engine: Engine, messages: u64) -> anyhow::Result<()> {
    let server = Server::start(bench, engine, RATE).await?;
    let sent = sent(&server, messages).await?;
    for (updates, connections, words) in WAYS {
        let bodies: VecDeque<Body> = words.iter().flat_map(|word| bodies(&sent, word, updates)).collect();
        let bodies = Arc::new(Mutex::new(bodies));
        let before = server.usage()?;
        let poster = |connection| Poster { connection, bodies: bodies.clone() };
        let measured = on_one_thread(async {
            let posters = server.connections(connections).await?.into_iter().map(poster).collect();
            drive(posters, Duration::from_secs(60)).await
        })?;
        let line = Line::new("statuses", engine, "updates/s", measured.per_second())
            .clients(connections)
            .with("updates_a_call", updates)
            .with("updates", measured.operations)
            .with_latency(&measured.latency)
            .with_number("server_cores", server.usage()?.cores_since(before));
        bench.report.line(&line)?;
    }
    server.end().await;
    Ok(())
}

/// A message that Meta took: its wamid, our id, and the recipient's number without its plus sign.
type SentMessage = (String, String, String);

/// Messages that Meta took and has said nothing about yet.
async fn sent(server: &Server, messages: u64) -> anyhow::Result<Vec<SentMessage>> {
    server.world.simulator.script("*", json!([{"type": "skip_all"}]), None).await;
    let connection = Connection::open(&server.url()?).await?;
    let mut caller = Caller::new(server, connection, &People::new());
    let mut left = messages;
    while left > 0 {
        left -= caller.call(left.min(1_000)).await.map(|_| left.min(1_000))?;
    }
    until("Meta has every message", || async { (server.dispatched().await == messages).then_some(()) }).await;
    let client = server.client();
    let query = "{ messages(filter: {status: [ACCEPTED, ATTEMPTED]}) { totalCount } }";
    until("every answer of Meta's is recorded", || async {
        (client.data(query, json!({})).await["messages"]["totalCount"] == 0).then_some(())
    })
    .await;
    let url = format!("{}_simulator/messages?limit={messages}", server.world.simulator.url());
    let summary: Value = client.http.get(url).send().await?.json().await?;
    let accepted = summary["messages"].as_array().context("the simulator tells what it accepted")?;
    let text = |message: &Value, name: &str| message[name].as_str().map(str::to_owned);
    let message = |message: &Value| {
        let to = text(message, "to")?.trim_start_matches('+').to_owned();
        Some((text(message, "wamid")?, text(message, "biz_opaque_callback_data")?, to))
    };
    accepted.iter().map(message).collect::<Option<_>>().context("every message has its ids")
}

/// Of a webhook, and how many updates it holds.
type Body = (String, u64);

/// One status of each message, so many in one body.
fn bodies(sent: &[SentMessage], word: &str, updates: usize) -> Vec<Body> {
    let now = (SystemClock.now().micros() / 1_000_000).to_string();
    let change = |(wamid, message, to): &SentMessage| {
        json!({"field": "messages", "value": {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": PHONE_NUMBER_ID},
            "statuses": [{
                "id": wamid, "status": word, "timestamp": now, "recipient_id": to,
                "biz_opaque_callback_data": message,
                "pricing": {"billable": true, "pricing_model": "PMP", "type": "regular", "category": "utility"},
            }],
        }})
    };
    let body = |sent: &[SentMessage]| {
        let changes: Vec<Value> = sent.iter().map(change).collect();
        let body = json!({"object": "whatsapp_business_account", "entry": [{"id": WABA_ID, "changes": changes}]});
        (body.to_string(), sent.len() as u64)
    };
    sent.chunks(updates).map(body).collect()
}

struct Poster {
    connection: Connection,
    bodies: Arc<Mutex<VecDeque<Body>>>,
}

impl Client for Poster {
    async fn ask(&mut self) -> anyhow::Result<u64> {
        let body = self.bodies.lock().expect("not poisoned").pop_front();
        let Some((body, updates)) = body else { return Ok(0) };
        let signature = sign(APP_SECRET, body.as_bytes());
        self.connection.post("/webhooks/whatsapp", (SIGNATURE_HEADER, &signature), body).await?;
        Ok(updates)
    }
}
