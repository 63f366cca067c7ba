//! An account: a business that uses WASend, and its API keys.

use std::collections::{BTreeMap, BTreeSet};

use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

use crate::content::CustomerLabel;
use crate::{DecidingAggregate, KeyId, Sealed, SubjectId, Time};

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KeyScope {
    /// Send, cancel and retry messages; change contacts and groups.
    Send,
    /// Read messages, contacts, groups and numbers.
    Read,
    /// Read the usage.
    Billing,
    /// Read the audit trail and the event history.
    Audit,
    /// Requests of data subjects, and personal values in exported history.
    Privacy,
    /// Everything about keys and numbers.
    Admin,
}

impl KeyScope {
    /// Every value, in the order in which references list them.
    pub const ALL: [Self; 6] = [Self::Send, Self::Read, Self::Billing, Self::Audit, Self::Privacy, Self::Admin];

    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Send => "SEND",
            Self::Read => "READ",
            Self::Billing => "BILLING",
            Self::Audit => "AUDIT",
            Self::Privacy => "PRIVACY",
            Self::Admin => "ADMIN",
        }
    }

    /// The scope of the name, in any case; none if there is no such scope.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name().eq_ignore_ascii_case(name))
    }
}

/// A business that uses the server, as its events leave it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub opened: bool,
    /// The subject under which the account's own labels and credentials are sealed.
    pub subject: Option<SubjectId>,
    pub keys: BTreeMap<KeyId, AccountKey>,
    /// Since sending is held, of how many people the vault's store knows nothing any more.
    pub sending_held: Option<u64>,
    /// The account's own words of consent, in the place of the server's.
    #[serde(default)]
    pub keywords: AccountKeywords,
}

/// Words with which people opt out and in. A list that is absent is the server's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountKeywords {
    pub stop: Option<Vec<String>>,
    pub start: Option<Vec<String>>,
}

/// An API key of the account; of its secret only a keyed hash is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountKey {
    pub hash: String,
    pub scopes: BTreeSet<KeyScope>,
    pub revoked: bool,
}

/// What may be done to an account.
#[derive(Debug, Clone)]
pub enum Command {
    Open {
        name: Sealed<CustomerLabel>,
    },
    IssueKey {
        key: KeyId,
        secret: KeySecret,
        scopes: BTreeSet<KeyScope>,
        label: Option<Sealed<CustomerLabel>>,
    },
    /// A new secret for the same key; the old one stops working at once.
    RotateKey {
        key: KeyId,
        secret: KeySecret,
    },
    RevokeKey {
        key: KeyId,
    },
    /// Nothing more is sent until the operator has decided.
    HoldSending {
        lost_people: u64,
        at: Time,
    },
    ResumeSending {
        at: Time,
    },
    /// Words of its own, or the server's again.
    SetKeywords(AccountKeywords),
}

/// What is kept of a key's secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySecret {
    /// Keyed hash of the whole secret.
    pub hash: String,
    /// Its first characters, by which people tell keys apart.
    pub hint: String,
}

/// What happened to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Opened {
        name: Sealed<CustomerLabel>,
    },
    KeyIssued {
        key: KeyId,
        secret: KeySecret,
        scopes: BTreeSet<KeyScope>,
        label: Option<Sealed<CustomerLabel>>,
    },
    KeyRotated {
        key: KeyId,
        secret: KeySecret,
    },
    KeyRevoked {
        key: KeyId,
    },
    /// The vault's store is an earlier copy than the log. It knows nothing of `lost_people` that the log speaks of, and may
    /// lack opt-outs: nothing is sent.
    SendingHeld {
        lost_people: u64,
        at: Time,
    },
    /// The operator has decided that sending goes on.
    SendingResumed {
        at: Time,
    },
    /// From now on people opt out and in with these words.
    KeywordsSet(AccountKeywords),
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Opened { .. } => "AccountOpened",
            Self::KeyIssued { .. } => "KeyIssued",
            Self::KeyRotated { .. } => "KeyRotated",
            Self::KeyRevoked { .. } => "KeyRevoked",
            Self::SendingHeld { .. } => "SendingHeld",
            Self::SendingResumed { .. } => "SendingResumed",
            Self::KeywordsSet(_) => "ConsentKeywordsSet",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

/// Why a command to an account is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("there is no such account")]
    NotFound,
    #[error("there is no such key")]
    KeyNotFound,
    #[error("a key needs at least one scope")]
    NoScopes,
    #[error("the key is revoked")]
    KeyRevoked,
    #[error("it is the last key that may administer the account; issue another first")]
    LastAdminKey,
}

impl Aggregate for Account {
    crate::aggregate::bridge!("account");

    fn apply(&mut self, event: Event) {
        match event {
            Event::Opened { name } => {
                self.opened = true;
                self.subject = Some(name.subject());
            }
            Event::KeyIssued { key, secret, scopes, .. } => {
                self.keys.insert(key, AccountKey { hash: secret.hash, scopes, revoked: false });
            }
            Event::KeyRotated { key, secret } => {
                self.keys.entry(key).and_modify(|known| known.hash = secret.hash);
            }
            Event::KeyRevoked { key } => {
                self.keys.entry(key).and_modify(|known| known.revoked = true);
            }
            Event::SendingHeld { lost_people, .. } => self.sending_held = Some(lost_people),
            Event::SendingResumed { .. } => self.sending_held = None,
            Event::KeywordsSet(keywords) => self.keywords = keywords,
        }
    }
}

impl DecidingAggregate for Account {
    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        match command {
            Command::Open { name } if !self.opened => Ok(vec![Event::Opened { name }]),
            Command::Open { .. } => Ok(vec![]),
            _ if !self.opened => Err(Error::NotFound),
            Command::IssueKey { scopes, .. } if scopes.is_empty() => Err(Error::NoScopes),
            Command::IssueKey { key, secret, scopes, label } => {
                Ok(self.news([Event::KeyIssued { key, secret, scopes, label }]))
            }
            Command::RotateKey { key, secret } => match self.keys.get(&key) {
                None => Err(Error::KeyNotFound),
                Some(known) if known.revoked => Err(Error::KeyRevoked),
                Some(_) => Ok(self.news([Event::KeyRotated { key, secret }])),
            },
            Command::RevokeKey { key } => self.revoke(key),
            // Found again by another node, or after a crash.
            Command::HoldSending { lost_people, .. } if self.sending_held.is_some_and(|held| held >= lost_people) => {
                Ok(vec![])
            }
            Command::HoldSending { lost_people, at } => Ok(self.news([Event::SendingHeld { lost_people, at }])),
            Command::ResumeSending { .. } if self.sending_held.is_none() => Ok(vec![]),
            Command::SetKeywords(keywords) => Ok(self.news([Event::KeywordsSet(keywords)])),
            Command::ResumeSending { at } => Ok(self.news([Event::SendingResumed { at }])),
        }
    }
}

impl Account {
    fn revoke(&self, key: KeyId) -> Result<Vec<Event>, Error> {
        let known = self.keys.get(&key).ok_or(Error::KeyNotFound)?;
        let administers = |key: &AccountKey| !key.revoked && key.scopes.contains(&KeyScope::Admin);
        // Without it the account could never be administered again.
        if administers(known) && self.keys.values().filter(|key| administers(key)).count() == 1 {
            return Err(Error::LastAdminKey);
        }
        Ok(self.news([Event::KeyRevoked { key }]))
    }
}
