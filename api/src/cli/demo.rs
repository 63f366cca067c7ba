//! `wasend demo`: the main job, played against a store that is thrown away, and told.

use std::time::Duration;

use cqrs_es::Aggregate as _;
use futures::StreamExt;
use serde_json::{Value, json};
use url::Url;
use wasend_domain::message::Message;
use wasend_domain::{Personal, StreamId};

use super::events::replay::states;
use super::{Failure, serve};
use crate::config::{Config, Listen, Storage};
use crate::house::Stores;

/// How long a step may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(30);
const RECIPIENT: &str = "+16505551234";

pub async fn run(mut config: Config) -> Result<(), Failure> {
    let directory = tempfile::tempdir().map_err(|error| Failure::because("no temporary store", &error))?;
    config.storage.data_dir = directory.path().to_owned();
    config.storage.database_url = None;
    config.storage.vault_database_url = None;
    config.storage.epoch_key_dir = None;
    config.meta.base_url = None;
    config.simulator.enabled = true;
    config.http.listen = Listen::default();
    config.http.metrics_listen = None;
    let storage = config.storage.clone();
    let server = serve::start(config).await?;
    let Some(welcome) = server.welcome else { return Err(Failure::Failed("the store was not empty".to_owned())) };
    let doors = tokio::spawn(server.doors);
    let number = welcome.number.map(|number| number.to_string()).unwrap_or_default();
    let told = Demo::new(server.url, welcome.secret)?.tell(&number, &storage).await;
    server.life.stop();
    let closed = doors.await.map_err(|error| Failure::because("the server did not stop", &error));
    told.and(closed)
}

/// A client like any other.
struct Demo {
    url: Url,
    key: Personal<String>,
    http: reqwest::Client,
}

impl Demo {
    fn new(url: Url, key: Personal<String>) -> Result<Self, Failure> {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        Ok(Self { url, key, http: http.map_err(|error| Failure::because("no HTTP client", &error))? })
    }

    async fn tell(&self, number: &str, storage: &Storage) -> Result<(), Failure> {
        println!("A server runs on {} with an empty store and a simulator of Meta.\n", self.url);
        println!("1. Somebody watches: subscription messageStatusChanged, over server-sent events.\n");
        let mut watching = self.watch().await?;

        println!("2. A message is sent: mutation sendMessage to {RECIPIENT}.");
        let input = json!({"numberId": number, "to": RECIPIENT, "text": {"body": "Your parcel arrives today."},
            "idempotencyKey": "parcel-1"});
        let sent = self.ask(SEND, json!({"input": input})).await?["sendMessage"].take();
        let id = sent["message"]["id"].as_str().unwrap_or_default().to_owned();
        println!("   accepted as {id} at position {}\n", sent["position"]);

        println!("3. It travels:");
        loop {
            let change = watching.next().await?;
            let change = &change["messageStatusChanged"];
            println!("   position {:>3}  {}", change["position"], change["message"]["status"].as_str().unwrap_or("?"));
            if change["message"]["status"] == "READ" {
                break;
            }
        }

        println!("\n4. The same request again, with the same idempotency key, sends nothing:");
        let again = self.ask(SEND, json!({"input": input})).await?["sendMessage"].take();
        println!("   repeated: {}, the message is {}\n", again["repeated"], again["message"]["id"]);

        println!("5. Its usage is counted once:");
        let position = self.ask("{ position }", Value::Null).await?["position"].take();
        let today = self.ask(USAGE_DAY, json!({"id": id})).await?["message"]["acceptedAt"].take();
        let day = today.as_str().unwrap_or_default().chars().take(10).collect::<String>();
        let usage = self.ask(USAGE, json!({"day": day, "at": position})).await?["usage"].take();
        println!("   {usage}\n");

        println!("6. The audit trail says who did what:");
        let audit = self.ask(AUDIT, json!({"id": id})).await?["auditTrail"].take();
        for edge in audit["edges"].as_array().into_iter().flatten() {
            let node = &edge["node"];
            println!("   {:>3}  {:<20} {}", node["position"], text(&node["eventType"]), text(&node["actor"]));
        }

        println!("\n7. Its history, replayed from the log, gives the same state again:");
        let stores = Stores::open(storage).await?;
        let aggregate_id = id.parse().map_err(|_| Failure::Failed("no message id".to_owned()))?;
        let stream = StreamId { aggregate_type: Message::TYPE, aggregate_id };
        let steps = states::<Message>(&stores, stream).await;
        stores.close().await;
        for step in steps? {
            println!("   {:>3}  {:<20} -> {}", step.position, step.event_type, step.state.status().name());
        }
        let shown = self.ask(MESSAGE, json!({"id": id})).await?["message"].take();
        println!(
            "   the read model says {}; the body, opened for this key: {}",
            shown["status"], shown["content"]["text"]
        );
        println!("\nDone. `wasend serve` starts a server to keep.");
        Ok(())
    }

    /// The data of a request that must succeed.
    async fn ask(&self, query: &str, variables: Value) -> Result<Value, Failure> {
        let url = self.url.join("graphql").map_err(|error| Failure::because("no URL", &error))?;
        let request = self.http.post(url).bearer_auth(self.key.expose());
        let answer = request.json(&json!({"query": query, "variables": variables})).send().await;
        let answer = answer.map_err(|error| Failure::because("the server does not answer", &error))?;
        let mut answer: Value = answer.json().await.map_err(|error| Failure::because("no JSON", &error))?;
        match answer.get("errors") {
            Some(errors) => Err(Failure::Failed(format!("the server answers: {errors}"))),
            None => Ok(answer["data"].take()),
        }
    }

    async fn watch(&self) -> Result<Watching, Failure> {
        let url = self.url.join("graphql/stream").map_err(|error| Failure::because("no URL", &error))?;
        let request = self.http.post(url).bearer_auth(self.key.expose()).header("accept", "text/event-stream");
        let answer = request.json(&json!({"query": WATCH})).send().await;
        let answer = answer.map_err(|error| Failure::because("the server does not answer", &error))?;
        let bytes = answer.bytes_stream().map(|chunk| chunk.map(|chunk| chunk.to_vec())).boxed();
        Ok(Watching { bytes, buffer: String::new() })
    }
}

/// A subscription over server-sent events.
struct Watching {
    bytes: futures::stream::BoxStream<'static, reqwest::Result<Vec<u8>>>,
    buffer: String,
}

impl Watching {
    /// The data of the next result.
    async fn next(&mut self) -> Result<Value, Failure> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let event: String = self.buffer.drain(..end + 2).collect();
                let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                if event.starts_with("event: next") {
                    let mut result: Value = serde_json::from_str(data.trim())
                        .map_err(|error| Failure::because("the subscription told no JSON", &error))?;
                    return Ok(result["data"].take());
                }
                continue;
            }
            match tokio::time::timeout(PATIENCE, self.bytes.next()).await {
                Ok(Some(Ok(chunk))) => self.buffer.push_str(&String::from_utf8_lossy(&chunk)),
                _ => return Err(Failure::Failed("the subscription fell silent".to_owned())),
            }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

const SEND: &str = "mutation($input: SendMessageInput!) { sendMessage(input: $input) \
    { message { id status } position repeated errors { code field message } } }";
const WATCH: &str = "subscription { messageStatusChanged { position message { id status } } }";
const USAGE_DAY: &str = "query($id: ID!) { message(id: $id) { acceptedAt } }";
const USAGE: &str = "query($day: Date!, $at: Position) { usage(period: {from: $day, to: $day}, minPosition: $at) \
    { lines { direction category day messages delivered billable } } }";
const AUDIT: &str = "query($id: String) { auditTrail(first: 50, filter: {aggregateId: $id}) \
    { edges { node { position eventType actor } } } }";
const MESSAGE: &str = "query($id: ID!) { message(id: $id) { status content { text } } }";
