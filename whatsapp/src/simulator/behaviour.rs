//! The ways in which the simulator misbehaves, each one that Meta is known for. Serialised with the name in `type`, for
//! example `{"type": "rate_limited", "code": 131056, "retry_after": 4, "times": 2}`.

use serde::{Deserialize, Serialize};

/// What happens to the messages of one recipient.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientScript {
    /// A phone number in any spelling, a BSUID, or `*` for recipients without a script.
    pub recipient: String,
    pub behaviours: Vec<SimulatedBehaviour>,
    /// For how many requests; without it until it is replaced or deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// Where `times` is absent, the behaviour lasts as long as its script. A refusal counts before anything else; of
/// several the first that is not used up answers.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SimulatedBehaviour {
    /// Every status comes twice.
    Duplicate,
    /// The statuses come in reverse, dated as if they had not.
    Reorder,
    /// `read` comes without `delivered`.
    SkipDelivered,
    /// Accepted, and never heard of again.
    SkipAll,
    /// Accepted, then a `failed` status.
    Failed { code: i64 },
    /// `sent`, `delivered`, and then `failed` from another of the user's devices.
    FailedAfterDelivered { code: i64 },
    /// The answer says `held_for_quality_assessment`.
    Held {
        #[serde(default)]
        then: HeldOutcome,
    },
    /// 130429, 131056, 4 or 80007. With `retry_after`, in seconds, as a header.
    RateLimited {
        code: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u32>,
    },
    /// Any other error of Meta's; the message is not accepted.
    Error {
        http_status: u16,
        code: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u32>,
    },
    /// HTTP 503 with Meta's envelope and code 131016; the message is not accepted.
    UnavailableBefore {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u32>,
    },
    /// HTTP 502 without an envelope; the message is not accepted, but the caller cannot tell.
    GatewayErrorBefore {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u32>,
    },
    /// Accepted, and answered with a bare HTTP 500.
    ServerErrorAfter,
    /// Accepted, and the connection is closed without an answer.
    DropAfter,
    /// The recipient's WhatsApp number is another than the one asked for.
    WaId { wa_id: String },
    /// The answer comes this many milliseconds late; the message is accepted at once.
    Delay { ms: u64 },
    /// Updates are collected and posted `size` (at most 1,000) at a time, or when a batch has waited long enough.
    Batch { size: usize },
    /// Non-ASCII and `/` are escaped in what is signed and posted, as Meta does.
    EscapeUnicode,
    /// No status carries `pricing`.
    NoPricing,
    /// `pricing.category`, and `pricing.type` if it is not to be `regular`.
    Category {
        category: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pricing_type: Option<String>,
    },
    /// Webhooks carry unknown members, on every level.
    UnknownFields,
}

/// What becomes of a message that was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldOutcome {
    /// Released: `sent`, `delivered`, `read`.
    #[default]
    Sent,
    /// Dropped: `failed` with 132015.
    Failed,
}

impl SimulatedBehaviour {
    /// How often a refusal is still to happen; `None` for everything that is no refusal.
    pub(super) fn refusals_left(&mut self) -> Option<&mut Option<u32>> {
        match self {
            Self::RateLimited { times, .. }
            | Self::Error { times, .. }
            | Self::UnavailableBefore { times }
            | Self::GatewayErrorBefore { times } => Some(times),
            _ => None,
        }
    }
}
