//! The event that is appended, and the stream that it begins: a message to send, as large as a real one.

use wasend::house::SystemClock;
use wasend_domain::content::Kind;
use wasend_domain::message::Event;
use wasend_domain::{Clock, MessageId, NumberId, Sealed, SubjectId};

/// The characters of a sealed text that is no longer than a line.
const SEALED: usize = 151;

/// A new message's id, ordered by time as those of the server are, so that neither side scatters its index.
pub fn id() -> uuid::Uuid {
    MessageId::fresh(SystemClock.now()).uuid()
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
