//! What clients see in the place of personal data that was erased or cannot be read.

use async_graphql::{Enum, ID, SimpleObject};
use wasend_domain::{Erased, Opened, UnavailableCause, UnavailableValue};

use super::scalar::DateTime;

/// Personal data was erased: the fields that held it are null from now on.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
#[graphql(name = "Erasure")]
pub struct ErasureObject {
    pub since: DateTime,
    /// Which request, rule or closure erased it.
    pub why: String,
}

impl From<Erased> for ErasureObject {
    fn from(Erased { since, why }: Erased) -> Self {
        Self { since: DateTime(since), why }
    }
}

/// Why personal data cannot be read although it was not erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "UnavailableCause")]
pub enum UnavailabilityCause {
    /// The vault has no key of the name, as after it was restored from a copy from before the key was made.
    KeyMissing,
    /// The key is in the vault and does not unwrap.
    KeyDamaged,
    /// The vault's directory has no entry of a person whose keys live.
    EntryMissing,
    /// The value is not what was written.
    ValueDamaged,
    /// The vault has other keys than those that sealed the value.
    OtherKeys,
}

/// Personal data cannot be read although it was not erased: the fields that held it are null. A better copy of the vault
/// may make it readable again, and the person can be erased.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
#[graphql(name = "Unavailability")]
pub struct UnavailabilityObject {
    pub why: UnavailabilityCause,
    /// The same for people.
    pub reason: String,
    /// The random id under which the data was sealed: of a person, that of the contact.
    pub subject_id: Option<ID>,
}

impl From<UnavailableValue> for UnavailabilityObject {
    fn from(UnavailableValue { why, subject }: UnavailableValue) -> Self {
        Self { why: why.into(), reason: why.to_string(), subject_id: subject.map(|subject| subject.to_string().into()) }
    }
}

/// A value to show, or what became of it: at most one of the three is there.
pub struct ShownValue<T> {
    pub value: Option<T>,
    pub erased: Option<ErasureObject>,
    pub unavailable: Option<UnavailabilityObject>,
}

impl<T> Default for ShownValue<T> {
    /// Of what was never given.
    fn default() -> Self {
        Self { value: None, erased: None, unavailable: None }
    }
}

impl<T> ShownValue<T> {
    /// Converts the value where there is one.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> ShownValue<U> {
        ShownValue { value: self.value.map(f), erased: self.erased, unavailable: self.unavailable }
    }
}

/// The value to show, or what became of it.
pub fn shown<T>(opened: Opened<T>) -> ShownValue<T> {
    match opened {
        Opened::Value(value) => ShownValue { value: Some(value.into_exposed()), ..ShownValue::default() },
        Opened::Erased(erased) => ShownValue { erased: Some(erased.into()), ..ShownValue::default() },
        Opened::Unavailable(unavailable) => {
            ShownValue { unavailable: Some(unavailable.into()), ..ShownValue::default() }
        }
    }
}
