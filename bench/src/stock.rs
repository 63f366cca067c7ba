//! The peer: cqrs-es's event store with the repositories of sqlite-es and postgres-es, on the tables that these publish
//! and with our durability. They need sqlx 0.8, so they run in a process of their own: the program of `bench/stock`.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use wasend_tests::Engine;

use crate::bench::Store;
use crate::life::Life;
use crate::load::Measured;
use crate::program;
use crate::rounds::{Answer, Side};

const LOCK: &str = include_str!("../stock/Cargo.lock");

/// Gives a life of a message to one of the contacts, by number, with what is personal in it sealed.
pub type Lives = Arc<dyn Fn(usize) -> BoxFuture<'static, anyhow::Result<Life>> + Send + Sync>;

/// The peer's process with one store and one pool of connections; it ends with this.
pub struct Stock {
    input: Arc<Mutex<ChildStdin>>,
    output: Mutex<Lines<BufReader<ChildStdout>>>,
    /// None where nothing asks for a life.
    lives: Option<Lives>,
    _process: Child,
}

/// What a peer plays in its rounds.
pub struct Player {
    pub stock: Stock,
    pub order: &'static str,
}

/// What the peer asks for before it answers.
#[derive(Deserialize)]
struct Asked {
    ticket: u64,
    contact: usize,
}

#[derive(Deserialize)]
struct Taken {
    elapsed_us: u64,
}

/// Its packages and their versions.
pub fn name(engine: Engine) -> String {
    let repository = match engine {
        Engine::Sqlite => "sqlite-es",
        Engine::Postgres => "postgres-es",
    };
    format!("cqrs-es {} + {repository} {}", version("cqrs-es"), version(repository))
}

/// Of a package, as it was locked when this was built.
fn version(package: &str) -> &'static str {
    let name = format!("name = \"{package}\"\nversion = \"");
    LOCK.find(&name).and_then(|at| LOCK[at + name.len()..].split('"').next()).unwrap_or("?")
}

/// Sizes of its connection pool from which the best is chosen; 10 is what its own constructors take.
pub const fn pool_sizes(engine: Engine) -> &'static [u32] {
    match engine {
        Engine::Sqlite => &[1, 10],
        Engine::Postgres => &[10, 32, 64],
    }
}

/// The peer with the pool that serves it best for so many clients, and that pool's size.
pub async fn best<S: Side, F: Future<Output = anyhow::Result<S>>>(
    engine: Engine,
    clients: usize,
    round: Duration,
    open: impl Fn(u32) -> F,
) -> anyhow::Result<(S, u32)> {
    let (mut best, mut fastest) = (None, 0.0);
    for &connections in pool_sizes(engine) {
        let peer = open(connections).await?;
        let rate = peer.round(clients, round).await?.per_second();
        if best.is_none() || rate > fastest {
            (best, fastest) = (Some((peer, connections)), rate);
        }
    }
    best.ok_or_else(|| anyhow::anyhow!("the peer has no pool"))
}

impl Stock {
    pub async fn open(store: &Store, connections: u32, lives: Option<Lives>) -> anyhow::Result<Self> {
        let engine = match store.engine {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
        };
        let mut process = Command::new(program::stock().await?)
            .args([engine, &store.url, &connections.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = Arc::new(Mutex::new(process.stdin.take().context("its input is piped")?));
        let output = BufReader::new(process.stdout.take().context("its output is piped")?).lines();
        Ok(Self { input, output: Mutex::new(output), lives, _process: process })
    }

    /// What SQLite says of itself in the peer's process.
    pub async fn about(&self) -> anyhow::Result<Option<String>> {
        self.obey("about").await
    }

    /// How long a replay into views takes after so many lives.
    pub async fn replay(&self, lives: usize) -> anyhow::Result<Duration> {
        let taken: Taken = self.obey(&format!("replay {lives}")).await?;
        Ok(Duration::from_micros(taken.elapsed_us))
    }

    async fn round(&self, order: &str, clients: usize, duration: Duration) -> anyhow::Result<Measured> {
        let answer: Answer = self.obey(&format!("{order} {clients} {}", duration.as_secs_f64())).await?;
        Ok(answer.into())
    }

    async fn obey<T: DeserializeOwned>(&self, order: &str) -> anyhow::Result<T> {
        let mut output = self.output.lock().await;
        self.input.lock().await.write_all(format!("{order}\n").as_bytes()).await?;
        loop {
            let line = output.next_line().await?.context("the peer ended")?;
            match serde_json::from_str(&line) {
                Ok(asked) => self.give(asked)?,
                Err(_) => return Ok(serde_json::from_str(&line)?),
            }
        }
    }

    /// Gives what was asked for as soon as it is there, and lets others be asked for meanwhile.
    fn give(&self, Asked { ticket, contact }: Asked) -> anyhow::Result<()> {
        let Some(lives) = &self.lives else { bail!("the peer asks for what it was not to need") };
        let (life, input) = (lives(contact), self.input.clone());
        tokio::spawn(async move {
            // Without it the peer fails, and says so.
            let given = match life.await {
                Ok(life) => json!({"ticket": ticket, "life": life}),
                Err(error) => json!({"ticket": ticket, "error": error.to_string()}),
            };
            drop(input.lock().await.write_all(format!("{given}\n").as_bytes()).await);
        });
        Ok(())
    }
}

#[async_trait]
impl Side for Player {
    async fn round(&self, clients: usize, duration: Duration) -> anyhow::Result<Measured> {
        self.stock.round(self.order, clients, duration).await
    }
}
