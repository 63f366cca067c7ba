//! What was acknowledged, to be compared with the state afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Default)]
pub struct Ledger(Mutex<Book>);

#[derive(Default)]
pub struct Book {
    /// The position that each message was acknowledged with.
    pub messages: BTreeMap<String, u64>,
    /// Requests that were made again after they were acknowledged.
    pub repeated: usize,
    pub imports: BTreeSet<String>,
    /// Texts that users wrote and the webhook was answered 200 for.
    pub received: usize,
    /// Who was erased, by phone number.
    pub erased: BTreeMap<String, Erased>,
    /// All people who were written to, imported or wrote in.
    pub people: BTreeSet<String>,
    /// How long single sends took since the last look.
    pub latencies: Vec<Duration>,
    /// Requests that were not answered, or answered with a failure.
    pub unanswered: usize,
    /// What should not have been answered.
    pub broken: Vec<String>,
}

/// A person whose erasure was acknowledged.
pub struct Erased {
    /// None if the request was executed before its sender heard of it, or the read models were late.
    pub request: Option<String>,
    pub messages: Vec<String>,
}

impl Book {
    /// A message was acknowledged at this position.
    pub fn book(&mut self, to: &str, message: &str, position: u64) {
        self.people.insert(to.to_owned());
        self.messages.insert(message.to_owned(), position);
    }
}

impl Ledger {
    pub fn open(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
