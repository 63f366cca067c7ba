//! A contact: what was done to it. Who it is, the vault knows.

mod consent;
mod merge;

use std::collections::BTreeSet;

use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

use crate::content::ContactAttributes;
use crate::{DecidingAggregate, GroupId, PrivacyRequestId, Sealed, SubjectId, Time};

pub use consent::{ConsentChoice, ConsentScope, ConsentUpcaster};

/// A person that the account may write to, as its events leave it; who that is, only the vault knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub created: bool,
    pub opted_out: bool,
    /// Up to when what the person said is known: the order of the latest word on consent ([`ConsentChoice::order`]).
    #[serde(default)]
    pub consent_at: Option<Time>,
    /// Marketing is refused, whatever `opted_out` says.
    #[serde(default)]
    pub marketing_opted_out: bool,
    /// The order of the latest word on marketing.
    #[serde(default)]
    pub marketing_at: Option<Time>,
    pub groups: BTreeSet<GroupId>,
    /// The request under which its personal data is erased: nothing more happens to it.
    #[serde(default)]
    pub erased: Option<PrivacyRequestId>,
    /// The refused requests whose exceptions keep its personal data from being erased.
    #[serde(default)]
    pub holds: BTreeSet<PrivacyRequestId>,
    /// The contact that it was merged into: that one goes on as the person, and nothing more happens to this one.
    #[serde(default)]
    pub merged_into: Option<SubjectId>,
    /// The contacts that were merged into this one, directly or through another: one person under several keys.
    #[serde(default)]
    pub absorbed: BTreeSet<SubjectId>,
    /// As they were last set.
    pub attributes: Option<Sealed<ContactAttributes>>,
    /// How often it was changed: sealed values cannot be compared, so each change counts.
    pub changes: u64,
}

/// What may be done to a contact.
#[derive(Debug, Clone)]
pub enum Command {
    /// Makes it known; nothing happens if it is.
    Create {
        source: ContactOrigin,
        attributes: Option<Sealed<ContactAttributes>>,
    },
    /// The directory holds new identity data, or the attributes are new.
    Update {
        changed: Vec<ContactPart>,
        attributes: Option<Sealed<ContactAttributes>>,
    },
    /// A word on consent counts from its own moment, in whatever order words arrive.
    OptOut {
        via: ConsentChannel,
        scope: ConsentScope,
        at: Time,
    },
    OptIn {
        via: ConsentChannel,
        scope: ConsentScope,
        at: Time,
    },
    /// The other contact, which absorbed these itself, turned out to be the same person.
    Absorb {
        contact: SubjectId,
        absorbed: BTreeSet<SubjectId>,
    },
    /// It turned out to be the same person as the other contact, which goes on.
    MergeInto(SubjectId),
    JoinGroup(GroupId),
    LeaveGroup(GroupId),
    /// Closes its history: from here on every command is refused, so that nothing of the person can be added.
    Erase(PrivacyRequestId),
    /// A request to erase it was refused for a reason that keeps its personal data.
    Hold(PrivacyRequestId),
    /// The reason of that refusal applies no longer.
    LiftHold(PrivacyRequestId),
}

/// How a contact became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContactOrigin {
    Api,
    Message,
    Inbound,
    Import,
}

impl ContactOrigin {
    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Message => "MESSAGE",
            Self::Inbound => "INBOUND",
            Self::Import => "IMPORT",
        }
    }
}

/// Which part of a contact changed; the value itself is in the directory or sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactPart {
    Name,
    Phone,
    Bsuid,
    Attributes,
    /// The name that the person gave themselves in WhatsApp, or their user name there.
    Profile,
}

/// The channel through which a choice was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConsentChannel {
    Api,
    /// Meta's marketing-preference webhook or error 131050.
    Meta,
    /// A keyword in an inbound message.
    Keyword,
    /// The number was on the list of those that had opted out before they were erased.
    Suppression,
    /// A contact that was merged into this one had made the choice.
    Merge,
}

impl ConsentChannel {
    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Meta => "META",
            Self::Keyword => "KEYWORD",
            Self::Suppression => "SUPPRESSION",
            Self::Merge => "MERGE",
        }
    }
}

/// What happened to a contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Created {
        source: ContactOrigin,
        attributes: Option<Sealed<ContactAttributes>>,
    },
    Updated {
        changed: Vec<ContactPart>,
        attributes: Option<Sealed<ContactAttributes>>,
    },
    OptedOut {
        via: ConsentChannel,
        /// What is not wanted any more; everything where it is absent.
        #[serde(default, skip_serializing_if = "ConsentScope::is_all")]
        scope: ConsentScope,
        /// When the choice was made. Absent in what version 1 wrote; [`ConsentUpcaster`] fills it in.
        #[serde(default)]
        at: Option<Time>,
    },
    OptedIn {
        via: ConsentChannel,
        #[serde(default, skip_serializing_if = "ConsentScope::is_all")]
        scope: ConsentScope,
        #[serde(default)]
        at: Option<Time>,
    },
    /// The other contact is the same person; what was its own is this one's.
    Absorbed {
        contact: SubjectId,
    },
    /// The person goes on as the other contact.
    Merged {
        into: SubjectId,
    },
    GroupJoined {
        group: GroupId,
    },
    GroupLeft {
        group: GroupId,
    },
    /// The fence of an erasure.
    Erased {
        request: PrivacyRequestId,
    },
    /// It cannot be erased until the hold of this refused request is lifted.
    ErasureHeld {
        request: PrivacyRequestId,
    },
    ErasureHoldLifted {
        request: PrivacyRequestId,
    },
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Created { .. } => "ContactCreated",
            Self::Updated { .. } => "ContactUpdated",
            Self::OptedOut { .. } => "ContactOptedOut",
            Self::OptedIn { .. } => "ContactOptedIn",
            Self::Absorbed { .. } => "ContactAbsorbed",
            Self::Merged { .. } => "ContactMerged",
            Self::GroupJoined { .. } => "ContactGroupJoined",
            Self::GroupLeft { .. } => "ContactGroupLeft",
            Self::Erased { .. } => "ContactErased",
            Self::ErasureHeld { .. } => "ContactErasureHeld",
            Self::ErasureHoldLifted { .. } => "ContactErasureHoldLifted",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        match self {
            Self::OptedOut { .. } | Self::OptedIn { .. } => consent::VERSION,
            _ => "1",
        }
        .to_owned()
    }
}

/// Why a command to a contact is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("there is no such contact")]
    NotFound,
    #[error("the contact is erased")]
    Erased,
    #[error("the contact was merged into {0}")]
    Merged(SubjectId),
    #[error("the request {0} was refused and holds the contact's data until its hold is lifted")]
    Held(PrivacyRequestId),
}

impl Aggregate for Contact {
    crate::aggregate::bridge!("contact");

    fn apply(&mut self, event: Event) {
        match event {
            // A second one changes nothing.
            Event::Created { .. } if self.created => {}
            Event::Created { attributes, .. } => {
                self.created = true;
                self.attributes = attributes;
            }
            Event::Updated { changed, attributes } => {
                self.changes += 1;
                if changed.contains(&ContactPart::Attributes) {
                    self.attributes = attributes;
                }
            }
            Event::OptedOut { via, scope, at } => self.hear(ConsentChoice { opted_out: true, scope, via, at }),
            Event::OptedIn { via, scope, at } => self.hear(ConsentChoice { opted_out: false, scope, via, at }),
            Event::Absorbed { contact } => drop(self.absorbed.insert(contact)),
            Event::Merged { into } => self.merged_into = Some(into),
            Event::GroupJoined { group } => drop(self.groups.insert(group)),
            Event::GroupLeft { group } => drop(self.groups.remove(&group)),
            Event::Erased { request } => self.erased = Some(request),
            Event::ErasureHeld { request } => drop(self.holds.insert(request)),
            Event::ErasureHoldLifted { request } => drop(self.holds.remove(&request)),
        }
    }
}

impl DecidingAggregate for Contact {
    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        let event = match command {
            // Also of a person that only the directory knows, as after a crash between the two.
            Command::Erase(request) => return self.erase(request),
            _ if self.erased.is_some() => return Err(Error::Erased),
            Command::MergeInto(into) => return self.merge_into(into),
            _ if let Some(into) = self.merged_into => return Err(Error::Merged(into)),
            Command::Absorb { contact, absorbed } => return Ok(self.absorb(contact, absorbed)),
            Command::Hold(request) if self.holds.contains(&request) => return Ok(vec![]),
            Command::Hold(request) => return Ok(vec![Event::ErasureHeld { request }]),
            Command::LiftHold(request) if self.holds.contains(&request) => Event::ErasureHoldLifted { request },
            Command::LiftHold(_) => return Ok(vec![]),
            Command::Create { source, attributes } => Event::Created { source, attributes },
            _ if !self.created => return Err(Error::NotFound),
            Command::Update { changed, .. } if changed.is_empty() => return Ok(vec![]),
            Command::Update { changed, attributes } => Event::Updated { changed, attributes },
            Command::OptOut { via, scope, at } => Event::OptedOut { via, scope, at: Some(at) },
            Command::OptIn { via, scope, at } => Event::OptedIn { via, scope, at: Some(at) },
            Command::JoinGroup(group) => Event::GroupJoined { group },
            Command::LeaveGroup(group) => Event::GroupLeft { group },
        };
        Ok(self.news([event]))
    }
}

impl Contact {
    /// It leaves its groups, so that nothing is told any more by where it belonged. The first request stands.
    fn erase(&self, request: PrivacyRequestId) -> Result<Vec<Event>, Error> {
        if self.erased.is_some() {
            return Ok(vec![]);
        }
        // The holds of one that was merged are those of the contact that goes on.
        if let Some(hold) = self.holds.first().filter(|_| self.merged_into.is_none()) {
            return Err(Error::Held(*hold));
        }
        let left = self.groups.iter().map(|group| Event::GroupLeft { group: *group });
        Ok(left.chain([Event::Erased { request }]).collect())
    }
}

#[cfg(test)]
mod tests;
