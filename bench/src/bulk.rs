//! `sendMessages`: a thousand messages a call, durable together.

use std::time::Duration;

use anyhow::ensure;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use wasend_tests::Engine;

use crate::bench::Bench;
use crate::http::Connection;
use crate::load::Client;
use crate::people::People;
use crate::report::Line;
use crate::row::Row;
use crate::send::RATE;
use crate::server::Server;

const CLIENTS: [usize; 1] = [4];
/// The most that one call may hold.
const A_CALL: u64 = 1_000;

pub struct Bulk;

#[async_trait(?Send)]
impl Row for Bulk {
    fn name(&self) -> &'static str {
        "bulk"
    }

    fn about(&self) -> &'static str {
        "sendMessages over HTTP, 1,000 a call; to known and to new recipients"
    }

    async fn run(&self, bench: &Bench) -> anyhow::Result<()> {
        for engine in bench.engines() {
            for clients in bench.clients(&CLIENTS) {
                for (name, people) in [("known", People::known()), ("new", People::new())] {
                    measure(bench, engine, clients, name, &people).await?;
                }
            }
        }
        Ok(())
    }
}

async fn measure(bench: &Bench, engine: Engine, clients: usize, name: &str, people: &People) -> anyhow::Result<()> {
    let round = bench.round(Duration::from_secs(5), Duration::from_secs(2));
    let server = Server::start(bench, engine, RATE).await?;
    introduce(&server).await?;
    let caller = |connection| Caller::new(&server, connection, people);
    let (summary, cores) = server.load(clients, round, caller)?;
    let line = Line::new("bulk", engine, "messages/s", summary.per_second)
        .clients(clients)
        .with("recipients", name)
        .with_latency(&summary.latency)
        .with_number("server_cores", cores)
        .with_number("rss_mb", server.memory()?.0);
    server.end().await;
    bench.report.line(&line)
}

/// Writes to all of [`People::known`], and waits until the read models know them too.
pub async fn introduce(server: &Server) -> anyhow::Result<()> {
    let connection = Connection::open(&server.url()?).await?;
    let position = Caller::new(server, connection, &People::known()).call(A_CALL).await?;
    server.caught_up(position).await;
    Ok(())
}

/// A message as a client gives it.
pub fn message(number: &str, to: &str) -> Value {
    json!({"numberId": number, "to": to, "text": {"body": "Your parcel has left our house."}})
}

/// A client with its own connection.
pub struct Caller {
    connection: Connection,
    authorization: String,
    number: String,
    people: People,
}

const MUTATION: &str = "mutation($input: SendMessagesInput!) { sendMessages(input: $input) { results { message { id } position errors { code } } position errors { code message } } }";

/// As much of the answer as is looked at.
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "sendMessages")]
    accepted: Accepted,
}

#[derive(Deserialize)]
struct Accepted {
    position: u64,
}

impl Caller {
    pub fn new(server: &Server, connection: Connection, people: &People) -> Self {
        let (authorization, number) = (server.authorization(), server.number.clone());
        Self { connection, authorization, number, people: people.clone() }
    }

    /// Sends so many messages in one call; the position of the last.
    pub async fn call(&mut self, messages: u64) -> anyhow::Result<u64> {
        let messages: Vec<Value> = (0..messages).map(|_| message(&self.number, &self.people.next())).collect();
        let body = json!({"query": MUTATION, "variables": {"input": {"messages": messages}}}).to_string();
        let answer = self.connection.post("/graphql", ("authorization", &self.authorization), body).await?;
        ensure!(!answer.contains("\"errors\":[{"), "{answer}");
        let Answer { data: Data { accepted } } = serde_json::from_str(&answer)?;
        Ok(accepted.position)
    }
}

impl Client for Caller {
    async fn ask(&mut self) -> anyhow::Result<u64> {
        self.call(A_CALL).await?;
        Ok(A_CALL)
    }
}
