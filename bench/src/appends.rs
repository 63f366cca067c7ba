//! Durable appends: one event to a new stream, answered once it is on the disk.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wasend::bootstrap::SystemClock;
use wasend_domain::AccountId;
use wasend_eventlog::{EventLog, SqlLog, UpcasterChain};

use crate::bench::{Bench, Store};
use crate::environment;
use crate::event;
use crate::load::{Client, Measured, drive};
use crate::report::{Line, quantile};
use crate::rounds::{Side, alternate};
use crate::row::Row;
use crate::stock::{self, Player, Stock};
use crate::umadb::UmaDb;

const CLIENTS: [usize; 5] = [1, 32, 64, 256, 1_000];

pub struct Appends;

#[async_trait(?Send)]
impl Row for Appends {
    fn name(&self) -> &'static str {
        "appends"
    }

    fn about(&self) -> &'static str {
        "clients that each append one event to a new stream and wait until it is durable"
    }

    async fn run(&self, bench: &Bench) -> anyhow::Result<()> {
        let umadb = match &bench.arguments.umadb {
            Some(server) => Some(UmaDb::start(bench, server).await?),
            None => None,
        };
        for engine in bench.engines() {
            let (our_store, peer_store) = (bench.store(engine).await?, bench.store(engine).await?);
            let log = SqlLog::open(our_store.open().await?, Arc::new(SystemClock), UpcasterChain::default()).await?;
            let ours = Ours(Arc::new(log));
            for clients in bench.clients(&CLIENTS) {
                compare(bench, &ours, &peer_store, umadb.as_ref(), clients).await?;
            }
            ours.0.close().await;
            ours.0.db().close().await;
            our_store.remove().await?;
            peer_store.remove().await?;
        }
        Ok(())
    }
}

async fn compare(
    bench: &Bench,
    ours: &Ours,
    peer_store: &Store,
    umadb: Option<&UmaDb>,
    clients: usize,
) -> anyhow::Result<()> {
    let engine = peer_store.engine;
    let round = bench.round(Duration::from_secs(3), Duration::from_millis(600));
    let peer = |connections| async move {
        anyhow::Ok(Player { stock: Stock::open(peer_store, connections, None).await?, order: "append" })
    };
    let (peer, connections) = stock::best(engine, clients, round / 3, peer).await?;
    let mut sides: Vec<&dyn Side> = vec![ours, &peer];
    sides.extend(umadb.map(|umadb| umadb as &dyn Side));
    let played = alternate(&sides, clients, round).await?;
    let [ours, peers @ ..] = played.as_slice() else { anyhow::bail!("every side has a summary") };
    let names = std::iter::once(stock::name(engine)).chain(umadb.map(|umadb| umadb.name.clone()));
    for ((peer, name), connections) in peers.iter().zip(names).zip([Some(connections), None]) {
        let mut line = Line::new("appends", engine, "events/s", ours.per_second)
            .clients(clients)
            .peer(name, peer.per_second)
            .with_latency(&ours.latency)
            .with_number("peer_p99_ms", quantile(&peer.latency, 0.99))
            .with("fsync_us", environment::fsync(bench.directory.path()).await?);
        if let Some(connections) = connections {
            line = line.with("peer_connections", connections);
        }
        bench.report.line(&line)?;
    }
    Ok(())
}

struct Ours(Arc<SqlLog>);

#[async_trait]
impl Side for Ours {
    async fn round(&self, clients: usize, duration: Duration) -> anyhow::Result<Measured> {
        let account = AccountId::random();
        drive((0..clients).map(|_| Appender { log: self.0.clone(), account }).collect(), duration).await
    }
}

struct Appender {
    log: Arc<SqlLog>,
    account: AccountId,
}

impl Client for Appender {
    async fn ask(&mut self) -> anyhow::Result<u64> {
        for answer in self.log.append(vec![event::append(self.account)?]).await? {
            answer?;
        }
        Ok(1)
    }
}
