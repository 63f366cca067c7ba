//! Events are only ever extended or upcast: what was written under an older version is read as the newest.

use std::fmt;
use std::sync::Arc;

use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use serde_json::Value;
use wasend_domain::contact::ConsentUpcaster;
use wasend_domain::{EventMetadata, RecordedEvent, Time};

use crate::{LogError, rows};

/// cqrs-es's upcasters, in the order in which they are applied. Clones share them, and the set is itself an upcaster.
#[derive(Clone, Default)]
pub struct UpcasterChain(Arc<[Box<dyn EventUpcaster>]>);

impl UpcasterChain {
    /// The chain applies the upcasters in this order.
    pub fn new(upcasters: Vec<Box<dyn EventUpcaster>>) -> Self {
        Self(upcasters.into())
    }

    /// Those of the events that were released: every log of the product is read through them.
    pub fn released() -> Self {
        Self::new(vec![Box::new(ConsentUpcaster)])
    }

    pub(crate) fn apply_all(&self, events: Vec<RecordedEvent>) -> Result<Vec<RecordedEvent>, LogError> {
        if self.0.is_empty() {
            return Ok(events);
        }
        events.into_iter().map(|event| self.apply(event)).collect()
    }

    fn apply(&self, event: RecordedEvent) -> Result<RecordedEvent, LogError> {
        if !self.can_upcast(&event.event_type, &event.event_version) {
            return Ok(event);
        }
        let damaged = |what| LogError::Damaged(format!("{what} of the event at position {}", event.position));
        let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|_| damaged("the payload"));
        let event_metadata = serde_json::to_value(&event.metadata).map_err(|_| damaged("the metadata"))?;
        let mut newest = self.upcast(with_recorded_at(
            SerializedEvent::new(
                event.aggregate_id.to_string(),
                usize::try_from(event.sequence).map_err(|_| damaged("the sequence"))?,
                event.aggregate_type.clone(),
                event.event_type.clone(),
                event.event_version.clone(),
                json(&event.payload)?,
                event_metadata,
            ),
            event.recorded_at,
        ));
        if let Value::Object(metadata) = &mut newest.metadata {
            metadata.remove(EventMetadata::RECORDED_AT);
        }
        let metadata = rows::metadata(&newest.metadata.to_string()).ok_or_else(|| damaged("the upcast metadata"))?;
        Ok(RecordedEvent {
            event_type: newest.event_type,
            event_version: newest.event_version,
            payload: newest.payload.to_string(),
            metadata,
            ..event
        })
    }
}

/// The event with the moment of its record beside its metadata, where an upcaster finds it: cqrs-es's own form of an
/// event has no place for it.
pub(crate) fn with_recorded_at(mut event: SerializedEvent, recorded_at: Time) -> SerializedEvent {
    if let Value::Object(metadata) = &mut event.metadata {
        metadata.insert(EventMetadata::RECORDED_AT.to_owned(), Value::String(recorded_at.micros().to_string()));
    }
    event
}

impl EventUpcaster for UpcasterChain {
    fn can_upcast(&self, event_type: &str, event_version: &str) -> bool {
        self.0.iter().any(|upcaster| upcaster.can_upcast(event_type, event_version))
    }

    fn upcast(&self, event: SerializedEvent) -> SerializedEvent {
        self.0.iter().fold(event, |event, upcaster| {
            if upcaster.can_upcast(&event.event_type, &event.event_version) { upcaster.upcast(event) } else { event }
        })
    }
}

impl fmt::Debug for UpcasterChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upcasters({})", self.0.len())
    }
}
