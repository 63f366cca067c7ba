use cqrs_es::Aggregate;
use serde::{Deserialize, Serialize};

use super::{Command, DeliveryStatus, Error, Event, MessageDirection, MessagePricing, PricingCategory, UsageLine};
use crate::content::ContentKind;
use crate::{BlindIndex, NumberId, SubjectId, Time};

/// All that decisions about a message need to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub origin: Option<MessageOrigin>,
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
    pub failure: Option<MessageFailure>,
    pub expired_at: Option<Time>,
    pub cancelled_at: Option<Time>,
    pub pricing: Option<MessagePricing>,
    /// The line of the usage on which it stands.
    pub counted: Option<UsageLine>,
}

/// Where a message came from: set once, by its first event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageOrigin {
    pub direction: MessageDirection,
    pub number: NumberId,
    pub contact: SubjectId,
    pub kind: ContentKind,
    pub at: Time,
}

/// Of several failures the earliest counts, then the lowest code, so that their order of arrival does not matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessageFailure {
    pub at: Time,
    pub code: Option<i64>,
    pub class: String,
}

impl Message {
    /// What became of it. A message that reached one device has been delivered, whatever failed on another
    /// (Meta, "Message status"), and one that was read has been delivered.
    pub fn status(&self) -> DeliveryStatus {
        let inbound = self.origin.as_ref().is_some_and(|origin| origin.direction == MessageDirection::Inbound);
        let ranked = [
            (inbound, DeliveryStatus::Received),
            (self.read_at.is_some(), DeliveryStatus::Read),
            (self.delivered_at.is_some(), DeliveryStatus::Delivered),
            (self.failure.is_some(), DeliveryStatus::Failed),
            (self.expired_at.is_some(), DeliveryStatus::Expired),
            (self.sent_at.is_some(), DeliveryStatus::Sent),
            (self.held_at.is_some(), DeliveryStatus::Held),
            (self.submitted, DeliveryStatus::Submitted),
            (self.cancelled_at.is_some(), DeliveryStatus::Cancelled),
            (self.in_flight, DeliveryStatus::Attempted),
        ];
        ranked.into_iter().find(|(holds, _)| *holds).map_or(DeliveryStatus::Accepted, |(_, status)| status)
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
        let inbound = self.origin.as_ref()?.direction == MessageDirection::Inbound;
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
    crate::aggregate::bridge!("message");

    fn apply(&mut self, event: Event) {
        match event {
            Event::Accepted { number, contact, kind, at, .. } => {
                self.origin = Some(MessageOrigin { direction: MessageDirection::Outbound, number, contact, kind, at });
            }
            Event::Received { number, contact, kind, wamid_index, at, sent_at, .. } => {
                self.sent_at = sent_at;
                self.origin = Some(MessageOrigin { direction: MessageDirection::Inbound, number, contact, kind, at });
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
                earliest(&mut self.failure, MessageFailure { at, code, class });
            }
            Event::Expired { at } => earliest(&mut self.expired_at, at),
            Event::Cancelled { at, .. } => earliest(&mut self.cancelled_at, at),
            Event::Priced(pricing) => earliest(&mut self.pricing, pricing),
            Event::Counted { after, .. } => self.counted = Some(after),
        }
    }
}
