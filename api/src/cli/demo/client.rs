//! The demo's own client: a client like any other.

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use url::Url;
use wasend_domain::Personal;

use crate::cli::CliFailure;

/// How long a step may take before the demo gives up.
pub const DEMO_STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// HTTP client of the demo, with one account's key.
pub struct DemoClient {
    pub url: Url,
    key: Personal<String>,
    http: reqwest::Client,
}

impl DemoClient {
    /// A client of the server at `url`; each request may take [`DEMO_STEP_TIMEOUT`].
    pub fn new(url: Url, key: Personal<String>) -> Result<Self, CliFailure> {
        let http = reqwest::Client::builder().no_proxy().timeout(DEMO_STEP_TIMEOUT).build();
        Ok(Self { url, key, http: http.map_err(|error| CliFailure::because("no HTTP client", &error))? })
    }

    /// The data of a request that must succeed.
    pub async fn ask(&self, query: &str, variables: Value) -> Result<Value, CliFailure> {
        let url = self.url.join("graphql").map_err(|error| CliFailure::because("no URL", &error))?;
        let request = self.http.post(url).bearer_auth(self.key.expose());
        let answer = request.json(&json!({"query": query, "variables": variables})).send().await;
        let answer = answer.map_err(|error| CliFailure::because("the server does not answer", &error))?;
        let mut answer: Value = answer.json().await.map_err(|error| CliFailure::because("no JSON", &error))?;
        match answer.get("errors") {
            Some(errors) => Err(CliFailure::Failed(format!("the server answers: {errors}"))),
            None => Ok(answer["data"].take()),
        }
    }

    /// Asks again and again until the answer is as it should be.
    pub async fn until(
        &self,
        query: &str,
        variables: Value,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value, CliFailure> {
        let asking = async {
            loop {
                let answer = self.ask(query, variables.clone()).await?;
                if holds(&answer) {
                    return Ok(answer);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEMO_STEP_TIMEOUT, asking)
            .await
            .unwrap_or_else(|_| Err(CliFailure::Failed(format!("in vain: {query}"))))
    }

    /// A file that the server gives out.
    pub async fn file(&self, path: &str) -> Result<String, CliFailure> {
        let url = self.url.join(path).map_err(|error| CliFailure::because("no URL", &error))?;
        let answer = self.http.get(url).bearer_auth(self.key.expose()).send().await;
        let answer = answer.map_err(|error| CliFailure::because("the server does not answer", &error))?;
        answer.text().await.map_err(|error| CliFailure::because("no text", &error))
    }

    /// Subscribes over server-sent events.
    pub async fn watch(&self, subscription: &str) -> Result<StatusWatcher, CliFailure> {
        let url = self.url.join("graphql/stream").map_err(|error| CliFailure::because("no URL", &error))?;
        let request = self.http.post(url).bearer_auth(self.key.expose()).header("accept", "text/event-stream");
        let answer = request.json(&json!({"query": subscription})).send().await;
        let answer = answer.map_err(|error| CliFailure::because("the server does not answer", &error))?;
        let bytes = answer.bytes_stream().map(|chunk| chunk.map(|chunk| chunk.to_vec())).boxed();
        Ok(StatusWatcher { bytes, buffer: String::new() })
    }
}

/// A subscription over server-sent events.
pub struct StatusWatcher {
    bytes: futures::stream::BoxStream<'static, reqwest::Result<Vec<u8>>>,
    buffer: String,
}

impl StatusWatcher {
    /// The data of the next result.
    pub async fn next(&mut self) -> Result<Value, CliFailure> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let event: String = self.buffer.drain(..end + 2).collect();
                let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                if event.starts_with("event: next") {
                    let mut result: Value = serde_json::from_str(data.trim())
                        .map_err(|error| CliFailure::because("the subscription told no JSON", &error))?;
                    return Ok(result["data"].take());
                }
                continue;
            }
            match tokio::time::timeout(DEMO_STEP_TIMEOUT, self.bytes.next()).await {
                Ok(Some(Ok(chunk))) => self.buffer.push_str(&String::from_utf8_lossy(&chunk)),
                _ => return Err(CliFailure::Failed("the subscription fell silent".to_owned())),
            }
        }
    }
}
