//! Telling the simulator what Meta shall do.

use serde_json::{Value, json};

/// The simulator's control endpoints.
#[derive(Clone)]
pub struct Simulator {
    url: String,
    http: reqwest::Client,
}

impl Simulator {
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), http: crate::client::http() }
    }

    /// Its root, with a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn post(&self, endpoint: &str, body: &Value) -> Value {
        let answer = self.http.post(format!("{}_simulator/{endpoint}", self.url)).json(body).send().await;
        let answer = answer.expect("the simulator answers");
        let (status, text) = (answer.status(), answer.text().await.expect("a text"));
        assert!(status.is_success(), "{endpoint}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// What happens to the next messages to a recipient (`*` for all), for good or so many times.
    pub async fn script(&self, recipient: &str, behaviours: Value, times: Option<u32>) {
        let mut script = json!({"recipient": recipient, "behaviours": behaviours});
        if let Some(times) = times {
            script["times"] = times.into();
        }
        self.post("scripts", &script).await;
    }

    /// What Meta accepted, by the message id that came with it.
    pub async fn messages(&self) -> Value {
        let answer = self.http.get(format!("{}_simulator/messages", self.url)).send().await;
        answer.expect("the simulator answers").json().await.expect("JSON")
    }

    /// A user writes to the number; answers with the webhook's status and the wamid.
    pub async fn inbound(&self, request: Value) -> Value {
        self.post("inbound", &request).await
    }

    /// Posts any body, signed for the number; answers with the webhook's status.
    pub async fn raw(&self, phone_number_id: &str, body: &str) -> Value {
        self.post("raw", &json!({"phone_number_id": phone_number_id, "body": body})).await
    }
}
