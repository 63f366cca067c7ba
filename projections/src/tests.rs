//! The folds of the read models: given a history, these rows.

use cqrs_es::DomainEvent;
use wasend_domain::contact::{self, ConsentChannel, ConsentScope, ContactOrigin};
use wasend_domain::content::ContentKind;
use wasend_domain::message::{self, CancelReason, DeliveryStatus, MessageDirection, PricingCategory, UsageLine};
use wasend_domain::{
    AccountId, AnyEvent, BlindIndex, DataCategory, Day, GroupId, NumberId, RecordedEvent, Sealed, SubjectId, Time,
    bucket, group, inbox, privacy,
};

use crate::buckets::BucketRow;
use crate::contacts::{ContactRow, ContactsProjection, GroupRow, MembershipRow};
use crate::engine::testing::{folded, recorded};
use crate::messages::{MessageRow, MessagesProjection, StatusRow};
use crate::outbox::{OutboxProjection, OutboxRow, OutboxTask};
use crate::privacy::PrivacyRequestsProjection;
use crate::usage::{UsageProjection, UsageRow};

const ID: &str = "018f0000-0000-7000-8000-000000000001";
const OTHER: &str = "018f0000-0000-7000-8000-000000000002";

fn at(seconds: i64) -> Time {
    Time::from_seconds(1_700_000_000 + seconds)
}

fn sealed<T>(text: &str) -> Sealed<T> {
    Sealed::from_parts(OTHER.parse().unwrap(), Day::from_number(19_675), text)
}

fn number() -> NumberId {
    ID.parse().unwrap()
}

/// Events of one aggregate, as the log gives them.
fn history<E: DomainEvent>(id: &str, events: Vec<E>, wrap: fn(E) -> AnyEvent) -> Vec<(AnyEvent, RecordedEvent)> {
    let one = |(index, event): (usize, E)| {
        let mut record = recorded(index as u64 + 1, &event.event_type(), serde_json::to_string(&event).unwrap());
        record.aggregate_id = id.parse().unwrap();
        record.account_id = AccountId::from_uuid(OTHER.parse().unwrap());
        (wrap(event), record)
    };
    events.into_iter().enumerate().map(one).collect()
}

fn messages(events: Vec<message::Event>) -> Vec<(AnyEvent, RecordedEvent)> {
    history(ID, events, |event| AnyEvent::Message(Box::new(event)))
}

fn accepted() -> message::Event {
    let contact: SubjectId = OTHER.parse().unwrap();
    let (number, kind, content) = (number(), ContentKind::Text, sealed("body"));
    message::Event::Accepted { number, contact, kind, template: None, content, at: at(0) }
}

fn submitted() -> message::Event {
    let wamid_index = BlindIndex::from_hex("aa".into());
    message::Event::Submitted { attempt: 1, wamid: sealed("wamid"), wamid_index, at: at(2) }
}

#[test]
fn a_messages_row_holds_what_became_of_it_and_its_history_each_step() {
    let failed = message::Event::Failed { code: Some(131_026), class: "permanent".into(), detail: None, at: at(4) };
    let attempted = message::Event::Attempted { attempt: 1, at: at(1) };
    let delivered = message::Event::Delivered { at: at(3) };
    let tables =
        folded(MessagesProjection, &messages(vec![accepted(), attempted, submitted(), delivered, failed])).unwrap();
    let row: MessageRow = tables.get(ID).unwrap();
    assert_eq!((row.status(), row.position, row.state.attempts), (DeliveryStatus::Delivered, 5, 1));
    assert!(row.wamid.as_deref().and_then(|wamid| wamid.rsplit('.').next()) == Some("wamid"));
    let steps: Vec<(DeliveryStatus, bool)> =
        tables.all::<StatusRow>().iter().map(|step| (step.status, step.changed)).collect();
    let expected = [
        (DeliveryStatus::Accepted, true),
        (DeliveryStatus::Attempted, true),
        (DeliveryStatus::Submitted, true),
        (DeliveryStatus::Delivered, true),
        (DeliveryStatus::Delivered, false),
    ];
    assert_eq!(steps, expected);
}

#[test]
fn a_message_cannot_begin_in_the_middle() {
    assert!(folded(MessagesProjection, &messages(vec![submitted()])).is_err());
}

#[test]
fn a_message_stands_on_one_line_of_the_usage() {
    let line =
        |category: &str, delivered| UsageLine { category: PricingCategory::new(category), delivered, billable: true };
    let counted = |before, after| {
        let (number, direction, day) = (number(), MessageDirection::Outbound, at(0).day());
        message::Event::Counted { number, direction, day, before, after }
    };
    let events = vec![
        counted(None, line("unknown", false)),
        counted(Some(line("unknown", false)), line("utility", false)),
        counted(Some(line("utility", false)), line("utility", true)),
    ];
    let rows = folded(UsageProjection, &messages(events)).unwrap().all::<UsageRow>();
    let sums: Vec<_> =
        rows.iter().map(|row| (row.category.as_str(), row.messages, row.delivered, row.billable)).collect();
    assert_eq!(sums, [("utility", 1, 1, 1)]);
}

#[test]
fn the_list_holds_a_message_until_it_is_settled() {
    let attempted = || message::Event::Attempted { attempt: 1, at: at(1) };
    let todo = |events: Vec<message::Event>| {
        let row: Option<OutboxRow> = folded(OutboxProjection, &messages(events)).unwrap().get(ID);
        row.map(|row| (row.todo, row.due_at))
    };
    assert_eq!(todo(vec![accepted()]), Some((OutboxTask::Send, at(0))));
    assert_eq!(todo(vec![accepted(), attempted()]), Some((OutboxTask::Conclude, at(1))));
    let deferred = message::Event::Deferred { attempt: 1, until: at(60), code: None, at: at(2) };
    assert_eq!(todo(vec![accepted(), attempted(), deferred]), Some((OutboxTask::Send, at(60))));
    let unknown = message::Event::OutcomeUnknown { attempt: 1, at: at(2) };
    assert_eq!(todo(vec![accepted(), attempted(), unknown]), Some((OutboxTask::Reconcile, at(2))));
    assert_eq!(todo(vec![accepted(), attempted(), submitted()]), Some((OutboxTask::Deliver, at(0))));
    assert_eq!(todo(vec![accepted(), attempted(), submitted(), message::Event::Read { at: at(5) }]), None);
    let cancelled = message::Event::Cancelled { reason: CancelReason::Requested, at: at(1) };
    assert_eq!(todo(vec![accepted(), cancelled]), None);
}

#[test]
fn a_group_counts_who_belongs_to_it() {
    let group_id: GroupId = ID.parse().unwrap();
    let mut events = history(ID, vec![group::Event::Created { name: sealed("name") }], AnyEvent::Group);
    let joined = contact::Event::GroupJoined { group: group_id };
    let created = contact::Event::Created { source: ContactOrigin::Api, attributes: None };
    let out = contact::Event::OptedOut { via: ConsentChannel::Api, scope: ConsentScope::All, at: None };
    events.extend(history(OTHER, vec![created, joined, out], AnyEvent::Contact));
    let tables = folded(ContactsProjection, &events).unwrap();
    assert_eq!(tables.get::<GroupRow>(ID).map(|row| row.members), Some(1));
    assert_eq!(tables.all::<MembershipRow>().len(), 1);
    assert!(tables.get::<ContactRow>(OTHER).is_some_and(|row| row.opted_out));
    events.extend(history(OTHER, vec![contact::Event::GroupLeft { group: group_id }], AnyEvent::Contact));
    let tables = folded(ContactsProjection, &events).unwrap();
    assert_eq!(tables.get::<GroupRow>(ID).map(|row| row.members), Some(0));
    assert_eq!(tables.all::<MembershipRow>().len(), 0);
}

#[test]
fn a_bucket_is_listed_from_what_is_put_into_it_until_its_key_is_destroyed() {
    let contents = bucket::BucketContents { category: DataCategory::UnknownWebhook, day: Day::from_number(19_675) };
    let (category, day) = (contents.category, contents.day);
    let account = AccountId::from_uuid(OTHER.parse().unwrap());
    let id = contents.of(account).to_string();
    let held =
        inbox::Event::Held { reason: inbox::KeepReason::UnknownShape, update: sealed("a"), people: vec![], at: at(0) };
    let kept = inbox::Event::Kept { reason: inbox::KeepReason::UnknownShape, raw: sealed("b"), at: at(0) };
    let mut all = history(ID, vec![kept, held.clone(), held], AnyEvent::Inbox);
    let tables = folded(PrivacyRequestsProjection, &all).unwrap();
    let [row] = tables.all::<BucketRow>().try_into().unwrap();
    assert_eq!((row.id.as_str(), row.account_id.as_str(), row.contents()), (id.as_str(), OTHER, contents));
    assert_eq!((row.fenced_at, row.destroyed_at), (None, None));
    let destruction = |number| privacy::KeyDestruction { number, at: at(number) };
    let steps = vec![
        bucket::Event::Fenced { category, day, fingerprint: Some("ab".into()), at: at(1) },
        bucket::Event::Destroyed { category, day, destruction: destruction(2) },
        bucket::Event::Repeated { category, day, fingerprint: None, destruction: destruction(3) },
    ];
    all.extend(history(&id, steps, AnyEvent::Bucket));
    let row: BucketRow = folded(PrivacyRequestsProjection, &all).unwrap().get(&id).unwrap();
    assert_eq!((row.fenced_at, row.destroyed_at, row.repeated_at), (Some(at(1)), Some(at(2)), Some(at(3))));
    assert_eq!((row.fingerprint.as_deref(), row.destruction), (Some("ab"), Some(3)));
    let destroyed = vec![bucket::Event::Destroyed { category, day, destruction: destruction(2) }];
    assert!(
        folded(PrivacyRequestsProjection, &history(&id, destroyed, AnyEvent::Bucket)).is_err(),
        "it is named first"
    );
}
