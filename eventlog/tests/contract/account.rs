//! The smallest aggregate that can refuse, change nothing, and count.

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};
use wasend_domain::{DecidingAggregate, aggregate};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub opened: bool,
    pub balance: u64,
    pub deposits: u64,
}

#[derive(Debug, Clone)]
pub enum Command {
    Open,
    Deposit(u64),
    /// Opens, but only once: unlike `Open` it refuses what is already open.
    Found,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Opened,
    Deposited { amount: u64 },
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Opened => "Opened",
            Self::Deposited { .. } => "Deposited",
        }
        .into()
    }

    fn event_version(&self) -> String {
        "1.0".into()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("is not open")]
    NotOpen,
    #[error("is open already")]
    AlreadyOpen,
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = Command;
    type Event = Event;
    type Error = Refused;
    type Services = ();

    async fn handle(&mut self, command: Command, (): &(), sink: &EventSink<Self>) -> Result<(), Refused> {
        aggregate::handle(self, command, sink).await
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Opened => self.opened = true,
            Event::Deposited { amount } => {
                self.balance += amount;
                self.deposits += 1;
            }
        }
    }
}

impl DecidingAggregate for Account {
    fn decide(&self, command: Command) -> Result<Vec<Event>, Refused> {
        match command {
            Command::Open if self.opened => Ok(vec![]),
            Command::Found if self.opened => Err(Refused::AlreadyOpen),
            Command::Open | Command::Found => Ok(vec![Event::Opened]),
            Command::Deposit(amount) if self.opened => Ok(vec![Event::Deposited { amount }]),
            Command::Deposit(_) => Err(Refused::NotOpen),
        }
    }
}
