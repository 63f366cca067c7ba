//! The append of one event, and the stream that it begins.

use cqrs_es::{Aggregate, DomainEvent};
use wasend::bootstrap::SystemClock;
use wasend_domain::message::Message;
use wasend_domain::{AccountId, Actor, Clock, EventId, EventMetadata, StreamId};
use wasend_eventlog::{Append, CommandId, NewEvent, StreamAppend};

use crate::accepted::{accepted, id};

/// One event that begins a stream.
pub fn append(account_id: AccountId) -> anyhow::Result<Append> {
    let now = SystemClock.now();
    let event = accepted(now);
    let new = NewEvent {
        event_id: EventId::fresh(now),
        event_type: event.event_type(),
        event_version: event.event_version(),
        payload: serde_json::to_string(&event)?,
    };
    let stream = StreamId { aggregate_type: Message::TYPE, aggregate_id: id(now) };
    Ok(Append {
        account_id,
        command_id: CommandId::Fresh(EventId::random().to_string()),
        metadata: EventMetadata::by(Actor::Operator),
        streams: vec![StreamAppend { stream, expected: 0, events: vec![new] }],
    })
}
