//! The peer: cqrs-es's event store with the repositories of sqlite-es and postgres-es, in a separate process.
//!
//! `stock-peer sqlite|postgres URL CONNECTIONS` reads an order a line and answers each with a line of JSON:
//!
//! | order | answer |
//! |---|---|
//! | `about` | what SQLite says of itself and of its durability |
//! | `append CLIENTS SECONDS` | operations, microseconds, latencies: one event to a new stream each |
//! | `execute CLIENTS SECONDS` | the same of commands of messages' lives |
//! | `replay LIVES` | microseconds that a replay into views takes, after so many lives |
//! | `events [ID]` | what the stock repository reads of a message, or of all, in a table that another made |
//!
//! Lives hold values that the benchmark's vault seals. The peer asks for one by a line `{"ticket":…,"contact":…}` and is
//! given a line `{"ticket":…,"life":…}`.

#[path = "../../src/accepted.rs"]
mod accepted;
#[path = "../../src/life.rs"]
mod life;
mod lives;
#[path = "../../src/load.rs"]
#[expect(dead_code, reason = "the benchmark itself uses the rest")]
mod load;
mod rounds;
mod store;
mod views;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use wasend_domain::Time;

use crate::lives::Lives;
use crate::store::Store;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: stock-peer sqlite|postgres URL CONNECTIONS";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().context(USAGE);
    let store = Arc::new(Store::open(&argument()?, &argument()?, argument()?.parse()?).await?);
    let lives = Arc::new(Lives::default());
    let (sender, mut orders) = mpsc::unbounded_channel();
    tokio::spawn({
        let lives = lives.clone();
        async move {
            let mut lines = BufReader::new(tokio::io::stdin()).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line.starts_with('{') {
                    lives.give(&line);
                } else if sender.send(line).is_err() {
                    return;
                }
            }
        }
    });
    while let Some(order) = orders.recv().await {
        println!("{}", obey(&order, &store, &lives).await?);
    }
    Ok(())
}

async fn obey(order: &str, store: &Arc<Store>, lives: &Arc<Lives>) -> anyhow::Result<Value> {
    let words: Vec<&str> = order.split(' ').collect();
    match words.as_slice() {
        ["about"] => Ok(json!(store.about().await?)),
        ["append", clients, seconds] => rounds::append(store, clients.parse()?, duration(seconds)?).await,
        ["execute", clients, seconds] => rounds::execute(store, lives, clients.parse()?, duration(seconds)?).await,
        ["replay", many] => views::replay(store, lives, many.parse()?).await,
        ["events"] => Ok(json!(store.events(None).await?)),
        ["events", id] => Ok(json!(store.events(Some(id)).await?)),
        _ => bail!("unknown order"),
    }
}

fn duration(seconds: &str) -> anyhow::Result<Duration> {
    Ok(Duration::try_from_secs_f64(seconds.parse()?)?)
}

#[expect(clippy::disallowed_methods, reason = "a process of its own has the system's clock")]
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
