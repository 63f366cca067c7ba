//! A contact: what was done to it. Who it is, the vault knows.

mod consent;

use std::collections::BTreeSet;

use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

use crate::content::ContactAttributes;
use crate::{DecidingAggregate, GroupId, PrivacyRequestId, Sealed, Time};

pub use consent::{ConsentChoice, ConsentUpcaster};

/// A person that the account may write to, as its events leave it; who that is, only the vault knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub created: bool,
    pub opted_out: bool,
    /// Up to when what the person said is known: the order of the latest word on consent ([`ConsentChoice::order`]).
    #[serde(default)]
    pub consent_at: Option<Time>,
    pub groups: BTreeSet<GroupId>,
    /// The request under which its personal data is erased: nothing more happens to it.
    #[serde(default)]
    pub erased: Option<PrivacyRequestId>,
    /// The refused requests whose exceptions keep its personal data from being erased.
    #[serde(default)]
    pub holds: BTreeSet<PrivacyRequestId>,
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
        at: Time,
    },
    OptIn {
        via: ConsentChannel,
        at: Time,
    },
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
}

impl ConsentChannel {
    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Meta => "META",
            Self::Keyword => "KEYWORD",
            Self::Suppression => "SUPPRESSION",
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
        /// When the choice was made. Absent in what version 1 wrote; [`ConsentUpcaster`] fills it in.
        #[serde(default)]
        at: Option<Time>,
    },
    OptedIn {
        via: ConsentChannel,
        #[serde(default)]
        at: Option<Time>,
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
            Event::OptedOut { via, at } => self.apply_choice(ConsentChoice { opted_out: true, via, at }),
            Event::OptedIn { via, at } => self.apply_choice(ConsentChoice { opted_out: false, via, at }),
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
            Command::Hold(request) if self.holds.contains(&request) => return Ok(vec![]),
            Command::Hold(request) => return Ok(vec![Event::ErasureHeld { request }]),
            Command::LiftHold(request) if self.holds.contains(&request) => Event::ErasureHoldLifted { request },
            Command::LiftHold(_) => return Ok(vec![]),
            Command::Create { source, attributes } => Event::Created { source, attributes },
            _ if !self.created => return Err(Error::NotFound),
            Command::Update { changed, .. } if changed.is_empty() => return Ok(vec![]),
            Command::Update { changed, attributes } => Event::Updated { changed, attributes },
            Command::OptOut { via, at } => Event::OptedOut { via, at: Some(at) },
            Command::OptIn { via, at } => Event::OptedIn { via, at: Some(at) },
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
        if let Some(hold) = self.holds.first() {
            return Err(Error::Held(*hold));
        }
        let left = self.groups.iter().map(|group| Event::GroupLeft { group: *group });
        Ok(left.chain([Event::Erased { request }]).collect())
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;

    fn given(events: Vec<Event>) -> cqrs_es::test::AggregateTestExecutor<Contact> {
        TestFramework::<Contact>::with(()).given(events)
    }

    fn created() -> Event {
        Event::Created { source: ContactOrigin::Api, attributes: None }
    }

    #[test]
    fn an_erased_contact_leaves_its_groups_and_is_closed() {
        let (group, request) = (GroupId::random(), PrivacyRequestId::random());
        given(vec![created(), Event::GroupJoined { group }])
            .when(Command::Erase(request))
            .then_expect_events(vec![Event::GroupLeft { group }, Event::Erased { request }]);
        let erased = vec![created(), Event::Erased { request }];
        given(erased.clone()).when(Command::Erase(PrivacyRequestId::random())).then_expect_events(vec![]);
        for command in [
            Command::Create { source: ContactOrigin::Message, attributes: None },
            Command::Update { changed: vec![ContactPart::Name], attributes: None },
            Command::OptOut { via: ConsentChannel::Meta, at: Time::from_seconds(1) },
            Command::OptIn { via: ConsentChannel::Api, at: Time::from_seconds(2) },
            Command::JoinGroup(group),
            Command::LeaveGroup(group),
        ] {
            given(erased.clone()).when(command).then_expect_error(Error::Erased);
        }
    }

    #[test]
    fn a_held_contact_is_erased_once_every_hold_is_lifted() {
        let (one, two) = (PrivacyRequestId::random(), PrivacyRequestId::random());
        let (first, second) = (one.min(two), one.max(two));
        let held = vec![created(), Event::ErasureHeld { request: second }, Event::ErasureHeld { request: first }];
        let erase = || Command::Erase(PrivacyRequestId::random());
        given(held.clone()).when(erase()).then_expect_error(Error::Held(first));
        given(held.clone()).when(Command::Hold(first)).then_expect_events(vec![]);
        given(held.clone()).when(Command::LiftHold(PrivacyRequestId::random())).then_expect_events(vec![]);
        let lifted = Event::ErasureHoldLifted { request: first };
        given(held.clone()).when(Command::LiftHold(first)).then_expect_events(vec![lifted.clone()]);
        let one_left = [held, vec![lifted]].concat();
        given(one_left.clone()).when(erase()).then_expect_error(Error::Held(second));
        let none_left = [one_left, vec![Event::ErasureHoldLifted { request: second }]].concat();
        let request = PrivacyRequestId::random();
        given(none_left).when(Command::Erase(request)).then_expect_events(vec![Event::Erased { request }]);
    }

    #[test]
    fn a_person_that_only_the_directory_knows_is_erased_as_well() {
        let request = PrivacyRequestId::random();
        given(vec![]).when(Command::Erase(request)).then_expect_events(vec![Event::Erased { request }]);
    }
}
