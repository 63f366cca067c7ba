//! Who a subject is.

use std::fmt;

use serde::{Deserialize, Serialize};
use wasend_domain::Personal;
use wasend_domain::phone::PhoneNumber;

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

    fn spelled(&self) -> Option<PhoneNumber> {
        matches!(self, Self::Phone(_)).then(|| PhoneNumber::from_wa_id(self.value().expose()).ok()).flatten()
    }
}

/// The person to find, or else to create: any of the identities, all of one person.
#[derive(Debug, Clone, Default)]
pub struct NewPerson {
    pub identities: Vec<PersonIdentity>,
    pub name: Option<Personal<String>>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Person {
    pub(crate) fn new(new: &NewPerson) -> Self {
        let mut person = Self { name: new.name.as_ref().map(|name| name.expose().clone()), ..Self::default() };
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

    /// The newest BSUID.
    pub fn bsuid(&self) -> Option<&str> {
        self.bsuids.last().map(String::as_str)
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
            name: None,
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
        };
        let printed = format!("{new:?} {:?}", Person::new(&new));
        assert!(!printed.contains("650") && !printed.contains("Ada"), "{printed}");
    }
}
