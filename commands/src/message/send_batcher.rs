//! Messages that are given one by one, and accepted in sets.

use std::sync::Arc;

use futures::FutureExt as _;
use wasend_eventlog::{BatchLimits, Batcher, LogError};

use super::{AcceptedSend, MESSAGES_MAX, SendMessage};
use crate::{Caller, CommandError, Commands};

type BatchedSend = Result<AcceptedSend, CommandError>;

/// Accepts single messages. What one caller sends at the same time is looked up, sealed and appended together; a lone
/// message waits for nothing.
pub struct SendBatcher(Arc<Batcher<Caller, SendMessage, BatchedSend>>);

impl SendBatcher {
    /// Batches of 1,000 messages at most, two at a time for each caller.
    pub fn new(commands: Arc<Commands>) -> Self {
        let together = BatchLimits { most: MESSAGES_MAX, sets: 2 };
        Self(Batcher::new(together, move |caller, messages: Vec<SendMessage>| {
            let commands = Arc::clone(&commands);
            async move {
                let count = messages.len();
                match commands.send_messages(caller, messages).await {
                    Ok(answers) => answers,
                    Err(error) => vec![Err(error); count],
                }
            }
            .boxed()
        }))
    }

    /// Accepts one message: it is durable when this answers.
    pub async fn send_message(&self, caller: Caller, message: SendMessage) -> BatchedSend {
        self.0.submit(caller, message).await.unwrap_or_else(|| Err(LogError::Closed.into()))
    }
}
