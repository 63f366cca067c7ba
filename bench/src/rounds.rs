//! Ours and its peers by turns, so that a disk that is slower for a while is slower for all.

use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use hdrhistogram::Histogram;
use serde::Deserialize;

use crate::load::{Measured, latencies};

/// Rounds each side plays; the median counts.
pub const ROUNDS: usize = 3;

/// One of those that are compared.
#[async_trait]
pub trait Side: Send + Sync {
    async fn round(&self, clients: usize, duration: Duration) -> anyhow::Result<Measured>;
}

/// A round that was played in a separate process.
#[derive(Deserialize)]
pub struct Answer {
    operations: u64,
    elapsed_us: u64,
    latency_us: Vec<(u64, u64)>,
}

impl From<Answer> for Measured {
    fn from(answer: Answer) -> Self {
        let mut latency = latencies();
        for (value, count) in answer.latency_us {
            latency.saturating_record_n(value, count);
        }
        Self { operations: answer.operations, elapsed: Duration::from_micros(answer.elapsed_us), latency }
    }
}

/// All rounds of one side together.
#[derive(Debug, Clone)]
pub struct Summary {
    pub per_second: f64,
    pub latency: Histogram<u64>,
}

/// Plays the rounds and answers with a summary for each side, in their order. A first, shorter one fills caches and
/// prepares statements and is not counted.
pub async fn alternate(sides: &[&dyn Side], clients: usize, duration: Duration) -> anyhow::Result<Vec<Summary>> {
    for side in sides {
        side.round(clients, duration / 4).await?;
    }
    let mut played: Vec<Vec<Measured>> = vec![Vec::new(); sides.len()];
    for _ in 0..ROUNDS {
        for (side, rounds) in sides.iter().zip(&mut played) {
            rounds.push(side.round(clients, duration).await?);
        }
    }
    played.iter().map(|rounds| summary(rounds)).collect()
}

pub fn summary(rounds: &[Measured]) -> anyhow::Result<Summary> {
    let mut rates: Vec<f64> = rounds.iter().map(Measured::per_second).collect();
    rates.sort_by(f64::total_cmp);
    let mut latency = latencies();
    for round in rounds {
        latency.add(&round.latency).context("histograms of one kind")?;
    }
    Ok(Summary { per_second: rates.get(rates.len() / 2).copied().unwrap_or_default(), latency })
}
