//! Who a subject is.

use std::fmt;

use serde::{Deserialize, Serialize};
use wasend_domain::phone::PhoneNumber;
use wasend_domain::{Personal, Time};

/// What tells the BSUID of a parent portfolio from others (Meta's documentation of business-scoped user ids).
const PARENT_MARK: &str = ".ENT.";

/// By what Meta and we know a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PersonIdentity {
    /// A phone number in E.164, with its plus sign.
    Phone(Personal<String>),
    /// Meta's business-scoped user id.
    Bsuid(Personal<String>),
    /// WhatsApp's own id, digits that are often but not always the phone number's.
    WaId(Personal<String>),
}

impl PersonIdentity {
    /// A phone number in E.164, with its plus sign.
    pub fn phone(e164: impl Into<String>) -> Self {
        Self::Phone(Personal::new(e164.into()))
    }

    /// A BSUID as Meta gives it.
    pub fn bsuid(bsuid: impl Into<String>) -> Self {
        Self::Bsuid(Personal::new(bsuid.into()))
    }

    /// A WhatsApp id: digits without a plus sign.
    pub fn wa_id(wa_id: impl Into<String>) -> Self {
        Self::WaId(Personal::new(wa_id.into()))
    }

    /// The domain of its blind index, never changed once released.
    pub(crate) const fn domain(&self) -> &'static str {
        match self {
            Self::Phone(_) => "phone",
            Self::Bsuid(_) => "bsuid",
            Self::WaId(_) => "wa_id",
        }
    }

    pub(crate) const fn value(&self) -> &Personal<String> {
        match self {
            Self::Phone(value) | Self::Bsuid(value) | Self::WaId(value) => value,
        }
    }

    /// What its keyed hash is made of: the spellings of one phone number have one hash, so that they are one person's
    /// in any order.
    pub(crate) fn canonical(&self) -> String {
        self.spelled().map_or_else(|| self.value().expose().clone(), |phone| phone.canonical().into())
    }

    /// What its hash may have been made of, itself first: the first versions hashed a phone number as it was given.
    pub(crate) fn spellings(&self) -> Vec<String> {
        match self.spelled() {
            Some(phone) => phone.candidates().into_iter().map(String::from).collect(),
            None => vec![self.value().expose().clone()],
        }
    }

    /// The same number as WhatsApp's id, or its id as a number; none of a BSUID.
    pub(crate) fn counterpart(&self) -> Option<Self> {
        match self {
            Self::Phone(phone) => Some(Self::wa_id(phone.expose().trim_start_matches('+'))),
            Self::WaId(digits) => Some(Self::phone(format!("+{}", digits.expose()))),
            Self::Bsuid(_) => None,
        }
    }

    /// Whether it is WhatsApp's id of a number that is among them.
    pub(crate) fn is_spelling_of_any(&self, identities: &[Self]) -> bool {
        let number = matches!(self, Self::WaId(_)).then(|| self.counterpart()).flatten();
        number.is_some_and(|number| {
            let canonical = number.canonical();
            identities.iter().any(|known| matches!(known, Self::Phone(_)) && known.canonical() == canonical)
        })
    }

    fn spelled(&self) -> Option<PhoneNumber> {
        matches!(self, Self::Phone(_)).then(|| PhoneNumber::from_wa_id(self.value().expose()).ok()).flatten()
    }
}

/// The person to find, or else to create: any of the identities, all of one person.
#[derive(Debug, Clone, Default)]
pub struct NewPerson {
    pub identities: Vec<PersonIdentity>,
    /// The account's own name for the person.
    pub name: Option<Personal<String>>,
    /// As the person is called in WhatsApp, and their user name there.
    pub profile_name: Option<Personal<String>>,
    pub username: Option<Personal<String>>,
}

/// A directory entry, opened. The last identity of a kind is the newest.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Person {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bsuids: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wa_ids: Vec<String>,
    /// The account's own name for the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name that the person gave themselves in WhatsApp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    /// The person's user name in WhatsApp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// What the person was known by, and is no longer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<FormerIdentity>,
}

/// An identity that a person gave up.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerIdentity {
    pub value: String,
    /// Until when it was theirs, in microseconds.
    pub until: i64,
}

impl Person {
    pub(crate) fn new(new: &NewPerson) -> Self {
        let given = |value: &Option<Personal<String>>| value.as_ref().map(|value| value.expose().clone());
        let mut person = Self {
            name: given(&new.name),
            profile_name: given(&new.profile_name),
            username: given(&new.username),
            ..Self::default()
        };
        for identity in &new.identities {
            person.add(identity);
        }
        person
    }

    /// Adds the identity as the newest of its kind.
    pub(crate) fn add(&mut self, identity: &PersonIdentity) {
        let list = match identity {
            PersonIdentity::Phone(_) => &mut self.phones,
            PersonIdentity::Bsuid(_) => &mut self.bsuids,
            PersonIdentity::WaId(_) => &mut self.wa_ids,
        };
        let value = identity.value().expose();
        list.retain(|known| known != value);
        list.push(value.clone());
    }

    /// Everything that the person is known by.
    pub fn identities(&self) -> Vec<PersonIdentity> {
        let phones = self.phones.iter().map(PersonIdentity::phone);
        let wa_ids = self.wa_ids.iter().map(PersonIdentity::wa_id);
        phones.chain(wa_ids).chain(self.bsuids.iter().map(PersonIdentity::bsuid)).collect()
    }

    /// The newest phone number, in E.164.
    pub fn phone(&self) -> Option<&str> {
        self.phones.last().map(String::as_str)
    }

    /// The newest BSUID; a parent BSUID only where there is no other.
    pub fn bsuid(&self) -> Option<&str> {
        let own = self.bsuids.iter().rfind(|bsuid| !bsuid.contains(PARENT_MARK));
        own.or(self.bsuids.last()).map(String::as_str)
    }

    /// What the person was known by until the moment, each with that.
    pub fn former_identities(&self) -> Vec<(PersonIdentity, Time)> {
        let identity = |former: &FormerIdentity| {
            let value = former.value.clone();
            let is_bsuid = value.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
            let identity = match value.strip_prefix('+') {
                Some(_) => PersonIdentity::phone(value),
                None if is_bsuid => PersonIdentity::bsuid(value),
                None => PersonIdentity::wa_id(value),
            };
            (identity, Time::from_micros(former.until))
        };
        self.former.iter().map(identity).collect()
    }

    /// The newest WhatsApp id.
    pub fn wa_id(&self) -> Option<&str> {
        self.wa_ids.last().map(String::as_str)
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_identity_of_a_kind_is_the_last_one_added() {
        let new = NewPerson {
            identities: vec![PersonIdentity::phone("+16505551234"), PersonIdentity::wa_id("16505551234")],
            ..NewPerson::default()
        };
        let mut person = Person::new(&new);
        person.add(&PersonIdentity::phone("+16505559999"));
        assert_eq!((person.phone(), person.wa_id(), person.bsuid()), (Some("+16505559999"), Some("16505551234"), None));
        person.add(&PersonIdentity::phone("+16505551234"));
        assert_eq!(person.phones, ["+16505559999", "+16505551234"]);
    }

    #[test]
    fn a_person_never_prints() {
        let new = NewPerson {
            identities: vec![PersonIdentity::phone("+16505551234")],
            name: Some(Personal::new("Ada".into())),
            ..NewPerson::default()
        };
        let printed = format!("{new:?} {:?}", Person::new(&new));
        assert!(!printed.contains("650") && !printed.contains("Ada"), "{printed}");
    }
}
