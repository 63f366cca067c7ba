//! Signing and posting webhooks: bounded concurrency, retries with growing pauses until the answer is 200, and batches.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError, RwLock},
    time::Duration,
};

use reqwest::{Client, header::CONTENT_TYPE, redirect};
use serde_json::Value;
use tokio::{sync::Semaphore, time::sleep};
use url::Url;

use super::{
    Simulator,
    changes::{envelope, escape},
    lines::SimulatedLine,
    lock,
    options::SimulatorOptions,
};
use crate::{
    client::ClientError,
    signature::{SIGNATURE_HEADER, sign},
};

/// Meta's own limit of updates in one webhook.
const BATCH_CHANGES_MAX: usize = 1_000;
const BACKOFF_MAX: Duration = Duration::from_secs(10);

pub(super) struct WebhookOutbox {
    http: Client,
    webhook_url: RwLock<Option<Url>>,
    permits: Semaphore,
    attempts: u32,
    backoff: Duration,
    linger: Duration,
    /// By phone number id.
    batches: Mutex<HashMap<String, Vec<Value>>>,
}

/// How an update is posted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PostOptions {
    pub(super) escape: bool,
    /// Collected until there are so many.
    pub(super) batch: Option<usize>,
}

impl WebhookOutbox {
    pub(super) fn new(options: &SimulatorOptions) -> Result<Self, ClientError> {
        let http = Client::builder()
            .timeout(options.webhook_timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .user_agent("facebookexternalua")
            .build()
            .map_err(ClientError)?;
        Ok(Self {
            http,
            webhook_url: RwLock::new(options.webhook_url.clone()),
            permits: Semaphore::new(options.webhook_concurrency.max(1)),
            attempts: options.webhook_attempts.max(1),
            backoff: options.webhook_backoff,
            linger: options.batch_linger,
            batches: Mutex::default(),
        })
    }

    pub(super) fn set_webhook_url(&self, url: Option<Url>) {
        *self.webhook_url.write().unwrap_or_else(PoisonError::into_inner) = url;
    }

    fn webhook_url(&self) -> Option<Url> {
        self.webhook_url.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Posts any body once. `None` if there was no answer, or there is nowhere to post to.
    pub(super) async fn post(&self, app_secret: &str, body: String) -> Option<u16> {
        let url = self.webhook_url()?;
        let _permit = self.permits.acquire().await.ok()?;
        let answer = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE_HEADER, sign(app_secret, body.as_bytes()))
            .body(body)
            .send()
            .await
            .ok()?;
        let status = answer.status().as_u16();
        // Read to the end, so that the connection can be used again.
        drop(answer.bytes().await);
        Some(status)
    }

    /// Posts changes until they are taken, or given up. Like Meta, drops them without a subscriber.
    async fn deliver(&self, line: &SimulatedLine, changes: &[Value], escaped: bool) {
        if self.webhook_url().is_none() {
            return;
        }
        let mut body = envelope(&line.waba_id, changes).to_string();
        if escaped {
            body = escape(&body);
        }
        let mut backoff = self.backoff;
        for attempt in 1..=self.attempts {
            let status = self.post(&line.app_secret, body.clone()).await;
            if status == Some(200) {
                return;
            }
            tracing::debug!(attempt, status, "webhook not taken");
            if attempt < self.attempts {
                sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }

    /// Adds to a batch; the batch if it is now full, and whether it was empty before.
    fn collect(&self, line: &SimulatedLine, change: Value, size: usize) -> (Option<Vec<Value>>, bool) {
        let mut batches = lock(&self.batches);
        let batch = batches.entry(line.phone_number_id.clone()).or_default();
        let first = batch.is_empty();
        batch.push(change);
        let full = batch.len() >= size.clamp(1, BATCH_CHANGES_MAX);
        (full.then(|| std::mem::take(batch)), first)
    }

    fn rest(&self, line: &SimulatedLine) -> Option<Vec<Value>> {
        lock(&self.batches).remove(&line.phone_number_id).filter(|batch| !batch.is_empty())
    }
}

impl Simulator {
    /// Posts one change, alone or with others; comes back when it is posted or waits in a batch.
    pub(super) async fn deliver(&self, line: &SimulatedLine, change: Value, manner: PostOptions) {
        let outbox = &self.inner.outbox;
        let Some(size) = manner.batch else {
            return outbox.deliver(line, &[change], manner.escape).await;
        };
        let (full, first) = outbox.collect(line, change, size);
        if let Some(batch) = full {
            outbox.deliver(line, &batch, manner.escape).await;
        } else if first {
            let (simulator, line) = (self.clone(), line.clone());
            self.spawn(async move {
                let outbox = &simulator.inner.outbox;
                sleep(outbox.linger).await;
                if let Some(batch) = outbox.rest(&line) {
                    outbox.deliver(&line, &batch, manner.escape).await;
                }
            });
        }
    }
}
