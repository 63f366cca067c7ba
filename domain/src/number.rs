//! A WhatsApp phone number connected to an account. Several per account, each independent.

use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

use crate::content::CustomerLabel;
use crate::{DataCategory, DecidingAggregate, PersonalValue, Sealed, Time};

/// Messages per second that Meta allows a number by default (Cloud API, throughput).
pub const DEFAULT_RATE: u32 = 80;
/// Messages per second after Meta's automatic upgrade, the most it allows.
pub const MAX_RATE: u32 = 1_000;

/// What it takes to speak for a number, and to believe Meta when it speaks of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberCredentials {
    pub access_token: String,
    pub app_secret: String,
    pub verify_token: String,
}

impl PersonalValue for NumberCredentials {
    const FIELD: &'static str = "number.credentials";
    const CATEGORY: DataCategory = DataCategory::Credential;
}

/// Meta's ids of a number. They are the business's own and name no person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaIds {
    pub phone_number_id: String,
    pub waba_id: String,
}

/// The text is not an id of Meta's: 1 to 40 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an id of Meta's (digits)")]
pub struct InvalidMetaId;

/// Checks the form of a phone number id or WABA id.
pub fn meta_id(text: &str) -> Result<String, InvalidMetaId> {
    let digits = (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if digits { Ok(text.to_owned()) } else { Err(InvalidMetaId) }
}

/// A WhatsApp number of the account, as its events leave it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Number {
    pub meta: Option<MetaIds>,
    /// Root of the API it speaks to; the server's configured one when absent.
    pub base_url: Option<String>,
    pub rate: u32,
    pub stopped: Option<NumberStop>,
    pub disconnected: bool,
    /// How often its sealed parts were changed.
    pub changes: u64,
}

/// Why nothing is sent from a number for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberStop {
    /// Meta's error code; none when a client paused it.
    pub code: Option<i64>,
    pub at: Time,
}

/// What may be done to a number.
#[derive(Debug, Clone)]
pub enum Command {
    Connect {
        meta: MetaIds,
        display: Sealed<CustomerLabel>,
        credentials: Sealed<NumberCredentials>,
        base_url: Option<String>,
        rate: u32,
    },
    ChangeCredentials {
        credentials: Sealed<NumberCredentials>,
    },
    ChangeRate {
        rate: u32,
    },
    Stop {
        code: Option<i64>,
        at: Time,
    },
    Resume {
        at: Time,
    },
    Disconnect {
        at: Time,
    },
}

/// What happened to a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Connected {
        meta: MetaIds,
        display: Sealed<CustomerLabel>,
        credentials: Sealed<NumberCredentials>,
        base_url: Option<String>,
        rate: u32,
    },
    CredentialsChanged {
        credentials: Sealed<NumberCredentials>,
    },
    RateChanged {
        rate: u32,
    },
    Stopped {
        code: Option<i64>,
        at: Time,
    },
    Resumed {
        at: Time,
    },
    Disconnected {
        at: Time,
    },
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Connected { .. } => "NumberConnected",
            Self::CredentialsChanged { .. } => "NumberCredentialsChanged",
            Self::RateChanged { .. } => "NumberRateChanged",
            Self::Stopped { .. } => "NumberStopped",
            Self::Resumed { .. } => "NumberResumed",
            Self::Disconnected { .. } => "NumberDisconnected",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

/// Why a command to a number is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("there is no such number")]
    NotFound,
    #[error("the number is disconnected")]
    Disconnected,
    #[error("messages per second must lie between 1 and {MAX_RATE}")]
    Rate,
}

impl Aggregate for Number {
    crate::aggregate::bridge!("number");

    fn apply(&mut self, event: Event) {
        match event {
            Event::Connected { meta, base_url, rate, .. } => {
                *self = Self { meta: Some(meta), base_url, rate, changes: self.changes + 1, ..Self::default() };
            }
            Event::CredentialsChanged { .. } => self.changes += 1,
            Event::RateChanged { rate } => self.rate = rate,
            Event::Stopped { code, at } => self.stopped = Some(NumberStop { code, at }),
            Event::Resumed { .. } => self.stopped = None,
            Event::Disconnected { .. } => self.disconnected = true,
        }
    }
}

impl DecidingAggregate for Number {
    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        match command {
            Command::Connect { rate, .. } | Command::ChangeRate { rate } if !(1..=MAX_RATE).contains(&rate) => {
                Err(Error::Rate)
            }
            Command::Connect { meta, display, credentials, base_url, rate } if self.meta.is_none() => {
                Ok(vec![Event::Connected { meta, display, credentials, base_url, rate }])
            }
            Command::Connect { .. } => Ok(vec![]),
            _ if self.meta.is_none() => Err(Error::NotFound),
            Command::Disconnect { at } => Ok(self.news([Event::Disconnected { at }])),
            _ if self.disconnected => Err(Error::Disconnected),
            Command::ChangeCredentials { credentials } => Ok(vec![Event::CredentialsChanged { credentials }]),
            Command::ChangeRate { rate } => Ok(self.news([Event::RateChanged { rate }])),
            Command::Stop { .. } if self.stopped.is_some() => Ok(vec![]),
            Command::Stop { code, at } => Ok(vec![Event::Stopped { code, at }]),
            Command::Resume { at } => Ok(self.news([Event::Resumed { at }])),
        }
    }
}
