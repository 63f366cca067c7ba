//! The words for what became of a message, and what it costs.

use serde::{Deserialize, Serialize};

use crate::Time;

/// What became of a message, derived from all that is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveryStatus {
    /// Durable here; not yet tried.
    Accepted,
    /// A call to Meta has begun; its outcome is not recorded (yet).
    Attempted,
    /// Meta took it and gave it a wamid.
    Submitted,
    /// Meta holds it back for a quality assessment.
    Held,
    Sent,
    Delivered,
    Read,
    Failed,
    /// Not delivered within its time to live; Meta sends nothing for that.
    Expired,
    /// Withdrawn before it was tried.
    Cancelled,
    /// Inbound.
    Received,
}

impl DeliveryStatus {
    /// Every value, in the order in which references list them.
    pub const ALL: [Self; 11] = [
        Self::Accepted,
        Self::Attempted,
        Self::Submitted,
        Self::Held,
        Self::Sent,
        Self::Delivered,
        Self::Read,
        Self::Failed,
        Self::Expired,
        Self::Cancelled,
        Self::Received,
    ];

    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Attempted => "ATTEMPTED",
            Self::Submitted => "SUBMITTED",
            Self::Held => "HELD",
            Self::Sent => "SENT",
            Self::Delivered => "DELIVERED",
            Self::Read => "READ",
            Self::Failed => "FAILED",
            Self::Expired => "EXPIRED",
            Self::Cancelled => "CANCELLED",
            Self::Received => "RECEIVED",
        }
    }

    /// The status of the name; none if there is no such status.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// The status words of Meta's that say what became of a message; `played` counts as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusWord {
    Sent,
    Delivered,
    Read,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MessageDirection {
    Outbound,
    Inbound,
}

impl MessageDirection {
    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outbound => "OUTBOUND",
            Self::Inbound => "INBOUND",
        }
    }

    /// The direction of the name; none if there is no such direction.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Outbound, Self::Inbound].into_iter().find(|direction| direction.name() == name)
    }
}

/// Meta's word for what a message is charged as (`pricing.category`): marketing, utility, authentication, service…
/// `unknown` until Meta has said it. Prices change by date and category, so the word is kept as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PricingCategory(String);

impl PricingCategory {
    const MAX: usize = 40;

    /// Anything but a short lower-case word becomes `unknown`.
    pub fn new(word: &str) -> Self {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        if word.is_empty() || word.len() > Self::MAX || !word.bytes().all(plain) {
            return Self::unknown();
        }
        Self(word.to_owned())
    }

    /// The category of a message for which Meta named none.
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }

    /// Meta's word for the category, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What Meta said it charges, and when it said so. Of several, the earliest counts, then the first in the alphabet,
/// so that their order of arrival does not matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessagePricing {
    pub at: Time,
    pub category: PricingCategory,
    pub billable: bool,
}

/// How one message stands in the usage: it is counted on exactly one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLine {
    pub category: PricingCategory,
    pub delivered: bool,
    pub billable: bool,
}
