//! The words for messages.

use async_graphql::Enum;
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
