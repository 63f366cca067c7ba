//! `sendMessage` over HTTP: from the request's first byte to the answer's last, the message durable.

use std::time::Duration;

use anyhow::ensure;
use async_trait::async_trait;
use serde_json::json;
use wasend_tests::Engine;

use crate::bench::Bench;
use crate::bulk::{self, introduce};
use crate::http::Connection;
use crate::load::Client;
use crate::people::People;
use crate::report::Line;
use crate::row::Row;
use crate::server::Server;

const CLIENTS: [usize; 1] = [64];
/// What a number sends a second unless its owner says otherwise; the rest waits in the server's queue.
pub const RATE: u32 = 80;

pub struct Send;

#[async_trait(?Send)]
impl Row for Send {
    fn name(&self) -> &'static str {
        "send"
    }

    fn about(&self) -> &'static str {
        "sendMessage over HTTP, each connection waiting for its answer; to known and to new recipients"
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
    let sender = |connection| Sender::new(&server, connection, people);
    let (summary, cores) = server.load(clients, round, sender)?;
    let line = Line::new("send", engine, "messages/s", summary.per_second)
        .clients(clients)
        .with("recipients", name)
        .with_latency(&summary.latency)
        .with_number("server_cores", cores)
        .with_number("rss_mb", server.memory()?.0)
        .with("dispatched", server.dispatched().await);
    server.end().await;
    bench.report.line(&line)
}

/// A client with its own connection.
pub struct Sender {
    connection: Connection,
    authorization: String,
    number: String,
    people: People,
}

impl Sender {
    pub fn new(server: &Server, connection: Connection, people: &People) -> Self {
        let (authorization, number) = (server.authorization(), server.number.clone());
        Self { connection, authorization, number, people: people.clone() }
    }
}

const MUTATION: &str = "mutation($input: SendMessageInput!) { sendMessage(input: $input) { message { id status } position errors { code field message } } }";

impl Client for Sender {
    async fn ask(&mut self) -> anyhow::Result<u64> {
        let input = bulk::message(&self.number, &self.people.next());
        let body = json!({"query": MUTATION, "variables": {"input": input}}).to_string();
        let answer = self.connection.post("/graphql", ("authorization", &self.authorization), body).await?;
        ensure!(answer.contains("\"errors\":[]"), "{answer}");
        Ok(1)
    }
}
