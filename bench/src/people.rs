//! The recipients of messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Phone numbers that are given out one after another, and again from the first once all were.
#[derive(Debug, Clone)]
pub struct People {
    next: Arc<AtomicU64>,
    /// The number of people, and the first one's place among German mobile numbers.
    many: u64,
    first: u64,
}

/// There are a hundred million numbers behind +49151.
const NUMBERS: u64 = 100_000_000;
/// How many are known before the clients start.
const KNOWN_PEOPLE: u64 = 1_000;

impl People {
    /// A thousand people, all known once each was written to.
    pub fn known() -> Self {
        Self { next: Arc::default(), many: KNOWN_PEOPLE, first: 0 }
    }

    /// Another person every time.
    pub fn new() -> Self {
        Self { next: Arc::default(), many: NUMBERS - KNOWN_PEOPLE, first: KNOWN_PEOPLE }
    }

    /// One who is known.
    pub fn somebody() -> String {
        Self::known().next()
    }

    pub fn next(&self) -> String {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.many;
        format!("+49151{:08}", self.first + index)
    }
}
