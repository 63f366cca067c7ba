//! Accepting messages, one or a thousand at once, and cancelling them.

mod batch_message;
mod idempotency;
mod recipients;
mod send;
mod send_batcher;
mod validate;

use wasend_domain::message::{CancelReason, Command, Error, Message};
use wasend_domain::{MessageId, Personal, Position};
use wasend_eventlog::execute;
use wasend_projections::messages::MessageRow;

use crate::{Caller, CommandEffect, CommandError, Commands, RefusalCode};

pub use send_batcher::SendBatcher;

/// Most messages in one call.
pub const MESSAGES_MAX: usize = 1_000;
/// Longest idempotency key, in characters.
pub const IDEMPOTENCY_KEY_MAX: usize = 200;

/// A message to send, as the caller gave it.
#[derive(Debug, Clone)]
pub struct SendMessage {
    pub number_id: String,
    pub to: SendTarget,
    pub content: ContentDraft,
    /// The same key with the same content is answered with the first message.
    pub idempotency_key: Option<String>,
}

/// The recipient: a phone number or BSUID, or a contact that the account has.
#[derive(Debug, Clone)]
pub enum SendTarget {
    Address(Personal<String>),
    Contact(String),
}

/// What it says. None of both, or both, is refused.
#[derive(Debug, Clone, Default)]
pub struct ContentDraft {
    pub text: Option<TextDraft>,
    pub template: Option<TemplateDraft>,
}

/// A text message as a caller gave it; its body has 4,096 characters at most.
#[derive(Debug, Clone)]
pub struct TextDraft {
    pub body: Personal<String>,
    pub preview_url: bool,
}

/// A template message as a caller gave it: the template's name, its language and what stands in its variables.
#[derive(Debug, Clone)]
pub struct TemplateDraft {
    pub name: String,
    pub language: String,
    pub parameters: Vec<ParameterDraft>,
}

/// The text of one variable of a template. Without a name it stands for the next position.
#[derive(Debug, Clone)]
pub struct ParameterDraft {
    pub name: Option<String>,
    pub text: Personal<String>,
}

/// A message that was accepted.
#[derive(Debug, Clone)]
pub struct AcceptedSend {
    /// As the read model will have it.
    pub row: MessageRow,
    pub position: Position,
    /// The idempotency key had been used before: this is the message of then.
    pub repeated: bool,
}

impl Commands {
    /// Withdraws a message that was not tried yet.
    pub async fn cancel_message(
        &self,
        caller: Caller,
        id: MessageId,
        reason: CancelReason,
    ) -> Result<CommandEffect<Message>, CommandError> {
        let command = Command::Cancel { reason, at: self.clock.now() };
        let done = execute::<Message>(&*self.log, &*self.clock, Self::once(caller), id.uuid(), command).await;
        let done = done.map_err(|failure| {
            CommandError::of(failure, "id", |error| match error {
                Error::NotFound => RefusalCode::NotFound,
                Error::NotCancellable(_) | Error::NotNext => RefusalCode::NotCancellable,
            })
        })?;
        Ok(CommandEffect { value: done.state, position: done.position })
    }
}
