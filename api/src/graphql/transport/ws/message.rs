//! The messages of graphql-transport-ws and the codes with which it closes.

use axum::extract::ws::CloseFrame;
use serde_json::{Map, Value, json};

use crate::graphql::transport::{params::RequestParams, response::OperationResponse};

/// What a client says.
#[derive(Debug, PartialEq)]
pub enum ClientMessage {
    ConnectionInit(Map<String, Value>),
    Ping,
    Pong,
    Subscribe { id: String, params: Box<RequestParams> },
    Complete { id: String },
}

/// Longest id of an operation, in bytes: it is kept and sent back with every answer.
const MAX_ID: usize = 255;

impl ClientMessage {
    /// Strict, as the protocol asks: anything else than these five is a reason to close.
    pub fn parse(text: &str) -> Result<Self, CloseReason> {
        let Ok(Value::Object(mut message)) = serde_json::from_str(text) else {
            return Err(CloseReason::invalid("a message is a JSON object"));
        };
        let kind = message.remove("type");
        match kind.as_ref().and_then(Value::as_str) {
            Some("connection_init") => payload(&mut message).map(Self::ConnectionInit),
            Some("ping") => payload(&mut message).map(|_| Self::Ping),
            Some("pong") => payload(&mut message).map(|_| Self::Pong),
            Some("complete") => Ok(Self::Complete { id: id(&mut message)? }),
            Some("subscribe") => {
                let id = id(&mut message)?;
                let payload = message.remove("payload").ok_or(CloseReason::invalid("subscribe needs a payload"))?;
                let params =
                    RequestParams::from_json(payload).map_err(|refusal| CloseReason::invalid(&refusal.message))?;
                Ok(Self::Subscribe { id, params: Box::new(params) })
            }
            Some(_) => Err(CloseReason::invalid("the type of the message is unknown")),
            None => Err(CloseReason::invalid("the type of the message is missing")),
        }
    }
}

fn payload(message: &mut Map<String, Value>) -> Result<Map<String, Value>, CloseReason> {
    match message.remove("payload") {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(payload)) => Ok(payload),
        Some(_) => Err(CloseReason::invalid("the payload must be an object")),
    }
}

fn id(message: &mut Map<String, Value>) -> Result<String, CloseReason> {
    match message.remove("id") {
        Some(Value::String(id)) if (1..=MAX_ID).contains(&id.len()) => Ok(id),
        _ => Err(CloseReason::invalid("the id must be a string of 1 to 255 bytes")),
    }
}

/// What the server says.
pub mod server {
    use super::{OperationResponse, Value, json};

    /// `connection_ack`: the answer to `connection_init`.
    pub fn connection_ack() -> String {
        json!({"type": "connection_ack"}).to_string()
    }

    /// `pong`: the answer to a `ping`.
    pub fn pong() -> String {
        json!({"type": "pong"}).to_string()
    }

    /// `complete`: the operation has ended.
    pub fn complete(id: &str) -> String {
        json!({"id": id, "type": "complete"}).to_string()
    }

    /// `next`: one answer of the operation.
    pub fn next(id: &str, answer: &OperationResponse) -> String {
        with_payload(id, "next", &answer.json())
    }

    /// `error`: the operation was refused, and has ended.
    pub fn error(id: &str, answer: &OperationResponse) -> String {
        with_payload(id, "error", &answer.errors_json())
    }

    /// Puts JSON that is already written into a message.
    fn with_payload(id: &str, kind: &str, payload: &str) -> String {
        let id = Value::from(id);
        format!(r#"{{"id":{id},"type":"{kind}","payload":{payload}}}"#)
    }
}

/// Why the server closes the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseReason {
    pub code: u16,
    pub reason: String,
}

impl CloseReason {
    fn new(code: u16, reason: &str) -> Self {
        // A close frame holds 123 bytes of reason (RFC 6455, 5.5.1).
        let reason = reason.chars().take(60).collect();
        Self { code, reason }
    }

    /// A message that the protocol does not know.
    pub fn invalid(why: &str) -> Self {
        Self::new(4400, why)
    }

    /// An operation before `connection_init`.
    pub fn unauthorized() -> Self {
        Self::new(4401, "Unauthorized")
    }

    /// The key of `connection_init` is wrong or was revoked.
    pub fn forbidden() -> Self {
        Self::new(4403, "Forbidden")
    }

    /// The client does not offer `graphql-transport-ws`.
    pub fn subprotocol() -> Self {
        Self::new(4406, "Subprotocol not acceptable")
    }

    /// `connection_init` did not come in time.
    pub fn init_timeout() -> Self {
        Self::new(4408, "Connection initialisation timeout")
    }

    /// A `subscribe` under an id that is still running.
    pub fn duplicate(id: &str) -> Self {
        Self::new(4409, &format!("Subscriber for {id} already exists"))
    }

    /// `connection_init` came twice.
    pub fn second_init() -> Self {
        Self::new(4429, "Too many initialisation requests")
    }

    /// The key could not be checked; the client may try again.
    pub fn unavailable() -> Self {
        Self::new(4500, "Internal server error")
    }

    /// The account has all the streams open that it may have.
    pub fn crowded() -> Self {
        Self::new(1013, "The account has as much open as it may")
    }

    /// The server stops (RFC 6455, 7.4.1).
    pub fn going_away() -> Self {
        Self::new(1001, "Going away")
    }

    /// RFC 6455, 7.4.1: an endpoint received what breaks the framing.
    pub fn malformed_frame() -> Self {
        Self::new(1002, "Protocol error")
    }

    /// RFC 6455, 7.4.1: a text message that is not UTF-8.
    pub fn malformed_text() -> Self {
        Self::new(1007, "Not UTF-8")
    }

    /// A message over the limit of bytes (RFC 6455, 7.4.1).
    pub fn too_large() -> Self {
        Self::new(1009, "Message too big")
    }
}

impl From<CloseReason> for CloseFrame {
    fn from(closing: CloseReason) -> Self {
        Self { code: closing.code, reason: closing.reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_the_protocol_closes() {
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"start","id":"1","payload":{"query":"{a}"}}"#,
            r#"{"type":"connection_init","payload":"x"}"#,
            r#"{"type":"subscribe","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":1}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":[]}}"#,
            r#"{"type":"complete","id":1}"#,
        ] {
            assert_eq!(ClientMessage::parse(wrong).unwrap_err().code, 4400, "{wrong}");
        }
        assert_eq!(ClientMessage::parse(r#"{"type":"ping","payload":null}"#), Ok(ClientMessage::Ping));
    }

    #[test]
    fn a_reason_fits_its_frame() {
        assert!(CloseReason::duplicate(&"é".repeat(100)).reason.len() <= 123);
    }
}
