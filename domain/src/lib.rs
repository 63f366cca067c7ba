//! The rules: commands in, events out. No clock, network, database or async, and nothing of ours imported.
//!
//! | file | holds |
//! |---|---|
//! | [`ids`] | identifiers |
//! | [`time`] | moments, days, the injected clock |
//! | [`personal`] | personal data in the process and at rest |
//! | [`recorded_event`] | what the log keeps about every event |
//! | [`aggregate`] | how an aggregate decides |
//! | [`event`] | the list of aggregates; any event, decoded |
//! | [`phone`], [`content`] | values that arrive from outside, parsed |
//! | [`account`], [`number`], [`contact`], [`group`], [`message`], [`inbox`], [`import`], [`privacy`], [`bucket`] | one aggregate each |
//! | `event_compatibility` | tests: every event that was released is still read |

pub mod account;
pub mod aggregate;
pub mod bucket;
pub mod contact;
pub mod content;
pub mod event;
pub mod group;
pub mod ids;
pub mod import;
pub mod inbox;
pub mod message;
pub mod number;
pub mod personal;
pub mod phone;
pub mod privacy;
pub mod recorded_event;
pub mod time;

#[cfg(test)]
mod event_compatibility;

pub use aggregate::DecidingAggregate;
pub use event::{AGGREGATE_TYPES, AggregateVisitor, AnyEvent, visit_aggregate};
pub use ids::{
    AccountId, BucketId, EventId, GroupId, Id, ImportId, InboxId, KeyId, MessageId, NumberId, PrivacyRequestId,
    SubjectId, UploadId,
};
pub use personal::{
    BlindIndex, DataCategory, Erased, KeyPurpose, Opened, Personal, PersonalValue, Sealed, UnavailableCause,
    UnavailableValue,
};
pub use recorded_event::{Actor, EventMetadata, Position, RecordedEvent, StreamId};
pub use time::{Clock, Day, Time};
