//! Which appends of a batch are accepted, decided in memory against what the database said about their streams and
//! commands. An append sees the accepted ones before it as if they were already recorded.

use std::collections::HashMap;

use wasend_domain::{AccountId, EventMetadata, Position, StreamId};

use crate::writer::{CommitError, CommittedBatch};
use crate::{Append, AppendRejection, AppendedRange, CommandId, NewEvent, rows};

/// What was recorded when a repeatable command was first given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandRecord {
    pub first: Position,
    pub last: Position,
    pub fingerprint: Option<String>,
}

/// Where a stream ends, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamHead {
    pub sequence: u64,
    pub account_id: AccountId,
}

/// What is recorded, as far as a batch asks; true for as long as its transaction holds the head.
#[derive(Debug, Default)]
pub(crate) struct LogState {
    pub head: Position,
    /// Each stream that has events.
    pub streams: HashMap<StreamId, StreamHead>,
    pub commands: HashMap<(AccountId, String), CommandRecord>,
}

/// A row of an engine's answer about a batch: what it is about (0 the head, 1 a stream, 2 a command), which one of
/// those that were asked about; and then the head; or the last sequence and the account; or the first and last
/// position and the metadata.
pub(crate) type KnownRow = (i64, i64, Option<i64>, Option<i64>, Option<String>);

impl LogState {
    /// Reads the answer of the database about the streams and commands of a batch. Fails if it is of another form than
    /// was asked for.
    pub fn from_rows(
        rows: Vec<KnownRow>,
        streams: &[StreamId],
        commands: &[(AccountId, &str)],
    ) -> Result<Self, CommitError> {
        let nonsense = || CommitError::Inconsistent("rows of another form than was asked for");
        let number = |stored: Option<i64>| stored.and_then(|n| u64::try_from(n).ok()).ok_or_else(nonsense);
        let (mut known, mut head) = (Self::default(), None);
        for (kind, index, first, last, text) in rows {
            let index = usize::try_from(index).map_err(|_| nonsense())?;
            match kind {
                0 => head = Some(number(first)?),
                1 => {
                    let account_id = text.and_then(|id| id.parse().ok()).ok_or_else(nonsense)?;
                    let tip = StreamHead { sequence: number(first)?, account_id };
                    known.streams.insert(*streams.get(index).ok_or_else(nonsense)?, tip);
                }
                2 => {
                    let (account_id, id) = commands.get(index).ok_or_else(nonsense)?;
                    let metadata = text.as_deref().and_then(rows::metadata).ok_or_else(nonsense)?;
                    let fingerprint = metadata.fingerprint().map(str::to_owned);
                    let past = CommandRecord { first: number(first)?, last: number(last)?, fingerprint };
                    known.commands.insert((*account_id, (*id).to_owned()), past);
                }
                _ => return Err(nonsense()),
            }
        }
        known.head = head.ok_or_else(nonsense)?;
        Ok(known)
    }
}

/// An accepted event with its place, borrowed from its append.
#[derive(Debug)]
pub(crate) struct AcceptedEvent<'a> {
    pub position: Position,
    pub sequence: u64,
    pub stream: StreamId,
    pub account_id: AccountId,
    pub command_id: &'a str,
    pub event: &'a NewEvent,
    /// Index into [`BatchDecision::metadata`].
    pub metadata: usize,
}

/// The outcome of a batch, before anything is written.
#[derive(Debug)]
pub(crate) struct BatchDecision<'a> {
    pub answers: Vec<Result<AppendedRange, AppendRejection>>,
    pub events: Vec<AcceptedEvent<'a>>,
    /// The metadata documents of the accepted appends.
    pub metadata: Vec<String>,
    pub head: Position,
}

impl From<BatchDecision<'_>> for CommittedBatch {
    fn from(verdict: BatchDecision<'_>) -> Self {
        Self { events: verdict.events.len(), answers: verdict.answers, head: verdict.head }
    }
}

/// The streams whose sequences a batch depends on, each once.
pub(crate) fn streams<'a>(appends: impl Iterator<Item = &'a Append>) -> Vec<StreamId> {
    let mut streams: Vec<_> = appends.flat_map(|a| a.streams.iter().map(|s| s.stream)).collect();
    streams.sort_unstable();
    streams.dedup();
    streams
}

/// Moves a verdict that was judged as if the log were empty behind what it holds.
pub(crate) fn shift(verdict: &mut BatchDecision<'_>, before: Position) {
    verdict.head += before;
    for event in &mut verdict.events {
        event.position += before;
    }
    for answer in verdict.answers.iter_mut().flatten() {
        answer.first += before;
        answer.last += before;
    }
}

/// The repeatable commands of a batch, each once.
pub(crate) fn commands<'a>(appends: impl Iterator<Item = &'a Append>) -> Vec<(AccountId, &'a str)> {
    let mut commands: Vec<_> = appends
        .filter_map(|append| match &append.command_id {
            CommandId::Fresh(_) => None,
            CommandId::Repeatable { id, .. } => Some((append.account_id, id.as_str())),
        })
        .collect();
    commands.sort_unstable();
    commands.dedup();
    commands
}

pub(crate) fn decide_batch<'a>(appends: impl Iterator<Item = &'a Append>, mut known: LogState) -> BatchDecision<'a> {
    let mut verdict = BatchDecision { answers: Vec::new(), events: Vec::new(), metadata: Vec::new(), head: known.head };
    for append in appends {
        let answer = match repeated(append, &known) {
            Some(answer) => answer,
            None => match expectations(append, &mut known.streams) {
                Some(rejected) => Err(rejected),
                None => Ok(accept(append, &mut known, &mut verdict)),
            },
        };
        verdict.answers.push(answer);
    }
    verdict
}

/// The answer to a command that is already recorded.
fn repeated(append: &Append, known: &LogState) -> Option<Result<AppendedRange, AppendRejection>> {
    let CommandId::Repeatable { id, fingerprint } = &append.command_id else { return None };
    let past = known.commands.get(&(append.account_id, id.clone()))?;
    Some(if past.fingerprint.as_ref() == Some(fingerprint) {
        Ok(AppendedRange { first: past.first, last: past.last, repeated: true })
    } else {
        Err(AppendRejection::CommandReused)
    })
}

/// Moves the tips of the append's streams if every expectation holds, and none of them otherwise. Of a stream that
/// belongs to another account no expectation holds.
fn expectations(append: &Append, tips: &mut HashMap<StreamId, StreamHead>) -> Option<AppendRejection> {
    let account_id = append.account_id;
    for (done, part) in append.streams.iter().enumerate() {
        let tip = tips.get(&part.stream).copied().unwrap_or(StreamHead { sequence: 0, account_id });
        if (tip.sequence, tip.account_id) != (part.expected, account_id) {
            for undo in append.streams[..done].iter().rev() {
                put(tips, undo.stream, StreamHead { sequence: undo.expected, account_id });
            }
            return Some(AppendRejection::Conflict { stream: part.stream, actual: tip.sequence });
        }
        put(tips, part.stream, StreamHead { sequence: tip.sequence + part.events.len() as u64, account_id });
    }
    None
}

/// A stream without events belongs to no account.
fn put(tips: &mut HashMap<StreamId, StreamHead>, stream: StreamId, tip: StreamHead) {
    if tip.sequence == 0 {
        tips.remove(&stream);
    } else {
        tips.insert(stream, tip);
    }
}

fn accept<'a>(append: &'a Append, known: &mut LogState, verdict: &mut BatchDecision<'a>) -> AppendedRange {
    if append.streams.iter().all(|part| part.events.is_empty()) {
        return AppendedRange { first: verdict.head, last: verdict.head, repeated: false };
    }
    let (command_id, metadata) = match &append.command_id {
        CommandId::Fresh(id) => (id.as_str(), document(&append.metadata)),
        CommandId::Repeatable { id, fingerprint } => {
            (id.as_str(), document(&append.metadata.clone().with_fingerprint(fingerprint.clone())))
        }
    };
    verdict.metadata.push(metadata);
    let first = verdict.head + 1;
    for part in &append.streams {
        for (event, sequence) in part.events.iter().zip(part.expected + 1..) {
            verdict.head += 1;
            verdict.events.push(AcceptedEvent {
                position: verdict.head,
                sequence,
                stream: part.stream,
                account_id: append.account_id,
                command_id,
                event,
                metadata: verdict.metadata.len() - 1,
            });
        }
    }
    let last = verdict.head;
    if let CommandId::Repeatable { id, fingerprint } = &append.command_id {
        let past = CommandRecord { first, last, fingerprint: Some(fingerprint.clone()) };
        known.commands.insert((append.account_id, id.clone()), past);
    }
    AppendedRange { first, last, repeated: false }
}

fn document(metadata: &EventMetadata) -> String {
    serde_json::to_string(metadata).expect("a map of texts is always JSON")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use wasend_domain::{Actor, EventId};

    use super::*;
    use crate::StreamAppend;

    fn stream(n: u128) -> StreamId {
        StreamId { aggregate_type: "test", aggregate_id: Uuid::from_u128(n) }
    }

    fn part(n: u128, expected: u64, events: usize) -> StreamAppend {
        let event = || NewEvent {
            event_id: EventId::random(),
            event_type: "Happened".into(),
            event_version: "1".into(),
            payload: "{}".into(),
        };
        StreamAppend { stream: stream(n), expected, events: (0..events).map(|_| event()).collect() }
    }

    fn append(command: CommandId, streams: Vec<StreamAppend>) -> Append {
        let account_id = AccountId::from_uuid(Uuid::from_u128(1));
        Append { account_id, command_id: command, metadata: EventMetadata::by(Actor::Meta), streams }
    }

    fn fresh() -> CommandId {
        CommandId::Fresh("f".into())
    }

    fn again(id: &str, fingerprint: &str) -> CommandId {
        CommandId::Repeatable { id: id.into(), fingerprint: fingerprint.into() }
    }

    fn new(first: Position, last: Position) -> AppendedRange {
        AppendedRange { first, last, repeated: false }
    }

    #[test]
    fn a_later_append_sees_the_earlier_ones_of_its_batch() {
        let batch = [append(fresh(), vec![part(1, 0, 2)]), append(fresh(), vec![part(1, 2, 1)])];
        let verdict = decide_batch(batch.iter(), LogState { head: 10, ..LogState::default() });
        assert_eq!(verdict.answers, [Ok(new(11, 12)), Ok(new(13, 13))]);
        assert_eq!(
            verdict.events.iter().map(|e| (e.position, e.sequence)).collect::<Vec<_>>(),
            [(11, 1), (12, 2), (13, 3)]
        );
        assert_eq!(verdict.head, 13);
    }

    #[test]
    fn a_conflict_on_one_stream_writes_none_and_spoils_no_neighbour() {
        let batch = [append(fresh(), vec![part(1, 0, 1), part(2, 0, 1)]), append(fresh(), vec![part(1, 0, 1)])];
        let tip = StreamHead { sequence: 4, account_id: batch[0].account_id };
        let known = LogState { streams: HashMap::from([(stream(2), tip)]), ..LogState::default() };
        let verdict = decide_batch(batch.iter(), known);
        assert_eq!(verdict.answers, [Err(AppendRejection::Conflict { stream: stream(2), actual: 4 }), Ok(new(1, 1))]);
    }

    #[test]
    fn a_stream_belongs_to_one_account() {
        let other = AccountId::from_uuid(Uuid::from_u128(2));
        let batch = [
            // Rejected for its second part, it leaves its first stream to the next append.
            append(fresh(), vec![part(1, 0, 1), part(2, 7, 1)]),
            Append { account_id: other, ..append(fresh(), vec![part(1, 0, 1)]) },
            append(fresh(), vec![part(1, 1, 1)]),
        ];
        let verdict = decide_batch(batch.iter(), LogState::default());
        let conflict = |n, actual| Err(AppendRejection::Conflict { stream: stream(n), actual });
        assert_eq!(verdict.answers, [conflict(2, 0), Ok(new(1, 1)), conflict(1, 1)]);
    }

    #[test]
    fn the_same_stream_twice_in_one_append_continues() {
        let batch =
            [append(fresh(), vec![part(1, 0, 1), part(1, 1, 1), part(1, 5, 1)]), append(fresh(), vec![part(1, 0, 1)])];
        let verdict = decide_batch(batch.iter(), LogState::default());
        assert_eq!(verdict.answers, [Err(AppendRejection::Conflict { stream: stream(1), actual: 2 }), Ok(new(1, 1))]);
    }

    #[test]
    fn a_repeated_command_is_answered_with_its_first_result_even_within_a_batch() {
        let batch = [
            append(again("a", "x"), vec![part(1, 0, 2)]),
            append(again("a", "x"), vec![part(1, 0, 2)]),
            append(again("a", "y"), vec![part(1, 2, 1)]),
            append(again("b", "x"), vec![part(1, 2, 1)]),
        ];
        let past = CommandRecord { first: 3, last: 4, fingerprint: Some("x".into()) };
        let account = batch[0].account_id;
        let known =
            LogState { head: 7, commands: HashMap::from([((account, "b".to_owned()), past)]), ..LogState::default() };
        let verdict = decide_batch(batch.iter(), known);
        let repeat = |first, last| Ok(AppendedRange { first, last, repeated: true });
        assert_eq!(verdict.answers, [Ok(new(8, 9)), repeat(8, 9), Err(AppendRejection::CommandReused), repeat(3, 4)]);
        assert!(verdict.metadata[0].contains("\"fingerprint\":\"x\""));
    }

    #[test]
    fn an_append_without_events_is_answered_at_the_head_and_still_checks_its_expectation() {
        let batch = [append(fresh(), vec![]), append(fresh(), vec![part(1, 1, 0)])];
        let verdict = decide_batch(batch.iter(), LogState { head: 5, ..LogState::default() });
        assert_eq!(verdict.answers, [Ok(new(5, 5)), Err(AppendRejection::Conflict { stream: stream(1), actual: 0 })]);
        assert!(verdict.events.is_empty());
    }
}
