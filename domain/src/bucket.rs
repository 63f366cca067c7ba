//! A bucket: what an account keeps of one category of data and one day, sealed under a key that is destroyed when its
//! time is over. That is retention.
//!
//! The fence names the key before it is touched, so that the log decides what must be destroyed, also in a vault that
//! was put back to a copy in which the key still was.

use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

use crate::privacy::KeyDestruction;
use crate::{AccountId, BucketId, DataCategory, Day, DecidingAggregate, Time};

/// The key of a category and a day, as its events leave it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionBucket {
    /// What is kept in it, once its key is named.
    pub fence: Option<BucketContents>,
    /// Which destruction of the vault's it was last.
    pub destruction: Option<KeyDestruction>,
}

/// What a bucket holds: a category of data and a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketContents {
    pub category: DataCategory,
    pub day: Day,
}

impl BucketContents {
    /// The id of the account's bucket of this category and day. It is made of the three, so that each has one stream
    /// however many nodes work on it; they name no person.
    pub fn of(self, account: AccountId) -> BucketId {
        let mut bytes = account.uuid().into_bytes();
        // The last six of the random bytes of the account's id: one for the category, five for the day.
        bytes[10] ^= self.category.code();
        for (byte, part) in bytes[11..].iter_mut().zip(&self.day.number().to_be_bytes()[3..]) {
            *byte ^= part;
        }
        BucketId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// What is read in the place of what the bucket's key sealed, once that is destroyed.
    pub fn reason(self) -> String {
        format!("retention of {} of {}", self.category.name(), self.day)
    }
}

/// What is done about a key whose time is over.
#[derive(Debug, Clone)]
pub enum Command {
    /// The time of the bucket is over: its key is about to be destroyed. Without a fingerprint the vault holds none.
    Fence { contents: BucketContents, fingerprint: Option<String>, at: Time },
    /// No node holds the key any more.
    Destroyed { destruction: KeyDestruction },
    /// The vault was put back to a copy in which the key still was: it is about to be destroyed again.
    Repeat { fingerprint: Option<String>, destruction: KeyDestruction },
}

/// What happened to the key of a category and a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Fenced { category: DataCategory, day: Day, fingerprint: Option<String>, at: Time },
    Destroyed { category: DataCategory, day: Day, destruction: KeyDestruction },
    Repeated { category: DataCategory, day: Day, fingerprint: Option<String>, destruction: KeyDestruction },
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Fenced { .. } => "BucketFenced",
            Self::Destroyed { .. } => "BucketDestroyed",
            Self::Repeated { .. } => "BucketRepeated",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

/// Why a command to a bucket is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the key is not named yet")]
    NotFenced,
    #[error("the key was never destroyed")]
    NotDestroyed,
}

impl Aggregate for RetentionBucket {
    crate::aggregate::bridge!("bucket");

    fn apply(&mut self, event: Event) {
        match event {
            Event::Fenced { category, day, .. } => self.fence = Some(BucketContents { category, day }),
            Event::Destroyed { destruction, .. } | Event::Repeated { destruction, .. } => {
                self.destruction = Some(destruction);
            }
        }
    }
}

impl DecidingAggregate for RetentionBucket {
    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        let event = match (command, self.fence) {
            (Command::Fence { .. }, Some(_)) => return Ok(vec![]),
            (Command::Fence { contents: BucketContents { category, day }, fingerprint, at }, None) => {
                Event::Fenced { category, day, fingerprint, at }
            }
            (_, None) => return Err(Error::NotFenced),
            (Command::Destroyed { .. }, Some(_)) if self.destruction.is_some() => return Ok(vec![]),
            (Command::Destroyed { destruction }, Some(BucketContents { category, day })) => {
                Event::Destroyed { category, day, destruction }
            }
            (Command::Repeat { .. }, Some(_)) if self.destruction.is_none() => return Err(Error::NotDestroyed),
            (Command::Repeat { destruction, .. }, Some(_)) if self.destruction == Some(destruction) => {
                return Ok(vec![]);
            }
            (Command::Repeat { fingerprint, destruction }, Some(BucketContents { category, day })) => {
                Event::Repeated { category, day, fingerprint, destruction }
            }
        };
        Ok(vec![event])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const CONTENTS: BucketContents =
        BucketContents { category: DataCategory::UnknownWebhook, day: Day::from_number(20_000) };

    fn destruction(number: i64) -> KeyDestruction {
        KeyDestruction { number, at: Time::from_seconds(number) }
    }

    fn after(commands: &[Command]) -> RetentionBucket {
        let mut bucket = RetentionBucket::default();
        for command in commands {
            for event in bucket.decide(command.clone()).unwrap() {
                bucket.apply(event);
            }
        }
        bucket
    }

    #[test]
    fn steps_come_in_their_order_and_may_be_repeated() {
        let fence = Command::Fence { contents: CONTENTS, fingerprint: Some("ab".into()), at: Time::from_seconds(1) };
        let destroyed = |number| Command::Destroyed { destruction: destruction(number) };
        let repeat = |number| Command::Repeat { fingerprint: None, destruction: destruction(number) };
        assert_eq!(RetentionBucket::default().decide(destroyed(1)), Err(Error::NotFenced));
        assert_eq!(RetentionBucket::default().decide(repeat(1)), Err(Error::NotFenced));
        let fenced = after(std::slice::from_ref(&fence));
        assert_eq!(fenced.fence, Some(CONTENTS));
        assert_eq!(fenced.decide(fence.clone()), Ok(vec![]));
        assert_eq!(fenced.decide(repeat(1)), Err(Error::NotDestroyed));
        let gone = after(&[fence.clone(), destroyed(1)]);
        assert_eq!(gone.decide(destroyed(2)), Ok(vec![]));
        assert_eq!(gone.decide(repeat(1)), Ok(vec![]));
        let again = after(&[fence, destroyed(1), repeat(2)]);
        assert_eq!(again.destruction, Some(destruction(2)));
        assert_eq!(again.decide(repeat(2)), Ok(vec![]));
    }

    #[test]
    fn each_account_category_and_day_has_an_id_of_its_own() {
        let accounts = [AccountId::random(), AccountId::fresh(Time::from_seconds(1_800_000_000))];
        let days = (19_990..20_300).chain([-1, 0, i64::from(u32::MAX)]).map(Day::from_number);
        let all: Vec<_> = days
            .flat_map(|day| DataCategory::ALL.map(|category| BucketContents { category, day }))
            .flat_map(|contents| accounts.map(|account| contents.of(account)))
            .collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert!(accounts.iter().all(|account| all.iter().all(|id| id.uuid() != account.uuid())));
    }

    #[test]
    fn the_reason_says_what_was_kept_and_when() {
        assert_eq!(CONTENTS.reason(), "retention of unknown_webhook of 2024-10-04");
    }
}
