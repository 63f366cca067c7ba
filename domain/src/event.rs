//! The list of all aggregates, and what follows from it: any event, decoded, as folds and exports see it; the names of
//! all aggregates; and work on an aggregate of which only the name is known. A new aggregate is one line here.

use cqrs_es::{Aggregate, DomainEvent};
use serde::Serialize;

use crate::{
    DecidingAggregate, RecordedEvent, account, bucket, contact, group, import, inbox, message, number, privacy,
};

/// `Variant(event) of aggregate`, once for each aggregate.
macro_rules! aggregates {
    ($($variant:ident($event:ty) of $aggregate:ty),+ $(,)?) => {
        /// An event of any aggregate.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(tag = "aggregate", content = "event", rename_all = "snake_case")]
        pub enum AnyEvent {
            $(
                #[doc = concat!("An event of [`", stringify!($aggregate), "`].")]
                $variant($event),
            )+
        }

        /// The name of each aggregate in the log ([`Aggregate::TYPE`]).
        pub const AGGREGATE_TYPES: &[&str] = &[$(<$aggregate>::TYPE),+];

        impl AnyEvent {
            /// Decodes a recorded event (already upcast to the newest version of its kind).
            pub fn decode(recorded: &RecordedEvent) -> Result<Self, UndecodableEvent> {
                match recorded.aggregate_type.as_str() {
                    $(<$aggregate>::TYPE => payload(recorded).map(Self::$variant),)+
                    other => Err(UndecodableEvent::Aggregate(other.to_owned())),
                }
            }

            /// Name in the log of the aggregate that the event belongs to.
            pub const fn aggregate_type(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => <$aggregate>::TYPE,)+
                }
            }

            /// Name of the event's kind in the log, such as `GroupRenamed`.
            pub fn event_type(&self) -> String {
                match self {
                    $(Self::$variant(event) => event.event_type(),)+
                }
            }

            /// Version of the event's kind as it is written today.
            pub fn event_version(&self) -> String {
                match self {
                    $(Self::$variant(event) => event.event_version(),)+
                }
            }
        }

        /// Lets the visitor work on the aggregate that the log calls `aggregate_type`; `None` if there is no such one.
        pub fn visit_aggregate<V: AggregateVisitor>(aggregate_type: &str, visitor: V) -> Option<V::Output> {
            match aggregate_type {
                $(<$aggregate>::TYPE => Some(visitor.visit::<$aggregate>()),)+
                _ => None,
            }
        }
    };
}

aggregates! {
    Account(account::Event) of account::Account,
    Number(number::Event) of number::Number,
    Contact(contact::Event) of contact::Contact,
    Group(group::Event) of group::Group,
    Message(Box<message::Event>) of message::Message,
    Inbox(inbox::Event) of inbox::Inbox,
    Privacy(privacy::Event) of privacy::PrivacyRequest,
    Import(import::Event) of import::Import,
    Bucket(bucket::Event) of bucket::RetentionBucket,
}

/// Work that is the same for every aggregate, for [`visit_aggregate`].
pub trait AggregateVisitor {
    /// What the work results in.
    type Output;

    /// Does the work for one aggregate.
    fn visit<A>(self) -> Self::Output
    where
        A: DecidingAggregate<Command: Clone + Send + Sync, Error: Send + Sync> + PartialEq + 'static;
}

/// The event is of no known kind or its payload is not what its kind promises. Never names the payload's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UndecodableEvent {
    #[error("no aggregate is called {0:?}")]
    Aggregate(String),
    #[error("the payload of {event_type} version {event_version} is not valid ({category:?} at column {column})")]
    Payload { event_type: String, event_version: String, category: serde_json::error::Category, column: usize },
}

fn payload<E: serde::de::DeserializeOwned>(recorded: &RecordedEvent) -> Result<E, UndecodableEvent> {
    serde_json::from_str(&recorded.payload).map_err(|error| UndecodableEvent::Payload {
        event_type: recorded.event_type.clone(),
        event_version: recorded.event_version.clone(),
        category: error.classify(),
        column: error.column(),
    })
}
