//! The words for messages.

use async_graphql::Enum;
use async_graphql::resolver_utils::EnumType;
use wasend_domain::{content, message};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "MessageStatus", remote = "message::DeliveryStatus")]
pub enum MessageStatusEnum {
    /// Durable here; not yet tried.
    Accepted,
    /// A call to Meta has begun; its outcome is not recorded yet.
    Attempted,
    /// Meta took it.
    Submitted,
    /// Meta holds it back for a quality assessment.
    Held,
    Sent,
    Delivered,
    Read,
    Failed,
    /// Not delivered within its time to live.
    Expired,
    /// Withdrawn before it was tried.
    Cancelled,
    /// Inbound.
    Received,
}

/// Which way a message went, seen from the business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "Direction", remote = "message::MessageDirection")]
pub enum DirectionEnum {
    Outbound,
    Inbound,
}

/// What kind of message it is, in Meta's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "content::ContentKind")]
pub enum MessageKind {
    Text,
    Template,
    Image,
    Video,
    Audio,
    Document,
    Sticker,
    Location,
    Contacts,
    Interactive,
    Button,
    Reaction,
    Order,
    System,
    /// A kind that Meta has added since.
    Other,
}

/// What kind of failure ended a message. The words are those of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(rename_items = "snake_case")]
pub enum FailureClass {
    /// A fault that may pass and did not within all attempts: send it again later.
    Transient,
    /// The number sent too fast for Meta, through all attempts: lower its rate.
    ThrottleNumber,
    /// Too many messages from the number to this person: wait before sending more to them.
    ThrottlePair,
    /// The WhatsApp Business Account made too many calls within an hour.
    ThrottleAccount,
    /// The Meta app made too many calls within an hour.
    ThrottleApp,
    /// Meta suspects spam from the number: look at its quality in Meta's manager before sending more.
    LongBackoff,
    /// The number cannot send until its token, permission or registration is repaired.
    StopNumber,
    /// The WhatsApp Business Account is locked or unpaid.
    StopAccount,
    /// The template, its language or category cannot be sent now: mend it in Meta's manager.
    StopTemplate,
    /// Meta keeps marketing from this person for now: try no sooner than after a day, or not at all.
    MarketingLimit,
    /// The person stopped marketing messages.
    Suppress,
    /// The message will never reach this person, such as for a number without WhatsApp: do not repeat it.
    Permanent,
    /// WASend could not make a request of it.
    Request,
    /// The message or its recipient could not be read, and nothing was sent.
    Unreadable,
    /// One that this version does not know; its code says more.
    Unknown,
}

impl FailureClass {
    /// Of the word that the history has.
    pub fn of(word: &str) -> Self {
        Self::items().iter().find(|item| item.name == word).map_or(Self::Unknown, |item| item.value)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wasend_whatsapp::ErrorClass as Class;

    use super::*;

    #[test]
    fn every_class_of_metas_errors_has_its_word() {
        let after = Duration::ZERO;
        for class in [
            Class::Transient { after },
            Class::ThrottleNumber,
            Class::ThrottlePair,
            Class::ThrottleAccount,
            Class::ThrottleApp,
            Class::LongBackoff,
            Class::StopNumber,
            Class::StopAccount,
            Class::StopTemplate,
            Class::MarketingLimit,
            Class::Suppress,
            Class::Permanent,
        ] {
            assert_ne!(FailureClass::of(class.name()), FailureClass::Unknown, "{}", class.name());
        }
        let words = ["request", "unreadable", "something"].map(FailureClass::of);
        assert_eq!(words, [FailureClass::Request, FailureClass::Unreadable, FailureClass::Unknown]);
    }
}
