//! The client against the simulator over real HTTP, with a receiver of webhooks that checks every signature.

mod client;
mod control;
mod statuses;
mod templates;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::Value;
use tokio::net::TcpListener;

use super::{
    MemoryLines, RecipientScript, RunningSimulator, SimulatedBehaviour, SimulatedLine, Simulator, SimulatorOptions,
    StatusDelays, lock,
};
use crate::{
    client::{CloudApi, CloudApiOptions},
    gateway::{MetaGateway, SendFailure, SendReceipt, SenderLine},
    recipient::RequestRecipient,
    request::{RequestContent, SendRequest},
    signature::{SIGNATURE_HEADER, verify},
    webhook::{WebhookPayload, WebhookUpdate},
};

const PHONE: &str = "+1 (650) 555-1234";
const DIGITS: &str = "16505551234";
const NOW: i64 = 1_795_000_000;
const TOKEN: &str = "EAAJB-simulated";
const APP_SECRET: &str = "app-secret";

/// Takes webhooks, and answers with the statuses that are still queued, then with 200.
#[derive(Clone, Default)]
struct Receiver {
    bodies: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

struct World {
    meta: RunningSimulator,
    receiver: Receiver,
    api: CloudApi,
    line: SenderLine,
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers[SIGNATURE_HEADER].to_str().unwrap();
    assert_eq!(verify(APP_SECRET, &body, signature), Ok(()));
    let answer = lock(&receiver.answers).pop_front().unwrap_or(200);
    if answer == 200 {
        lock(&receiver.bodies).push(String::from_utf8(body.to_vec()).unwrap());
    }
    StatusCode::from_u16(answer).unwrap()
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn client() -> CloudApi {
    let options = CloudApiOptions { total_timeout: Duration::from_secs(20), ..CloudApiOptions::default() };
    CloudApi::new(&options).unwrap()
}

/// Any HTTP client, for what the gateway does not call.
fn browser() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl World {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut SimulatorOptions)) -> Self {
        let receiver = Receiver::default();
        let listener = listen().await;
        let webhook_url = format!("http://{}/webhook", listener.local_addr().unwrap());
        let routes = Router::new().route("/webhook", post(receive)).with_state(receiver.clone());
        tokio::spawn(axum::serve(listener, routes).into_future());

        let simulated = SimulatedLine {
            phone_number_id: "106540352242922".into(),
            waba_id: "419561257915477".into(),
            display_phone_number: "15550783881".into(),
            access_token: TOKEN.into(),
            app_secret: APP_SECRET.into(),
        };
        let lines = Arc::new(MemoryLines::new([simulated.clone()]));
        let mut options = SimulatorOptions::new(lines, Arc::new(|| NOW));
        options.webhook_url = Some(webhook_url.parse().unwrap());
        options.delays = StatusDelays::ZERO;
        options.webhook_backoff = Duration::from_millis(1);
        change(&mut options);
        let meta = Simulator::start(listen().await, options).unwrap();
        let line = SenderLine {
            base_url: meta.base_url.clone(),
            phone_number_id: simulated.phone_number_id,
            waba_id: simulated.waba_id,
            access_token: simulated.access_token,
        };
        Self { meta, receiver, api: client(), line }
    }

    fn script(&self, behaviours: Vec<SimulatedBehaviour>) {
        self.script_times(behaviours, None);
    }

    fn script_times(&self, behaviours: Vec<SimulatedBehaviour>, times: Option<u32>) {
        let script = RecipientScript { recipient: PHONE.into(), behaviours, times };
        self.meta.simulator().script(script).unwrap();
    }

    async fn send(&self, data: &str) -> Result<SendReceipt, SendFailure> {
        self.api.send(&self.line, &text(data)).await
    }

    /// The updates that were received, once nothing more is to come.
    async fn updates(&self) -> Vec<WebhookUpdate> {
        self.meta.simulator().settled().await;
        let bodies = lock(&self.receiver.bodies).clone();
        let payloads = bodies.iter().map(|body| WebhookPayload::parse(body.as_bytes()).unwrap());
        payloads.flat_map(|payload| payload.changes.into_iter().flat_map(|change| change.updates)).collect()
    }

    async fn bodies(&self) -> Vec<Value> {
        self.meta.simulator().settled().await;
        let bodies = lock(&self.receiver.bodies);
        bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    }

    async fn control(&self, endpoint: &str, body: &Value) -> (u16, Value) {
        let answer = browser().post(self.meta.control_url(endpoint)).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}

fn text(data: &str) -> SendRequest {
    SendRequest {
        to: RequestRecipient::Phone(PHONE.into()),
        content: RequestContent::Text { body: "Your order is on its way".into(), preview_url: false },
        biz_opaque_callback_data: Some(data.into()),
    }
}
