//! Which word on consent counts. Words are put in order by the moment at which they were said, never by the order in
//! which they arrive: webhooks come late, twice and out of order.

use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Command, ConsentChannel, Contact};
use crate::{EventMetadata, Time};

/// Of the events of a word, since they carry its moment.
pub(super) const VERSION: &str = "2";
const SECOND_MICROS: i64 = 1_000_000;

/// What a choice is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConsentScope {
    /// Every message.
    #[default]
    All,
    /// Marketing: templates of Meta's category `MARKETING`. Utility, authentication and replies are not touched.
    Marketing,
}

impl ConsentScope {
    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Marketing => "MARKETING",
        }
    }

    /// Whether it is about every message.
    pub const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// One choice about being written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsentChoice {
    pub opted_out: bool,
    pub scope: ConsentScope,
    pub via: ConsentChannel,
    /// When the choice was made. Absent in an event of version 1 that was not upcast.
    pub at: Option<Time>,
}

impl ConsentChoice {
    /// Where the word stands among the others: the later one counts, and of two at the same moment the opt-out.
    ///
    /// Meta tells whole seconds. What a person said through Meta was said somewhere in that second, so an opt-out
    /// counts as said at the second's end and an opt-in as said at its beginning: in doubt the opt-out wins.
    pub fn order(self) -> Option<Time> {
        let at = self.at?;
        let is_whole_second = at.micros().rem_euclid(SECOND_MICROS) == 0;
        let end_of_second =
            self.opted_out && is_whole_second && matches!(self.via, ConsentChannel::Meta | ConsentChannel::Keyword);
        Some(if end_of_second { Time::from_micros(at.micros().saturating_add(SECOND_MICROS - 1)) } else { at })
    }

    /// The command that records the word; none without a moment.
    pub fn command(self) -> Option<Command> {
        let (via, scope, at) = (self.via, self.scope, self.at?);
        Some(if self.opted_out { Command::OptOut { via, scope, at } } else { Command::OptIn { via, scope, at } })
    }

    /// The moment that Meta gave a word, as it may count: none lies after the second of its receipt, so that a moment
    /// in the future, by mistake or on purpose, does not outweigh what is said later.
    #[must_use]
    pub fn not_after(at: Time, receipt: Time) -> Time {
        at.min(Time::from_micros(receipt.micros() - receipt.micros().rem_euclid(SECOND_MICROS)))
    }
}

impl Contact {
    /// Whether the word changes anything: at a level that it is about, it is later than, or at the same moment stricter
    /// than, what is known.
    pub fn heeds(&self, word: ConsentChoice) -> bool {
        self.heeds_at_all(word) || self.heeds_at_marketing(word)
    }

    fn heeds_at_all(&self, word: ConsentChoice) -> bool {
        word.scope.is_all() && counts(word, self.opted_out, self.consent_at)
    }

    /// An opt-in to everything is one to marketing as well.
    fn heeds_at_marketing(&self, word: ConsentChoice) -> bool {
        let concerns = word.scope == ConsentScope::Marketing || !word.opted_out;
        concerns && counts(word, self.marketing_opted_out, self.marketing_at)
    }

    /// Takes the word in where it counts.
    pub fn hear(&mut self, word: ConsentChoice) {
        let (all, marketing) = (self.heeds_at_all(word), self.heeds_at_marketing(word));
        if all {
            self.opted_out = word.opted_out;
            self.consent_at = word.order().or(self.consent_at);
        }
        if marketing {
            self.marketing_opted_out = word.opted_out;
            self.marketing_at = word.order().or(self.marketing_at);
        }
    }

    /// Whether marketing is not to be sent.
    #[must_use]
    pub const fn refuses_marketing(&self) -> bool {
        self.opted_out || self.marketing_opted_out
    }

    /// Whether the contact would be opted out once it had heard the word.
    #[must_use]
    pub fn opted_out_after(&self, word: Option<ConsentChoice>) -> bool {
        word.filter(|word| self.heeds_at_all(*word)).map_or(self.opted_out, |word| word.opted_out)
    }

    /// The order of the opt-out that is in force.
    pub fn opted_out_at(&self) -> Option<Time> {
        self.opted_out.then(|| self.consent_at.unwrap_or(Time::from_micros(0)))
    }

    /// The order of the opt-out from marketing that is in force.
    pub fn marketing_opted_out_at(&self) -> Option<Time> {
        self.marketing_opted_out.then(|| self.marketing_at.unwrap_or(Time::from_micros(0)))
    }
}

fn counts(word: ConsentChoice, opted_out: bool, known: Option<Time>) -> bool {
    match word.order() {
        Some(at) => (Some(at), word.opted_out) > (known, opted_out),
        None => word.opted_out != opted_out,
    }
}

/// Gives the words of version 1, which had no moment, the moment at which they were recorded.
#[derive(Debug, Clone, Copy)]
pub struct ConsentUpcaster;

impl EventUpcaster for ConsentUpcaster {
    fn can_upcast(&self, event_type: &str, event_version: &str) -> bool {
        matches!(event_type, "ContactOptedOut" | "ContactOptedIn") && event_version == "1"
    }

    fn upcast(&self, mut event: SerializedEvent) -> SerializedEvent {
        let recorded_at = event.metadata.get(EventMetadata::RECORDED_AT).and_then(Value::as_str);
        let recorded_at = recorded_at.and_then(|micros| micros.parse::<i64>().ok());
        let word = event.payload.as_object_mut().and_then(|payload| payload.values_mut().next());
        if let (Some(micros), Some(Value::Object(word))) = (recorded_at, word) {
            word.entry("at").or_insert_with(|| json!(micros));
        }
        VERSION.clone_into(&mut event.event_version);
        event
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::Aggregate;
    use proptest::prelude::*;

    use super::*;
    use crate::DecidingAggregate;
    use crate::contact::{ContactOrigin, Event};

    fn created() -> Contact {
        let mut contact = Contact::default();
        contact.apply(Event::Created { source: ContactOrigin::Api, attributes: None });
        contact
    }

    fn record_choice(contact: &mut Contact, word: ConsentChoice) {
        for event in contact.decide(word.command().unwrap()).unwrap() {
            contact.apply(event);
        }
    }

    fn word() -> impl Strategy<Value = ConsentChoice> {
        let via = prop::sample::select(vec![
            ConsentChannel::Api,
            ConsentChannel::Meta,
            ConsentChannel::Keyword,
            ConsentChannel::Suppression,
        ]);
        let at = prop_oneof![
            (0..6_i64).prop_map(Time::from_seconds),
            (0..60_i64).prop_map(|n| Time::from_micros(n * 100_000)),
        ];
        let scope = prop::sample::select(vec![ConsentScope::All, ConsentScope::Marketing]);
        (any::<bool>(), scope, via, at).prop_map(|(opted_out, scope, via, at)| ConsentChoice {
            opted_out,
            scope,
            via,
            at: Some(at),
        })
    }

    proptest! {
        #[test]
        fn words_count_by_their_moments_in_any_order_and_repetition(
            (words, arrivals) in prop::collection::vec(word(), 1..12).prop_flat_map(|words| {
                let indexes: Vec<_> = (0..words.len()).collect();
                let again = prop::collection::vec(0..words.len(), 0..12);
                let arrivals = (Just(indexes), again).prop_map(|(all, again)| [all, again].concat()).prop_shuffle();
                (Just(words), arrivals)
            })
        ) {
            let mut sorted = words.clone();
            sorted.sort_by_key(|word| (word.order(), word.opted_out));
            let mut contact = created();
            for index in arrivals {
                record_choice(&mut contact, words[index]);
            }
            let last = |concerns: fn(&ConsentChoice) -> bool| {
                sorted.iter().rfind(|word| concerns(word)).is_some_and(|word| word.opted_out)
            };
            prop_assert_eq!(contact.opted_out, last(|word| word.scope.is_all()));
            prop_assert_eq!(contact.marketing_opted_out, last(|word| !word.scope.is_all() || !word.opted_out));
            // What is recorded says the same again.
            let before = contact.clone();
            for word in words {
                record_choice(&mut contact, word);
            }
            prop_assert_eq!(contact, before);
        }
    }

    #[test]
    fn an_opt_out_through_meta_wins_its_whole_second() {
        let at = |micros| Some(Time::from_micros(micros));
        let stop = ConsentChoice {
            opted_out: true,
            scope: ConsentScope::All,
            via: ConsentChannel::Keyword,
            at: at(10_000_000),
        };
        for (other, opted_out) in [
            (
                ConsentChoice {
                    opted_out: false,
                    scope: ConsentScope::All,
                    via: ConsentChannel::Meta,
                    at: at(10_000_000),
                },
                true,
            ),
            (
                ConsentChoice {
                    opted_out: false,
                    scope: ConsentScope::All,
                    via: ConsentChannel::Api,
                    at: at(10_999_999),
                },
                true,
            ),
            (
                ConsentChoice {
                    opted_out: false,
                    scope: ConsentScope::All,
                    via: ConsentChannel::Api,
                    at: at(11_000_000),
                },
                false,
            ),
            (
                ConsentChoice {
                    opted_out: false,
                    scope: ConsentScope::All,
                    via: ConsentChannel::Keyword,
                    at: at(11_000_000),
                },
                false,
            ),
        ] {
            for words in [[stop, other], [other, stop]] {
                let mut contact = created();
                for word in words {
                    record_choice(&mut contact, word);
                }
                assert_eq!(contact.opted_out, opted_out, "{other:?}");
            }
        }
    }

    #[test]
    fn a_moment_in_the_future_counts_from_its_receipt() {
        let receipt = Time::from_micros(20_500_000);
        assert_eq!(ConsentChoice::not_after(Time::from_seconds(9_999_999_999), receipt), Time::from_seconds(20));
        assert_eq!(ConsentChoice::not_after(Time::from_seconds(20), receipt), Time::from_seconds(20));
        assert_eq!(ConsentChoice::not_after(Time::from_seconds(7), receipt), Time::from_seconds(7));
    }

    #[test]
    fn a_word_of_version_1_was_said_when_it_was_recorded() {
        let event = SerializedEvent::new(
            String::new(),
            1,
            "contact".into(),
            "ContactOptedOut".into(),
            "1".into(),
            json!({"OptedOut": {"via": "KEYWORD"}}),
            json!({"actor": "meta", "recorded_at": "12500000"}),
        );
        assert!(ConsentUpcaster.can_upcast(&event.event_type, &event.event_version));
        let event = ConsentUpcaster.upcast(event);
        assert!(!ConsentUpcaster.can_upcast(&event.event_type, &event.event_version));
        let read: Event = serde_json::from_value(event.payload).unwrap();
        let at = Some(Time::from_micros(12_500_000));
        assert_eq!(read, Event::OptedOut { via: ConsentChannel::Keyword, scope: ConsentScope::All, at });
        let mut contact = created();
        contact.apply(read);
        record_choice(
            &mut contact,
            ConsentChoice {
                opted_out: false,
                scope: ConsentScope::All,
                via: ConsentChannel::Keyword,
                at: Some(Time::from_seconds(12)),
            },
        );
        assert!(contact.opted_out, "an older START does not undo it");
        record_choice(
            &mut contact,
            ConsentChoice {
                opted_out: false,
                scope: ConsentScope::All,
                via: ConsentChannel::Keyword,
                at: Some(Time::from_seconds(13)),
            },
        );
        assert!(!contact.opted_out);
    }
}
