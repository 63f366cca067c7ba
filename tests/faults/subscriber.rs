//! Subscribers that resume where they were, whatever happens to the server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use wasend_tests::Client;

use crate::verdict::Found;

/// What is subscribed to.
#[derive(Debug, Clone, Copy)]
pub enum Topic {
    Statuses,
    Audit,
}

impl Topic {
    const fn field(self) -> &'static str {
        match self {
            Self::Statuses => "messageStatusChanged",
            Self::Audit => "auditEvents",
        }
    }
}

pub struct Subscriber {
    topic: Topic,
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    positions: Vec<u64>,
    resumed: usize,
    /// Positions that came again, or after later ones.
    again: usize,
}

impl Subscriber {
    /// Listens to one of the nodes from the beginning of the history; when the stream ends, to the next one.
    pub fn start(nodes: Vec<Client>, topic: Topic) -> Self {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let task = tokio::spawn(listen(nodes, topic, Arc::clone(&heard)));
        Self { topic, heard, task }
    }

    pub fn last(&self) -> u64 {
        lock(&self.heard).positions.last().copied().unwrap_or(0)
    }

    /// Whether it heard just these positions, each once and in order.
    pub fn judge(&self, expected: &[u64]) -> Found {
        let heard = lock(&self.heard);
        let seen: std::collections::BTreeSet<u64> = heard.positions.iter().copied().collect();
        let missed = expected.iter().filter(|position| !seen.contains(position)).count();
        let strange = seen.len() + missed - expected.len().min(seen.len() + missed);
        let told = format!(
            "{} {} heard, resumed {} times, {missed} missed, {} repeated, {strange} of nothing",
            heard.positions.len(),
            self.topic.field(),
            heard.resumed,
            heard.again,
        );
        if missed + heard.again + strange == 0 { Ok(told) } else { Err(told) }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(nodes: Vec<Client>, topic: Topic, heard: Arc<Mutex<Heard>>) {
    let field = topic.field();
    let query = format!("subscription($after: Position) {{ {field}(after: $after) {{ position }} }}");
    for node in nodes.iter().cycle() {
        let after = lock(&heard).positions.last().copied().unwrap_or(0);
        if let Ok(mut events) = node.try_subscribe_sse(&query, json!({"after": after})).await {
            while let Some(event) = events.try_next().await {
                let Some(position) = event["data"][field]["position"].as_u64() else { break };
                let mut heard = lock(&heard);
                if heard.positions.last().is_some_and(|last| *last >= position) {
                    heard.again += 1;
                }
                heard.positions.push(position);
            }
        }
        lock(&heard).resumed += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn lock(heard: &Mutex<Heard>) -> std::sync::MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
