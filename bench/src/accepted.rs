//! The event that is appended, a message to send, as large as a real one. Also of the peer's process.

use uuid::Uuid;
use wasend_domain::content::ContentKind;
use wasend_domain::message::Event;
use wasend_domain::{MessageId, NumberId, Sealed, SubjectId, Time};

/// The characters of a sealed text that is no longer than a line.
const SEALED: usize = 151;

/// A new message's id, ordered by time as those of the server are, so that neither side scatters its index.
pub fn id(now: Time) -> Uuid {
    MessageId::fresh(now).uuid()
}

pub fn accepted(now: Time) -> Event {
    let contact = SubjectId::random();
    Event::Accepted {
        number: NumberId::from_uuid(Uuid::nil()),
        contact,
        kind: ContentKind::Text,
        template: None,
        content: Sealed::from_parts(contact, now.day(), &"A".repeat(SEALED)),
        at: now,
    }
}
