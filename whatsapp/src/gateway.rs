//! The port through which messages leave, and what can become of one. The three failures are kept apart because only
//! one of them is safe to repeat: Meta knows no idempotency key.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use thiserror::Error;
use url::Url;

use crate::{
    errors::ErrorClass,
    redacted::{PERSONAL, SECRET, personal},
    request::SendRequest,
    template::TemplateDefinition,
};

/// The calls to Meta that the product makes; the HTTP client and tests implement it.
#[async_trait]
pub trait MetaGateway: Send + Sync {
    /// Hands one message to Meta, once. Success means accepted, not delivered.
    async fn send(&self, line: &SenderLine, request: &SendRequest) -> Result<SendReceipt, SendFailure>;

    /// Every language of the template `name` in the line's business account; empty if there is none.
    async fn templates(&self, line: &SenderLine, name: &str) -> Result<Vec<TemplateDefinition>, SendFailure>;
}

/// A number that sends, with the key to it.
#[derive(Clone)]
pub struct SenderLine {
    /// With the version, for example `https://graph.facebook.com/v25.0`.
    pub base_url: Url,
    pub phone_number_id: String,
    /// The WhatsApp Business Account, which owns the templates.
    pub waba_id: String,
    pub access_token: String,
}

impl fmt::Debug for SenderLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("base_url", &self.base_url.as_str())
            .field("phone_number_id", &self.phone_number_id)
            .field("waba_id", &self.waba_id)
            .field("access_token", &SECRET)
            .finish()
    }
}

/// Meta accepted the message.
#[derive(Clone, PartialEq, Eq)]
pub struct SendReceipt {
    /// Contains the recipient's number in clear, hence personal.
    pub wamid: String,
    /// The recipient's WhatsApp number, which may differ from the number asked for (Brazil, Mexico, Argentina).
    /// Absent when a BSUID was addressed.
    pub wa_id: Option<String>,
    /// The recipient's BSUID, where Meta tells it.
    pub user_id: Option<String>,
    pub message_status: Option<SubmissionStatus>,
}

impl fmt::Debug for SendReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission")
            .field("wamid", &PERSONAL)
            .field("wa_id", &personal(self.wa_id.as_ref()))
            .field("user_id", &personal(self.user_id.as_ref()))
            .field("message_status", &self.message_status)
            .finish()
    }
}

/// What Meta does with an accepted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubmissionStatus {
    Accepted,
    /// Held by template or portfolio pacing: later sent, or failed with 132015.
    Held,
    Paused,
    /// A word that Meta had not published when this was written.
    Other,
}

impl SubmissionStatus {
    pub(crate) fn from_word(word: &str) -> Self {
        match word {
            "accepted" => Self::Accepted,
            "held_for_quality_assessment" => Self::Held,
            "paused" => Self::Paused,
            _ => Self::Other,
        }
    }
}

/// Why a call did not end in an acceptance.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendFailure {
    /// Nothing reached Meta: safe to send again.
    #[error("not sent: {0}")]
    NotSent(NotSent),
    /// Meta answered with a server error: the message was not accepted.
    #[error("refused with code {} (HTTP {})", .0.code, .0.http_status)]
    Refused(Box<GraphError>),
    /// Meta may have accepted the message: it must not be sent again, a status webhook will tell.
    #[error("outcome unknown: {0}")]
    Unknown(UnknownOutcome),
}

/// Why a message was certainly not taken; it is safe to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum NotSent {
    /// Refused connection, unknown host, failed TLS handshake, or no connection in time.
    #[error("no connection")]
    Connect,
    /// The request could not be built, for example from a token with a line break. Sending it again will not help.
    #[error("the request could not be built")]
    Request,
}

/// Why it is not known whether a message was taken; it must not be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum UnknownOutcome {
    #[error("no answer in time")]
    Timeout,
    #[error("the connection was lost")]
    ConnectionLost,
    #[error("HTTP {http_status} without an error of Meta's")]
    NoEnvelope { http_status: u16 },
    #[error("HTTP {http_status} with an answer that names no message")]
    Unreadable { http_status: u16 },
}

/// Meta's error envelope. Its texts may name the recipient or quote the message, hence personal.
#[derive(Clone, PartialEq, Eq)]
pub struct GraphError {
    pub code: i64,
    pub subcode: Option<i64>,
    pub message: String,
    /// `error_data.details`.
    pub details: Option<String>,
    pub http_status: u16,
    pub class: ErrorClass,
    /// From `Retry-After`, else from Meta's usage header.
    pub retry_after: Option<Duration>,
}

impl fmt::Debug for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphError")
            .field("code", &self.code)
            .field("subcode", &self.subcode)
            .field("message", &PERSONAL)
            .field("details", &personal(self.details.as_ref()))
            .field("http_status", &self.http_status)
            .field("class", &self.class)
            .field("retry_after", &self.retry_after)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_personal_or_secret_is_printed() {
        let line = SenderLine {
            base_url: "https://graph.facebook.com/v25.0".parse().unwrap(),
            phone_number_id: "106540352242922".into(),
            waba_id: "419561257915477".into(),
            access_token: "EAAJB".into(),
        };
        assert!(!format!("{line:?}").contains("EAAJB"));
        let refused = SendFailure::Refused(Box::new(GraphError {
            code: 131_026,
            subcode: None,
            message: "Message to 16505551234".into(),
            details: Some("16505551234".into()),
            http_status: 400,
            class: ErrorClass::Permanent,
            retry_after: None,
        }));
        assert!(!format!("{refused:?} {refused}").contains("1650555"));
        let submission = SendReceipt {
            wamid: "wamid.HBgL".into(),
            wa_id: Some("16505551234".into()),
            user_id: Some("US.1349".into()),
            message_status: None,
        };
        let shown = format!("{submission:?}");
        assert!(!shown.contains("HBgL") && !shown.contains("1650555") && !shown.contains("1349"));
    }
}
