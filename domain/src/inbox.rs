//! What Meta says that no other aggregate takes: webhooks that were authentic but not understood are kept, sealed, for a
//! short time, in which a version that understands them can be made; an opt-out of a person unknown to the account
//! is on record, by a random id.

use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

use crate::content::{RawWebhook, UnknownWebhook};
use crate::{DecidingAggregate, Sealed, SubjectId, Time};

/// One update of a webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    pub kept: bool,
    pub opt_out_listed: bool,
}

/// What is done about an update that no other aggregate takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Keep {
        reason: KeepReason,
        update: Sealed<UnknownWebhook>,
        people: Vec<SubjectId>,
        at: Time,
    },
    /// An opt-out of a person unknown to the account was put on the vault's list, under this aggregate's id.
    ListOptOut {
        at: Time,
    },
}

/// Why a webhook could not be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepReason {
    /// A shape, field or word not known to this version.
    UnknownShape,
    /// A status of a message that this server did not send.
    UnknownMessage,
    /// A message of a person under whose keys nothing can be sealed: one is missing or damaged.
    UnreadablePerson,
}

impl KeepReason {
    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownShape => "unknown_shape",
            Self::UnknownMessage => "unknown_message",
            Self::UnreadablePerson => "unreadable_person",
        }
    }
}

/// What happened to the update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Version 1, which is read and not written any more: sealed under the account alone, and kept for good.
    Kept { reason: KeepReason, raw: Sealed<RawWebhook>, at: Time },
    /// The vault's list of opt-outs has an entry of this aggregate's id: a store that lacks it is an earlier copy.
    OptOutListed { at: Time },
    /// Version 2. Sealed under the bucket of its day and the subject of every known person that it names: the first is
    /// in the sealed value, `people` are the others. Destroying any of the keys makes it unreadable.
    Held {
        reason: KeepReason,
        update: Sealed<UnknownWebhook>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        people: Vec<SubjectId>,
        at: Time,
    },
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Kept { .. } | Self::Held { .. } => "WebhookKept",
            Self::OptOutListed { .. } => "OptOutListed",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        match self {
            Self::Kept { .. } | Self::OptOutListed { .. } => "1",
            Self::Held { .. } => "2",
        }
        .to_owned()
    }
}

/// Keeping is never refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {}

impl Aggregate for Inbox {
    crate::aggregate::bridge!("inbox");

    fn apply(&mut self, event: Event) {
        match event {
            Event::Kept { .. } | Event::Held { .. } => self.kept = true,
            Event::OptOutListed { .. } => self.opt_out_listed = true,
        }
    }
}

impl DecidingAggregate for Inbox {
    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        let event = match command {
            Command::Keep { reason, update, people, at } => Event::Held { reason, update, people, at },
            Command::ListOptOut { at } => Event::OptOutListed { at },
        };
        Ok(self.news([event]))
    }
}
