//! From commit to subscriber: status changes over graphql-transport-ws while messages come in at a steady pace.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use async_trait::async_trait;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use wasend::bootstrap::SystemClock;
use wasend_domain::{Clock, Time};
use wasend_eventlog::{Db, DbOptions, with_db};
use wasend_tests::{Engine, World, ws::Socket};

use crate::bench::Bench;
use crate::bulk::introduce;
use crate::load::{Client, latencies, per_second, record};
use crate::people::People;
use crate::report::{Line, quantile};
use crate::row::Row;
use crate::send::{RATE, Sender};
use crate::server::Server;

/// Messages a second, by so many clients.
const PACE: u32 = 500;
const CLIENTS: u32 = 25;
/// Further subscribers, where there are some.
const OTHERS: usize = 8;

pub struct Subscribe;

#[async_trait(?Send)]
impl Row for Subscribe {
    fn name(&self) -> &'static str {
        "subscribe"
    }

    fn about(&self) -> &'static str {
        "from the moment the log stamps an event, before its commit, until a subscriber has it, at 500 messages/s"
    }

    async fn run(&self, bench: &Bench) -> anyhow::Result<()> {
        for engine in bench.engines() {
            // At its usual pace, and as fast as messages come in: then each has six changes of its status. And with
            // others that hear the same, which shows what each costs.
            for (rate, others) in [(RATE, 0), (2 * PACE, 0), (RATE, OTHERS)] {
                measure(bench, engine, rate, others).await?;
            }
        }
        Ok(())
    }
}

async fn measure(bench: &Bench, engine: Engine, rate: u32, others: usize) -> anyhow::Result<()> {
    let round = bench.round(Duration::from_secs(15), Duration::from_secs(5));
    let server = Server::start(bench, engine, rate).await?;
    introduce(&server).await?;
    let socket = subscribed(&server).await;
    // Dropped, and so ended, with the round.
    let mut crowd = JoinSet::new();
    for _ in 0..others {
        let mut socket = subscribed(&server).await;
        crowd.spawn(async move {
            loop {
                socket.data().await;
            }
        });
    }
    // How many messages the subscriber shall hear of, once that is known.
    let (target, targets) = watch::channel(u64::MAX);
    let subscriber = tokio::spawn(listen(socket, targets));
    let before = server.usage()?;
    let sent = steadily(&server, round).await?;
    let cores = server.usage()?.cores_since(before);
    target.send(sent)?;
    let heard = subscriber.await??;
    let stamps = stamps(&server.world, heard.first().map_or(0, |(position, _)| *position)).await?;
    let mut latency = latencies();
    for (position, at) in &heard {
        if let Some(stamp) = stamps.get(position) {
            record(&mut latency, at.since(*stamp));
        }
    }
    ensure!(latency.len() == heard.len() as u64, "everything that was heard stands in the log");
    let line = Line::new("subscribe", engine, "ms", quantile(&latency, 0.5))
        .with_latency(&latency)
        .with("dispatched_per_s", rate)
        .with("subscribers", others + 1)
        .with_number("messages_per_s", per_second(sent, round))
        .with_number("changes_per_s", per_second(latency.len(), round))
        .with_number("server_cores", cores);
    drop(crowd);
    server.end().await;
    bench.report.line(&line)
}

async fn subscribed(server: &Server) -> Socket {
    let mut socket = server.client().connect_ws().await;
    socket.subscribe("1", "subscription { messageStatusChanged { position message { id status } } }", json!({})).await;
    socket
}

/// What is told, and when, until so many messages are told to be accepted.
async fn listen(mut socket: Socket, mut target: watch::Receiver<u64>) -> anyhow::Result<Vec<(u64, Time)>> {
    let (mut heard, mut accepted) = (Vec::new(), 0);
    while accepted < *target.borrow_and_update() {
        let mut data = tokio::select! {
            data = socket.data() => data,
            changed = target.changed() => {
                changed?;
                continue;
            }
        };
        let change = data["messageStatusChanged"].take();
        heard.push((change["position"].as_u64().context("a change has a position")?, SystemClock.now()));
        accepted += u64::from(change["message"]["status"] == "ACCEPTED");
    }
    Ok(heard)
}

/// Sends at [`PACE`]; how many were accepted. A client whose turn has passed while it waited goes on at once.
async fn steadily(server: &Server, duration: Duration) -> anyhow::Result<u64> {
    let (period, start) = (Duration::from_secs(1) * CLIENTS / PACE, Instant::now());
    let people = People::known();
    let mut clients = JoinSet::new();
    for (index, connection) in (0..CLIENTS).zip(server.connections(CLIENTS as usize).await?) {
        let mut sender = Sender::new(server, connection, &people);
        let mut turns = interval_at(start + period * index / CLIENTS, period);
        turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
        clients.spawn(async move {
            let mut sent = 0;
            while start.elapsed() < duration {
                turns.tick().await;
                sent += sender.ask().await?;
            }
            anyhow::Ok(sent)
        });
    }
    let mut sent = 0;
    while let Some(client) = clients.join_next().await {
        sent += client??;
    }
    Ok(sent)
}

/// When each event was stamped, by its position.
async fn stamps(world: &World, first: u64) -> anyhow::Result<HashMap<u64, Time>> {
    let file = world.data.path().join("log.db").to_string_lossy().into_owned();
    let db = Db::open(world.database.as_ref().unwrap_or(&file), &DbOptions::default()).await?;
    let query = "SELECT position, recorded_at FROM events WHERE position >= $1";
    let first = i64::try_from(first)?;
    let rows: Vec<(i64, i64)> = with_db!(&db, pool => sqlx::query_as(query).bind(first).fetch_all(pool).await)?;
    db.close().await;
    rows.into_iter().map(|(position, at)| Ok((u64::try_from(position)?, Time::from_micros(at)))).collect()
}
