//! Rounds of the benchmark, with as many clients as it says.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use wasend_domain::NumberId;

use crate::accepted::{accepted, id};
use crate::life::{Life, Step};
use crate::lives::Lives;
use crate::load::{self, Client, Measured};
use crate::now;
use crate::store::Store;

pub async fn append(store: &Arc<Store>, clients: usize, duration: Duration) -> anyhow::Result<Value> {
    let client = |_| Committer(store.clone());
    answer(&load::drive((0..clients).map(client).collect(), duration).await?)
}

pub async fn execute(
    store: &Arc<Store>,
    lives: &Arc<Lives>,
    clients: usize,
    duration: Duration,
) -> anyhow::Result<Value> {
    // The clients begin with contacts of their own.
    let client = |index| Executor { store: store.clone(), lives: lives.clone(), contact: index * 7, journey: None };
    answer(&load::drive((0..clients).map(client).collect(), duration).await?)
}

fn answer(measured: &Measured) -> anyhow::Result<Value> {
    let latency: Vec<_> =
        measured.latency.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value())).collect();
    let elapsed = u64::try_from(measured.elapsed.as_micros())?;
    Ok(json!({"operations": measured.operations, "elapsed_us": elapsed, "latency_us": latency}))
}

struct Committer(Arc<Store>);

impl Client for Committer {
    async fn ask(&mut self) -> anyhow::Result<u64> {
        let now = now();
        self.0.append(id(now), accepted(now)).await?;
        Ok(1)
    }
}

struct Executor {
    store: Arc<Store>,
    lives: Arc<Lives>,
    contact: usize,
    /// The message on its way, and how many of its steps are done.
    journey: Option<(String, Life, usize)>,
}

impl Client for Executor {
    async fn ask(&mut self) -> anyhow::Result<u64> {
        let now = now();
        let (message, life, done) = match self.journey.take() {
            Some(journey) => journey,
            None => {
                self.contact += 1;
                (id(now).to_string(), self.lives.ask(self.contact).await?, 0)
            }
        };
        let command = life.command(Step::ALL[done], NumberId::from_uuid(Uuid::nil()), now);
        self.store.execute(&message, command).await?;
        self.journey = Some((message, life, done + 1)).filter(|(_, _, done)| *done < Step::ALL.len());
        Ok(1)
    }
}
