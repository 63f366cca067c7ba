//! Lives of messages, asked of the benchmark, whose vault seals what is personal in them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;

use crate::life::Life;

/// Who waits for which.
#[derive(Default)]
pub struct Lives {
    tickets: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Life>>>,
}

#[derive(Deserialize)]
struct Given {
    ticket: u64,
    life: Life,
}

impl Lives {
    /// A new message's, to one of the people that the benchmark knows.
    pub async fn ask(&self, contact: usize) -> anyhow::Result<Life> {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let (sender, life) = oneshot::channel();
        self.waiting.lock().expect("no holder panics").insert(ticket, sender);
        println!("{}", json!({"ticket": ticket, "contact": contact}));
        life.await.context("the benchmark gave no life")
    }

    /// Hands a line that was asked for to its asker. One that tells of a failure ends all that wait.
    pub fn give(&self, line: &str) {
        let mut waiting = self.waiting.lock().expect("no holder panics");
        match serde_json::from_str(line) {
            // An asker whose round has ended needs none.
            Ok(Given { ticket, life }) => drop(waiting.remove(&ticket).map(|asker| asker.send(life))),
            Err(_) => waiting.clear(),
        }
    }
}
