//! What a batch's appends take for granted: that each stream is as its first append expects it, and that no command of
//! the batch is recorded. Almost always it is so; then a batch can be judged before it is sent, and the engine has only
//! to find the assumptions true where it inserts. Otherwise nothing was written, and the batch is judged on what is
//! known.

use std::collections::{HashMap, HashSet};

use wasend_domain::StreamId;

use crate::Append;
use crate::append_conditions::{self, BatchDecision, LogState, StreamHead};

/// A batch as it was judged on its own assumptions, positions counted from 0, and what must be so for that to hold.
pub(crate) struct OptimisticAppend<'a> {
    pub verdict: BatchDecision<'a>,
    pub checks: Vec<Precondition>,
}

/// What must be so about a stream and cannot be left to the unique index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Precondition {
    pub stream: StreamId,
    /// Where it ends; at 0 it does not exist.
    pub tip: StreamHead,
    /// The batch appends nothing to it: nothing shows by itself that it goes no further.
    pub unmoved: bool,
}

pub(crate) fn assume<'a>(appends: impl Iterator<Item = &'a Append> + Clone) -> OptimisticAppend<'a> {
    let mut tips: HashMap<StreamId, StreamHead> = HashMap::new();
    for append in appends.clone() {
        for part in &append.streams {
            let tip = StreamHead { sequence: part.expected, account_id: append.account_id };
            tips.entry(part.stream).or_insert(tip);
        }
    }
    let streams = tips.iter().filter(|(_, tip)| tip.sequence > 0).map(|(stream, tip)| (*stream, *tip)).collect();
    let verdict = append_conditions::decide_batch(appends, LogState { streams, ..LogState::default() });
    let moved: HashSet<StreamId> = verdict.events.iter().map(|event| event.stream).collect();
    let check = |(stream, tip)| Precondition { stream, tip, unmoved: !moved.contains(&stream) };
    let checks = tips.into_iter().map(check).filter(|check| check.tip.sequence > 0 || check.unmoved).collect();
    OptimisticAppend { verdict, checks }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use wasend_domain::{AccountId, Actor, EventId, EventMetadata};

    use super::*;
    use crate::{CommandId, NewEvent, StreamAppend};

    fn append(parts: &[(u128, u64, usize)]) -> Append {
        let event = || NewEvent {
            event_id: EventId::random(),
            event_type: "Happened".into(),
            event_version: "1".into(),
            payload: "{}".into(),
        };
        let part = |(n, expected, events): &(u128, u64, usize)| StreamAppend {
            stream: StreamId { aggregate_type: "test", aggregate_id: Uuid::from_u128(*n) },
            expected: *expected,
            events: (0..*events).map(|_| event()).collect(),
        };
        Append {
            account_id: AccountId::from_uuid(Uuid::from_u128(1)),
            command_id: CommandId::Fresh("f".into()),
            metadata: EventMetadata::by(Actor::Meta),
            streams: parts.iter().map(part).collect(),
        }
    }

    /// What is to be looked up: stream, tip, unmoved.
    fn looked_up(batch: &[Append]) -> Vec<(u128, u64, bool)> {
        let check = |check: Precondition| (check.stream.aggregate_id.as_u128(), check.tip.sequence, check.unmoved);
        let mut checks: Vec<_> = assume(batch.iter()).checks.into_iter().map(check).collect();
        checks.sort_unstable();
        checks
    }

    #[test]
    fn a_stream_that_begins_is_left_to_the_index_and_any_other_is_looked_up() {
        assert_eq!(looked_up(&[append(&[(1, 0, 2)]), append(&[(1, 2, 1)])]), []);
        assert_eq!(
            looked_up(&[append(&[(1, 4, 1), (2, 3, 0), (3, 0, 0)])]),
            [(1, 4, false), (2, 3, true), (3, 0, true)]
        );
    }

    #[test]
    fn an_append_that_contradicts_the_one_before_it_is_rejected_before_anything_is_sent() {
        let batch = [append(&[(1, 4, 1)]), append(&[(1, 4, 1)]), append(&[(1, 5, 1)])];
        let OptimisticAppend { verdict, .. } = assume(batch.iter());
        assert_eq!(verdict.answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(verdict.events.iter().map(|event| event.position).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn what_was_judged_from_zero_is_shifted_behind_the_log() {
        let batch = [append(&[(1, 0, 2)]), append(&[])];
        let mut verdict = assume(batch.iter()).verdict;
        append_conditions::shift(&mut verdict, 40);
        let answers: Vec<_> = verdict.answers.iter().flatten().map(|done| (done.first, done.last)).collect();
        assert_eq!((answers, verdict.head), (vec![(41, 42), (42, 42)], 42));
    }
}
