//! Meta, played by this process, so that it outlives every server that is killed and remembers what it was given.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use wasend_tests::{Client, until};
use wasend_whatsapp::simulator::{
    LedgerSummary, MemoryLines, RecipientScript, RunningSimulator, SimulatedLine, Simulator, SimulatorOptions,
    StatusDelays,
};

/// The one number's id with Meta.
const PHONE_NUMBER_ID: &str = "106540352242922";
const WABA_ID: &str = "102290129340398";
/// Most messages of a test.
const REMEMBERED: usize = 2_000_000;

pub struct Meta {
    running: RunningSimulator,
    line: SimulatedLine,
}

impl Meta {
    pub async fn start() -> Self {
        let line = SimulatedLine {
            phone_number_id: PHONE_NUMBER_ID.to_owned(),
            waba_id: WABA_ID.to_owned(),
            display_phone_number: "15550783881".to_owned(),
            access_token: "token-of-a-test".to_owned(),
            app_secret: "secret-of-a-test".to_owned(),
        };
        let mut options = SimulatorOptions::new(Arc::new(MemoryLines::new([line.clone()])), Arc::new(seconds));
        let delay = std::time::Duration::from_millis(50);
        options.delays = StatusDelays { sent: delay, delivered: delay, read: delay, held: delay };
        // As Meta does, it keeps what it has to tell for longer than any server is away.
        (options.webhook_attempts, options.max_messages) = (10_000, REMEMBERED);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let meta = Self { running: Simulator::start(listener, options).expect("the simulator starts"), line };
        // Many updates share a webhook; the answer takes a moment, so that a kill finds calls under way.
        meta.script("*", &json!([{"type": "batch", "size": 100}, {"type": "delay", "ms": 20}]));
        meta
    }

    /// What happens to messages to a recipient.
    pub fn script(&self, recipient: &str, behaviours: &Value) {
        let script = json!({"recipient": recipient, "behaviours": behaviours});
        let script: RecipientScript = serde_json::from_value(script).expect("a script");
        self.running.simulator().script(script).unwrap_or_else(|_| panic!("there are few scripts"));
    }

    pub fn base_url(&self) -> String {
        self.running.base_url.to_string()
    }

    /// Where the webhooks go: to the server at this root.
    pub fn report_to(&self, server: &str) {
        let url = format!("{server}webhooks/whatsapp").parse().expect("a URL");
        self.running.simulator().set_webhook_url(Some(url));
    }

    /// Connects the number to the account and lets it send as fast as Meta allows; its id.
    pub async fn connect(&self, client: &Client) -> String {
        let input = json!({
            "phoneNumberId": PHONE_NUMBER_ID, "wabaId": WABA_ID, "displayPhoneNumber": "+1 555 078 3881",
            "accessToken": self.line.access_token, "appSecret": self.line.app_secret, "verifyToken": "verify-me",
        });
        let connected = client.mutate("connectNumber", input, "number { id } errors { code message }").await;
        let id = connected["number"]["id"].as_str().unwrap_or_else(|| panic!("{connected}")).to_owned();
        until("the number is known", || async {
            let rate = json!({"id": id, "messagesPerSecond": 1000});
            let set = client.mutate("setNumberRate", rate, "errors { code }").await;
            (set["errors"] == json!([])).then_some(())
        })
        .await;
        id
    }

    /// A user writes in. The same body again is the same message; true once the server has taken it.
    pub async fn write_in(&self, from: &str, wamid: &str) -> bool {
        let from = from.trim_start_matches('+');
        let value = json!({
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": PHONE_NUMBER_ID},
            "contacts": [{"profile": {"name": "Simulated User"}, "wa_id": from}],
            "messages": [{"id": wamid, "from": from, "timestamp": seconds().to_string(), "type": "text", "text": {"body": wamid}}],
        });
        let change = json!({"field": "messages", "value": value});
        let body = json!({"object": "whatsapp_business_account", "entry": [{"id": WABA_ID, "changes": [change]}]});
        let posted = self.running.simulator().post_raw(PHONE_NUMBER_ID, body.to_string()).await;
        posted.is_ok_and(|posted| posted.webhook_status == Some(200))
    }

    /// What was accepted so far.
    pub fn summary(&self) -> LedgerSummary {
        self.running.simulator().summary(0)
    }

    /// Statuses that are still to be told.
    pub fn pending(&self) -> usize {
        self.running.simulator().pending()
    }
}

#[expect(clippy::disallowed_methods, reason = "the simulator dates what it tells by the real clock")]
fn seconds() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
