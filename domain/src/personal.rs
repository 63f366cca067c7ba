//! Personal data in the process ([`Personal`]) and at rest ([`Sealed`]).

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use crate::{Day, SubjectId, Time};

/// Plaintext personal data. It cannot be serialised, prints `[personal]`, and is the only way in which
/// plaintext moves inside the process.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Personal<T>(T);

impl<T> Personal<T> {
    /// Marks the value as personal.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Looks at the plaintext. Every call is a place where personal data may leave: keep them few.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself, no longer marked.
    pub fn into_exposed(self) -> T {
        self.0
    }

    /// Another personal value, made of this one.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Personal<U> {
        Personal(f(self.0))
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

/// Why personal data is kept: a subject has one key for each purpose, so that erasure can spare one
/// that the law makes us keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyPurpose {
    /// Carrying messages and what comes back for them.
    Messaging,
    /// Running the customer's account: credentials, names of things it made.
    Account,
}

/// What kind of personal data a value is: retention keys are cut by category and day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataCategory {
    /// Message bodies and template variables.
    Content,
    /// Identifiers that contain a person's number, such as the wamid.
    Identifier,
    /// Custom attributes of a contact.
    Profile,
    /// Texts that Meta sends with an error, and free texts of users.
    Note,
    /// Files that are imported and reports of their rows; webhooks that versions before [`Self::UnknownWebhook`] kept.
    Raw,
    /// Names and labels of the account's own things.
    Label,
    /// Access tokens and secrets of connected numbers.
    Credential,
    /// Webhooks that were not understood. The key of a day is destroyed when its time is over.
    UnknownWebhook,
}

impl DataCategory {
    /// Every value, in the order in which references list them.
    pub const ALL: [Self; 8] = [
        Self::Content,
        Self::Identifier,
        Self::Profile,
        Self::Note,
        Self::Raw,
        Self::Label,
        Self::Credential,
        Self::UnknownWebhook,
    ];

    /// The purpose whose key of the subject seals values of the category.
    pub const fn purpose(self) -> KeyPurpose {
        match self {
            Self::Content | Self::Identifier | Self::Profile | Self::Note | Self::Raw | Self::UnknownWebhook => {
                KeyPurpose::Messaging
            }
            Self::Label | Self::Credential => KeyPurpose::Account,
        }
    }

    /// The name under which its keys are kept; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Identifier => "identifier",
            Self::Profile => "profile",
            Self::Note => "note",
            Self::Raw => "raw",
            Self::Label => "label",
            Self::Credential => "credential",
            Self::UnknownWebhook => "unknown_webhook",
        }
    }

    /// A distinct number; never changed once released.
    pub const fn code(self) -> u8 {
        match self {
            Self::Content => 1,
            Self::Identifier => 2,
            Self::Profile => 3,
            Self::Note => 4,
            Self::Raw => 5,
            Self::Label => 6,
            Self::Credential => 7,
            Self::UnknownWebhook => 8,
        }
    }

    /// The category of the name; none if there is no such category.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }
}

impl KeyPurpose {
    /// Every value, in the order in which references list them.
    pub const ALL: [Self; 2] = [Self::Messaging, Self::Account];

    /// The name under which its keys are kept; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messaging => "messaging",
            Self::Account => "account",
        }
    }
}

/// A value that may be sealed: its field name is bound into its key, so that one sealed value can never
/// be put in the place of another.
pub trait PersonalValue: Serialize + DeserializeOwned {
    /// Unique and never changed once released, such as `message.content`.
    const FIELD: &'static str;
    const CATEGORY: DataCategory;
}

/// A personal value at rest: ciphertext, whose it is, and the day whose retention key it needs. Made and
/// opened by the vault alone.
pub struct Sealed<T> {
    text: Box<str>,
    subject: SubjectId,
    day: Day,
    value: PhantomData<fn() -> T>,
}

/// The text is not a sealed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a sealed value")]
pub struct InvalidSeal;

impl<T> Sealed<T> {
    /// For the vault: wraps ciphertext that is already base64.
    pub fn from_parts(subject: SubjectId, day: Day, ciphertext: &str) -> Self {
        let text = format!("{subject}.{}.{ciphertext}", day.number()).into();
        Self { text, subject, day, value: PhantomData }
    }

    /// Reads the stored form `subject.day.ciphertext`; the ciphertext itself is checked when it is opened.
    pub fn parse(text: &str) -> Result<Self, InvalidSeal> {
        let mut parts = text.splitn(3, '.');
        let (Some(subject), Some(day), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(InvalidSeal);
        };
        let subject = subject.parse().map_err(|_| InvalidSeal)?;
        let day = Day::from_number(day.parse().map_err(|_| InvalidSeal)?);
        Ok(Self { text: text.into(), subject, day, value: PhantomData })
    }

    /// The subject under whose key the value is sealed.
    pub const fn subject(&self) -> SubjectId {
        self.subject
    }

    /// The day whose retention key seals the value.
    pub const fn day(&self) -> Day {
        self.day
    }

    /// The stored form, which read models carry as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// For the vault: the base64 ciphertext.
    pub fn ciphertext(&self) -> &str {
        self.text.splitn(3, '.').nth(2).unwrap_or("")
    }
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self { text: self.text.clone(), subject: self.subject, day: self.day, value: PhantomData }
    }
}
impl<T> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl<T> Eq for Sealed<T> {}
impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealed]")
    }
}
impl<T> Serialize for Sealed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
impl<'de, T> Deserialize<'de> for Sealed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// What became of a value whose key was destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    pub since: Time,
    /// Which request, rule or closure destroyed the key; carries no personal data.
    pub why: String,
}

/// Why a value cannot be read although it was not erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UnavailableCause {
    /// The vault has no key of the name, as after it was restored from a copy from before the key was made.
    KeyMissing,
    /// The key is there and does not unwrap.
    KeyDamaged,
    /// The directory has no entry of a person whose keys live.
    EntryMissing,
    /// The ciphertext is not what was written.
    ValueDamaged,
    /// The keys are others than those that sealed it, as after a lost key was made anew.
    OtherKeys,
}

impl UnavailableCause {
    /// Every value, in the order in which references list them.
    pub const ALL: [Self; 5] =
        [Self::KeyMissing, Self::KeyDamaged, Self::EntryMissing, Self::ValueDamaged, Self::OtherKeys];

    /// The name in the API and in events; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeyMissing => "KEY_MISSING",
            Self::KeyDamaged => "KEY_DAMAGED",
            Self::EntryMissing => "ENTRY_MISSING",
            Self::ValueDamaged => "VALUE_DAMAGED",
            Self::OtherKeys => "OTHER_KEYS",
        }
    }
}

impl fmt::Display for UnavailableCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyMissing => "a key that opens it is missing in the vault",
            Self::KeyDamaged => "a key that opens it is damaged in the vault",
            Self::EntryMissing => "its entry is missing in the vault's directory",
            Self::ValueDamaged => "it is damaged",
            Self::OtherKeys => "it was sealed with other keys than the vault has",
        })
    }
}

/// A value that cannot be read although it was not erased; a better copy of the store may make it readable again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnavailableValue {
    pub why: UnavailableCause,
    /// Whose it is, as far as that is known.
    pub subject: Option<SubjectId>,
}

impl fmt::Display for UnavailableValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject {
            Some(subject) => write!(f, "a value of {subject} cannot be read: {}", self.why),
            None => write!(f, "a value cannot be read: {}", self.why),
        }
    }
}

/// A sealed value, opened: readable, explicitly erased, or explicitly unavailable; never an empty value in between.
/// A value of which any key was destroyed is erased, whatever else is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened<T> {
    Value(Personal<T>),
    Erased(Erased),
    Unavailable(UnavailableValue),
}

impl<T> Opened<T> {
    /// The value; none if it is erased or cannot be read.
    pub fn value(self) -> Option<Personal<T>> {
        match self {
            Self::Value(value) => Some(value),
            Self::Erased(_) | Self::Unavailable(_) => None,
        }
    }
}

/// A keyed hash (HMAC-SHA-256 under a key of the account, hexadecimal) by which a personal value is found
/// without being stored. Plain hashes of phone numbers fall to brute force in minutes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlindIndex(String);

impl BlindIndex {
    /// For the vault, which alone holds the key.
    pub const fn from_hex(hex: String) -> Self {
        Self(hex)
    }

    /// The index in lower-case hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_never_prints() {
        let secret = Personal::new("+16505551234");
        assert_eq!(format!("{secret:?}"), "[personal]");
        assert_eq!(format!("{:?}", Opened::Value(secret)), "Value([personal])");
    }

    #[test]
    fn the_names_of_causes_are_those_in_events() {
        for cause in UnavailableCause::ALL {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.name());
        }
    }

    #[test]
    fn a_sealed_value_survives_json() {
        let sealed = Sealed::<String>::from_parts(SubjectId::random(), Day::from_number(20_000), "AAEC");
        let json = serde_json::to_string(&sealed).unwrap();
        let back: Sealed<String> = serde_json::from_str(&json).unwrap();
        assert_eq!((back.subject(), back.day(), back.ciphertext()), (sealed.subject(), sealed.day(), "AAEC"));
    }

    #[test]
    fn a_category_is_written_by_its_name() {
        for category in DataCategory::ALL {
            assert_eq!(serde_json::to_value(category).unwrap(), category.name());
            assert_eq!(DataCategory::named(category.name()), Some(category));
        }
        let codes: std::collections::BTreeSet<_> = DataCategory::ALL.map(DataCategory::code).into();
        assert_eq!(codes.len(), DataCategory::ALL.len());
    }

    #[test]
    fn what_is_not_sealed_is_refused() {
        for text in ["", "a.b.c", "x", "6f2c3c8e-6b1e-4c0e-8a43-0d6f7f0c9a11.x.AA"] {
            assert!(Sealed::<String>::parse(text).is_err(), "{text}");
        }
    }
}
