//! A contact: what was done to it. Who it is, the vault knows.

use std::collections::BTreeSet;

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

use crate::content::Attributes;
use crate::{Decide, GroupId, Sealed};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub created: bool,
    pub opted_out: bool,
    pub groups: BTreeSet<GroupId>,
    /// As they were last set.
    pub attributes: Option<Sealed<Attributes>>,
    /// How often it was changed: sealed values cannot be compared, so each change counts.
    pub changes: u64,
}

#[derive(Debug, Clone)]
pub enum Command {
    /// Makes it known; nothing happens if it is.
    Create {
        source: Source,
        attributes: Option<Sealed<Attributes>>,
    },
    /// The directory holds new identity data, or the attributes are new.
    Update {
        changed: Vec<Part>,
        attributes: Option<Sealed<Attributes>>,
    },
    OptOut {
        via: Via,
    },
    OptIn {
        via: Via,
    },
    JoinGroup(GroupId),
    LeaveGroup(GroupId),
}

/// How a contact became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Source {
    Api,
    Message,
    Inbound,
    Import,
}

impl Source {
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
pub enum Part {
    Name,
    Phone,
    Bsuid,
    Attributes,
}

/// Through which door a choice was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Via {
    Api,
    /// Meta's marketing-preference webhook or error 131050.
    Meta,
    /// A keyword in an inbound message.
    Keyword,
}

impl Via {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Meta => "META",
            Self::Keyword => "KEYWORD",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Created { source: Source, attributes: Option<Sealed<Attributes>> },
    Updated { changed: Vec<Part>, attributes: Option<Sealed<Attributes>> },
    OptedOut { via: Via },
    OptedIn { via: Via },
    GroupJoined { group: GroupId },
    GroupLeft { group: GroupId },
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
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("there is no such contact")]
    NotFound,
}

impl Aggregate for Contact {
    const TYPE: &'static str = "contact";
    type Command = Command;
    type Event = Event;
    type Error = Error;
    type Services = ();

    async fn handle(&mut self, command: Command, (): &(), sink: &EventSink<Self>) -> Result<(), Error> {
        crate::decide::handle(self, command, sink).await
    }

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
                if changed.contains(&Part::Attributes) {
                    self.attributes = attributes;
                }
            }
            Event::OptedOut { .. } => self.opted_out = true,
            Event::OptedIn { .. } => self.opted_out = false,
            Event::GroupJoined { group } => drop(self.groups.insert(group)),
            Event::GroupLeft { group } => drop(self.groups.remove(&group)),
        }
    }
}

impl Decide for Contact {
    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        let event = match command {
            Command::Create { source, attributes } => Event::Created { source, attributes },
            _ if !self.created => return Err(Error::NotFound),
            Command::Update { changed, .. } if changed.is_empty() => return Ok(vec![]),
            Command::Update { changed, attributes } => Event::Updated { changed, attributes },
            Command::OptOut { via } => Event::OptedOut { via },
            Command::OptIn { via } => Event::OptedIn { via },
            Command::JoinGroup(group) => Event::GroupJoined { group },
            Command::LeaveGroup(group) => Event::GroupLeft { group },
        };
        Ok(self.news([event]))
    }
}
