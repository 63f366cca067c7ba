use super::{CancelReason, DeliveryStatus, Event, Message, MessageDirection, MessagePricing, StatusWord};
use crate::content::{ContentKind, ErrorText, InboundContent, OutboundContent, Wamid};
use crate::{BlindIndex, DecidingAggregate, NumberId, Sealed, SubjectId, Time};

/// What may be asked of a message.
#[derive(Debug, Clone)]
pub enum Command {
    Accept {
        number: NumberId,
        contact: SubjectId,
        kind: ContentKind,
        template: Option<String>,
        content: Sealed<OutboundContent>,
        at: Time,
    },
    Receive {
        number: NumberId,
        contact: SubjectId,
        kind: ContentKind,
        content: Sealed<InboundContent>,
        wamid: Sealed<Wamid>,
        wamid_index: BlindIndex,
        /// When it was received.
        at: Time,
        /// When Meta says it was sent.
        sent_at: Option<Time>,
    },
    /// Before each call to Meta; `attempt` counts from 1 and is refused unless it is the next.
    Attempt {
        attempt: u32,
        at: Time,
    },
    /// How the call ended.
    Conclude {
        attempt: u32,
        outcome: CallOutcome,
        at: Time,
    },
    /// A status webhook. `submission` lets a message whose outcome was unknown learn its wamid.
    Report {
        word: StatusWord,
        pricing: Option<MessagePricing>,
        submission: Option<MetaSubmission>,
        at: Time,
    },
    /// A status webhook that says it failed.
    ReportFailure {
        code: Option<i64>,
        class: String,
        detail: Option<Sealed<ErrorText>>,
        submission: Option<MetaSubmission>,
        at: Time,
    },
    /// No webhook has told what became of an attempt whose outcome is unknown.
    Surface {
        at: Time,
    },
    Expire {
        at: Time,
    },
    Cancel {
        reason: CancelReason,
        at: Time,
    },
}

/// The id that Meta gave to the message.
#[derive(Debug, Clone)]
pub struct MetaSubmission {
    pub wamid: Sealed<Wamid>,
    pub wamid_index: BlindIndex,
}

/// How a call to Meta ended.
#[derive(Debug, Clone)]
pub enum CallOutcome {
    Submitted { submission: MetaSubmission, held: bool },
    Deferred { until: Time, code: Option<i64> },
    Refused { code: Option<i64>, class: String, detail: Option<Sealed<ErrorText>> },
    Unknown,
}

/// Why a command to a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("there is no such message")]
    NotFound,
    #[error("the message is {} and can no longer be cancelled", .0.name())]
    NotCancellable(DeliveryStatus),
    #[error("this attempt was begun before or is not the next")]
    NotNext,
}

impl DecidingAggregate for Message {
    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        match (command, &self.origin) {
            (Command::Accept { number, contact, kind, template, content, at }, None) => {
                Ok(vec![Event::Accepted { number, contact, kind, template, content, at }])
            }
            (Command::Receive { number, contact, kind, content, wamid, wamid_index, at, sent_at }, None) => {
                let received = Event::Received { number, contact, kind, content, wamid, wamid_index, at, sent_at };
                Ok(self.counted_with(vec![received]))
            }
            (Command::Accept { .. } | Command::Receive { .. }, Some(_)) => Ok(vec![]),
            (_, None) => Err(Error::NotFound),
            (Command::Attempt { attempt, at }, _) => self.attempt(attempt, at),
            (Command::Conclude { attempt, outcome, at }, _) => Ok(self.conclude(attempt, outcome, at)),
            (Command::Report { word, pricing, submission, at }, _) => {
                let fact = match word {
                    StatusWord::Sent => Event::Sent { at },
                    StatusWord::Delivered => Event::Delivered { at },
                    StatusWord::Read => Event::Read { at },
                };
                let mut facts = self.learnt(submission, at);
                facts.push(fact);
                facts.extend(pricing.map(Event::Priced));
                Ok(self.counted_with(facts))
            }
            (Command::ReportFailure { code, class, detail, submission, at }, _) => {
                let mut facts = self.learnt(submission, at);
                facts.push(Event::Failed { code, class, detail, at });
                Ok(self.counted_with(facts))
            }
            (Command::Surface { at }, _) if self.in_flight && !self.is_settled() => {
                Ok(self.news([Event::Unresolved { at }]))
            }
            (Command::Surface { .. }, _) => Ok(vec![]),
            (Command::Expire { at }, _) => Ok(self.expire(at)),
            (Command::Cancel { reason, at }, _) => self.cancel(reason, at),
        }
    }
}

impl Message {
    fn attempt(&self, attempt: u32, at: Time) -> Result<Vec<Event>, Error> {
        if self.in_flight || self.is_settled() || attempt != self.attempts + 1 {
            return Err(Error::NotNext);
        }
        Ok(vec![Event::Attempted { attempt, at }])
    }

    /// An answer that comes after a webhook has told already, or a second time, changes nothing.
    fn conclude(&self, attempt: u32, outcome: CallOutcome, at: Time) -> Vec<Event> {
        if attempt != self.attempts || !self.in_flight {
            return vec![];
        }
        match outcome {
            CallOutcome::Submitted { submission: MetaSubmission { wamid, wamid_index }, held } => {
                let mut facts = vec![Event::Submitted { attempt, wamid, wamid_index, at }];
                facts.extend(held.then_some(Event::Held { at }));
                facts
            }
            // Meta has it after all, as a webhook showed: there is nothing to try again and nothing that failed.
            _ if self.reached_meta() => vec![],
            CallOutcome::Deferred { until, code } => vec![Event::Deferred { attempt, until, code, at }],
            CallOutcome::Refused { code, class, detail } => vec![Event::Failed { code, class, detail, at }],
            CallOutcome::Unknown if self.unknown_since.is_some() => vec![],
            CallOutcome::Unknown => vec![Event::OutcomeUnknown { attempt, at }],
        }
    }

    /// A webhook that names the wamid settles an attempt whose outcome was unknown.
    fn learnt(&self, submission: Option<MetaSubmission>, at: Time) -> Vec<Event> {
        match submission {
            Some(MetaSubmission { wamid, wamid_index }) if !self.submitted && self.attempts > 0 => {
                vec![Event::Submitted { attempt: self.attempts, wamid, wamid_index, at }]
            }
            _ => vec![],
        }
    }

    fn expire(&self, at: Time) -> Vec<Event> {
        match self.status() {
            DeliveryStatus::Submitted | DeliveryStatus::Held | DeliveryStatus::Sent | DeliveryStatus::Attempted => {
                self.news([Event::Expired { at }])
            }
            _ => vec![],
        }
    }

    fn cancel(&self, reason: CancelReason, at: Time) -> Result<Vec<Event>, Error> {
        match self.status() {
            DeliveryStatus::Cancelled => Ok(vec![]),
            DeliveryStatus::Accepted => Ok(vec![Event::Cancelled { reason, at }]),
            status => Err(Error::NotCancellable(status)),
        }
    }

    /// The facts that are news, followed by the message's move in the usage if they cause one.
    fn counted_with(&self, facts: Vec<Event>) -> Vec<Event> {
        let mut events = self.news(facts);
        let mut state = self.clone();
        for event in &events {
            cqrs_es::Aggregate::apply(&mut state, event.clone());
        }
        let Some(origin) = &state.origin else { return events };
        if let Some(after) = state.usage().filter(|after| Some(after) != self.counted.as_ref()) {
            let (number, direction, day) = (origin.number, origin.direction, origin.at.day());
            events.push(Event::Counted { number, direction, day, before: self.counted.clone(), after });
        }
        events
    }

    /// Whether it is one that we send.
    pub fn is_outbound(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| origin.direction == MessageDirection::Outbound)
    }
}
