//! Clients that wait for each answer before they ask again.

use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

/// What a round came to.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Operations that were answered.
    pub operations: u64,
    /// Until the last answer.
    pub elapsed: Duration,
    /// Microseconds from asking to the answer.
    pub latency: Histogram<u64>,
}

impl Measured {
    pub fn nothing() -> Self {
        Self { operations: 0, elapsed: Duration::ZERO, latency: latencies() }
    }

    pub fn per_second(&self) -> f64 {
        per_second(self.operations, self.elapsed)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far smaller than 2^52")]
pub fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { count as f64 / elapsed.as_secs_f64() }
}

/// Of microseconds, exact to three digits; an hour is more than anything here takes.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_max(3_600_000_000, 3).expect("the bounds are valid")
}

pub fn record(latency: &mut Histogram<u64>, taken: Duration) {
    latency.saturating_record(u64::try_from(taken.as_micros()).unwrap_or(u64::MAX));
}

/// One that asks, waits for the answer and asks again.
pub trait Client: Send + 'static {
    /// How many operations were answered; 0 if there is nothing left to ask for.
    fn ask(&mut self) -> impl Future<Output = anyhow::Result<u64>> + Send;
}

/// Lets the clients ask until the time is over or they have nothing left to ask for, and waits for what they asked last.
/// The first failure ends the round: a client that fails measures nothing.
pub async fn drive<C: Client>(clients: Vec<C>, duration: Duration) -> anyhow::Result<Measured> {
    let mut running = JoinSet::new();
    let start = Instant::now();
    for client in clients {
        running.spawn(patiently(client, start + duration));
    }
    let mut measured = Measured::nothing();
    while let Some(client) = running.join_next().await {
        let (operations, latency) = client.context("a client panicked")??;
        measured.operations += operations;
        measured.latency.add(latency).context("histograms of one kind")?;
    }
    measured.elapsed = start.elapsed();
    Ok(measured)
}

/// Runs clients on this thread alone: to hand their answers from thread to thread takes as much of the cores, which they
/// share with the server, as all else that they do.
pub fn on_one_thread<T>(clients: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::task::block_in_place(move || Builder::new_current_thread().enable_all().build()?.block_on(clients))
}

async fn patiently(mut client: impl Client, end: Instant) -> anyhow::Result<(u64, Histogram<u64>)> {
    let (mut operations, mut latency) = (0, latencies());
    loop {
        let asked = Instant::now();
        if asked >= end {
            return Ok((operations, latency));
        }
        let answers = client.ask().await?;
        if answers == 0 {
            return Ok((operations, latency));
        }
        record(&mut latency, asked.elapsed());
        operations += answers;
    }
}
