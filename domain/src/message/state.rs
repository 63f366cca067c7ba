use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use super::{Command, Direction, Error, Event, Pricing, PricingCategory, Status, UsageLine};
use crate::content::Kind;
use crate::{BlindIndex, NumberId, SubjectId, Time};

/// All that decisions about a message need to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub origin: Option<Origin>,
    /// How many calls to Meta were begun.
    pub attempts: u32,
    /// A call was begun and its outcome is not recorded.
    pub in_flight: bool,
    /// Not to be tried again before this moment.
    pub not_before: Option<Time>,
    pub unknown_since: Option<Time>,
    pub unresolved: bool,
    pub wamid_index: Option<BlindIndex>,
    /// Meta gave it a wamid. When that became known depends on what told first, so no decision rests on it.
    pub submitted: bool,
    pub held_at: Option<Time>,
    pub sent_at: Option<Time>,
    pub delivered_at: Option<Time>,
    pub read_at: Option<Time>,
    pub failure: Option<Failure>,
    pub expired_at: Option<Time>,
    pub cancelled_at: Option<Time>,
    pub pricing: Option<Pricing>,
    /// The line of the usage on which it stands.
    pub counted: Option<UsageLine>,
}

/// Where a message came from: set once, by its first event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub direction: Direction,
    pub number: NumberId,
    pub contact: SubjectId,
    pub kind: Kind,
    pub at: Time,
}

/// Of several failures the earliest counts, then the lowest code, so that their order of arrival does not matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failure {
    pub at: Time,
    pub code: Option<i64>,
    pub class: String,
}

impl Message {
    /// What became of it. A message that reached one device has been delivered, whatever failed on another
    /// (Meta, "Message status"), and one that was read has been delivered.
    pub fn status(&self) -> Status {
        let inbound = self.origin.as_ref().is_some_and(|origin| origin.direction == Direction::Inbound);
        let ranked = [
            (inbound, Status::Received),
            (self.read_at.is_some(), Status::Read),
            (self.delivered_at.is_some(), Status::Delivered),
            (self.failure.is_some(), Status::Failed),
            (self.expired_at.is_some(), Status::Expired),
            (self.sent_at.is_some(), Status::Sent),
            (self.held_at.is_some(), Status::Held),
            (self.submitted, Status::Submitted),
            (self.cancelled_at.is_some(), Status::Cancelled),
            (self.in_flight, Status::Attempted),
        ];
        ranked.into_iter().find(|(holds, _)| *holds).map_or(Status::Accepted, |(_, status)| status)
    }

    /// Meta has it, as its answer or any of its webhooks shows.
    pub const fn reached_meta(&self) -> bool {
        self.submitted || self.sent_at.is_some() || self.delivered_at.is_some() || self.read_at.is_some()
    }

    /// Nothing more will be tried for it.
    pub const fn is_settled(&self) -> bool {
        self.reached_meta() || self.failure.is_some() || self.cancelled_at.is_some() || self.expired_at.is_some()
    }

    /// The line of the usage on which it belongs: none until Meta has shown that it went out.
    pub fn usage(&self) -> Option<UsageLine> {
        let inbound = self.origin.as_ref()?.direction == Direction::Inbound;
        let delivered = self.delivered_at.is_some() || self.read_at.is_some();
        if !inbound && !delivered && self.sent_at.is_none() {
            return None;
        }
        let category = match &self.pricing {
            Some(pricing) => pricing.category.clone(),
            None if inbound => PricingCategory::new("service"),
            None => PricingCategory::unknown(),
        };
        Some(UsageLine {
            category,
            delivered: delivered && !inbound,
            billable: self.pricing.as_ref().is_some_and(|p| p.billable),
        })
    }
}

fn earliest<T: Ord>(known: &mut Option<T>, new: T) {
    if known.as_ref().is_none_or(|old| new < *old) {
        *known = Some(new);
    }
}

impl Aggregate for Message {
    const TYPE: &'static str = "message";
    type Command = Command;
    type Event = Event;
    type Error = Error;
    type Services = ();

    async fn handle(&mut self, command: Command, (): &(), sink: &EventSink<Self>) -> Result<(), Error> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Accepted { number, contact, kind, at, .. } => {
                self.origin = Some(Origin { direction: Direction::Outbound, number, contact, kind, at });
            }
            Event::Received { number, contact, kind, wamid_index, at, .. } => {
                self.origin = Some(Origin { direction: Direction::Inbound, number, contact, kind, at });
                self.wamid_index = Some(wamid_index);
            }
            Event::Attempted { attempt, .. } => {
                self.attempts = attempt;
                self.in_flight = true;
            }
            Event::Submitted { wamid_index, .. } => {
                self.in_flight = false;
                self.unresolved = false;
                self.unknown_since = None;
                self.wamid_index.get_or_insert(wamid_index);
                self.submitted = true;
            }
            Event::Held { at } => earliest(&mut self.held_at, at),
            Event::Deferred { until, .. } => {
                self.in_flight = false;
                self.not_before = Some(until);
            }
            Event::OutcomeUnknown { at, .. } => self.unknown_since = Some(at),
            Event::Unresolved { .. } => self.unresolved = true,
            Event::Sent { at } => earliest(&mut self.sent_at, at),
            Event::Delivered { at } => earliest(&mut self.delivered_at, at),
            Event::Read { at } => earliest(&mut self.read_at, at),
            Event::Failed { code, class, at, .. } => {
                self.in_flight = false;
                earliest(&mut self.failure, Failure { at, code, class });
            }
            Event::Expired { at } => earliest(&mut self.expired_at, at),
            Event::Cancelled { at, .. } => earliest(&mut self.cancelled_at, at),
            Event::Priced(pricing) => earliest(&mut self.pricing, pricing),
            Event::Counted { after, .. } => self.counted = Some(after),
        }
    }
}
