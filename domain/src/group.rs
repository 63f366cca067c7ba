//! A group of contacts. Who belongs to it is said in the contacts' own histories.

use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

use crate::content::CustomerLabel;
use crate::{DecidingAggregate, Sealed};

/// A group of contacts, as its events leave it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub created: bool,
    pub deleted: bool,
    /// How often it was named: a sealed name cannot be compared, so each renaming counts as a change.
    pub names: u64,
}

/// What may be done to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Create { name: Sealed<CustomerLabel> },
    Rename { name: Sealed<CustomerLabel> },
    Delete,
}

/// What happened to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Created { name: Sealed<CustomerLabel> },
    Renamed { name: Sealed<CustomerLabel> },
    Deleted {},
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Created { .. } => "GroupCreated",
            Self::Renamed { .. } => "GroupRenamed",
            Self::Deleted {} => "GroupDeleted",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

/// Why a command to a group is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("there is no such group")]
    NotFound,
}

impl Aggregate for Group {
    crate::aggregate::bridge!("group");

    fn apply(&mut self, event: Event) {
        match event {
            Event::Created { .. } => {
                self.created = true;
                self.names += 1;
            }
            Event::Renamed { .. } => self.names += 1,
            Event::Deleted {} => self.deleted = true,
        }
    }
}

impl DecidingAggregate for Group {
    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        match command {
            Command::Create { name } if !self.created => Ok(vec![Event::Created { name }]),
            Command::Create { .. } => Ok(vec![]),
            _ if !self.created => Err(Error::NotFound),
            Command::Delete => Ok(self.news([Event::Deleted {}])),
            Command::Rename { .. } if self.deleted => Err(Error::NotFound),
            Command::Rename { name } => Ok(vec![Event::Renamed { name }]),
        }
    }
}
