use cqrs_es::{Aggregate, test::TestFramework};
use proptest::prelude::*;

use super::*;
use crate::content::{ContentKind, OutboundContent, Wamid};
use crate::{BlindIndex, Day, DecidingAggregate, NumberId, Sealed, SubjectId, Time};

const NUMBER: &str = "018f0000-0000-7000-8000-000000000001";
const CONTACT: &str = "6f2c3c8e-6b1e-4c0e-8a43-0d6f7f0c9a11";

fn at(seconds: i64) -> Time {
    Time::from_seconds(1_700_000_000 + seconds)
}

fn number() -> NumberId {
    NUMBER.parse().unwrap()
}

fn contact() -> SubjectId {
    CONTACT.parse().unwrap()
}

fn sealed<T>() -> Sealed<T> {
    Sealed::from_parts(contact(), Day::from_number(19_675), "AA")
}

fn accepted() -> Event {
    let content = sealed::<OutboundContent>();
    Event::Accepted {
        number: number(),
        contact: contact(),
        kind: ContentKind::Text,
        template: None,
        content,
        at: at(0),
    }
}

fn submission() -> MetaSubmission {
    MetaSubmission { wamid: sealed::<Wamid>(), wamid_index: BlindIndex::from_hex("aa".into()) }
}

fn submitted() -> Event {
    let MetaSubmission { wamid, wamid_index } = submission();
    Event::Submitted { attempt: 1, wamid, wamid_index, at: at(1) }
}

fn attempted() -> Event {
    Event::Attempted { attempt: 1, at: at(1) }
}

fn report(word: StatusWord, seconds: i64) -> Command {
    Command::Report { word, pricing: None, submission: Some(submission()), at: at(seconds) }
}

fn given(events: Vec<Event>) -> cqrs_es::test::AggregateTestExecutor<Message> {
    TestFramework::with(()).given(events)
}

fn counted(before: Option<UsageLine>, after: UsageLine) -> Event {
    let day = at(0).day();
    Event::Counted { number: number(), direction: MessageDirection::Outbound, day, before, after }
}

fn line(delivered: bool) -> UsageLine {
    UsageLine { category: PricingCategory::unknown(), delivered, billable: false }
}

#[test]
fn an_attempt_is_begun_once() {
    given(vec![accepted()]).when(Command::Attempt { attempt: 1, at: at(1) }).then_expect_events(vec![attempted()]);
    given(vec![accepted(), attempted()])
        .when(Command::Attempt { attempt: 1, at: at(2) })
        .then_expect_error(Error::NotNext);
    given(vec![accepted(), attempted()])
        .when(Command::Attempt { attempt: 2, at: at(2) })
        .then_expect_error(Error::NotNext);
}

#[test]
fn a_repeated_status_is_recorded_once() {
    let sent = Event::Sent { at: at(2) };
    given(vec![accepted(), attempted(), submitted()])
        .when(report(StatusWord::Sent, 2))
        .then_expect_events(vec![sent.clone(), counted(None, line(false))]);
    given(vec![accepted(), attempted(), submitted(), sent, counted(None, line(false))])
        .when(report(StatusWord::Sent, 2))
        .then_expect_events(vec![]);
}

#[test]
fn a_webhook_tells_what_became_of_an_unknown_outcome() {
    let MetaSubmission { wamid, wamid_index } = submission();
    given(vec![accepted(), attempted(), Event::OutcomeUnknown { attempt: 1, at: at(5) }])
        .when(report(StatusWord::Delivered, 9))
        .then_expect_events(vec![
            Event::Submitted { attempt: 1, wamid, wamid_index, at: at(9) },
            Event::Delivered { at: at(9) },
            counted(None, line(true)),
        ]);
}

#[test]
fn an_answer_after_the_webhook_changes_nothing() {
    let outcome = CallOutcome::Submitted { submission: submission(), held: false };
    given(vec![accepted(), attempted(), submitted(), Event::Delivered { at: at(2) }])
        .when(Command::Conclude { attempt: 1, outcome, at: at(3) })
        .then_expect_events(vec![]);
}

#[test]
fn only_a_message_that_was_not_tried_can_be_cancelled() {
    let cancel = || Command::Cancel { reason: CancelReason::Requested, at: at(3) };
    let cancelled = Event::Cancelled { reason: CancelReason::Requested, at: at(3) };
    given(vec![accepted()]).when(cancel()).then_expect_events(vec![cancelled.clone()]);
    given(vec![accepted(), cancelled]).when(cancel()).then_expect_events(vec![]);
    given(vec![accepted(), attempted()])
        .when(cancel())
        .then_expect_error(Error::NotCancellable(DeliveryStatus::Attempted));
}

#[test]
fn a_deferred_message_waits_and_is_tried_again() {
    let deferred = Event::Deferred { attempt: 1, until: at(60), code: Some(130_429), at: at(2) };
    let mut message = Message::default();
    for event in [accepted(), attempted(), deferred] {
        message.apply(event);
    }
    assert_eq!((message.status(), message.not_before), (DeliveryStatus::Accepted, Some(at(60))));
    assert!(message.decide(Command::Attempt { attempt: 2, at: at(61) }).is_ok());
}

#[test]
fn nothing_can_be_asked_of_a_message_that_does_not_exist() {
    TestFramework::<Message>::with(())
        .given_no_previous_events()
        .when(report(StatusWord::Sent, 1))
        .then_expect_error(Error::NotFound);
}

/// One update of Meta's, with moments and prices that may contradict each other.
fn update() -> impl Strategy<Value = Command> {
    let word = prop_oneof![Just(StatusWord::Sent), Just(StatusWord::Delivered), Just(StatusWord::Read)];
    let category = prop_oneof![Just("utility"), Just("marketing"), Just("service")];
    let pricing = proptest::option::of((category, any::<bool>()));
    let status = (word, 2..6i64, pricing).prop_map(|(word, seconds, pricing)| Command::Report {
        word,
        pricing: pricing.map(|(word, billable)| MessagePricing {
            at: at(seconds),
            category: PricingCategory::new(word),
            billable,
        }),
        submission: Some(submission()),
        at: at(seconds),
    });
    let failed =
        (2..6i64, prop_oneof![Just(131_026), Just(131_047)]).prop_map(|(seconds, code)| Command::ReportFailure {
            code: Some(code),
            class: "permanent".into(),
            detail: None,
            submission: Some(submission()),
            at: at(seconds),
        });
    prop_oneof![4 => status, 1 => failed]
}

fn after(start: &[Event], updates: &[Command]) -> (Message, Vec<Event>) {
    let mut message = Message::default();
    for event in start {
        message.apply(event.clone());
    }
    let mut events = Vec::new();
    for update in updates {
        for event in message.decide(update.clone()).unwrap() {
            message.apply(event.clone());
            events.push(event);
        }
    }
    (message, events)
}

proptest! {
    /// Any order and any repetition of the same updates gives one state, from a submitted message as from one whose
    /// outcome was unknown; any subset of them gives a state that those left out would have led from.
    #[test]
    fn meta_may_repeat_reorder_and_omit(
        updates in proptest::collection::vec(update(), 1..7),
        order in proptest::collection::vec(any::<proptest::sample::Index>(), 0..14),
        unknown in any::<bool>(),
    ) {
        let tail = if unknown { Event::OutcomeUnknown { attempt: 1, at: at(2) } } else { submitted() };
        let start = [accepted(), attempted(), tail];
        let mut other: Vec<Command> = order.iter().map(|index| index.get(&updates).clone()).collect();
        other.extend(updates.iter().rev().cloned());

        let (one, _) = after(&start, &updates);
        let (two, events) = after(&start, &other);
        prop_assert_eq!(&one, &two);

        // However the updates came, the message stands on exactly one line of the usage.
        let mut lines: Vec<UsageLine> = Vec::new();
        for event in events {
            if let Event::Counted { before, after, .. } = event {
                if let Some(before) = before {
                    let place = lines.iter().position(|line| *line == before).expect("it stood there");
                    lines.remove(place);
                }
                lines.push(after);
            }
        }
        prop_assert_eq!(lines, two.usage().into_iter().collect::<Vec<_>>());

        let told = |wanted| updates.iter().any(|u| matches!(u, Command::Report { word, .. } if *word == wanted));
        let expected = if told(StatusWord::Read) { DeliveryStatus::Read }
            else if told(StatusWord::Delivered) { DeliveryStatus::Delivered }
            else if updates.iter().any(|u| matches!(u, Command::ReportFailure { .. })) { DeliveryStatus::Failed }
            else { DeliveryStatus::Sent };
        prop_assert_eq!(two.status(), expected);
    }
}
