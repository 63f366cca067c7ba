//! A server to measure: this program itself as `serve`, in a separate process with a separate store.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};
use url::Url;
use wasend_tests::{Client, Engine, Start, World, until};

use crate::bench::Bench;
use crate::http::Connection;
use crate::load::{self, drive, on_one_thread};
use crate::rounds::{ROUNDS, Summary, summary};

/// The number that messages are sent from. Its secret is known, so that webhooks can be signed.
pub const PHONE_NUMBER_ID: &str = "106540352242922";
pub const WABA_ID: &str = "102290129340398";
pub const APP_SECRET: &str = "app-secret-of-the-benchmark";

pub struct Server {
    pub world: World,
    /// As clients name it.
    pub number: String,
    /// Where its database is to be dropped.
    postgres: Option<String>,
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    at: Instant,
    processor: Duration,
}

impl Server {
    /// With a number that sends at most so many messages a second; clients may hand in as many as they like.
    pub async fn start(bench: &Bench, engine: Engine, messages_per_second: u32) -> anyhow::Result<Self> {
        let postgres = bench.postgres().map(str::to_owned);
        let start = Start::default().with_program(std::env::current_exe()?).with_server(postgres.as_deref());
        let world = start.with("WASEND_LOG", "warn").with("WASEND_SIMULATOR_DELAY", "200ms").on(engine).await;
        let input = json!({
            "phoneNumberId": PHONE_NUMBER_ID, "wabaId": WABA_ID, "displayPhoneNumber": "+1 555 078 3881",
            "accessToken": "token-of-the-benchmark", "appSecret": APP_SECRET, "verifyToken": "verify-me",
            "messagesPerSecond": messages_per_second,
        });
        let connected = world.client().mutate("connectNumber", input, "number { id } errors { code message }").await;
        let number = connected["number"]["id"].as_str().with_context(|| connected.to_string())?.to_owned();
        Ok(Self { world, number, postgres })
    }

    /// Starts it again after it was stopped, on the same store.
    pub async fn restart(self) -> Self {
        Self { world: self.world.restart().await, ..self }
    }

    pub fn client(&self) -> Client {
        self.world.client()
    }

    pub fn url(&self) -> anyhow::Result<Url> {
        Ok(Url::parse(&self.world.url)?)
    }

    /// As many connections of their own as there are clients.
    pub async fn connections(&self, clients: usize) -> anyhow::Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(clients);
        for _ in 0..clients {
            connections.push(Connection::open(&self.url()?).await?);
        }
        Ok(connections)
    }

    /// The value of the header with which a client says who it is.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.client().key)
    }

    /// Waits until the read models show the position.
    pub async fn caught_up(&self, position: u64) {
        let client = self.client();
        until(&format!("the read models stand at {position}"), || async {
            let shown = client.data("{ position }", json!({})).await["position"].as_u64();
            shown.filter(|shown| *shown >= position)
        })
        .await;
    }

    /// Messages that the simulator was handed so far.
    pub async fn dispatched(&self) -> Value {
        self.world.simulator.messages().await["accepted"].take()
    }

    /// Three rounds of clients, each with connections of their own; and how many cores the server used meanwhile.
    pub fn load<C: load::Client>(
        &self,
        clients: usize,
        round: Duration,
        client: impl Fn(Connection) -> C,
    ) -> anyhow::Result<(Summary, f64)> {
        let (before, mut rounds) = (self.usage()?, Vec::new());
        for _ in 0..ROUNDS {
            rounds.push(on_one_thread(async {
                let connections = self.connections(clients).await?;
                drive(connections.into_iter().map(&client).collect(), round).await
            })?);
        }
        Ok((summary(&rounds)?, self.usage()?.cores_since(before)))
    }

    /// Ends it without a word, and frees the disk.
    pub async fn end(mut self) {
        self.world.kill().await;
        if let (Some(server), Some(database)) = (self.postgres, &self.world.database) {
            wasend_tests::database::remove(&server, database).await;
        }
    }

    pub fn usage(&self) -> anyhow::Result<Usage> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.world.id()))?;
        // After the name, which may hold anything but ends with the last bracket: state, …, utime (12th), stime.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).context("ticks");
        // Linux counts in hundredths of a second for programs, whatever it counts in itself.
        Ok(Usage { at: Instant::now(), processor: Duration::from_millis((ticks(11)? + ticks(12)?) * 10) })
    }

    /// Resident memory in MB: now, and the most it ever was.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.world.id()))?;
        let kilobytes = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        };
        let megabytes = |name| Some(kilobytes(name)? * 1_024.0 / 1_000_000.0);
        megabytes("VmRSS:").zip(megabytes("VmHWM:")).context("the kernel tells the memory of a process")
    }
}

impl Usage {
    /// Cores that were busy since an earlier moment.
    pub fn cores_since(self, earlier: Self) -> f64 {
        let busy = self.processor.saturating_sub(earlier.processor);
        busy.as_secs_f64() / self.at.duration_since(earlier.at).as_secs_f64().max(f64::EPSILON)
    }
}
