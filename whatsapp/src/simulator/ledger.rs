//! What was accepted, so that a test can prove that nothing was sent twice.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use serde::Serialize;

use crate::redacted::{PERSONAL, personal};

/// A message that was accepted.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct AcceptedMessage {
    pub wamid: String,
    pub phone_number_id: String,
    /// Digits, or a BSUID.
    pub to: String,
    /// `text`, `template` and others.
    pub kind: String,
    /// The template's name.
    pub template: Option<String>,
    /// The first 256 characters of a text's body.
    pub text: Option<String>,
    pub biz_opaque_callback_data: Option<String>,
    /// Unix seconds.
    pub accepted_at: i64,
}

impl fmt::Debug for AcceptedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptedMessage")
            .field("wamid", &PERSONAL)
            .field("phone_number_id", &self.phone_number_id)
            .field("to", &PERSONAL)
            .field("kind", &self.kind)
            .field("template", &self.template)
            .field("text", &personal(self.text.as_ref()))
            .field("accepted_at", &self.accepted_at)
            .finish_non_exhaustive()
    }
}

/// Remembers the newest `most` messages, and counts all.
pub(super) struct MessageLedger {
    most: usize,
    messages: VecDeque<AcceptedMessage>,
    /// Of the remembered messages, how many carry each callback data.
    counts: BTreeMap<String, u64>,
    accepted: u64,
    refused: u64,
}

impl MessageLedger {
    pub(super) fn new(most: usize) -> Self {
        Self { most, messages: VecDeque::new(), counts: BTreeMap::new(), accepted: 0, refused: 0 }
    }

    pub(super) fn accept(&mut self, message: AcceptedMessage) {
        self.accepted += 1;
        if let Some(data) = &message.biz_opaque_callback_data {
            *self.counts.entry(data.clone()).or_default() += 1;
        }
        self.messages.push_back(message);
        while self.messages.len() > self.most {
            let forgotten = self.messages.pop_front();
            let Some(data) = forgotten.and_then(|message| message.biz_opaque_callback_data) else {
                continue;
            };
            if let Some(count) = self.counts.get_mut(&data) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&data);
                }
            }
        }
    }

    pub(super) fn refuse(&mut self) {
        self.refused += 1;
    }

    pub(super) fn messages(&self) -> impl DoubleEndedIterator<Item = &AcceptedMessage> {
        self.messages.iter()
    }

    pub(super) fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// Messages accepted since the start, remembered or not.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Requests since the start that were answered with a refusal.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(data: &str) -> AcceptedMessage {
        AcceptedMessage {
            wamid: "wamid.A".into(),
            phone_number_id: "1".into(),
            to: "16505551234".into(),
            kind: "text".into(),
            template: None,
            text: Some("secret words".into()),
            biz_opaque_callback_data: Some(data.into()),
            accepted_at: 1,
        }
    }

    #[test]
    fn forgets_the_oldest_and_counts_the_rest() {
        let mut ledger = MessageLedger::new(3);
        for data in ["a", "b", "b", "c"] {
            ledger.accept(message(data));
        }
        assert_eq!(ledger.accepted(), 4);
        assert_eq!(ledger.messages().count(), 3);
        let counts: Vec<_> = ledger.counts().iter().map(|(data, n)| (data.as_str(), *n)).collect();
        assert_eq!(counts, [("b", 2), ("c", 1)]);
    }

    #[test]
    fn prints_nothing_personal() {
        let shown = format!("{:?}", message("m"));
        assert!(!shown.contains("1650") && !shown.contains("words") && !shown.contains("wamid.A"));
    }
}
