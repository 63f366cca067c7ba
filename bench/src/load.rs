//! Clients that wait for each answer before they ask again.

use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

/// What a round came to.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Operations that were answered before the round was over.
    pub operations: u64,
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

/// Each client performs the operation that it was given, again and again until the time is over. The first failure
/// ends the round: a client that fails measures nothing.
pub async fn drive<C, F>(clients: Vec<C>, duration: Duration) -> anyhow::Result<Measured>
where
    C: FnMut() -> F + Send + 'static,
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let mut running = JoinSet::new();
    let start = Instant::now();
    let end = start + duration;
    for mut operation in clients {
        running.spawn(async move {
            let (mut operations, mut latency) = (0_u64, latencies());
            loop {
                let asked = Instant::now();
                if asked >= end {
                    return anyhow::Ok((operations, latency));
                }
                operation().await?;
                let answered = Instant::now();
                record(&mut latency, answered - asked);
                if answered <= end {
                    operations += 1;
                }
            }
        });
    }
    let mut measured = Measured { elapsed: duration, ..Measured::nothing() };
    while let Some(client) = running.join_next().await {
        let (operations, latency) = client.context("a client panicked")??;
        measured.operations += operations;
        measured.latency.add(latency).context("histograms of one kind")?;
    }
    Ok(measured)
}
