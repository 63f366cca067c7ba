//! The event that is appended, and the stream that it begins: a message to send, as large as a real one.

use cqrs_es::{Aggregate, DomainEvent};
use wasend::house::SystemClock;
use wasend_domain::content::Kind;
use wasend_domain::message::{Event, Message};
use wasend_domain::{AccountId, Actor, Clock, EventId, MessageId, Metadata, NumberId, Sealed, StreamId, SubjectId};
use wasend_eventlog::{Append, CommandId, NewEvent, StreamAppend};

/// The characters of a sealed text that is no longer than a line.
const SEALED: usize = 151;

/// A new message's id, ordered by time as those of the server are, so that neither side scatters its index.
pub fn id() -> uuid::Uuid {
    MessageId::fresh(SystemClock.now()).uuid()
}

/// One event that begins a stream.
pub fn append(account_id: AccountId) -> anyhow::Result<Append> {
    let event = accepted();
    let new = NewEvent {
        event_id: EventId::fresh(SystemClock.now()),
        event_type: event.event_type(),
        event_version: event.event_version(),
        payload: serde_json::to_string(&event)?,
    };
    let stream = StreamId { aggregate_type: Message::TYPE, aggregate_id: id() };
    Ok(Append {
        account_id,
        command_id: CommandId::Fresh(EventId::random().to_string()),
        metadata: Metadata::by(Actor::Operator),
        streams: vec![StreamAppend { stream, expected: 0, events: vec![new] }],
    })
}

pub fn accepted() -> Event {
    let now = SystemClock.now();
    let contact = SubjectId::random();
    Event::Accepted {
        number: NumberId::from_uuid(uuid::Uuid::nil()),
        contact,
        kind: Kind::Text,
        template: None,
        content: Sealed::from_parts(contact, now.day(), &"A".repeat(SEALED)),
        at: now,
    }
}
