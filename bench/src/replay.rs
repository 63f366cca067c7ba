//! All read models built from nothing: how fast a history is read, folded and written.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use uuid::Uuid;
use wasend_domain::{AccountId, NumberId};
use wasend_projections::{Projector, ProjectorOptions};
use wasend_tests::Engine;

use crate::bench::Bench;
use crate::history::{self, History};
use crate::load::per_second;
use crate::report::Line;
use crate::row::Row;
use crate::{stock, views};

const EVENTS: u64 = 500_000;
const QUICK: u64 = 50_000;
/// The peer writes a view for each event, and is given fewer.
const PEER_EVENTS: u64 = 2_000;
/// Longer than any replay of these sizes takes.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(600);

pub struct Replay;

#[async_trait(?Send)]
impl Row for Replay {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn about(&self) -> &'static str {
        "all read models folded together from the first event; the peer folds one view from a smaller set"
    }

    async fn run(&self, bench: &Bench) -> anyhow::Result<()> {
        let default = if bench.arguments.quick { QUICK } else { EVENTS };
        for engine in bench.engines() {
            for events in bench.sizes(&[default]) {
                measure(bench, engine, events).await?;
            }
        }
        Ok(())
    }
}

async fn measure(bench: &Bench, engine: Engine, events: u64) -> anyhow::Result<()> {
    let data = bench.store(engine).await?;
    let directory = tempfile::tempdir_in(bench.directory.path())?;
    let stores = history::stores(directory.path(), data.postgres()).await?;
    let mut history = History::of(stores, AccountId::random(), NumberId::from_uuid(Uuid::nil())).await?;
    let written = Instant::now();
    let head = history.grow_to(events).await?;
    let (stores, written) = (history.stores, written.elapsed());

    let start = Instant::now();
    let (all, options) = (wasend_projections::all(), ProjectorOptions::default());
    let models = all.len();
    let projector =
        Projector::start(stores.models.clone(), stores.log.clone(), all, stores.clock.clone(), options).await?;
    projector.wait_for(head, REPLAY_TIMEOUT).await?;
    let replayed = start.elapsed();
    projector.shutdown().await;
    stores.close().await;
    data.remove().await?;

    let peer_events = PEER_EVENTS.min(events);
    let peer = views::replay(bench, engine, peer_events).await?;
    let line = Line::new("replay", engine, "events/s", per_second(head, replayed))
        .size(head)
        .peer(stock::name(engine), per_second(peer_events, peer))
        .with("read_models", models)
        .with_number("seconds", replayed.as_secs_f64())
        .with("peer_events", peer_events)
        .with_number("written_per_s", per_second(head, written));
    bench.report.line(&line)
}
