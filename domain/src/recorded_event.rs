//! What the log keeps about each event, whatever the event.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AccountId, EventId, KeyId, Time};

/// A place in the log: 1 for the first event, then gapless, in commit order. 0 stands before the first.
pub type Position = u64;

/// One stream: the history of one aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    pub aggregate_type: &'static str,
    pub aggregate_id: Uuid,
}

/// Who caused an event. Part of the audit trail, so it never holds personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A client, by its API key.
    Key(KeyId),
    /// A processor of WASend's, by its name.
    System(&'static str),
    /// Meta, through the webhook.
    Meta,
    /// The operator of the server, through the command line.
    Operator,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key:{id}"),
            Self::System(name) => write!(f, "system:{name}"),
            Self::Meta => f.write_str("meta"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

/// The `metadata` column: a flat map of texts, as cqrs-es defines it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventMetadata(pub BTreeMap<String, String>);

impl EventMetadata {
    const ACTOR: &'static str = "actor";
    const FINGERPRINT: &'static str = "fingerprint";
    /// When the event was recorded, in microseconds: added for upcasters alone, never stored.
    pub const RECORDED_AT: &'static str = "recorded_at";

    /// Metadata of a command without a fingerprint.
    pub fn by(actor: Actor) -> Self {
        Self(BTreeMap::from([(Self::ACTOR.to_owned(), actor.to_string())]))
    }

    /// Adds the keyed hash of the command's content, by which a repeated command id with another content is told
    /// from a repeated command.
    #[must_use]
    pub fn with_fingerprint(mut self, fingerprint: String) -> Self {
        self.0.insert(Self::FINGERPRINT.to_owned(), fingerprint);
        self
    }

    /// Who gave the command: `key:<id>`, `system:<processor>`, `meta` or `operator`.
    pub fn actor(&self) -> &str {
        self.0.get(Self::ACTOR).map_or("", String::as_str)
    }

    /// Whether a client gave the command, by its API key.
    pub fn is_of_client(&self) -> bool {
        self.actor().starts_with("key:")
    }

    /// The fingerprint of a repeatable command; none of one that cannot be repeated.
    pub fn fingerprint(&self) -> Option<&str> {
        self.0.get(Self::FINGERPRINT).map(String::as_str)
    }
}

/// An event as the log holds it. `payload` is the event's JSON, byte for byte as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    pub position: Position,
    pub account_id: AccountId,
    pub aggregate_type: String,
    pub aggregate_id: Uuid,
    /// 1 for the first event of its stream, then gapless.
    pub sequence: u64,
    pub event_id: EventId,
    pub event_type: String,
    pub event_version: String,
    pub payload: String,
    pub metadata: EventMetadata,
    pub command_id: String,
    pub recorded_at: Time,
}
