//! Subscriptions over server-sent events.

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};

use crate::{Client, STORY_TIMEOUT};

/// How long a subscription may run: longer than any test.
const SUBSCRIPTION_TIMEOUT: Duration = Duration::from_secs(2 * 3_600);

/// A running subscription.
pub struct Events {
    bytes: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<Vec<u8>>> + Send>>,
    buffer: String,
}

impl Client {
    pub async fn subscribe_sse(&self, query: &str, variables: Value) -> Events {
        self.try_subscribe_sse(query, variables).await.expect("an answer")
    }

    /// The same; fails when the server does not answer.
    pub async fn try_subscribe_sse(&self, query: &str, variables: Value) -> reqwest::Result<Events> {
        let request = self.http.post(format!("{}graphql/stream", self.url)).bearer_auth(&self.key);
        let request = request.header("accept", "text/event-stream").timeout(SUBSCRIPTION_TIMEOUT);
        let answer = request.json(&json!({"query": query, "variables": variables})).send().await?.error_for_status()?;
        let bytes = answer.bytes_stream().map(|chunk| chunk.map(|chunk| chunk.to_vec()));
        Ok(Events { bytes: Box::pin(bytes), buffer: String::new() })
    }
}

impl Events {
    /// The next execution result; fails the story if the stream ends or stays silent.
    pub async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(STORY_TIMEOUT, self.try_next()).await;
        next.expect("the subscription tells something").expect("the stream goes on")
    }

    /// The same; nothing when the stream ends or breaks off.
    pub async fn try_next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let event: String = self.buffer.drain(..end + 2).collect();
                if event.lines().any(|line| line == "event: next") {
                    let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                    return Some(serde_json::from_str(data.trim()).expect("JSON"));
                }
                if event.contains("event: complete") {
                    return None;
                }
                continue;
            }
            self.buffer.push_str(&String::from_utf8_lossy(&self.bytes.next().await?.ok()?));
        }
    }
}
