//! Webhooks that were authentic but not understood: kept, sealed, so that nothing Meta said is lost.

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

use crate::content::RawWebhook;
use crate::{Decide, Sealed, Time};

/// One webhook that was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    pub kept: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Keep { reason: Reason, raw: Sealed<RawWebhook>, at: Time },
}

/// Why a webhook could not be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A shape, field or word not known to this version.
    UnknownShape,
    /// A status of a message that this server did not send.
    UnknownMessage,
    /// A message of a person under whose keys nothing can be sealed: one is missing or damaged.
    UnreadablePerson,
}

impl Reason {
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownShape => "unknown_shape",
            Self::UnknownMessage => "unknown_message",
            Self::UnreadablePerson => "unreadable_person",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Kept { reason: Reason, raw: Sealed<RawWebhook>, at: Time },
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        "WebhookKept".to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

/// Keeping is never refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {}

impl Aggregate for Inbox {
    const TYPE: &'static str = "inbox";
    type Command = Command;
    type Event = Event;
    type Error = Error;
    type Services = ();

    async fn handle(&mut self, command: Command, (): &(), sink: &EventSink<Self>) -> Result<(), Error> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, Event::Kept { .. }: Event) {
        self.kept = true;
    }
}

impl Decide for Inbox {
    fn decide(&self, Command::Keep { reason, raw, at }: Command) -> Result<Vec<Event>, Error> {
        Ok(self.news([Event::Kept { reason, raw, at }]))
    }
}
