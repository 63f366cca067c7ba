use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::{MessageDirection, MessagePricing, UsageLine};
use crate::content::{ContentKind, ErrorText, InboundContent, OutboundContent, Wamid};
use crate::{BlindIndex, Day, NumberId, Sealed, SubjectId, Time};

/// Facts about a message. `at` is when it happened: Meta's own time for what Meta reports, ours otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A message to send is durable.
    Accepted {
        number: NumberId,
        contact: SubjectId,
        kind: ContentKind,
        /// The template's name; it is chosen by the account and names no person.
        template: Option<String>,
        content: Sealed<OutboundContent>,
        at: Time,
    },
    /// A call to Meta is about to be made.
    Attempted {
        attempt: u32,
        at: Time,
    },
    /// Meta took the message.
    Submitted {
        attempt: u32,
        wamid: Sealed<Wamid>,
        wamid_index: BlindIndex,
        at: Time,
    },
    /// Meta holds the message for a quality assessment.
    Held {
        at: Time,
    },
    /// The attempt did not reach Meta or was refused for a while: it may be tried again.
    Deferred {
        attempt: u32,
        until: Time,
        code: Option<i64>,
        at: Time,
    },
    /// The attempt may or may not have reached Meta: it is never repeated, a status webhook will tell.
    OutcomeUnknown {
        attempt: u32,
        at: Time,
    },
    /// No webhook has told within the configured time: a person should look.
    Unresolved {
        at: Time,
    },
    Sent {
        at: Time,
    },
    Delivered {
        at: Time,
    },
    Read {
        at: Time,
    },
    Failed {
        code: Option<i64>,
        class: String,
        detail: Option<Sealed<ErrorText>>,
        at: Time,
    },
    Expired {
        at: Time,
    },
    Cancelled {
        reason: CancelReason,
        at: Time,
    },
    /// Meta said what it charges.
    Priced(MessagePricing),
    /// The message moves from one line of the usage to another; the first time, from none.
    Counted {
        number: NumberId,
        direction: MessageDirection,
        day: Day,
        before: Option<UsageLine>,
        after: UsageLine,
    },
    /// A message came in.
    Received {
        number: NumberId,
        contact: SubjectId,
        kind: ContentKind,
        content: Sealed<InboundContent>,
        wamid: Sealed<Wamid>,
        wamid_index: BlindIndex,
        /// When it was received; before `sent_at` was recorded, when Meta says it was sent.
        at: Time,
        /// When Meta says it was sent; not told, or recorded before, if none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_at: Option<Time>,
    },
}

/// Why a message was withdrawn before it was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CancelReason {
    /// A client asked for it.
    Requested,
    /// The recipient opted out after it was accepted.
    OptedOut,
    /// The number it was to be sent from was disconnected.
    NumberDisconnected,
    /// Its personal data was erased before it could be sent.
    Erased,
}

impl CancelReason {
    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "REQUESTED",
            Self::OptedOut => "OPTED_OUT",
            Self::NumberDisconnected => "NUMBER_DISCONNECTED",
            Self::Erased => "ERASED",
        }
    }
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Accepted { .. } => "MessageAccepted",
            Self::Attempted { .. } => "MessageAttempted",
            Self::Submitted { .. } => "MessageSubmitted",
            Self::Held { .. } => "MessageHeld",
            Self::Deferred { .. } => "MessageDeferred",
            Self::OutcomeUnknown { .. } => "MessageOutcomeUnknown",
            Self::Unresolved { .. } => "MessageUnresolved",
            Self::Sent { .. } => "MessageSent",
            Self::Delivered { .. } => "MessageDelivered",
            Self::Read { .. } => "MessageRead",
            Self::Failed { .. } => "MessageFailed",
            Self::Expired { .. } => "MessageExpired",
            Self::Cancelled { .. } => "MessageCancelled",
            Self::Priced(_) => "MessagePriced",
            Self::Counted { .. } => "MessageCounted",
            Self::Received { .. } => "MessageReceived",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        match self {
            Self::Received { sent_at: Some(_), .. } => "2",
            _ => "1",
        }
        .to_owned()
    }
}
