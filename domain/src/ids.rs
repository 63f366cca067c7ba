//! Random identifiers, one type for each kind of thing, so that one never stands in for another.

use std::{fmt, hash, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::Time;

/// A 128-bit identifier of a `K`. Never derived from personal data.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

/// Names of the things that have identifiers; they exist only as type parameters.
pub mod kind {
    /// A business that uses WASend.
    pub enum AccountTag {}
    /// An API key.
    pub enum KeyTag {}
    /// A WhatsApp phone number connected to an account.
    pub enum NumberTag {}
    /// A data subject: a person known to the vault and not to the log.
    pub enum SubjectTag {}
    /// A group of contacts.
    pub enum GroupTag {}
    /// A message, outbound or inbound.
    pub enum MessageTag {}
    /// A webhook that was kept because it was not understood.
    pub enum InboxTag {}
    /// What an account keeps of one category and day.
    pub enum BucketTag {}
    /// A request under a privacy law.
    pub enum PrivacyRequestTag {}
    /// An import of contacts.
    pub enum ImportTag {}
    /// A file that was uploaded.
    pub enum UploadTag {}
    /// One recorded event.
    pub enum EventTag {}
}

/// The id of an account.
pub type AccountId = Id<kind::AccountTag>;
/// The id of an API key.
pub type KeyId = Id<kind::KeyTag>;
/// The id of a connected number; not that of Meta.
pub type NumberId = Id<kind::NumberTag>;
/// A contact's id is its data subject's: the vault knows who it is.
pub type SubjectId = Id<kind::SubjectTag>;
/// The id of a group.
pub type GroupId = Id<kind::GroupTag>;
/// The id of a message; not the wamid.
pub type MessageId = Id<kind::MessageTag>;
/// The id of an update that no other aggregate takes.
pub type InboxId = Id<kind::InboxTag>;
/// The id of the key of a category and a day.
pub type BucketId = Id<kind::BucketTag>;
/// The id of a request of a data subject.
pub type PrivacyRequestId = Id<kind::PrivacyRequestTag>;
/// The id of an import.
pub type ImportId = Id<kind::ImportTag>;
/// The id of a file that was uploaded.
pub type UploadId = Id<kind::UploadTag>;
/// The id of an event.
pub type EventId = Id<kind::EventTag>;

impl<K> Id<K> {
    /// A new id that sorts by the time of its making (UUID version 7), for things that are listed in that order.
    pub fn fresh(now: Time) -> Self {
        let micros = u64::try_from(now.micros()).unwrap_or(0);
        let nanos = u32::try_from(micros % 1_000_000).unwrap_or(0) * 1_000;
        let timestamp = uuid::Timestamp::from_unix(uuid::NoContext, micros / 1_000_000, nanos);
        Self(Uuid::new_v7(timestamp), PhantomData)
    }

    /// A new id that says nothing, not even when it was made (UUID version 4), for data subjects.
    pub fn random() -> Self {
        Self(Uuid::new_v4(), PhantomData)
    }

    /// Ids that say no more than that they were made together. They begin alike, so that an index keeps them side by
    /// side: thousands of new rows then touch tens of its pages, and not thousands.
    pub fn random_together(count: usize) -> impl Iterator<Item = Self> {
        const ALIKE: usize = 6;
        let first = Uuid::new_v4().into_bytes();
        (0..count).map(move |_| {
            let mut id = Uuid::new_v4().into_bytes();
            id[..ALIKE].copy_from_slice(&first[..ALIKE]);
            Self::from_uuid(Uuid::from_bytes(id))
        })
    }

    /// The id with these 128 bits.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// The 128 bits of the id.
    pub const fn uuid(&self) -> Uuid {
        self.0
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> hash::Hash for Id<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The text is not an identifier (a UUID in its hyphenated form).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an identifier")]
pub struct InvalidId;

impl<K> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        // One spelling only: the id is compared and stored as text by both databases.
        if text.len() != 36 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidId);
        }
        Uuid::try_parse(text).map(Self::from_uuid).map_err(|_| InvalidId)
    }
}
impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::from_uuid)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_that_are_made_together_begin_alike_and_differ() {
        let ids: Vec<_> = SubjectId::random_together(1_000).collect();
        assert!(ids.iter().all(|id| id.to_string()[..13] == ids[0].to_string()[..13]));
        assert!(ids.iter().all(|id| id.uuid().get_version_num() == 4));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 1_000);
        let others: Vec<_> = SubjectId::random_together(1).collect();
        assert_ne!(others[0].to_string()[..13], ids[0].to_string()[..13]);
    }
}
