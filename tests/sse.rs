//! Subscriptions over server-sent events.

use futures::StreamExt;
use serde_json::{Value, json};

use crate::{Client, PATIENCE};

/// A running subscription.
pub struct Events {
    bytes: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<Vec<u8>>> + Send>>,
    buffer: String,
}

impl Client {
    pub async fn subscribe_sse(&self, query: &str, variables: Value) -> Events {
        let request = self.http.post(format!("{}graphql/stream", self.url)).bearer_auth(&self.key);
        let request = request.header("accept", "text/event-stream").timeout(PATIENCE * 4);
        let answer = request.json(&json!({"query": query, "variables": variables})).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let bytes = answer.bytes_stream().map(|chunk| chunk.map(|chunk| chunk.to_vec()));
        Events { bytes: Box::pin(bytes), buffer: String::new() }
    }
}

impl Events {
    /// The next execution result; fails the story if the stream ends or stays silent.
    pub async fn next(&mut self) -> Value {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("the subscription tells something")
    }

    async fn read(&mut self) -> Value {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let event: String = self.buffer.drain(..end + 2).collect();
                if event.lines().any(|line| line == "event: next") {
                    let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                    return serde_json::from_str(data.trim()).expect("JSON");
                }
                assert!(!event.contains("event: complete"), "the subscription ended");
                continue;
            }
            let chunk = self.bytes.next().await.expect("the stream goes on").expect("bytes");
            self.buffer.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}
