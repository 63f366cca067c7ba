//! Resident memory of the server, as the kernel counts it.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use wasend_tests::Engine;

use crate::bench::Bench;
use crate::bulk::Caller;
use crate::load::drive;
use crate::people::People;
use crate::report::Line;
use crate::row::Row;
use crate::send::{RATE, Sender};
use crate::server::Server;

const SENDERS: usize = 64;
const CALLERS: usize = 2;

pub struct Memory;

#[async_trait(?Send)]
impl Row for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn about(&self) -> &'static str {
        "resident memory at rest, and the most of it while messages come in singly and in bulk, with a subscriber"
    }

    async fn run(&self, bench: &Bench) -> anyhow::Result<()> {
        for engine in bench.engines() {
            measure(bench, engine).await?;
        }
        Ok(())
    }
}

async fn measure(bench: &Bench, engine: Engine) -> anyhow::Result<()> {
    let round = bench.round(Duration::from_secs(20), Duration::from_secs(5));
    let server = Server::start(bench, engine, RATE).await?;
    tokio::time::sleep(round / 4).await;
    bench.report.line(&Line::new("memory", engine, "MB", server.memory()?.0).with("state", "idle"))?;

    let mut socket = server.client().connect_ws().await;
    socket.subscribe("1", "subscription { messageStatusChanged { position message { id status } } }", json!({})).await;
    let subscriber = tokio::spawn(async move {
        loop {
            socket.data().await;
        }
    });
    let sender = |connection| Sender::new(&server, connection, &People::known());
    let senders = server.connections(SENDERS).await?.into_iter().map(sender).collect();
    let caller = |connection| Caller::new(&server, connection, &People::new());
    let callers = server.connections(CALLERS).await?.into_iter().map(caller).collect();
    let (singly, in_bulk) = tokio::try_join!(drive(senders, round), drive(callers, round))?;
    subscriber.abort();
    let (now, peak) = server.memory()?;
    let line = Line::new("memory", engine, "MB", peak)
        .with("state", "under load")
        .with_number("afterwards", now)
        .with_number("singly_per_s", singly.per_second())
        .with_number("in_bulk_per_s", in_bulk.per_second());
    server.end().await;
    bench.report.line(&line)
}
