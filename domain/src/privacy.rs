//! A request of a person under a privacy law to have their personal data erased, and what was done about it.
//!
//! The steps are recorded in the order in which they may be believed: the request closes the contact; the fence names
//! the keys before one of them is touched; then they are destroyed; and only when no node can read anything any more
//! is the request complete. Later the epoch in which the keys were wrapped ends, and with it every old copy of them.

use chrono::{DateTime, Days, Months, Utc};
use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

mod exception;

pub use exception::LegalException;

use crate::{DataCategory, DecidingAggregate, PersonalValue, Sealed, SubjectId, Time, UnavailableCause};

/// Free text of the person who asked or of who took the request. It is sealed under the person it is about and dies
/// with it; what must be accounted for afterwards (law, ground, dates) stands in clear and names no person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestReason(pub String);

impl PersonalValue for RequestReason {
    const FIELD: &'static str = "privacy.reason";
    const CATEGORY: DataCategory = DataCategory::Note;
}

/// The law under which a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LegalRegime {
    /// Regulation (EU) 2016/679.
    Gdpr,
    /// California Civil Code 1798.100 and following.
    Ccpa,
}

impl LegalRegime {
    /// Every value, in the order in which references list them.
    pub const ALL: [Self; 2] = [Self::Gdpr, Self::Ccpa];

    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gdpr => "GDPR",
            Self::Ccpa => "CCPA",
        }
    }

    /// By when a request must be answered: within one month of its receipt (GDPR 12(3); where the next month is
    /// shorter, on its last day, as Regulation 1182/71 counts), or within 45 days (CCPA 1798.130(a)(2)).
    pub fn due(self, received: Time) -> Time {
        let Some(moment) = DateTime::<Utc>::from_timestamp_micros(received.micros()) else { return received };
        let due = match self {
            Self::Gdpr => moment.checked_add_months(Months::new(1)),
            Self::Ccpa => moment.checked_add_days(Days::new(45)),
        };
        Time::from_micros(due.unwrap_or(moment).timestamp_micros())
    }
}

/// Why the person may ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LegalGround {
    /// GDPR 17(1)(a).
    NoLongerNecessary,
    /// GDPR 17(1)(b).
    WithdrawnConsent,
    /// GDPR 17(1)(c).
    Objection,
    /// GDPR 17(1)(d).
    Unlawful,
    /// GDPR 17(1)(e).
    LegalObligation,
    /// GDPR 17(1)(f).
    Child,
    /// CCPA 1798.105(a), which asks for no ground.
    ConsumerRequest,
}

impl LegalGround {
    /// Every value, in the order in which references list them.
    pub const ALL: [Self; 7] = [
        Self::NoLongerNecessary,
        Self::WithdrawnConsent,
        Self::Objection,
        Self::Unlawful,
        Self::LegalObligation,
        Self::Child,
        Self::ConsumerRequest,
    ];

    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoLongerNecessary => "NO_LONGER_NECESSARY",
            Self::WithdrawnConsent => "WITHDRAWN_CONSENT",
            Self::Objection => "OBJECTION",
            Self::Unlawful => "UNLAWFUL",
            Self::LegalObligation => "LEGAL_OBLIGATION",
            Self::Child => "CHILD",
            Self::ConsumerRequest => "CONSUMER_REQUEST",
        }
    }

    /// The law that knows it.
    pub const fn regime(self) -> LegalRegime {
        match self {
            Self::ConsumerRequest => LegalRegime::Ccpa,
            _ => LegalRegime::Gdpr,
        }
    }
}

/// How far a request is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RequestState {
    #[default]
    Received,
    Executing,
    Completed,
    Refused,
}

impl RequestState {
    /// Every value, in the order in which references list them.
    pub const ALL: [Self; 4] = [Self::Received, Self::Executing, Self::Completed, Self::Refused];

    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "RECEIVED",
            Self::Executing => "EXECUTING",
            Self::Completed => "COMPLETED",
            Self::Refused => "REFUSED",
        }
    }
}

/// A key, by its name and by the hash that recognises it for ever without revealing it. The hash of a key that the vault
/// does not have is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMark {
    pub id: String,
    pub fingerprint: String,
}

/// A request of a data subject, as its events leave it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivacyRequest {
    pub subject: Option<SubjectId>,
    /// Contacts that had been merged into the subject's: the same person under further keys.
    #[serde(default)]
    pub absorbed: Vec<SubjectId>,
    pub state: RequestState,
    pub fence: Option<Vec<KeyMark>>,
    /// Why the directory could not tell by what the person was known.
    #[serde(default)]
    pub unreadable: Option<UnavailableCause>,
    /// Which destruction of the vault's it was last, once the keys are destroyed.
    pub destruction: Option<KeyDestruction>,
    /// When the epochs in which the keys were wrapped were over.
    pub epoch_destroyed: Option<Time>,
    /// Why it was refused.
    #[serde(default)]
    pub exception: Option<LegalException>,
    /// When the hold of its refusal was lifted.
    #[serde(default)]
    pub hold_lifted: Option<Time>,
}

/// When the keys were destroyed, and as which destruction of the vault's every node must have heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDestruction {
    pub number: i64,
    pub at: Time,
}

/// What may be done about a request.
#[derive(Debug, Clone)]
pub enum Command {
    Receive {
        subject: SubjectId,
        absorbed: Vec<SubjectId>,
        regime: LegalRegime,
        ground: LegalGround,
        reason: Option<Sealed<RequestReason>>,
        at: Time,
    },
    /// It is not carried out; only before it has begun.
    Refuse {
        exception: LegalException,
        at: Time,
    },
    /// The account knows no such person: there is nothing to erase.
    CloseEmpty {
        at: Time,
    },
    /// The exception applies no longer: the person may be erased.
    LiftHold {
        at: Time,
    },
    Begin {
        at: Time,
    },
    /// Nothing of the person's is waiting or under way: these keys are about to be destroyed.
    Fence {
        keys: Vec<KeyMark>,
        unreadable: Option<UnavailableCause>,
        at: Time,
    },
    Destroyed {
        fingerprints: Vec<String>,
        destruction: KeyDestruction,
    },
    /// No node can read anything any more.
    Complete {
        suppressed: bool,
        at: Time,
    },
    /// Every copy of the keys, also an old one, is beyond opening.
    EndEpoch {
        epoch: i64,
        at: Time,
    },
    /// The vault was put back to a copy in which the keys still were: they are about to be destroyed again.
    Repeat {
        fingerprints: Vec<String>,
        destruction: KeyDestruction,
    },
}

/// What happened to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Received {
        subject: SubjectId,
        /// The same person under further keys.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        absorbed: Vec<SubjectId>,
        regime: LegalRegime,
        ground: LegalGround,
        reason: Option<Sealed<RequestReason>>,
        due_at: Time,
        at: Time,
    },
    Refused {
        exception: LegalException,
        at: Time,
    },
    /// The request is answered: nothing was held of the person.
    NothingHeld {
        at: Time,
    },
    /// The refusal's exception applies no longer.
    HoldLifted {
        at: Time,
    },
    Executing {
        at: Time,
    },
    Fenced {
        keys: Vec<KeyMark>,
        /// Why the directory could not tell by what the person was known: no hash of a number was put on a list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unreadable: Option<UnavailableCause>,
        at: Time,
    },
    KeysDestroyed {
        fingerprints: Vec<String>,
        destruction: KeyDestruction,
    },
    Completed {
        /// The person had opted out, and a keyed hash of the number keeps it so.
        suppressed: bool,
        at: Time,
    },
    /// The key of the last epoch in which the keys were wrapped is destroyed, and those of all before it.
    EpochDestroyed {
        epoch: i64,
        at: Time,
    },
    Repeated {
        fingerprints: Vec<String>,
        destruction: KeyDestruction,
    },
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Received { .. } => "ErasureReceived",
            Self::Refused { .. } => "ErasureRefused",
            Self::NothingHeld { .. } => "ErasureNothingHeld",
            Self::HoldLifted { .. } => "ErasureHoldLifted",
            Self::Executing { .. } => "ErasureExecuting",
            Self::Fenced { .. } => "ErasureFenced",
            Self::KeysDestroyed { .. } => "ErasureKeysDestroyed",
            Self::Completed { .. } => "ErasureCompleted",
            Self::EpochDestroyed { .. } => "ErasureEpochDestroyed",
            Self::Repeated { .. } => "ErasureRepeated",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

/// Why a command to a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("there is no such request")]
    NotFound,
    #[error("the ground belongs to another law")]
    Ground,
    #[error("the request is {} and this is not its next step", .0.name())]
    NotNext(RequestState),
    #[error("the request holds no data: it was not refused, or since its requester could not be identified")]
    NoHold,
}

impl Aggregate for PrivacyRequest {
    crate::aggregate::bridge!("privacy_request");

    fn apply(&mut self, event: Event) {
        match event {
            Event::Received { subject, absorbed, .. } => (self.subject, self.absorbed) = (Some(subject), absorbed),
            Event::Refused { exception, .. } => (self.state, self.exception) = (RequestState::Refused, Some(exception)),
            Event::NothingHeld { .. } => self.state = RequestState::Completed,
            Event::HoldLifted { at } => self.hold_lifted = Some(at),
            Event::Executing { .. } => self.state = RequestState::Executing,
            Event::Fenced { keys, unreadable, .. } => (self.fence, self.unreadable) = (Some(keys), unreadable),
            Event::KeysDestroyed { destruction, .. } => self.destruction = Some(destruction),
            Event::Completed { .. } => self.state = RequestState::Completed,
            Event::EpochDestroyed { at, .. } => self.epoch_destroyed = Some(at),
            Event::Repeated { destruction, .. } => {
                (self.destruction, self.epoch_destroyed) = (Some(destruction), None);
            }
        }
    }
}

impl PrivacyRequest {
    /// Every subject that the person is: the request's own, and those that were merged into it.
    pub fn subjects(&self) -> Vec<SubjectId> {
        self.subject.into_iter().chain(self.absorbed.iter().copied()).collect()
    }
}

impl DecidingAggregate for PrivacyRequest {
    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        use RequestState::{Completed, Executing, Received, Refused};
        let event = match (command, self.state) {
            (Command::Receive { .. }, _) if self.subject.is_some() => return Ok(vec![]),
            (Command::Receive { regime, ground, .. }, _) if ground.regime() != regime => return Err(Error::Ground),
            (Command::Receive { subject, absorbed, regime, ground, reason, at }, _) => {
                Event::Received { subject, absorbed, regime, ground, reason, due_at: regime.due(at), at }
            }
            _ if self.subject.is_none() => return Err(Error::NotFound),
            (Command::CloseEmpty { at }, Received) => Event::NothingHeld { at },
            (Command::CloseEmpty { .. }, Completed) if self.fence.is_none() => return Ok(vec![]),
            (Command::Refuse { exception, at }, Received) => Event::Refused { exception, at },
            (Command::Refuse { .. }, Refused) | (Command::Begin { .. }, Executing) => return Ok(vec![]),
            (Command::LiftHold { .. }, Refused) if self.hold_lifted.is_some() => return Ok(vec![]),
            (Command::LiftHold { at }, Refused) if self.exception.is_some_and(LegalException::holds) => {
                Event::HoldLifted { at }
            }
            (Command::LiftHold { .. }, _) => return Err(Error::NoHold),
            (Command::Begin { at }, Received) => Event::Executing { at },
            (Command::Fence { .. }, Executing | Completed) if self.fence.is_some() => return Ok(vec![]),
            (Command::Fence { keys, unreadable, at }, Executing) => Event::Fenced { keys, unreadable, at },
            (Command::Destroyed { .. }, Executing | Completed) if self.destruction.is_some() => return Ok(vec![]),
            (Command::Destroyed { fingerprints, destruction }, Executing) if self.fence.is_some() => {
                Event::KeysDestroyed { fingerprints, destruction }
            }
            (Command::Complete { .. }, Completed) => return Ok(vec![]),
            (Command::Complete { suppressed, at }, Executing) if self.destruction.is_some() => {
                Event::Completed { suppressed, at }
            }
            (Command::EndEpoch { .. }, Completed) if self.epoch_destroyed.is_some() => return Ok(vec![]),
            (Command::EndEpoch { epoch, at }, Completed) if self.destruction.is_some() => {
                Event::EpochDestroyed { epoch, at }
            }
            (Command::Repeat { destruction, .. }, _) if self.destruction == Some(destruction) => return Ok(vec![]),
            (Command::Repeat { fingerprints, destruction }, Executing | Completed) if self.destruction.is_some() => {
                Event::Repeated { fingerprints, destruction }
            }
            (_, state) => return Err(Error::NotNext(state)),
        };
        Ok(vec![event])
    }
}

#[cfg(test)]
mod tests;
