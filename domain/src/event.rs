//! Any event of any aggregate, decoded: what folds and exports see.

use cqrs_es::Aggregate;
use serde::Serialize;

use crate::{RecordedEvent, account, bucket, contact, group, import, inbox, message, number, privacy};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "aggregate", content = "event", rename_all = "snake_case")]
pub enum AnyEvent {
    Account(account::Event),
    Number(number::Event),
    Contact(contact::Event),
    Group(group::Event),
    Message(Box<message::Event>),
    Inbox(inbox::Event),
    Privacy(privacy::Event),
    Import(import::Event),
    Bucket(bucket::Event),
}

/// The event is of no known kind or its payload is not what its kind promises. Never names the payload's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UndecodableEvent {
    #[error("no aggregate is called {0:?}")]
    Aggregate(String),
    #[error("the payload of {event_type} version {event_version} is not valid ({category:?} at column {column})")]
    Payload { event_type: String, event_version: String, category: serde_json::error::Category, column: usize },
}

impl AnyEvent {
    /// Decodes a recorded event (already upcast to the newest version of its kind).
    pub fn decode(recorded: &RecordedEvent) -> Result<Self, UndecodableEvent> {
        match recorded.aggregate_type.as_str() {
            account::Account::TYPE => payload(recorded).map(Self::Account),
            number::Number::TYPE => payload(recorded).map(Self::Number),
            contact::Contact::TYPE => payload(recorded).map(Self::Contact),
            group::Group::TYPE => payload(recorded).map(Self::Group),
            message::Message::TYPE => payload(recorded).map(|event| Self::Message(Box::new(event))),
            inbox::Inbox::TYPE => payload(recorded).map(Self::Inbox),
            privacy::PrivacyRequest::TYPE => payload(recorded).map(Self::Privacy),
            import::Import::TYPE => payload(recorded).map(Self::Import),
            bucket::RetentionBucket::TYPE => payload(recorded).map(Self::Bucket),
            other => Err(UndecodableEvent::Aggregate(other.to_owned())),
        }
    }
}

fn payload<E: serde::de::DeserializeOwned>(recorded: &RecordedEvent) -> Result<E, UndecodableEvent> {
    serde_json::from_str(&recorded.payload).map_err(|error| UndecodableEvent::Payload {
        event_type: recorded.event_type.clone(),
        event_version: recorded.event_version.clone(),
        category: error.classify(),
        column: error.column(),
    })
}
