//! A server in the world: the real binary with a separate store, reached through its public endpoints only.

#![expect(clippy::missing_panics_doc, reason = "a story that fails panics")]

pub mod bytes;
pub mod client;
pub mod clock;
pub mod database;
pub mod hostile;
pub mod live_backup;
pub mod memory;
pub mod simulator;
pub mod sse;
pub mod vault;
pub mod world;
pub mod ws;

pub use client::Client;
pub use database::Engine;
pub use simulator::Simulator;
pub use world::{Start, World};

use std::time::Duration;

/// How long anything may take that has to happen some time.
pub const STORY_TIMEOUT: Duration = Duration::from_secs(60);

/// Tries again until there is an answer; a story that waits in vain fails here.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    let trying = async {
        loop {
            if let Some(found) = attempt().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(STORY_TIMEOUT, trying).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
