//! Messages from users, and webhooks of any content.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use super::{
    Simulator,
    changes::{envelope, escape, put, user_id, value_of},
    lines::LinesUnavailable,
    wamid,
};

/// A message that a user sends to one of the numbers. At least one of `from` and `user_id`; one of `text`, `button`
/// and `message`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InboundRequest {
    pub phone_number_id: String,
    /// The user's number in digits.
    pub from: Option<String>,
    /// The user's BSUID; made from `from` if it is absent.
    pub user_id: Option<String>,
    pub name: Option<String>,
    pub username: Option<String>,
    pub text: Option<String>,
    pub button: Option<ButtonReply>,
    /// Any other message, such as `{"type": "image", "image": {…}}`; sender, id and moment are added.
    pub message: Option<Value>,
    /// The message that is answered.
    pub context_wamid: Option<String>,
    /// Unix seconds; now if absent.
    pub timestamp: Option<i64>,
    pub escape_unicode: bool,
}

/// A tap on a template's quick reply.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ButtonReply {
    pub text: String,
    pub payload: String,
}

/// What became of a webhook that was posted once.
#[derive(Clone, Serialize, Deserialize)]
pub struct PostedWebhook {
    /// Of the inbound message.
    pub wamid: Option<String>,
    /// HTTP status of the receiver's answer; `None` if there was none.
    pub webhook_status: Option<u16>,
}

/// Why the simulator cannot make an inbound message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InboundError {
    #[error("there is no number with this phone_number_id")]
    UnknownLine,
    #[error("a message needs from or user_id, and one of text, button and message")]
    Incomplete,
    #[error(transparent)]
    Unavailable(#[from] LinesUnavailable),
}

impl Simulator {
    /// Posts a signed webhook with a message from a user, once.
    pub async fn inbound(&self, request: InboundRequest) -> Result<PostedWebhook, InboundError> {
        let line = self.inner.options.lines.line(&request.phone_number_id).await?;
        let line = line.ok_or(InboundError::UnknownLine)?;
        let mut request = request;
        if request.user_id.is_none() {
            request.user_id = request.from.as_ref().map(|from| user_id(&line, from));
        }
        let sender = request.from.as_ref().or(request.user_id.as_ref());
        let id = wamid::inbound(sender.ok_or(InboundError::Incomplete)?);
        let mut value = value_of(&line);
        value["contacts"] = json!([contact(&request)]);
        value["messages"] = json!([message(&request, &id, self.now()).ok_or(InboundError::Incomplete)?]);
        let change = json!({"field": "messages", "value": value});
        let mut body = envelope(&line.waba_id, &[change]).to_string();
        if request.escape_unicode {
            body = escape(&body);
        }
        Ok(PostedWebhook { wamid: Some(id), webhook_status: self.inner.outbox.post(&line.app_secret, body).await })
    }

    /// Signs any body with the number's app secret and posts it, once.
    pub async fn post_raw(&self, phone_number_id: &str, body: String) -> Result<PostedWebhook, InboundError> {
        let line = self.inner.options.lines.line(phone_number_id).await?;
        let line = line.ok_or(InboundError::UnknownLine)?;
        Ok(PostedWebhook { wamid: None, webhook_status: self.inner.outbox.post(&line.app_secret, body).await })
    }
}

fn contact(request: &InboundRequest) -> Value {
    let name = request.name.as_deref().unwrap_or("Simulated User");
    let mut contact = json!({"profile": {"name": name}});
    put(&mut contact["profile"], "username", request.username.as_ref());
    put(&mut contact, "wa_id", request.from.as_ref());
    put(&mut contact, "user_id", request.user_id.as_ref());
    contact
}

fn message(request: &InboundRequest, id: &str, now: i64) -> Option<Value> {
    let mut message = match (&request.text, &request.button, &request.message) {
        (Some(text), None, None) => json!({"type": "text", "text": {"body": text}}),
        (None, Some(button), None) => json!({"type": "button", "button": button}),
        (None, None, Some(message)) if message.is_object() => message.clone(),
        _ => return None,
    };
    message["id"] = json!(id);
    message["timestamp"] = json!(request.timestamp.unwrap_or(now).to_string());
    put(&mut message, "from", request.from.as_ref());
    put(&mut message, "from_user_id", request.user_id.as_ref());
    if let Some(wamid) = &request.context_wamid {
        message["context"] = json!({"id": wamid});
    }
    Some(message)
}
