//! Appends to UmaDB as `wasend-bench` appends to its own log, in a separate process: `umadb-appender URL BYTES` reads
//! how many clients shall append for how many seconds, one pair a line, and answers each with a line of JSON.

#[path = "../../src/load.rs"]
#[expect(dead_code, reason = "the benchmark itself uses the rest")]
mod load;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use umadb_client::{AsyncUmaDbClient, UmaDbClient};
use umadb_dcb::{DcbAppendCondition, DcbEvent, DcbEventStoreAsync, DcbQuery, DcbQueryItem};
use uuid::Uuid;

/// Connections that the clients share; requests are multiplexed over each.
const CONNECTIONS: usize = 8;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("usage: umadb-appender URL BYTES")?;
    let payload = vec![b'a'; arguments.next().context("usage: umadb-appender URL BYTES")?.parse()?];
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Arc::new(UmaDbClient::new(url.clone()).connect_async().await?));
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let (clients, seconds) = line.split_once(' ').context("clients and seconds")?;
        let client =
            |index: usize| Appender { connection: connections[index % CONNECTIONS].clone(), payload: payload.clone() };
        let clients = (0..clients.parse()?).map(client).collect();
        let measured = load::drive(clients, Duration::from_secs_f64(seconds.parse()?)).await?;
        let latency: Vec<_> =
            measured.latency.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value())).collect();
        let elapsed = u64::try_from(measured.elapsed.as_micros())?;
        println!("{}", json!({"operations": measured.operations, "elapsed_us": elapsed, "latency_us": latency}));
    }
    Ok(())
}

struct Appender {
    connection: Arc<AsyncUmaDbClient>,
    payload: Vec<u8>,
}

impl load::Client for Appender {
    /// One event, on the condition that there is none yet of the same new stream.
    async fn ask(&mut self) -> anyhow::Result<u64> {
        let stream = format!("message:{}", Uuid::new_v4());
        let boundary = DcbQuery::new().item(DcbQueryItem::new().tags([stream.as_str()]));
        let event = DcbEvent::default()
            .event_type("MessageAccepted")
            .tags([stream.as_str()])
            .data(self.payload.clone())
            .uuid(Uuid::new_v4())
            .metadata_entry("actor", "operator");
        self.connection.append(vec![event], Some(DcbAppendCondition::new(boundary)), None).await?;
        Ok(1)
    }
}
